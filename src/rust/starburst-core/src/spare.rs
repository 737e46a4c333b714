//! Memory of large values, used again: to fill it takes less time than to have the system clear other.
use crate::cutter::Piece;
use bytes::BytesMut;
use parking_lot::Mutex;

/// Bytes that are kept for chunks.
const CHUNKS: usize = 16 << 20;
/// Less is not worth keeping, and does not get what is larger.
const WORTH: usize = 1 << 20;
/// Pieces that are kept: one that is written, some that wait, one that is cut, and the one before it.
const PIECES: usize = 5;

/// Memory that nobody uses at the moment, a bounded amount of it.
#[derive(Debug, Default)]
pub struct Spare {
    pieces: Mutex<Vec<Piece>>,
    chunks: Mutex<Vec<BytesMut>>,
}

impl Spare {
    /// An empty piece.
    pub fn piece(&self) -> Piece {
        self.pieces.lock().pop().unwrap_or_default()
    }

    /// Takes a piece that is not needed any more.
    pub fn keep_piece(&self, mut piece: Piece) {
        piece.clear();
        let mut pieces = self.pieces.lock();
        if piece.has_room() && pieces.len() < PIECES {
            pieces.push(piece);
        }
    }

    /// Empty memory for so many bytes.
    pub fn chunk(&self, len: usize) -> BytesMut {
        let mut chunks = self.chunks.lock();
        let fits = |memory: &BytesMut| len >= WORTH && memory.capacity() >= len;
        match chunks.iter().position(fits) {
            Some(place) => chunks.swap_remove(place),
            None => BytesMut::with_capacity(len),
        }
    }

    /// Takes the memory of a chunk that is not needed any more.
    pub fn keep_chunk(&self, mut memory: BytesMut) {
        memory.clear();
        let mut chunks = self.chunks.lock();
        let held: usize = chunks.iter().map(BytesMut::capacity).sum();
        if memory.capacity() >= WORTH && held + memory.capacity() <= CHUNKS {
            chunks.push(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_no_more_of_it_kept_than_the_limit() {
        let spare = Spare::default();
        for _ in 0..100 {
            for len in [1 << 10, 1 << 20] {
                let mut memory = BytesMut::with_capacity(len);
                memory.extend_from_slice(b"old");
                spare.keep_chunk(memory);
            }
        }
        assert_eq!(spare.chunks.lock().len(), 16);
        assert_eq!(spare.chunk(1 << 10).capacity(), 1 << 10);
        let again = spare.chunk(1 << 20);
        assert!(again.is_empty() && again.capacity() == 1 << 20);
        assert!(spare.chunk(2 << 20).capacity() >= 2 << 20);
        for _ in 0..100 {
            let (mut small, mut large) = (Piece::default(), Piece::default());
            small.write(b"old");
            large.write(&[7; 100_000]);
            spare.keep_piece(small);
            spare.keep_piece(large);
        }
        assert_eq!(spare.pieces.lock().len(), PIECES);
        for _ in 0..PIECES {
            let again = spare.piece();
            assert!(again.has_room() && again.bytes().is_empty());
        }
        assert!(!spare.piece().has_room());
    }
}
