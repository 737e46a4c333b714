//! Large data: cut by its content, named by its hash, stored once a session.
//!
//! A value that appears in many payloads, such as a table that every future uses, is cut at the same
//! places in each of them, so its chunks get the same names and travel once. Chunks leave the packer as they are
//! cut ([`crate::uploads`]) and come in as they are used ([`crate::downloads`]): large data is never in memory whole.
use crate::{
    envelope::{self, Kind},
    error::Error,
};
use bytes::Bytes;
use fastcdc::v2020::FastCDC;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;

/// Data up to this size travels inside the object that needs it.
pub const INLINE_MAX: usize = 64 * 1024;
const CHUNK_MIN: usize = 256 * 1024;
const CHUNK_AVG: usize = 1024 * 1024;
const CHUNK_MAX: usize = 4 * 1024 * 1024;
/// The packer cuts whenever this much is waiting.
const WINDOW: usize = 2 * CHUNK_MAX;

/// The BLAKE3 hash of a chunk's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobHash([u8; 32]);

/// Stored as 32 bytes, not as a list of numbers.
impl Serialize for BlobHash {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for BlobHash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = Bytes::deserialize(from)?;
        let hash = <[u8; 32]>::try_from(&bytes[..]);
        hash.map(Self).map_err(|_| D::Error::invalid_length(bytes.len(), &"32 bytes"))
    }
}

impl BlobHash {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
    /// What a hasher came to.
    pub fn from_hasher(hasher: &blake3::Hasher) -> Self {
        Self(*hasher.finalize().as_bytes())
    }
}

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobHash({self})")
    }
}

/// Bytes of R's, where they are small, or the names of their chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// The bytes themselves.
    Inline(Bytes),
    /// Chunks of a session, in order.
    Blobs {
        /// Length of all of them in bytes.
        len: u64,
        /// Their names.
        chunks: Vec<BlobHash>,
    },
}

impl Payload {
    /// Bytes this adds to the object that holds it.
    pub fn inline_len(&self) -> usize {
        match self {
            Payload::Inline(bytes) => bytes.len(),
            Payload::Blobs { chunks, .. } => chunks.len() * 32,
        }
    }

    /// The chunks that must be stored before anything names them.
    pub fn chunks(&self) -> &[BlobHash] {
        match self {
            Payload::Inline(_) => &[],
            Payload::Blobs { chunks, .. } => chunks,
        }
    }
}

/// Where a packer's chunks go.
pub trait ChunkSink: fmt::Debug {
    /// Whether this chunk is stored, or on its way: it need not be given again.
    fn has(&self, hash: &BlobHash) -> bool;
    /// Takes a sealed chunk. Waits while too much is on its way.
    ///
    /// # Errors
    /// Why no more is taken: packing is pointless then.
    fn take(&mut self, hash: BlobHash, sealed: Bytes) -> Result<(), Error>;
}

/// Takes a stream of bytes and holds no more of it than a window.
#[derive(Debug, Default)]
pub struct Packer {
    window: Vec<u8>,
    len: u64,
    chunks: Vec<BlobHash>,
}

impl Packer {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// The sink's.
    pub fn write(&mut self, mut bytes: &[u8], sink: &mut dyn ChunkSink) -> Result<(), Error> {
        self.len += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = WINDOW - self.window.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.window.extend_from_slice(now);
            bytes = later;
            if self.window.len() == WINDOW {
                self.cut(false, sink)?;
            }
        }
        Ok(())
    }

    /// The payload of all that was written.
    ///
    /// # Errors
    /// The sink's.
    pub fn finish(mut self, sink: &mut dyn ChunkSink) -> Result<Payload, Error> {
        if self.len <= INLINE_MAX as u64 {
            return Ok(Payload::Inline(self.window.into()));
        }
        self.cut(true, sink)?;
        Ok(Payload::Blobs { len: self.len, chunks: self.chunks })
    }

    fn cut(&mut self, last: bool, sink: &mut dyn ChunkSink) -> Result<(), Error> {
        let window = std::mem::take(&mut self.window);
        let mut done = 0;
        for chunk in FastCDC::new(&window, CHUNK_MIN, CHUNK_AVG, CHUNK_MAX) {
            let end = chunk.offset + chunk.length;
            // The window's end is not a place the content chose: wait for what follows it.
            if end == window.len() && !last {
                break;
            }
            let bytes = &window[chunk.offset..end];
            let hash = BlobHash::of(bytes);
            if !sink.has(&hash) {
                sink.take(hash, envelope::seal(Kind::Blob, bytes))?;
            }
            self.chunks.push(hash);
            done = end;
        }
        self.window = window;
        self.window.drain(..done);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[derive(Debug, Default)]
    struct Kept(HashMap<BlobHash, Bytes>);

    impl ChunkSink for Kept {
        fn has(&self, hash: &BlobHash) -> bool {
            self.0.contains_key(hash)
        }
        fn take(&mut self, hash: BlobHash, sealed: Bytes) -> Result<(), Error> {
            self.0.insert(hash, sealed);
            Ok(())
        }
    }

    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
        out
    }

    fn pack(pieces: &[&[u8]]) -> (Payload, Kept) {
        let (mut packer, mut kept) = (Packer::default(), Kept::default());
        for piece in pieces {
            packer.write(piece, &mut kept).unwrap();
        }
        (packer.finish(&mut kept).unwrap(), kept)
    }

    #[test]
    fn small_data_stays_inline() {
        assert_eq!(pack(&[b"ab", b"c"]).0, Payload::Inline("abc".into()));
    }

    #[test]
    fn data_shared_by_two_payloads_shares_most_chunks() {
        let shared = noise(1, 20_000_000);
        let (a, b) = (pack(&[b"task 1", &shared]).1, pack(&[b"another task, 2", &shared]).1);
        let common = a.0.keys().filter(|hash| b.0.contains_key(hash)).count();
        assert!(common + 2 >= a.0.len(), "{common} of {}", a.0.len());
    }

    #[test]
    fn cutting_does_not_depend_on_how_the_stream_arrives() {
        let bytes = noise(2, 12_000_000);
        let pieces: Vec<&[u8]> = bytes.chunks(70_001).collect();
        assert_eq!(pack(&pieces).0, pack(&[&bytes]).0);
    }
}
