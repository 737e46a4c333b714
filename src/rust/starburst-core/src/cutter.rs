//! Streams of bytes, cut into chunks where their content says.
use crate::{
    blob::INLINE_MAX,
    envelope::{Kind, Unsealed},
    spare::Spare,
};
use bytes::Bytes;
use fastcdc::v2020::{FastCDC, Normalization};
use std::sync::Arc;

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
const ENDS: usize = 1 << 20;
/// How long a stream, or the rest of it, is when it is first looked at: it has ends then, and some way after the least size of a
/// chunk to find a place in.
const FIRST_LOOK: usize = ENDS + (512 << 10);
/// Shorter chunks are copied, so that they do not take the memory of a long one with them.
const LONG: usize = 1 << 20;
/// The shortest chunk in bytes, but for the last of a stream.
pub const LEAST: usize = FINE.least;
/// The longest chunk in bytes.
pub const MOST: usize = COARSE.most;

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

/// Cuts a stream of bytes into chunks, each collected where it stays, and holds no more of it than what may be one chunk.
#[derive(Debug)]
pub struct Cutter {
    spare: Arc<Spare>,
    /// The stream as far as it is in no chunk.
    rest: Unsealed,
    /// Once the rest is so long, it is looked at.
    look_at: usize,
    /// Bytes of the stream that are in chunks already.
    done: u64,
}

impl Default for Cutter {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

impl Cutter {
    /// A cutter that takes memory for chunks from here.
    pub fn new(spare: Arc<Spare>) -> Self {
        Self { spare, rest: Unsealed::new(Kind::Blob, &[]), look_at: FIRST_LOOK, done: 0 }
    }

    /// Takes the next bytes: chunks go to `out`.
    ///
    /// # Errors
    /// What `out` fails with: this stream is lost then.
    pub fn write<E>(
        &mut self,
        mut bytes: &[u8],
        out: &mut impl FnMut(Unsealed) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            let free = self.look_at - self.rest.body().len();
            let (now, later) = bytes.split_at(free.min(bytes.len()));
            self.hold(now);
            bytes = later;
            if self.rest.body().len() == self.look_at {
                self.look(out)?;
            }
        }
        Ok(())
    }

    /// Cuts what is left, and is ready for the next stream.
    ///
    /// # Errors
    /// What `out` fails with: this stream is lost then.
    pub fn finish<E>(
        &mut self,
        out: &mut impl FnMut(Unsealed) -> Result<(), E>,
    ) -> Result<Stream, E> {
        let len = self.done + self.rest.body().len() as u64;
        if len <= INLINE_MAX as u64 {
            let short = Bytes::copy_from_slice(self.rest.body());
            self.rest.remove(short.len());
            return Ok(Stream::Short(short));
        }
        let has_ends = len > ENDS as u64;
        while !self.rest.body().is_empty() {
            let body = self.rest.body();
            let sizes = if has_ends { self.sizes() } else { COARSE };
            // The end of these bytes is not a place that the content chose.
            let otherwise = || if has_ends { last_place(body) } else { body.len() };
            let size = place(body, sizes).unwrap_or_else(otherwise);
            self.give(size, out)?;
        }
        (self.look_at, self.done) = (FIRST_LOOK, 0);
        Ok(Stream::Cut { len })
    }

    fn hold(&mut self, bytes: &[u8]) {
        // Most streams are short.
        let is_long = self.rest.body().len() + bytes.len() > INLINE_MAX;
        if is_long && !self.rest.has_room(MOST) {
            self.rest = Unsealed::chunk(self.rest.body(), &self.spare);
        }
        self.rest.write(bytes);
    }

    /// Cuts off what chunks the content shows the ends of, and says when to look again.
    fn look<E>(&mut self, out: &mut impl FnMut(Unsealed) -> Result<(), E>) -> Result<(), E> {
        while let Some(size) = place(self.rest.body(), self.sizes()) {
            self.give(size, out)?;
        }
        // Looking starts anew each time: where no place was found, of few values or the same words over and over, there are
        // few, and the next look is at all that a chunk may have.
        self.look_at = if self.rest.body().len() < FIRST_LOOK { FIRST_LOOK } else { MOST };
        Ok(())
    }

    fn sizes(&self) -> Sizes {
        if self.done == 0 { FINE } else { COARSE }
    }

    /// Hands over so many bytes as a chunk.
    fn give<E>(
        &mut self,
        size: usize,
        out: &mut impl FnMut(Unsealed) -> Result<(), E>,
    ) -> Result<(), E> {
        self.done += size as u64;
        let (chunk, rest) = self.rest.body().split_at(size);
        if size < LONG {
            let chunk = Unsealed::new(Kind::Blob, chunk);
            self.rest.remove(size);
            return out(chunk);
        }
        let rest = Unsealed::chunk(rest, &self.spare);
        let mut chunk = std::mem::replace(&mut self.rest, rest);
        chunk.truncate(size);
        out(chunk)
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        let rest = std::mem::replace(&mut self.rest, Unsealed::new(Kind::Blob, &[]));
        self.spare.keep(rest.into_memory());
    }
}

/// Where the first chunk of these bytes ends; none where the next bytes decide.
fn place(bytes: &[u8], sizes: Sizes) -> Option<usize> {
    places(bytes, sizes).next().filter(|&size| size < bytes.len() || size == sizes.most)
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

    fn chunks(cutter: &mut Cutter, bytes: &[u8], step: usize) -> (Vec<Vec<u8>>, Stream) {
        let mut chunks = Vec::new();
        let mut out = |chunk: Unsealed| {
            chunks.push(chunk.body().to_vec());
            Ok::<_, ()>(())
        };
        for piece in bytes.chunks(step) {
            cutter.write(piece, &mut out).unwrap();
        }
        let stream = cutter.finish(&mut out).unwrap();
        (chunks, stream)
    }

    /// As chunks are cut where all of a stream is at hand.
    fn at_once(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut chunks = Vec::new();
        let has_ends = bytes.len() > ENDS;
        while !bytes.is_empty() {
            let sizes = if chunks.is_empty() && has_ends { FINE } else { COARSE };
            let first = places(bytes, sizes).next().unwrap();
            let is_last = first == bytes.len() && first < sizes.most;
            let size = if is_last && has_ends { last_place(bytes) } else { first };
            chunks.push(bytes[..size].to_vec());
            bytes = &bytes[size..];
        }
        chunks
    }

    #[test]
    fn a_stream_is_cut_as_if_all_of_it_were_at_hand() {
        let lens = [70_000, ENDS, ENDS + 1, FIRST_LOOK - 1, FIRST_LOOK, FIRST_LOOK + 1, 11_000_001];
        for (seed, len) in lens.into_iter().enumerate() {
            let bytes = noise(seed as u8, len);
            for step in [4_099, 1 << 16, 3_000_000, len] {
                let (cut, _) = chunks(&mut Cutter::default(), &bytes, step);
                assert!(cut == at_once(&bytes), "{len} {step}");
            }
        }
    }

    #[test]
    fn one_stream_after_another_is_cut_as_if_it_were_alone() {
        let mut cutter = Cutter::default();
        for (seed, len) in
            [(1, 9_000_000), (2, 100), (3, FIRST_LOOK), (4, 70_000), (5, 6_000_000), (6, 0)]
        {
            let bytes = noise(seed, len);
            let (cut, stream) = chunks(&mut cutter, &bytes, 100_000);
            let (alone, _) = chunks(&mut Cutter::default(), &bytes, 100_000);
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
        let (cut, _) = chunks(&mut Cutter::default(), &vec![7; 20 << 20], 1 << 16);
        assert!(cut.iter().all(|chunk| chunk.len() <= MOST));
        assert_eq!(cut.concat().len(), 20 << 20);
    }
}
