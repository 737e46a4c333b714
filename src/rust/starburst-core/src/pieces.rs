//! A payload's bytes on their way: its chunks in order, a few of them before they are used. Of what nobody has asked for
//! yet, as many as there is room for.
use crate::{blob::BlobHash, cutter, downloads::Downloads, error::Error};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Chunks on the wire at once, for one payload.
const IN_FLIGHT: usize = 8;
/// Chunks that are here or on their way before they are used, for one payload that somebody asked for.
const AHEAD: usize = IN_FLIGHT + 2;
/// Room is counted in so many bytes.
pub(crate) const KIB: usize = 1 << 10;

/// The names of a payload's chunks, in order.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    chunks: Arc<[BlobHash]>,
    /// The room that one takes on average, in KiB.
    each: u32,
}

impl Names {
    /// The names of the chunks of so many bytes.
    pub(crate) fn new(len: u64, chunks: &[BlobHash]) -> Self {
        let mean = usize::try_from(len).unwrap_or(usize::MAX) / chunks.len().max(1);
        // No cutter makes shorter ones: who says so is not believed.
        let each = mean.clamp(cutter::LEAST, cutter::MOST).div_ceil(KIB);
        Self { chunks: chunks.into(), each: u32::try_from(each).unwrap_or(u32::MAX) }
    }
}

/// Room for chunks that are not used yet.
#[derive(Debug)]
struct Room {
    /// The payload's own, once somebody asks for it.
    own: Arc<Semaphore>,
    /// What all payloads share that nobody has asked for.
    shared: Arc<Semaphore>,
    asked: AtomicBool,
    /// What one chunk takes on average, in KiB.
    each: u32,
}

impl Room {
    fn new(shared: Arc<Semaphore>, each: u32) -> Self {
        Self { own: Arc::new(Semaphore::new(0)), shared, asked: AtomicBool::new(false), each }
    }

    async fn for_one(&self) -> Option<OwnedSemaphorePermit> {
        let unasked = !self.asked.load(Ordering::Acquire);
        tokio::select! {
            biased;
            own = Arc::clone(&self.own).acquire_many_owned(self.each) => own.ok(),
            shared = Arc::clone(&self.shared).acquire_many_owned(self.each), if unasked => shared.ok(),
        }
    }

    fn ask(&self) {
        if !self.asked.swap(true, Ordering::AcqRel) {
            self.own.add_permits(AHEAD * self.each as usize);
        }
    }
}

/// A chunk, and the room that it takes until it is used.
type Arrived = (Result<Bytes, Error>, Option<OwnedSemaphorePermit>);

/// Chunks on their way.
#[derive(Debug)]
struct Fetched {
    names: Names,
    downloads: Arc<Downloads>,
    room: Arc<Room>,
    /// It began before somebody asked. What went wrong then is of no interest now: it is tried again.
    early: bool,
    /// How many chunks were handed over.
    used: usize,
    arriving: mpsc::UnboundedReceiver<Arrived>,
}

impl Fetched {
    /// Fetches the chunks from this one on.
    fn begin(names: &Names, downloads: &Arc<Downloads>, first: usize, early: bool) -> Self {
        let room = Arc::new(Room::new(downloads.room_for_begun(), names.each));
        if !early {
            room.ask();
        }
        // The room bounds what waits here.
        let (send, arriving) = mpsc::unbounded_channel();
        let (chunks, from, within) =
            (Arc::clone(&names.chunks), Arc::clone(downloads), Arc::clone(&room));
        downloads.runtime().spawn(async move {
            let fetches = (first..chunks.len()).filter_map(|n| chunks.get(n).copied());
            let fetch = |hash| {
                let (from, within) = (Arc::clone(&from), Arc::clone(&within));
                async move {
                    let room = within.for_one().await;
                    // In a task of its own: checking and decompressing chunks takes all processors.
                    let fetched = tokio::spawn(async move { from.chunk(hash).await }).await;
                    let lost = |e| Err(Error::Internal { detail: format!("a chunk: {e}") });
                    (fetched.unwrap_or_else(lost), room)
                }
            };
            let mut fetched = stream::iter(fetches).map(fetch).buffered(IN_FLIGHT);
            loop {
                let arrived = tokio::select! {
                    biased;
                    // Nobody wants them any more.
                    () = send.closed() => return,
                    arrived = fetched.next() => arrived,
                };
                let Some(arrived) = arrived else { return };
                let failed = arrived.0.is_err();
                if send.send(arrived).is_err() || failed {
                    return;
                }
            }
        });
        let (names, downloads) = (names.clone(), Arc::clone(downloads));
        Self { names, downloads, room, early, used: first, arriving }
    }

    /// What is to be made of what arrived; `None` when it is fetched again.
    fn take(&mut self, (piece, _room): Arrived) -> Option<Result<Bytes, Error>> {
        if piece.is_err() && self.early {
            *self = Self::begin(&self.names, &self.downloads, self.used, false);
            return None;
        }
        self.used += 1;
        Some(piece)
    }
}

/// A payload's bytes in order.
#[derive(Debug)]
pub struct Pieces(Source);

#[derive(Debug)]
enum Source {
    Here(Option<Bytes>),
    Store(Fetched),
}

impl Pieces {
    /// Nothing.
    pub fn none() -> Self {
        Self(Source::Here(None))
    }

    pub(crate) fn here(bytes: Bytes) -> Self {
        Self(Source::Here(Some(bytes)))
    }

    /// Chunks that somebody waits for.
    pub(crate) fn fetched(names: &Names, downloads: &Arc<Downloads>) -> Self {
        Self(Source::Store(Fetched::begin(names, downloads, 0, false)))
    }

    /// Chunks that somebody will wait for.
    pub(crate) fn begun(names: &Names, downloads: &Arc<Downloads>) -> Self {
        Self(Source::Store(Fetched::begin(names, downloads, 0, true)))
    }

    /// Now somebody waits for them.
    pub(crate) fn asked(self) -> Self {
        if let Source::Store(fetched) = &self.0 {
            fetched.room.ask();
        }
        self
    }

    /// The next piece, if it is here already: saves whoever is no task the cost of waiting.
    pub fn ready(&mut self) -> Option<Result<Bytes, Error>> {
        match &mut self.0 {
            Source::Here(bytes) => bytes.take().map(Ok),
            Source::Store(fetched) => {
                let arrived = fetched.arriving.try_recv().ok()?;
                fetched.take(arrived)
            }
        }
    }

    /// The next piece; `None` at the end, which also follows an error.
    pub async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        let fetched = match &mut self.0 {
            Source::Here(bytes) => return bytes.take().map(Ok),
            Source::Store(fetched) => fetched,
        };
        loop {
            let arrived = fetched.arriving.recv().await?;
            if let Some(piece) = fetched.take(arrived) {
                return Some(piece);
            }
        }
    }
}
