//! Chunks out of the store: fetched a little ahead of their use, and kept for the tasks that share them.
use crate::{
    blob::{BlobHash, Payload},
    envelope::{self, Kind, Unsealed, Worth},
    error::Error,
    key::{self, SessionKeys},
    pieces::{KIB, Names, Pieces},
    spare::Spare,
    store::Store,
};
use bytes::Bytes;
use lru::LruCache;
use parking_lot::Mutex;
use std::{fmt, sync::Arc};
use tokio::{runtime::Handle, sync::Semaphore};

/// Bytes of chunks that are here, or on their way, before somebody asks for them: of all payloads together.
const BEGUN_BYTES: usize = 128 << 20;

/// Keeps sealed chunks. It may forget any at any time.
pub trait ChunkCache: Send + Sync + fmt::Debug {
    /// A chunk, if it is kept.
    fn get(&self, hash: &BlobHash) -> Option<Bytes>;
    /// Keeps a chunk, if there is room.
    fn put(&self, hash: &BlobHash, sealed: &Bytes);
    /// Forgets a chunk that turned out to be damaged.
    fn forget(&self, hash: &BlobHash);
}

/// A cache in memory.
#[derive(Debug)]
pub struct MemoryCache(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    chunks: LruCache<BlobHash, Bytes>,
    held: usize,
    limit: usize,
}

impl MemoryCache {
    /// A cache of at most so many bytes.
    pub fn new(limit: usize) -> Self {
        Self(Mutex::new(Kept { chunks: LruCache::unbounded(), held: 0, limit }))
    }
}

impl ChunkCache for MemoryCache {
    fn get(&self, hash: &BlobHash) -> Option<Bytes> {
        self.0.lock().chunks.get(hash).cloned()
    }
    fn put(&self, hash: &BlobHash, sealed: &Bytes) {
        let mut kept = self.0.lock();
        kept.held += sealed.len();
        if let Some(old) = kept.chunks.put(*hash, sealed.clone()) {
            kept.held -= old.len();
        }
        while kept.held > kept.limit {
            match kept.chunks.pop_lru() {
                Some((_, old)) => kept.held -= old.len(),
                None => break,
            }
        }
    }
    fn forget(&self, hash: &BlobHash) {
        let mut kept = self.0.lock();
        if let Some(old) = kept.chunks.pop(hash) {
            kept.held -= old.len();
        }
    }
}

/// Reads the chunks of one session.
#[derive(Debug)]
pub struct Downloads {
    store: Arc<dyn Store>,
    keys: SessionKeys,
    cache: Arc<dyn ChunkCache>,
    runtime: Handle,
    /// Room for what nobody has asked for yet, in KiB.
    begun: Arc<Semaphore>,
}

impl Downloads {
    /// Downloads of a session. They are made in the runtime that this is called in.
    pub fn new(store: Arc<dyn Store>, keys: SessionKeys, cache: Arc<dyn ChunkCache>) -> Arc<Self> {
        let begun = Arc::new(Semaphore::new(BEGUN_BYTES / KIB));
        Arc::new(Self { store, keys, cache, runtime: Handle::current(), begun })
    }

    /// Where chunks are fetched.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Room for what nobody has asked for yet, in KiB.
    pub(crate) fn room_for_begun(&self) -> Arc<Semaphore> {
        Arc::clone(&self.begun)
    }

    /// The bytes of one chunk.
    pub(crate) async fn chunk(&self, hash: BlobHash) -> Result<Bytes, Error> {
        let name = key::blob_name(&hash);
        if let Some(sealed) = self.cache.get(&hash) {
            match envelope::open(Kind::Blob, &name, &sealed) {
                Ok((body, _)) => {
                    if let Some(plain) = uncompressed(&sealed, &body) {
                        self.cache.put(&hash, &plain);
                    }
                    return Ok(body);
                }
                // What is kept is a copy: the store has the chunk.
                Err(_) => self.cache.forget(&hash),
            }
        }
        let sealed = self.store.get(&self.keys.blob(&hash)).await?.body;
        let (body, _) = envelope::open(Kind::Blob, &name, &sealed)?;
        self.cache.put(&hash, &sealed);
        Ok(body)
    }
}

/// A chunk that is used again is kept without compression where that saved little: each task that shares it would decompress
/// it. The chunk sealed like that, if it is not.
fn uncompressed(sealed: &Bytes, body: &Bytes) -> Option<Bytes> {
    let stored = sealed.len().saturating_sub(envelope::HEADER);
    if stored >= body.len() || Worth::Half.allows(body.len(), stored) {
        return None;
    }
    let mut chunk = Unsealed::new(Kind::Blob, body);
    let name = key::blob_name(&chunk.name());
    Some(chunk.seal_and_keep(&name, &Spare::default(), Worth::Half))
}

/// A payload's bytes, wherever they are.
#[derive(Debug, Clone)]
pub enum Material {
    /// Here.
    Here(Bytes),
    /// In the store.
    Stored(Stored),
}

/// Chunks that are fetched while they are used.
#[derive(Debug, Clone)]
pub struct Stored {
    chunks: Names,
    /// Who fetches them.
    downloads: Arc<Downloads>,
    /// What is fetched before somebody asks.
    begun: Arc<Mutex<Option<Pieces>>>,
}

impl Material {
    /// The bytes of a payload.
    pub fn of(payload: &Payload, downloads: &Arc<Downloads>) -> Self {
        match payload {
            Payload::Inline(bytes) => Self::Here(bytes.clone()),
            Payload::Blobs { len, chunks } => Self::Stored(Stored {
                chunks: Names::new(*len, chunks),
                downloads: Arc::clone(downloads),
                begun: Arc::default(),
            }),
        }
    }

    /// Whether nothing of it has to be fetched.
    pub fn is_here(&self) -> bool {
        matches!(self, Self::Here(_))
    }

    /// Begins to fetch, as far as there is room for what nobody has asked for: who asks for the pieces next finds the first
    /// ones here.
    pub fn begin(&self) {
        if let Self::Stored(Stored { chunks, downloads, begun }) = self {
            *begun.lock() = Some(Pieces::begun(chunks, downloads));
        }
    }

    /// The bytes in pieces. Fetching begins now, unless it [has begun](Material::begin).
    pub fn pieces(&self) -> Pieces {
        match self {
            Self::Here(bytes) => Pieces::here(bytes.clone()),
            Self::Stored(Stored { chunks, downloads, begun }) => match begun.lock().take() {
                Some(begun) => begun.asked(),
                None => Pieces::fetched(chunks, downloads),
            },
        }
    }

    /// All bytes in one piece.
    ///
    /// # Errors
    /// A failure of the store, or a damaged chunk.
    pub async fn concat(&self) -> Result<Bytes, Error> {
        if let Self::Here(bytes) = self {
            return Ok(bytes.clone());
        }
        let (mut all, mut pieces) = (Vec::new(), self.pieces());
        while let Some(piece) = pieces.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all.into())
    }
}
