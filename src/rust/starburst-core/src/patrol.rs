//! Looking after the workers: who beats, who left, who is gone, and taking back what the gone ones held.
use crate::{
    clock::Clock,
    envelope::{self, Kind},
    error::Error,
    heartbeat::{Heartbeat, WorkerState},
    ids::{Ids, WorkerId},
    key::SessionKeys,
    launch::{Fate, Fates},
    lease::Observer,
    ledger::Ledger,
    manifest::Manifest,
    store::{ETag, Store, StoreError},
    update::{self, Versioned},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// What one process knows of the workers of a session.
#[derive(Debug, Default)]
pub struct Patrol {
    observer: Observer,
    workers: BTreeMap<WorkerId, Heartbeat>,
}

/// Whether a worker can still end the tasks it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As far as can be seen.
    Alive,
    /// No, and this is why.
    Dead(String),
}

impl Patrol {
    /// Reads the heartbeats that changed.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn look(
        &mut self,
        store: &dyn Store,
        keys: &SessionKeys,
        clock: &dyn Clock,
        lease: Duration,
    ) -> Result<(), Error> {
        let listed = store.list(&keys.workers(), None).await?;
        let mut sightings: Vec<(WorkerId, ETag)> = Vec::new();
        for entry in listed {
            let Ok(worker) = WorkerId::parse(entry.key.last()) else {
                continue;
            };
            if !self.observer.is_current(&worker, &entry.etag) {
                match store.get(&entry.key).await {
                    Ok(object) => {
                        // One that cannot be read still shows by its version whether it changes.
                        let beat = envelope::decode(Kind::Heartbeat, &entry.key, &object.body);
                        if let Ok((beat, _)) = beat {
                            self.workers.insert(worker.clone(), beat);
                        }
                    }
                    Err(StoreError::NotFound { .. }) => continue,
                    Err(other) => return Err(other.into()),
                }
            }
            sightings.push((worker, entry.etag));
        }
        self.observer.look(&sightings, clock.now(), lease);
        Ok(())
    }

    /// The last heartbeats.
    pub fn workers(&self) -> impl Iterator<Item = &Heartbeat> {
        self.workers.values()
    }

    /// The last heartbeat of one worker.
    pub fn worker(&self, worker: &WorkerId) -> Option<&Heartbeat> {
        self.workers.get(worker)
    }

    /// Judges a worker that has beaten at least once, or holds tasks.
    pub async fn judge(
        &mut self,
        worker: &WorkerId,
        fates: &dyn Fates,
        lease: Duration,
        clock: &dyn Clock,
    ) -> Verdict {
        let beat = self.workers.get(worker);
        match beat.map(|b| &b.state) {
            Some(WorkerState::Left { reason, .. }) => return Verdict::Dead(reason.clone()),
            Some(WorkerState::Refused { message }) => return Verdict::Dead(message.clone()),
            Some(WorkerState::Starting | WorkerState::Idle | WorkerState::Busy) | None => {}
        }
        if let Fate::Gone(reason) = fates.fate(worker, beat.map(|b| &b.process)).await {
            return Verdict::Dead(reason);
        }
        if !self.observer.knows(worker) {
            // It holds tasks and never beat, or its heartbeat was deleted: the same silence.
            self.observer.see(&[(worker.clone(), ETag("never".into()))], clock.now());
        }
        if self.observer.expired(worker, lease, clock.now()) {
            return Verdict::Dead(format!("worker {worker} stopped answering"));
        }
        Verdict::Alive
    }

    /// Takes back what dead workers hold in one segment. Returns the ledger when it changed.
    ///
    /// # Errors
    /// A failure of the store, or a damaged ledger.
    pub async fn reclaim(
        &mut self,
        on: &Ground<'_>,
        segment: u64,
        seen: &Versioned<Ledger>,
    ) -> Result<Option<Versioned<Ledger>>, Error> {
        let mut holders: Vec<WorkerId> = seen.value.holders().cloned().collect();
        holders.dedup();
        holders.retain(|holder| Some(holder) != on.me);
        let mut dead = Vec::new();
        for holder in holders {
            let lease = on.manifest.pace.lease;
            if let Verdict::Dead(reason) = self.judge(&holder, on.fates, lease, on.clock).await {
                dead.push((holder, reason));
            }
        }
        if dead.is_empty() {
            return Ok(None);
        }
        let at = on.clock.wall();
        let take_back = |ledger: &mut Ledger| {
            let taken: usize = dead
                .iter()
                .map(|(who, why)| ledger.reclaim(who, why, on.manifest.max_attempts, at))
                .sum();
            (taken > 0).then_some(())
        };
        let key = on.keys.ledger(segment);
        let seen = Some(seen.clone());
        let changed = update::update(on.store, on.ids, &key, seen, || None, take_back).await?;
        Ok(changed.map(|(_, ledger)| ledger))
    }
}

/// Where a patrol walks.
#[derive(Debug)]
pub struct Ground<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The session's keys.
    pub keys: &'a SessionKeys,
    /// The session's configuration.
    pub manifest: &'a Arc<Manifest>,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Randomness.
    pub ids: &'a dyn Ids,
    /// What is known of workers besides their heartbeats.
    pub fates: &'a dyn Fates,
    /// The worker that walks, which knows best that it lives.
    pub me: Option<&'a WorkerId>,
}
