//! Streams of bytes, cut into chunks where their content says.
use crate::blob::INLINE_MAX;
use bytes::Bytes;
use fastcdc::v2020::{FastCDC, Normalization};

/// How long chunks are, in bytes.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    least: usize,
    middle: usize,
    most: usize,
    /// How soon a chunk ends that is longer than the middle.
    end: Normalization,
}

/// The middle is the least, and a quarter of it more the usual length: bytes up to the least are not looked at, and looking
/// is what takes time.
const COARSE: Sizes =
    Sizes { least: 1 << 20, middle: 1 << 20, most: 4 << 20, end: Normalization::Level2 };
/// For the chunks at both ends of a stream: there what many tasks share meets what each has of its own, and a chunk with
/// both is sent for each of them.
const FINE: Sizes =
    Sizes { least: 64 << 10, middle: 128 << 10, most: 512 << 10, end: Normalization::Level1 };
/// A stream that is no longer has no ends.
const ENDS: u64 = 1 << 20;
/// Bytes of a stream that are cut at a time.
const PIECE: usize = 2 << 20;
/// What is left of a piece is shorter than the longest chunk.
const ROOM: usize = COARSE.most;

/// The next bytes of a stream, with room before them for what was left of the piece before: a chunk may begin in one and
/// end in the other.
#[derive(Debug, Default)]
pub struct Piece {
    memory: Vec<u8>,
    begin: usize,
    /// Room is made once there is more than a little: most values are small.
    room: usize,
}

impl Piece {
    /// Takes as many of these bytes as there is place for, and returns the rest of them.
    pub fn write<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if !self.has_room() && self.memory.len() + bytes.len() > INLINE_MAX {
            self.make_room();
        }
        let free = if self.has_room() { ROOM + PIECE - self.memory.len() } else { bytes.len() };
        let (now, later) = bytes.split_at(free.min(bytes.len()));
        self.memory.extend_from_slice(now);
        later
    }

    /// Whether it takes no more.
    pub fn is_full(&self) -> bool {
        self.memory.len() == ROOM + PIECE
    }

    /// What it holds.
    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.begin..]
    }

    /// Whether it has the memory for a large value.
    pub fn has_room(&self) -> bool {
        self.room > 0
    }

    /// Forgets what it holds, and keeps the memory.
    pub fn clear(&mut self) {
        self.memory.truncate(self.room);
        self.begin = self.room;
    }

    fn make_room(&mut self) {
        // Memory that nobody writes to costs nothing.
        let mut memory = vec![0; ROOM + PIECE];
        memory.truncate(ROOM);
        memory.extend_from_slice(self.bytes());
        *self = Self { memory, begin: ROOM, room: ROOM };
    }

    /// Puts these bytes before its own.
    fn prepend(&mut self, before: &[u8]) {
        if self.begin < before.len() {
            self.make_room();
        }
        let first = self.begin - before.len();
        self.memory[first..self.begin].copy_from_slice(before);
        self.begin = first;
    }
}

/// What a stream came to.
#[derive(Debug)]
pub enum Stream {
    /// It was short: here it is. No chunk was cut of it.
    Short(Bytes),
    /// All of it is in chunks.
    Cut {
        /// Its length in bytes.
        len: u64,
    },
}

/// Cuts a stream of bytes into chunks, and holds no more of it than what may be one chunk.
#[derive(Debug, Default)]
pub struct Cutter {
    /// The piece before, as far as it is not in chunks: that may go on in the next.
    rest: Piece,
    len: u64,
    /// Bytes of the stream that are in chunks already.
    done: u64,
}

impl Cutter {
    /// Cuts the next piece, which must be full: chunks go to `out`. An empty one comes in its place.
    ///
    /// # Errors
    /// What `out` fails with.
    pub fn cut<E>(
        &mut self,
        piece: &mut Piece,
        out: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.len += piece.bytes().len() as u64;
        self.cut_off(piece, false, out)
    }

    /// Cuts the last piece, which may be empty, and is ready for the next stream.
    ///
    /// # Errors
    /// What `out` fails with.
    pub fn finish<E>(
        &mut self,
        piece: &mut Piece,
        out: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Stream, E> {
        let len = self.len + piece.bytes().len() as u64;
        if len <= INLINE_MAX as u64 {
            let short = Bytes::copy_from_slice(piece.bytes());
            piece.clear();
            return Ok(Stream::Short(short));
        }
        self.cut_off(piece, true, out)?;
        (self.len, self.done) = (0, 0);
        Ok(Stream::Cut { len })
    }

    /// The memory that it held something in.
    pub fn into_piece(self) -> Piece {
        self.rest
    }

    /// Cuts what the content says, and the rest too at the end.
    fn cut_off<E>(
        &mut self,
        piece: &mut Piece,
        is_last: bool,
        out: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        piece.prepend(self.rest.bytes());
        self.rest.clear();
        let mut bytes = piece.bytes();
        let is_short = is_last && self.done + bytes.len() as u64 <= ENDS;
        while !bytes.is_empty() {
            let sizes = if self.done == 0 && !is_short { FINE } else { COARSE };
            let mut size = places(bytes, sizes).next().unwrap_or(bytes.len());
            if size == bytes.len() {
                // The end of these bytes is not a place that the content chose.
                match is_last {
                    false => break,
                    true if is_short => {}
                    true => size = last_place(bytes),
                }
            }
            let (chunk, after) = bytes.split_at(size);
            out(chunk)?;
            bytes = after;
            self.done += size as u64;
        }
        piece.begin = piece.memory.len() - bytes.len();
        std::mem::swap(piece, &mut self.rest);
        Ok(())
    }
}

/// Where chunks of these sizes end.
fn places(bytes: &[u8], sizes: Sizes) -> impl Iterator<Item = usize> {
    let chunks = FastCDC::with_level(bytes, sizes.least, sizes.middle, sizes.most, sizes.end);
    chunks.map(|chunk| chunk.offset + chunk.length)
}

/// The last place before the end at which a fine chunk ends; the end where there is none.
fn last_place(bytes: &[u8]) -> usize {
    places(bytes, FINE).filter(|&place| place < bytes.len()).last().unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u8, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut out);
        out
    }

    fn chunks(cutter: &mut Cutter, piece: &mut Piece, mut bytes: &[u8]) -> (Vec<Vec<u8>>, Stream) {
        let mut chunks = Vec::new();
        let mut out = |chunk: &[u8]| {
            chunks.push(chunk.to_vec());
            Ok::<_, ()>(())
        };
        while !bytes.is_empty() {
            bytes = piece.write(bytes);
            if piece.is_full() {
                cutter.cut(piece, &mut out).unwrap();
            }
        }
        let stream = cutter.finish(piece, &mut out).unwrap();
        (chunks, stream)
    }

    #[test]
    fn one_stream_after_another_is_cut_as_if_it_were_alone() {
        let (mut cutter, mut piece) = (Cutter::default(), Piece::default());
        for (seed, len) in
            [(1, 9_000_000), (2, 100), (3, PIECE), (4, 70_000), (5, 3 * PIECE), (6, 0)]
        {
            let bytes = noise(seed, len);
            let (cut, stream) = chunks(&mut cutter, &mut piece, &bytes);
            let (alone, _) = chunks(&mut Cutter::default(), &mut Piece::default(), &bytes);
            assert!(cut == alone, "{len}");
            match stream {
                Stream::Short(short) => assert!(short == bytes && cut.is_empty()),
                Stream::Cut { len } => {
                    assert_eq!(len, bytes.len() as u64);
                    assert!(cut.concat() == bytes);
                }
            }
        }
    }

    #[test]
    fn no_chunk_is_longer_than_the_longest_also_where_all_is_the_same() {
        let (cut, _) = chunks(&mut Cutter::default(), &mut Piece::default(), &vec![7; 20 << 20]);
        assert!(cut.iter().all(|chunk| chunk.len() <= COARSE.most));
        assert_eq!(cut.concat().len(), 20 << 20);
    }
}
