//! Large data: cut by its content, named by its hash, stored once a session.
//!
//! A value that appears in many payloads, such as a table that every future uses, is cut at the same
//! places in each of them, so its chunks get the same names and travel once.
use crate::{
    envelope::{self, Kind},
    error::Error,
    key::{self, SessionKeys},
    store::{Store, StoreError},
};
use bytes::Bytes;
use fastcdc::v2020::FastCDC;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use lru::LruCache;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

/// Data up to this size travels inside the object that needs it.
pub const INLINE_MAX: usize = 64 * 1024;
const CHUNK_MIN: usize = 256 * 1024;
const CHUNK_AVG: usize = 1024 * 1024;
const CHUNK_MAX: usize = 4 * 1024 * 1024;
/// The packer cuts whenever this much is waiting.
const WINDOW: usize = 2 * CHUNK_MAX;
/// Chunks on the wire at once, for one payload.
const IN_FLIGHT: usize = 16;

/// The BLAKE3 hash of a chunk's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobHash([u8; 32]);

impl BlobHash {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
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
}

/// The chunks a session is known to hold, so that they are neither compressed nor written again.
#[derive(Debug, Default)]
pub struct KnownBlobs(Mutex<HashSet<BlobHash>>);

impl KnownBlobs {
    fn contains(&self, hash: &BlobHash) -> bool {
        self.0.lock().contains(hash)
    }
    /// Remembers a chunk that is stored, or will be before anything that names it.
    pub fn add(&self, hash: BlobHash) {
        self.0.lock().insert(hash);
    }
}

/// A payload and the chunks that must be stored before anything names it.
#[derive(Debug)]
pub struct Packed {
    /// What to put into a segment or result.
    pub payload: Payload,
    /// Sealed chunks that the session may not hold yet.
    pub blobs: Vec<(BlobHash, Bytes)>,
}

/// Takes a stream of bytes and holds no more of it than a window and the compressed chunks.
#[derive(Debug)]
pub struct Packer {
    window: Vec<u8>,
    len: u64,
    chunks: Vec<BlobHash>,
    blobs: Vec<(BlobHash, Bytes)>,
    known: Arc<KnownBlobs>,
}

impl Packer {
    /// A packer for a session that holds the `known` chunks.
    pub fn new(known: Arc<KnownBlobs>) -> Self {
        Self { window: Vec::new(), len: 0, chunks: Vec::new(), blobs: Vec::new(), known }
    }

    /// Takes the next bytes.
    pub fn write(&mut self, mut bytes: &[u8]) {
        self.len += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = WINDOW - self.window.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.window.extend_from_slice(now);
            bytes = later;
            if self.window.len() == WINDOW {
                self.cut(false);
            }
        }
    }

    /// The payload of all that was written.
    pub fn finish(mut self) -> Packed {
        if self.len <= INLINE_MAX as u64 {
            return Packed { payload: Payload::Inline(self.window.into()), blobs: Vec::new() };
        }
        self.cut(true);
        let payload = Payload::Blobs { len: self.len, chunks: self.chunks };
        Packed { payload, blobs: self.blobs }
    }

    fn cut(&mut self, last: bool) {
        let window = std::mem::take(&mut self.window);
        let mut done = 0;
        for chunk in FastCDC::new(&window, CHUNK_MIN, CHUNK_AVG, CHUNK_MAX) {
            let end = chunk.offset + chunk.length;
            // The window's end is not a place the content chose: wait for what follows it.
            if end == window.len() && !last {
                break;
            }
            self.chunk(&window[chunk.offset..end]);
            done = end;
        }
        self.window = window;
        self.window.drain(..done);
    }

    fn chunk(&mut self, bytes: &[u8]) {
        let hash = BlobHash::of(bytes);
        let waiting = |(queued, _): &(BlobHash, Bytes)| *queued == hash;
        if !self.known.contains(&hash) && !self.blobs.iter().any(waiting) {
            self.blobs.push((hash, envelope::seal(Kind::Blob, bytes)));
        }
        self.chunks.push(hash);
    }
}

/// Stores chunks; those that are there already are left alone.
///
/// # Errors
/// A failure of the store.
pub async fn store_blobs(
    store: &dyn Store,
    keys: &SessionKeys,
    blobs: Vec<(BlobHash, Bytes)>,
    known: &KnownBlobs,
) -> Result<(), Error> {
    let puts = stream::iter(blobs).map(|(hash, sealed)| async move {
        let key = keys.blob(&hash);
        match store.create(&key, sealed.clone()).await {
            Ok(_) | Err(StoreError::AlreadyExists { .. }) => {}
            // Content-addressed: writing the same bytes again is harmless, so ask once more.
            Err(StoreError::Unanswered { .. }) => match store.create(&key, sealed).await {
                Ok(_) | Err(StoreError::AlreadyExists { .. }) => {}
                Err(other) => return Err(other),
            },
            Err(other) => return Err(other),
        }
        known.add(hash);
        Ok(())
    });
    puts.buffer_unordered(IN_FLIGHT).try_collect::<Vec<()>>().await?;
    Ok(())
}

/// A payload's bytes as they are stored: sealed chunks, opened one at a time while they are used.
#[derive(Debug, Clone)]
pub struct Material {
    inline: Option<Bytes>,
    sealed: Vec<(BlobHash, Bytes)>,
}

impl Material {
    /// Bytes that are here already.
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self { inline: Some(bytes), sealed: Vec::new() }
    }

    /// What was packed a moment ago, all its chunks included.
    pub fn from_packed(packed: Packed) -> Self {
        match packed.payload {
            Payload::Inline(bytes) => Self::from_bytes(bytes),
            Payload::Blobs { chunks, .. } => {
                let at: HashMap<BlobHash, Bytes> = packed.blobs.into_iter().collect();
                let sealed = chunks.iter().filter_map(|h| Some((*h, at.get(h)?.clone()))).collect();
                Self { inline: None, sealed }
            }
        }
    }

    /// The pieces in order. Each is decompressed when it is asked for.
    pub fn pieces(&self) -> impl Iterator<Item = Result<Bytes, Error>> + '_ {
        let inline = self.inline.iter().cloned().map(Ok);
        let opened = self.sealed.iter().map(|(hash, sealed)| {
            envelope::open(Kind::Blob, &key::blob_name(hash), sealed).map(|(body, _)| body)
        });
        inline.chain(opened)
    }

    /// All bytes in one piece.
    ///
    /// # Errors
    /// [`Error::Damaged`] for a damaged chunk.
    pub fn concat(&self) -> Result<Bytes, Error> {
        if let (Some(inline), true) = (&self.inline, self.sealed.is_empty()) {
            return Ok(inline.clone());
        }
        let mut all = Vec::new();
        for piece in self.pieces() {
            all.extend_from_slice(&piece?);
        }
        Ok(all.into())
    }
}

/// Reads payloads, and keeps the chunks used last for the tasks that share them.
#[derive(Debug)]
pub struct BlobReader {
    store: Arc<dyn Store>,
    keys: SessionKeys,
    cache: Mutex<Cache>,
}

#[derive(Debug)]
struct Cache {
    chunks: LruCache<BlobHash, Bytes>,
    held: usize,
    limit: usize,
}

impl BlobReader {
    /// A reader that keeps at most `limit` bytes of sealed chunks.
    pub fn new(store: Arc<dyn Store>, keys: SessionKeys, limit: usize) -> Self {
        let cache = Mutex::new(Cache { chunks: LruCache::unbounded(), held: 0, limit });
        Self { store, keys, cache }
    }

    /// Fetches what a payload names.
    ///
    /// # Errors
    /// A failure of the store, or [`StoreError::NotFound`] for a chunk that is gone.
    pub async fn fetch(&self, payload: &Payload) -> Result<Material, Error> {
        let chunks = match payload {
            Payload::Inline(bytes) => return Ok(Material::from_bytes(bytes.clone())),
            Payload::Blobs { chunks, .. } => chunks,
        };
        let gets = stream::iter(chunks.iter().copied())
            .map(|hash| async move { Ok::<_, Error>((hash, self.chunk(hash).await?)) });
        let sealed = gets.buffered(IN_FLIGHT).try_collect().await?;
        Ok(Material { inline: None, sealed })
    }

    async fn chunk(&self, hash: BlobHash) -> Result<Bytes, Error> {
        if let Some(sealed) = self.cache.lock().chunks.get(&hash) {
            return Ok(sealed.clone());
        }
        let sealed = self.store.get(&self.keys.blob(&hash)).await?.body;
        self.cache.lock().put(hash, sealed.clone());
        Ok(sealed)
    }
}

impl Cache {
    fn put(&mut self, hash: BlobHash, sealed: Bytes) {
        self.held += sealed.len();
        if let Some(old) = self.chunks.put(hash, sealed) {
            self.held -= old.len();
        }
        while self.held > self.limit {
            match self.chunks.pop_lru() {
                Some((_, old)) => self.held -= old.len(),
                None => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
        out
    }

    fn pack(pieces: &[&[u8]]) -> Packed {
        let mut packer = Packer::new(Arc::default());
        for piece in pieces {
            packer.write(piece);
        }
        packer.finish()
    }

    #[test]
    fn small_data_stays_inline() {
        assert_eq!(pack(&[b"ab", b"c"]).payload, Payload::Inline("abc".into()));
    }

    #[test]
    fn data_shared_by_two_payloads_shares_most_chunks() {
        let shared = noise(1, 20_000_000);
        let (a, b) = (pack(&[b"task 1", &shared]), pack(&[b"another task, 2", &shared]));
        let names = |p: &Packed| p.blobs.iter().map(|(h, _)| *h).collect::<HashSet<_>>();
        let common = names(&a).intersection(&names(&b)).count();
        assert!(common + 2 >= a.blobs.len(), "{common} of {}", a.blobs.len());
    }

    #[test]
    fn cutting_does_not_depend_on_how_the_stream_arrives() {
        let bytes = noise(2, 12_000_000);
        let pieces: Vec<&[u8]> = bytes.chunks(70_001).collect();
        assert_eq!(pack(&pieces).payload, pack(&[&bytes]).payload);
    }
}
