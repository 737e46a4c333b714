//! The pulse: writes the heartbeat, and learns from the manifest and the owner whether to go on.
use crate::{
    clock::{Clock, Monotonic},
    envelope::{self, Kind},
    error::Error,
    heartbeat::{Heartbeat, WorkerState},
    ids::WorkerId,
    key::SessionKeys,
    manifest::{Lifetime, Manifest, SessionState},
    store::{ETag, Store, StoreError},
    update::{self, Versioned},
};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::watch;

/// What a worker is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Orders {
    /// Go on.
    Work,
    /// Give back what has not started, end or give back what runs, and leave.
    Leave(String),
}

/// What the worker's loop and its pulse share.
#[derive(Debug)]
pub struct Shared {
    /// The heartbeat as it will be written next.
    pub beat: Mutex<Heartbeat>,
    /// The manifest as it was read last.
    pub manifest: Mutex<Arc<Manifest>>,
}

impl Shared {
    /// Says where the worker stands from now on.
    pub fn set_state(&self, state: WorkerState) {
        self.beat.lock().state = state;
    }
    /// The manifest as it was read last.
    pub fn manifest(&self) -> Arc<Manifest> {
        Arc::clone(&self.manifest.lock())
    }
}

/// Writes heartbeats.
#[derive(Debug)]
pub struct Pulse {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    keys: SessionKeys,
    shared: Arc<Shared>,
    etag: Option<ETag>,
    manifest_etag: Option<ETag>,
    owner: Option<(ETag, Monotonic)>,
}

impl Pulse {
    /// A pulse that has not beaten yet.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        keys: SessionKeys,
        shared: Arc<Shared>,
        manifest: &Versioned<Manifest>,
    ) -> Self {
        let manifest_etag = manifest.etag.clone();
        Self { store, clock, keys, shared, etag: None, manifest_etag, owner: None }
    }

    /// Writes the heartbeat once.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn beat(&mut self) -> Result<(), Error> {
        let beat = {
            let mut beat = self.shared.beat.lock();
            beat.beat += 1;
            beat.clone()
        };
        self.etag = Some(write_beat(&*self.store, &self.keys, &beat, self.etag.take()).await?);
        Ok(())
    }

    /// Looks at the manifest and the owner.
    ///
    /// # Errors
    /// A failure of the store, or a damaged manifest.
    pub async fn orders(&mut self) -> Result<Orders, Error> {
        match self.read_manifest().await {
            Ok(()) => {}
            Err(Error::Store(StoreError::NotFound { .. })) => {
                return Ok(Orders::Leave("the session was deleted".into()));
            }
            Err(other) => return Err(other),
        }
        let manifest = self.shared.manifest();
        if manifest.state == SessionState::Closed {
            return Ok(Orders::Leave("the session was closed".into()));
        }
        if !manifest.is_live(self.clock.wall()) {
            return Ok(Orders::Leave("the session reached its time limit".into()));
        }
        if manifest.lifetime == Lifetime::Owned && self.owner_is_silent(&manifest).await? {
            return Ok(Orders::Leave("the R session that owns this plan is gone".into()));
        }
        Ok(Orders::Work)
    }

    async fn read_manifest(&mut self) -> Result<(), Error> {
        let key = self.keys.manifest();
        let seen = self.manifest_etag.clone();
        let object = match &seen {
            Some(etag) => self.store.get_if_changed(&key, etag).await?,
            None => Some(self.store.get(&key).await?),
        };
        if let Some(object) = object {
            let (manifest, _) = envelope::decode::<Manifest>(Kind::Manifest, &key, &object.body)?;
            *self.shared.manifest.lock() = Arc::new(manifest);
            self.manifest_etag = Some(object.etag);
        }
        Ok(())
    }

    async fn owner_is_silent(&mut self, manifest: &Manifest) -> Result<bool, Error> {
        let etag = self.store.head(&self.keys.owner()).await?.unwrap_or(ETag(String::new()));
        let now = self.clock.now();
        match &self.owner {
            Some((seen, since)) if *seen == etag => Ok(now.since(*since) >= manifest.pace.lease),
            Some(_) | None => {
                self.owner = Some((etag, now));
                Ok(false)
            }
        }
    }

    /// Beats and looks until told to leave; what it learns goes to `orders`.
    pub async fn run(mut self, orders: Arc<watch::Sender<Orders>>) {
        let silence_since = |since: &mut Option<Monotonic>, now| *since.get_or_insert(now);
        let mut failing: Option<Monotonic> = None;
        loop {
            let pace = self.shared.manifest().pace;
            let learned = match self.beat().await {
                Ok(()) => self.orders().await,
                Err(e) => Err(e),
            };
            match learned {
                Ok(Orders::Work) => failing = None,
                Ok(leave) => {
                    orders.send_if_modified(|now| {
                        let first = *now == Orders::Work;
                        if first {
                            *now = leave;
                        }
                        first
                    });
                }
                Err(error) => {
                    let now = self.clock.now();
                    let since = silence_since(&mut failing, now);
                    if now.since(since) > pace.lease * 10 {
                        let _ = orders.send(Orders::Leave(error.chain().join(": ")));
                    }
                }
            }
            self.clock.sleep(pace.heartbeat).await;
        }
    }
}

/// Writes a heartbeat over the one at `seen`, or over whatever is there.
///
/// # Errors
/// A failure of the store.
pub async fn write_beat(
    store: &dyn Store,
    keys: &SessionKeys,
    beat: &Heartbeat,
    seen: Option<ETag>,
) -> Result<ETag, Error> {
    let body = envelope::encode(Kind::Heartbeat, beat)?;
    overwrite(store, &keys.worker(&beat.worker), body, seen).await
}

/// Writes an object that has one writer, whatever version of its own is there.
///
/// # Errors
/// A failure of the store.
pub async fn overwrite(
    store: &dyn Store,
    key: &crate::key::Key,
    body: bytes::Bytes,
    seen: Option<ETag>,
) -> Result<ETag, Error> {
    let mut seen = seen;
    for _ in 0..5 {
        let written = match &seen {
            Some(etag) => store.replace(key, body.clone(), etag).await,
            None => store.create(key, body.clone()).await,
        };
        match written {
            Ok(etag) => return Ok(etag),
            Err(
                StoreError::AlreadyExists { .. }
                | StoreError::VersionMismatch { .. }
                | StoreError::Unanswered { .. },
            ) => seen = store.head(key).await?,
            Err(other) => return Err(other.into()),
        }
    }
    Err(Error::Internal { detail: format!("`{key}` has more than one writer") })
}

/// Reads the manifest for a worker, or says why it cannot serve the session.
///
/// # Errors
/// A failure of the store, no such session, or another version.
pub async fn read_manifest(
    store: &dyn Store,
    keys: &SessionKeys,
) -> Result<Versioned<Manifest>, Error> {
    let found = update::read(store, &keys.manifest()).await?;
    found.ok_or_else(|| Error::NoSession { session: keys.session().clone() })
}

/// Names the worker's own record.
pub fn first_beat(
    worker: WorkerId,
    process: crate::heartbeat::ProcessId,
    clock: &dyn Clock,
) -> Heartbeat {
    Heartbeat {
        beat: 0,
        worker,
        state: WorkerState::Starting,
        process,
        started_at: clock.wall(),
        finished: 0,
        busy_ms: 0,
    }
}
