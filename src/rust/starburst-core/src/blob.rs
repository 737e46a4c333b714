//! Large data: cut by its content, named by its hash, stored once a session.
//!
//! A value that appears in many payloads, such as a table that every future uses, is cut at the same
//! places in each of them, so its chunks get the same names and travel once. Chunks leave as they are
//! cut ([`crate::uploads`]) and come in as they are used ([`crate::downloads`]): large data is never in memory whole.
use crate::{
    cutter::{Cutter, Stream},
    envelope::Unsealed,
    error::Error,
    spare::Spare,
};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, sync::Arc};

/// Data up to this size travels inside the object that needs it.
pub const INLINE_MAX: usize = 64 * 1024;

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
    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// The hash with this name.
    pub fn parse(name: &str) -> Option<Self> {
        blake3::Hash::from_hex(name).ok().map(|hash| Self(*hash.as_bytes()))
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
    /// Takes a chunk. Waits while too much is on its way.
    ///
    /// # Errors
    /// Why no more is taken: packing is pointless then.
    fn take(&mut self, hash: BlobHash, chunk: Unsealed) -> Result<(), Error>;
    /// Memory for the chunks that it takes.
    fn spare(&self) -> Arc<Spare> {
        Arc::default()
    }
}

/// Names the chunks of a stream, and gives them to a sink.
#[derive(Debug, Default)]
pub struct Namer(Vec<BlobHash>);

impl Namer {
    /// The next chunk.
    ///
    /// # Errors
    /// The sink's.
    pub fn take(&mut self, mut chunk: Unsealed, sink: &mut dyn ChunkSink) -> Result<(), Error> {
        let name = chunk.name();
        self.0.push(name);
        if sink.has(&name) {
            sink.spare().keep(chunk.into_memory());
            return Ok(());
        }
        sink.take(name, chunk)
    }

    /// The payload of a stream whose chunks were all taken; the next one begins.
    pub fn finish(&mut self, stream: Stream) -> Payload {
        match stream {
            Stream::Short(bytes) => Payload::Inline(bytes),
            Stream::Cut { len } => Payload::Blobs { len, chunks: std::mem::take(&mut self.0) },
        }
    }
}

/// Makes a payload of a stream of bytes.
#[derive(Debug)]
pub struct Packer<'a> {
    sink: &'a mut dyn ChunkSink,
    cutter: Cutter,
    namer: Namer,
}

impl<'a> Packer<'a> {
    /// A packer whose chunks go here.
    pub fn into(sink: &'a mut dyn ChunkSink) -> Self {
        let cutter = Cutter::new(sink.spare());
        Self { sink, cutter, namer: Namer::default() }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// The sink's.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.cutter.write(bytes, &mut |chunk| self.namer.take(chunk, self.sink))
    }

    /// The payload of all that was written.
    ///
    /// # Errors
    /// The sink's.
    pub fn finish(mut self) -> Result<Payload, Error> {
        let stream = self.cutter.finish(&mut |chunk| self.namer.take(chunk, self.sink))?;
        Ok(self.namer.finish(stream))
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
        fn take(&mut self, hash: BlobHash, chunk: Unsealed) -> Result<(), Error> {
            self.0.insert(hash, chunk.seal(&crate::key::blob_name(&hash)));
            Ok(())
        }
    }

    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
        out
    }

    fn pack(pieces: &[&[u8]]) -> (Payload, Kept) {
        let mut kept = Kept::default();
        let mut packer = Packer::into(&mut kept);
        for piece in pieces {
            packer.write(piece).unwrap();
        }
        (packer.finish().unwrap(), kept)
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
    fn little_is_sent_again_for_each_task_that_shares_a_table() {
        let table = noise(3, 6_000_000);
        let mut sent = HashMap::new();
        for task in 0u8..20 {
            sent.extend(pack(&[&[task; 300], &table, &[task; 2_000]]).1.0);
        }
        let bytes: usize = sent.values().map(Bytes::len).sum();
        // Two chunks of about 128 KB for each, where it would be the whole table.
        assert!(bytes < 13_000_000, "{bytes}");
    }

    #[test]
    fn after_an_insertion_a_table_is_soon_cut_as_before() {
        let table = noise(6, 60_000_000);
        let before = pack(&[&table]).1.0;
        let more = noise(7, 700_000);
        let mut sent = Vec::new();
        for place in [5_000_000, 9_500_000, 14_000_000, 18_500_000] {
            let after = pack(&[&table[..place], &more, &table[place..]]).1.0;
            let new = after.iter().filter(|(hash, _)| !before.contains_key(*hash));
            sent.push(new.map(|(_, chunk)| chunk.len()).sum::<usize>());
        }
        let mean = sent.iter().sum::<usize>() / sent.len();
        assert!(mean < 12_000_000, "{sent:?}");
    }

    #[test]
    fn what_is_not_long_is_in_few_chunks() {
        assert!(pack(&[&noise(4, 900_000)]).0.chunks().len() <= 2);
        assert!(pack(&[&noise(5, 20_000_000)]).0.chunks().len() <= 22);
    }

    #[test]
    fn cutting_does_not_depend_on_how_the_stream_arrives() {
        let bytes = noise(2, 12_000_000);
        let pieces: Vec<&[u8]> = bytes.chunks(70_001).collect();
        assert_eq!(pack(&pieces).0, pack(&[&bytes]).0);
    }
}
