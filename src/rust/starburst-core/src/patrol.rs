//! Looking after the workers: who beats, who left, who is gone, and taking back what the gone ones held.
use crate::{
    clock::Clock,
    envelope::{self, Kind},
    error::Error,
    heartbeat::{Heartbeat, WorkerState},
    ids::{Ids, PartId, WorkerId},
    key::{Key, OfWorker, SessionKeys},
    launch::{Fate, Fates},
    lease::Observer,
    ledger::Ledger,
    manifest::Manifest,
    mutation::{Rule, is_broken},
    pace::Pace,
    store::{ETag, Store, StoreError},
    update::{self, Shape, Versioned},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// What one process knows of the workers of a session.
#[derive(Debug, Default)]
pub struct Patrol {
    observer: Observer,
    workers: BTreeMap<WorkerId, Sighting>,
}

/// What was seen of one worker.
#[derive(Debug, Default)]
struct Sighting {
    /// Its heartbeat's version at the last look.
    listed: Option<ETag>,
    /// Its heartbeat as it was read last, and at which version.
    beat: Option<(Heartbeat, ETag)>,
    /// What it said when it left.
    end: Option<Heartbeat>,
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
    /// Sees which heartbeats changed and who has left. Reads no heartbeat of a worker that has not.
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
            match entry.key.of_worker() {
                Some((worker, OfWorker::Beat)) => {
                    let seen = self.workers.entry(worker.clone()).or_default();
                    seen.listed = Some(entry.etag.clone());
                    sightings.push((worker, entry.etag));
                }
                Some((worker, OfWorker::End)) => {
                    if self.workers.get(&worker).is_some_and(|seen| seen.end.is_some()) {
                        continue;
                    }
                    let end = read_beat(store, &entry.key).await?;
                    self.workers.entry(worker).or_default().end = end.map(|(end, _)| end);
                }
                None => {}
            }
        }
        self.observer.look(&sightings, clock.now(), lease);
        Ok(())
    }

    /// Every worker that has been seen.
    pub fn workers(&self) -> Vec<WorkerId> {
        self.workers.keys().cloned().collect()
    }

    /// Whether this worker has been seen.
    pub fn knows(&self, worker: &WorkerId) -> bool {
        self.workers.contains_key(worker)
    }

    /// A worker's last word, or its heartbeat, read now if it changed; `None` when it cannot be read.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn read(
        &mut self,
        store: &dyn Store,
        keys: &SessionKeys,
        worker: &WorkerId,
    ) -> Result<Option<Heartbeat>, Error> {
        let Some(seen) = self.workers.get_mut(worker) else {
            return Ok(None);
        };
        if let Some(end) = &seen.end {
            return Ok(Some(end.clone()));
        }
        let current = |(_, etag): &(Heartbeat, ETag)| seen.listed.as_ref() == Some(etag);
        if !seen.beat.as_ref().is_some_and(current)
            && let Some(beat) = read_beat(store, &keys.beat(worker)).await?
        {
            seen.beat = Some(beat);
        }
        Ok(seen.beat.as_ref().map(|(beat, _)| beat.clone()))
    }

    /// Judges a worker that has been seen, or holds tasks.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn judge(
        &mut self,
        store: &dyn Store,
        keys: &SessionKeys,
        worker: &WorkerId,
        on: &Judges<'_>,
    ) -> Result<Verdict, Error> {
        let end = self.workers.get(worker).and_then(|seen| seen.end.as_ref());
        match end.map(|end| &end.state) {
            Some(WorkerState::Left { reason, .. }) => return Ok(Verdict::Dead(reason.clone())),
            Some(WorkerState::Refused { message }) => return Ok(Verdict::Dead(message.clone())),
            Some(WorkerState::Starting | WorkerState::Idle | WorkerState::Busy) | None => {}
        }
        let (now, pace) = (on.clock.now(), on.pace);
        if !self.observer.knows(worker) {
            // It holds tasks and never beat, or its heartbeat was deleted: the same silence.
            self.observer.see(&[(worker.clone(), ETag("never".into()))], now);
        }
        // Its process is asked for once it has been late: until then its heartbeat need not be read.
        let late =
            pace.looks_are_free() || self.observer.expired(worker, pace.heartbeat * 3 / 2, now);
        let process =
            if late { self.read(store, keys, worker).await?.map(|b| b.process) } else { None };
        if let Fate::Gone(reason) = on.fates.fate(worker, process.as_ref()).await {
            return Ok(Verdict::Dead(reason));
        }
        if self.observer.expired(worker, pace.lease, now) {
            return Ok(Verdict::Dead(format!("worker {worker} stopped answering")));
        }
        Ok(Verdict::Alive)
    }

    /// Takes back what dead workers hold in one part. Returns the ledger when it changed.
    ///
    /// # Errors
    /// A failure of the store, or a damaged ledger.
    pub async fn reclaim(
        &mut self,
        on: &Ground<'_>,
        part: PartId,
        seen: &Versioned<Ledger>,
    ) -> Result<Option<Versioned<Ledger>>, Error> {
        let mut holders: Vec<WorkerId> = seen.value.holders().cloned().collect();
        holders.dedup();
        holders.retain(|holder| Some(holder) != on.me);
        let mut dead = Vec::new();
        let judges = Judges { fates: on.fates, clock: on.clock, pace: &on.manifest.pace };
        for holder in holders {
            if let Verdict::Dead(reason) = self.judge(on.store, on.keys, &holder, &judges).await? {
                dead.push((seen.value.claims_of(&holder), holder, reason));
            }
        }
        if dead.is_empty() || is_broken(Rule::Reclaim) {
            return Ok(None);
        }
        let at = on.clock.wall();
        let take_back = |ledger: &mut Ledger| {
            let taken: usize = dead
                .iter()
                .map(|(judged, who, why)| {
                    ledger.reclaim(who, judged, why, on.manifest.max_attempts, at)
                })
                .sum();
            (taken > 0).then_some(())
        };
        let key = on.keys.ledger(part);
        let must_be = (Shape::of(&seen.value), false);
        let seen = Some(seen.clone());
        let (done, ledger) =
            update::update_ledger(on.store, on.ids, &key, seen, must_be, take_back).await?;
        Ok(done.map(|()| ledger))
    }
}

async fn read_beat(store: &dyn Store, key: &Key) -> Result<Option<(Heartbeat, ETag)>, Error> {
    match store.get(key).await {
        Ok(object) => {
            // One that cannot be read still shows by its version whether it changes.
            let read = envelope::decode::<Heartbeat>(Kind::Heartbeat, key, &object.body);
            Ok(read.ok().map(|(beat, _)| (beat, object.etag)))
        }
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// By what a worker is judged.
#[derive(Debug)]
pub struct Judges<'a> {
    /// What is known of workers besides their heartbeats.
    pub fates: &'a dyn Fates,
    /// Time.
    pub clock: &'a dyn Clock,
    /// How often workers beat, and how long they may be silent.
    pub pace: &'a Pace,
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
