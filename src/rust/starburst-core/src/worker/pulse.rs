//! The pulse: writes the heartbeat, and learns from the manifest and the owner whether to go on.
use crate::{
    clock::{Clock, Monotonic},
    envelope::{self, Kind},
    error::Error,
    heartbeat::{Heartbeat, ProcessId, WorkerState},
    ids::{Ids, WorkerId},
    key::{Key, SessionKeys},
    manifest::{Lifetime, Manifest, SessionState},
    mutation::{Rule, is_broken},
    pace::Pace,
    store::{ETag, Requests, Store, StoreError},
    update::{self, Versioned},
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, watch};

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
    /// Somebody changed the heartbeat, or nudged: there is something to look at.
    pub disturbed: AtomicBool,
    /// Wakes the loop that works through a hand.
    pub woken: Notify,
}

impl Shared {
    /// Says where the worker stands from now on.
    pub fn set_state(&self, state: WorkerState) {
        self.beat.lock().state = state;
    }
    /// Whether somebody wants this worker to look at its claims; asked once.
    pub fn take_disturbed(&self) -> bool {
        self.disturbed.swap(false, Ordering::Relaxed)
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
    /// When the manifest was looked at last.
    looked: Monotonic,
    owner: Option<OwnerSeen>,
}

/// The owner's heartbeat.
#[derive(Debug)]
struct OwnerSeen {
    etag: ETag,
    since: Monotonic,
    looked: Monotonic,
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
        let (manifest_etag, looked) = (manifest.etag.clone(), clock.now());
        Self { store, clock, keys, shared, etag: None, manifest_etag, looked, owner: None }
    }

    /// Writes the heartbeat once. `true` when somebody had changed it meanwhile, which asks for a look.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn beat(&mut self) -> Result<bool, Error> {
        let beat = {
            let mut beat = self.shared.beat.lock();
            beat.beat += 1;
            beat.at = self.clock.wall();
            beat.requests = self.store.requests();
            beat.clone()
        };
        let key = self.keys.beat(&beat.worker);
        let body = envelope::encode(Kind::Heartbeat, &key, &beat)?;
        if let Some(seen) = self.etag.take() {
            match self.store.replace(&key, body.clone(), &seen).await {
                Ok(etag) => {
                    self.etag = Some(etag);
                    return Ok(false);
                }
                Err(StoreError::VersionMismatch { .. } | StoreError::Unanswered { .. }) => {}
                Err(other) => return Err(other.into()),
            }
            // Gone with its session, perhaps: nothing is written before that is known.
            if self.store.head(&key).await?.is_none() && !is_broken(Rule::NoLateBeat) {
                return Err(StoreError::NotFound { key }.into());
            }
        } else if let Ok(etag) = self.store.create(&key, body.clone()).await {
            self.etag = Some(etag);
            return Ok(false);
        }
        self.etag = Some(overwrite(&*self.store, &key, body, None).await?);
        Ok(true)
    }

    /// Looks at the manifest and the owner, each when it is due; at the manifest also when `asked`.
    ///
    /// # Errors
    /// A failure of the store, or a damaged manifest.
    pub async fn orders(&mut self, asked: bool) -> Result<Orders, Error> {
        let (now, pace) = (self.clock.now(), self.shared.manifest().pace);
        let idle = self.shared.beat.lock().state == WorkerState::Idle;
        let since = now.since(self.looked);
        if asked || since >= pace.orders || (idle && since >= pace.heartbeat) {
            match self.read_manifest().await {
                Ok(()) => self.looked = now,
                Err(Error::Store(StoreError::NotFound { .. })) => {
                    return Ok(Orders::Leave("the session was deleted".into()));
                }
                Err(other) => return Err(other),
            }
        }
        let manifest = self.shared.manifest();
        if manifest.state == SessionState::Closed {
            let reason = manifest.closed_because.as_deref();
            return Ok(Orders::Leave(reason.unwrap_or("the session was closed").into()));
        }
        if !manifest.is_live(self.clock.wall()) && !is_broken(Rule::Deadline) {
            // It may have been extended since it was looked at.
            if !asked && !idle {
                return Box::pin(self.orders(true)).await;
            }
            return Ok(Orders::Leave("the session reached its time limit".into()));
        }
        let owned = manifest.lifetime == Lifetime::Owned && !is_broken(Rule::OwnerGone);
        if owned && self.owner_is_silent(&manifest).await? {
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
            manifest.check(&key)?;
            *self.shared.manifest.lock() = Arc::new(manifest);
            self.manifest_etag = Some(object.etag);
        }
        Ok(())
    }

    async fn owner_is_silent(&mut self, manifest: &Manifest) -> Result<bool, Error> {
        let (now, pace) = (self.clock.now(), manifest.pace);
        // A beat comes a little late at times: what is nearly due is due.
        let due = |seen: &OwnerSeen| now.since(seen.looked) + pace.owner / 4 >= pace.owner;
        if self.owner.as_ref().is_some_and(|seen| !due(seen)) {
            return Ok(false);
        }
        let etag = self.store.head(&self.keys.owner()).await?.unwrap_or(ETag(String::new()));
        match &mut self.owner {
            Some(seen) if seen.etag == etag => {
                // After a gap in looking silence is counted anew: the owner may have been cut off too.
                if now.since(seen.looked) > pace.owner_lease / 2 {
                    seen.since = now;
                }
                seen.looked = now;
                Ok(now.since(seen.since) >= pace.owner_lease)
            }
            Some(_) | None => {
                self.owner = Some(OwnerSeen { etag, since: now, looked: now });
                Ok(false)
            }
        }
    }

    async fn beat_and_look(&mut self) -> Result<Orders, Error> {
        match self.beat().await {
            Ok(disturbed) => {
                self.shared.disturbed.fetch_or(disturbed, Ordering::Relaxed);
                self.shared.woken.notify_one();
                self.orders(disturbed).await
            }
            Err(Error::Store(StoreError::NotFound { .. })) => self.orders(true).await,
            Err(other) => Err(other),
        }
    }

    /// Beats and looks until told to leave; what it learns goes to `orders`.
    pub async fn run(mut self, orders: Arc<watch::Sender<Orders>>, ids: Arc<dyn Ids>) {
        let mut failing: Option<Monotonic> = None;
        let beat_in = |pace: &Pace| spread(pace.heartbeat, &*ids);
        let mut next_beat = Monotonic(self.clock.now().0 + beat_in(&self.shared.manifest().pace));
        loop {
            let manifest = self.shared.manifest();
            let pace = manifest.pace;
            let mut wait = next_beat.since(self.clock.now());
            if manifest.lifetime == Lifetime::Owned {
                // The owner is looked at more often than this worker beats.
                wait = wait.min(pace.owner);
            }
            self.clock.sleep(wait).await;
            let now = self.clock.now();
            let learned = if now >= next_beat {
                next_beat = Monotonic(now.0 + beat_in(&pace));
                self.beat_and_look().await
            } else {
                self.orders(false).await
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
                    let since = *failing.get_or_insert(now);
                    let limit = match manifest.outage_limit(self.clock.wall()) {
                        Some(limit) if error.may_pass() => limit,
                        Some(_) | None => pace.lease * 10,
                    };
                    if now.since(since) > limit {
                        let _ = orders.send(Orders::Leave(error.chain().join(": ")));
                    }
                }
            }
        }
    }
}

/// Up to a fifth more, so that workers that started together do not beat together for ever.
fn spread(time: Duration, ids: &dyn Ids) -> Duration {
    time + time / 5 * u32::try_from(ids.random() % 1024).unwrap_or(0) / 1024
}

/// Makes a worker look at the session and at its claims with its next heartbeat, by changing that, or by making one
/// where it has not beaten yet.
///
/// # Errors
/// A failure of the store.
pub async fn disturb(
    store: &dyn Store,
    keys: &SessionKeys,
    worker: &WorkerId,
    clock: &dyn Clock,
) -> Result<(), Error> {
    let key = keys.beat(worker);
    let unheard = || {
        let process = ProcessId { host: String::new(), pid: 0, started: 0 };
        first_beat(worker.clone(), process, clock)
    };
    // It may beat just now. Its next beat is far away, so once more.
    for _ in 0..2 {
        let written = match store.get(&key).await {
            Ok(object) => {
                // One that cannot be read is written anew: its worker sees that it changed, and nobody else needs it.
                let read = envelope::decode::<Heartbeat>(Kind::Heartbeat, &key, &object.body);
                let mut beat = match read {
                    Ok((beat, _)) => beat,
                    Err(error) if is_broken(Rule::BeatsReplaced) => return Err(error),
                    Err(_) => unheard(),
                };
                beat.disturbed += 1;
                let body = envelope::encode(Kind::Heartbeat, &key, &beat)?;
                store.replace(&key, body, &object.etag).await
            }
            Err(StoreError::NotFound { .. }) => {
                let beat = unheard();
                store.create(&key, envelope::encode(Kind::Heartbeat, &key, &beat)?).await
            }
            Err(other) => return Err(other.into()),
        };
        match written {
            Ok(_) | Err(StoreError::Unanswered { .. }) => return Ok(()),
            Err(StoreError::VersionMismatch { .. } | StoreError::AlreadyExists { .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(())
}

/// Says that a worker has left, or that it cannot serve the session, and why.
///
/// # Errors
/// A failure of the store.
pub async fn write_end(
    store: &dyn Store,
    keys: &SessionKeys,
    beat: &Heartbeat,
) -> Result<(), Error> {
    // A session that was deleted is written to no more.
    if store.head(&keys.manifest()).await?.is_some() || is_broken(Rule::NoLateEnd) {
        let key = keys.end(&beat.worker);
        let body = envelope::encode(Kind::Heartbeat, &key, beat)?;
        overwrite(store, &key, body, None).await?;
    }
    Ok(())
}

/// Writes an object that has one writer, whatever version of its own is there.
///
/// # Errors
/// A failure of the store.
pub async fn overwrite(
    store: &dyn Store,
    key: &Key,
    body: Bytes,
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
pub fn first_beat(worker: WorkerId, process: ProcessId, clock: &dyn Clock) -> Heartbeat {
    Heartbeat {
        beat: 0,
        worker,
        state: WorkerState::Starting,
        process,
        started_at: clock.wall(),
        at: clock.wall(),
        finished: 0,
        busy_ms: 0,
        disturbed: 0,
        requests: Requests::default(),
        trouble: None,
        no_environment: false,
    }
}
