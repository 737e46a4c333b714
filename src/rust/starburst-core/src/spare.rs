//! Memory of chunks of large data, used again: to fill it takes less time than to have the system clear other.
use bytes::BytesMut;
use parking_lot::Mutex;

/// So many chunks' memory is kept.
const KEPT: usize = 8;
/// Less is not worth keeping.
const WORTH: usize = 1 << 20;

/// Memory that nobody uses at the moment, a bounded amount of it.
#[derive(Debug, Default)]
pub struct Spare(Mutex<Vec<BytesMut>>);

impl Spare {
    /// Empty memory for so many bytes.
    pub fn memory(&self, len: usize) -> BytesMut {
        let mut kept = self.0.lock();
        match kept.iter().position(|memory| memory.capacity() >= len) {
            Some(place) => kept.swap_remove(place),
            None => BytesMut::with_capacity(len),
        }
    }

    /// Takes memory that is not needed any more.
    pub fn keep(&self, mut memory: BytesMut) {
        memory.clear();
        let mut kept = self.0.lock();
        if memory.capacity() >= WORTH && kept.len() < KEPT {
            kept.push(memory);
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
            for len in [1 << 10, 2 << 20] {
                let mut memory = BytesMut::with_capacity(len);
                memory.extend_from_slice(b"old");
                spare.keep(memory);
            }
        }
        assert_eq!(spare.0.lock().len(), KEPT);
        let again = spare.memory(1 << 20);
        assert!(again.is_empty() && again.capacity() == 2 << 20);
        assert_eq!(spare.0.lock().len(), KEPT - 1);
        assert!(spare.memory(3 << 20).capacity() >= 3 << 20);
        assert_eq!(spare.0.lock().len(), KEPT - 1);
    }
}
