//! Chunks on their way into the store: sent as they are cut, a bounded amount at a time, each until it is there.
use crate::{
    blob::BlobHash,
    clock::Clock,
    envelope::Unsealed,
    error::Error,
    heartbeat::Trouble,
    key::{self, SessionKeys},
    spare::Spare,
    store::{Store, StoreError},
};
use parking_lot::Mutex;
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::sync::Notify;

/// Chunks that may be on their way at once, in bytes before compression.
const ON_THE_WAY: usize = 64 << 20;
/// How long a chunk that the store did not take waits before it is sent again.
const AGAIN: Duration = Duration::from_millis(500);

/// The chunks of one session that this process has sent or is sending.
#[derive(Debug)]
pub struct Uploads {
    store: Arc<dyn Store>,
    keys: SessionKeys,
    clock: Arc<dyn Clock>,
    runtime: tokio::runtime::Handle,
    state: Mutex<State>,
    /// Something was stored, or could not be.
    changed: Notify,
    spare: Arc<Spare>,
}

#[derive(Debug, Default)]
struct State {
    stored: HashSet<BlobHash>,
    /// Asked for since [`Uploads::forget_unused`]: tasks that come next are likely to share them.
    used: HashSet<BlobHash>,
    sending: HashSet<BlobHash>,
    bytes: usize,
    /// Why the last try of a chunk failed, and the count of failures.
    failure: Option<Arc<StoreError>>,
    failures: u64,
    /// Why chunks are not taken; none once one was.
    trouble: Option<Trouble>,
    stopped: bool,
}

impl Uploads {
    /// Uploads of a session. They go on in the runtime that this is called in.
    pub fn new(store: Arc<dyn Store>, keys: SessionKeys, clock: Arc<dyn Clock>) -> Arc<Self> {
        let runtime = tokio::runtime::Handle::current();
        let (state, changed, spare) = (Mutex::default(), Notify::new(), Arc::default());
        Arc::new(Self { store, keys, clock, runtime, state, changed, spare })
    }

    /// Memory for what will be sent.
    pub fn spare(&self) -> &Arc<Spare> {
        &self.spare
    }

    /// Whether a chunk is stored, or on its way.
    pub fn has(&self, hash: &BlobHash) -> bool {
        let mut state = self.state.lock();
        let has = state.stored.contains(hash) || state.sending.contains(hash);
        if has {
            state.used.insert(*hash);
        }
        has
    }

    /// Frames and sends a chunk if there is room.
    ///
    /// # Errors
    /// The chunk, when too much is on its way.
    pub fn try_take(self: &Arc<Self>, hash: BlobHash, chunk: Unsealed) -> Result<(), Unsealed> {
        let size = chunk.size();
        {
            let mut state = self.state.lock();
            if state.stored.contains(&hash) || state.sending.contains(&hash) {
                return Ok(());
            }
            // One chunk may always be on its way, whatever its size.
            if state.bytes > 0 && state.bytes + size > ON_THE_WAY {
                return Err(chunk);
            }
            state.bytes += size;
            state.sending.insert(hash);
            state.used.insert(hash);
        }
        self.runtime.spawn(Arc::clone(self).send(hash, chunk));
        Ok(())
    }

    /// Waits until there may be room.
    ///
    /// # Errors
    /// Why a chunk that is on its way is not taken, each time that this is found out.
    pub async fn room(&self) -> Result<(), Error> {
        let changed = self.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let before = {
            let state = self.state.lock();
            if state.bytes < ON_THE_WAY / 2 {
                return Ok(());
            }
            state.failures
        };
        changed.await;
        self.failure_since(before)
    }

    /// Waits until all of these are stored.
    ///
    /// # Errors
    /// Why one of them is not taken. It is tried again in the background, and so may this be.
    pub async fn stored(&self, hashes: &[BlobHash]) -> Result<(), Error> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let before = {
                let state = self.state.lock();
                if hashes.iter().all(|hash| state.stored.contains(hash)) {
                    return Ok(());
                }
                if state.stopped {
                    return Err(Error::Closed { session: self.keys.session().clone() });
                }
                if let Some(lost) = hashes
                    .iter()
                    .find(|hash| !state.stored.contains(hash) && !state.sending.contains(hash))
                {
                    let detail = format!("the chunk {lost} was named before it was sent");
                    return Err(Error::Internal { detail });
                }
                state.failures
            };
            changed.await;
            self.failure_since(before)?;
        }
    }

    fn failure_since(&self, before: u64) -> Result<(), Error> {
        let mut state = self.state.lock();
        if state.failures == before {
            return Ok(());
        }
        match state.failure.take().and_then(Arc::into_inner) {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    /// Why the store takes no chunks, where it is full or refuses them.
    pub fn trouble(&self) -> Option<Trouble> {
        self.state.lock().trouble.clone()
    }

    /// Forgets the chunks that nobody asked for since the last call. Returns those that are not forgotten.
    pub fn forget_unused(&self) -> HashSet<BlobHash> {
        let mut state = self.state.lock();
        let used = std::mem::take(&mut state.used);
        let State { stored, sending, .. } = &mut *state;
        stored.retain(|hash| used.contains(hash));
        stored.iter().chain(sending.iter()).copied().collect()
    }

    /// Forgets which chunks are stored, where somebody may delete them: each is created anew, if it is not there.
    pub fn forget_stored(&self) {
        let mut state = self.state.lock();
        state.stored.clear();
        state.used.clear();
    }

    /// Sends nothing more.
    pub fn stop(&self) {
        self.state.lock().stopped = true;
        self.changed.notify_waiters();
    }

    async fn send(self: Arc<Self>, hash: BlobHash, chunk: Unsealed) {
        let (key, size) = (self.keys.blob(&hash), chunk.size());
        // A millisecond or two of computing, on whichever thread of the runtime is free.
        let sealed = chunk.seal_and_keep(
            &key::blob_name(&hash),
            &self.spare,
            self.store.worth_compressing(),
        );
        loop {
            {
                let mut state = self.state.lock();
                if state.stopped {
                    state.sending.remove(&hash);
                    state.bytes -= size;
                    return;
                }
            }
            match self.store.create(&key, sealed.clone()).await {
                Ok(_) | Err(StoreError::AlreadyExists { .. }) => {
                    let mut state = self.state.lock();
                    state.sending.remove(&hash);
                    state.stored.insert(hash);
                    state.trouble = None;
                    state.bytes -= size;
                    drop(state);
                    self.changed.notify_waiters();
                    if let Ok(memory) = sealed.try_into_mut() {
                        self.spare.keep(memory);
                    }
                    return;
                }
                // Content-addressed: writing the same bytes again is harmless.
                Err(error) => {
                    let mut state = self.state.lock();
                    state.trouble = Trouble::of(&error);
                    state.failure = Some(Arc::new(error));
                    state.failures += 1;
                    drop(state);
                    self.changed.notify_waiters();
                }
            }
            self.clock.sleep(AGAIN).await;
        }
    }
}
