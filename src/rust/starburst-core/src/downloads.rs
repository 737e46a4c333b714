//! Chunks out of the store: fetched a little ahead of their use, and kept for the tasks that share them.
use crate::{
    blob::{BlobHash, Payload},
    envelope::{self, Kind},
    error::Error,
    key::{self, SessionKeys},
    store::Store,
};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use lru::LruCache;
use parking_lot::Mutex;
use std::{fmt, sync::Arc};
use tokio::sync::mpsc;

/// Chunks on the wire at once, for one payload.
const IN_FLIGHT: usize = 8;
/// Opened chunks that wait to be used.
const AHEAD: usize = 2;

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
    runtime: tokio::runtime::Handle,
}

impl Downloads {
    /// Downloads of a session. They are made in the runtime that this is called in.
    pub fn new(store: Arc<dyn Store>, keys: SessionKeys, cache: Arc<dyn ChunkCache>) -> Arc<Self> {
        let runtime = tokio::runtime::Handle::current();
        Arc::new(Self { store, keys, cache, runtime })
    }

    async fn chunk(&self, hash: BlobHash) -> Result<Bytes, Error> {
        let name = key::blob_name(&hash);
        if let Some(sealed) = self.cache.get(&hash) {
            match envelope::open(Kind::Blob, &name, &sealed) {
                Ok((body, _)) => return Ok(body),
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
    /// Their names, in order.
    chunks: Arc<[BlobHash]>,
    /// Who fetches them.
    downloads: Arc<Downloads>,
    /// Those that are fetched before somebody asks.
    begun: Arc<Mutex<Option<Pieces>>>,
}

impl Material {
    /// The bytes of a payload.
    pub fn of(payload: &Payload, downloads: &Arc<Downloads>) -> Self {
        match payload {
            Payload::Inline(bytes) => Self::Here(bytes.clone()),
            Payload::Blobs { chunks, .. } => Self::Stored(Stored {
                chunks: chunks.as_slice().into(),
                downloads: Arc::clone(downloads),
                begun: Arc::default(),
            }),
        }
    }

    /// Whether nothing of it has to be fetched.
    pub fn is_here(&self) -> bool {
        matches!(self, Self::Here(_))
    }

    /// Begins to fetch: who asks for the pieces next finds the first ones here.
    pub fn begin(&self) {
        if let Self::Stored(stored) = self {
            let ahead = Fetched::begin(&stored.chunks, &stored.downloads, 0, Asked::Later);
            *stored.begun.lock() = Some(Pieces { here: None, fetched: Some(ahead) });
        }
    }

    /// The bytes in pieces. Fetching begins now, unless it [has begun](Material::begin).
    pub fn pieces(&self) -> Pieces {
        match self {
            Self::Here(bytes) => Pieces { here: Some(bytes.clone()), fetched: None },
            Self::Stored(Stored { chunks, downloads, begun }) => {
                begun.lock().take().unwrap_or_else(|| Pieces {
                    here: None,
                    fetched: Some(Fetched::begin(chunks, downloads, 0, Asked::Now)),
                })
            }
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

/// Whether somebody waits for what is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Now,
    /// What goes wrong before is of no interest by then: it is tried again.
    Later,
}

/// Chunks on their way.
#[derive(Debug)]
struct Fetched {
    chunks: Arc<[BlobHash]>,
    downloads: Arc<Downloads>,
    asked: Asked,
    /// How many were handed over.
    used: usize,
    arriving: mpsc::Receiver<Result<Bytes, Error>>,
}

impl Fetched {
    /// Fetches the chunks from this one on.
    fn begin(
        chunks: &Arc<[BlobHash]>,
        downloads: &Arc<Downloads>,
        first: usize,
        asked: Asked,
    ) -> Self {
        let (send, arriving) = mpsc::channel(AHEAD);
        let (names, from) = (Arc::clone(chunks), Arc::clone(downloads));
        downloads.runtime.spawn(async move {
            let fetches = (first..names.len()).filter_map(|n| names.get(n).copied());
            // Each in a task of its own: checking and decompressing them takes all processors.
            let fetch = |hash| {
                let downloads = Arc::clone(&from);
                tokio::spawn(async move { downloads.chunk(hash).await })
            };
            let mut fetched = stream::iter(fetches).map(fetch).buffered(IN_FLIGHT);
            while let Some(piece) = fetched.next().await {
                let lost = |e| Err(Error::Internal { detail: format!("a chunk: {e}") });
                let piece = piece.unwrap_or_else(lost);
                let failed = piece.is_err();
                if send.send(piece).await.is_err() || failed {
                    return;
                }
            }
        });
        let (chunks, downloads) = (Arc::clone(chunks), Arc::clone(downloads));
        Self { chunks, downloads, asked, used: first, arriving }
    }

    /// What is to be made of what arrived; `None` when it is fetched again.
    fn take(&mut self, arrived: Result<Bytes, Error>) -> Option<Result<Bytes, Error>> {
        if arrived.is_err() && self.asked == Asked::Later {
            *self = Self::begin(&self.chunks, &self.downloads, self.used, Asked::Now);
            return None;
        }
        self.used += 1;
        Some(arrived)
    }
}

/// A payload's bytes in order. No more of them is in memory than a few chunks.
#[derive(Debug)]
pub struct Pieces {
    here: Option<Bytes>,
    fetched: Option<Fetched>,
}

impl Pieces {
    /// Nothing.
    pub fn none() -> Self {
        Self { here: None, fetched: None }
    }

    /// The next piece, if it is here already: saves whoever is no task the cost of waiting.
    pub fn ready(&mut self) -> Option<Result<Bytes, Error>> {
        if let Some(bytes) = self.here.take() {
            return Some(Ok(bytes));
        }
        let fetched = self.fetched.as_mut()?;
        let arrived = fetched.arriving.try_recv().ok()?;
        fetched.take(arrived)
    }

    /// The next piece; `None` at the end, which also follows an error.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        if let Some(bytes) = self.here.take() {
            return Some(Ok(bytes));
        }
        let fetched = self.fetched.as_mut()?;
        loop {
            let arrived = fetched.arriving.recv().await?;
            if let Some(piece) = fetched.take(arrived) {
                return Some(piece);
            }
        }
    }
}
