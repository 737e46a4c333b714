//! Changing and ending sessions: cancel, retry, extend, close, delete, list.
use super::{Client, Deps, watch::Read};
use crate::{
    clock::UnixMillis,
    envelope::{self, Kind},
    error::Error,
    ids::{PartId, SessionId, TaskId, WorkerId},
    key::{self, SessionKeys},
    ledger::Ledger,
    manifest::{Lifetime, Manifest},
    mutation::{Rule, is_broken},
    patrol::Verdict,
    store::{Entry, Store, StoreError},
    update::{self, Shape},
    worker::pulse,
};
use futures_util::stream::{self, StreamExt};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Deletes on the wire at once.
const IN_FLIGHT: usize = 32;
/// Objects of a session without a manifest stay for so long: a day is enough to notice.
const SWEEP_GRACE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long workers get to leave a session that is to be deleted.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);

impl Client {
    /// Withdraws tasks that have not ended, and stops those that run. Returns how many there were.
    ///
    /// # Errors
    /// [`Error::NoTask`], or a failure of the store.
    pub async fn cancel(&self, ids: &[TaskId]) -> Result<usize, Error> {
        self.change_tasks(ids, Ledger::cancel).await
    }

    /// Lets failed and cancelled tasks run again. Returns how many there were.
    ///
    /// # Errors
    /// [`Error::NoTask`], or a failure of the store.
    pub async fn retry(&self, ids: &[TaskId]) -> Result<usize, Error> {
        let changed = self.change_tasks(ids, Ledger::retry).await;
        // Said in any case: a part may have been changed before a failure, or by an earlier try.
        self.change_manifest(Manifest::reopened).await?;
        self.engage();
        changed
    }

    async fn change_tasks(
        &self,
        ids: &[TaskId],
        change: impl Fn(&mut Ledger, usize) -> bool,
    ) -> Result<usize, Error> {
        self.flush().await?;
        let mut places: BTreeMap<PartId, (Shape, Vec<usize>)> = BTreeMap::new();
        {
            let board = self.board.lock();
            for id in ids {
                let no_task = || Error::NoTask { task: id.to_string() };
                let (part, place) = board.find(id).ok_or_else(no_task)?;
                let view = board.part(part).ok_or_else(no_task)?;
                let least = view.ledger.as_ref().map_or(0, |ledger| ledger.value.revision);
                let shape = Shape { segment: view.segment, len: view.headers.len(), least };
                places.entry(part).or_insert((shape, Vec::new())).1.push(place);
            }
        }
        let (mut count, mut interrupted) = (0, BTreeSet::new());
        for (part, (shape, places)) in places {
            let key = self.keys.ledger(part);
            let (store, ids) = (&*self.deps.store, &*self.deps.ids);
            // A look that is under way must not put an older ledger over this one.
            let mut looking = match is_broken(Rule::NoOlderView) {
                true => None,
                false => Some(self.looking.lock().await),
            };
            let change_all = |ledger: &mut Ledger| {
                let at = |place: &usize| ledger.workers_at(*place).cloned().collect::<Vec<_>>();
                let holders: Vec<WorkerId> = places.iter().flat_map(at).collect();
                let changed = places.iter().filter(|place| change(ledger, **place)).count();
                (changed > 0).then_some((changed, holders))
            };
            let (done, ledger) =
                update::update_ledger(store, ids, &key, None, (shape, true), change_all).await?;
            if let Some((changed, holders)) = done {
                count += changed;
                interrupted.extend(holders);
                if let Some(look) = &mut looking {
                    self.read_signals_before(part, &ledger.value, look).await?;
                }
                let (ledger, etag) = (Ok(ledger.value), ledger.etag);
                self.take_in(part, Read { ledger, etag, len: None });
                self.bump();
            }
        }
        // A worker that looks at its claims rarely is told to look.
        if !self.pace().looks_are_free() {
            for worker in interrupted {
                self.deps.launcher.nudge(&worker).await;
                self.disturb(&worker).await?;
            }
        }
        Ok(count)
    }

    /// Moves the deadline to at least this far from now. Returns the deadline.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn extend(&self, by: Duration) -> Result<UnixMillis, Error> {
        let now = self.deps.clock.wall();
        self.change_manifest(|manifest| manifest.extended(now, by)).await?;
        Ok(self.deadline())
    }

    /// Takes no more tasks; workers leave.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn close(&self) -> Result<(), Error> {
        self.close_as(Manifest::closed).await
    }

    async fn close_as(&self, closed: impl Fn(Manifest) -> Manifest) -> Result<(), Error> {
        self.buffer.lock().close();
        self.change_manifest(closed).await?;
        if !self.pace().looks_are_free() {
            let mut there = self.started_workers();
            for (beat, verdict) in self.workers().await? {
                match verdict {
                    Verdict::Alive => there.insert(beat.worker),
                    Verdict::Dead(_) => there.remove(&beat.worker),
                };
            }
            for worker in there {
                self.disturb(&worker).await?;
            }
        }
        Ok(())
    }

    async fn disturb(&self, worker: &WorkerId) -> Result<(), Error> {
        pulse::disturb(&*self.deps.store, &self.keys, worker, &*self.deps.clock).await
    }

    /// Reads the manifest again if another client has changed it.
    pub(super) async fn read_manifest(&self) -> Result<(), Error> {
        let key = self.keys.manifest();
        let seen = self.manifest.lock().etag.clone();
        let read = match &seen {
            Some(etag) => self.deps.store.get_if_changed(&key, etag).await,
            None => self.deps.store.get(&key).await.map(Some),
        };
        match read {
            Ok(Some(object)) => {
                let (value, _) = envelope::decode::<Manifest>(Kind::Manifest, &key, &object.body)?;
                value.check(&key)?;
                *self.manifest.lock() = update::Versioned { value, etag: Some(object.etag) };
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(StoreError::NotFound { .. }) => {
                Err(Error::NoSession { session: self.session().clone() })
            }
            Err(other) => Err(other.into()),
        }
    }

    pub(super) async fn change_manifest(
        &self,
        change: impl Fn(Manifest) -> Manifest,
    ) -> Result<(), Error> {
        let key = self.keys.manifest();
        let seen = Some(self.manifest.lock().clone());
        let (store, ids) = (&*self.deps.store, &*self.deps.ids);
        let changed = update::update(
            store,
            ids,
            &key,
            seen,
            || None,
            |manifest: &mut Manifest| {
                let next = change(manifest.clone());
                let differs = next != *manifest;
                *manifest = next;
                differs.then_some(())
            },
        );
        *self.manifest.lock() = changed.await?.1;
        Ok(())
    }

    /// Deletes every object of the session once its workers have left, and what was written into sessions that
    /// were deleted before; nothing else.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn delete(&self) -> Result<(), Error> {
        match self.close_as(Manifest::deleting).await {
            // Its manifest went in another way; what is left of it goes now.
            Ok(()) | Err(Error::NoSession { .. } | Error::Store(StoreError::NotFound { .. })) => {}
            Err(other) => return Err(other),
        }
        self.stop_workers().await;
        let (start, pace) = (self.deps.clock.now(), self.pace());
        // A worker that the launcher does not reach learns it with its next heartbeat.
        let most = LEAVE_LIMIT.max(pace.heartbeat * 3 / 2);
        while self.deps.clock.now().since(start) < most && !is_broken(Rule::DeleteWaits) {
            let rows = self.workers().await?;
            if rows.iter().all(|(_, verdict)| *verdict != Verdict::Alive) {
                break;
            }
            self.deps.clock.sleep(self.pace().poll_max).await;
        }
        self.stop();
        delete_objects(&*self.deps.store, &self.keys).await?;
        if self.manifest().lifetime == Lifetime::Detached {
            sweep(&*self.deps.store, self.deps.clock.wall()).await?;
        }
        self.deps.launcher.forget_logs(self.session()).await;
        Ok(())
    }
}

/// Deletes the objects of one session. The manifest goes last: as long as anything is left, the session can
/// be found and deleted.
async fn delete_objects(store: &dyn Store, keys: &SessionKeys) -> Result<(), Error> {
    let manifest = keys.manifest();
    let whole = if is_broken(Rule::DeleteOnly) { key::sessions() } else { keys.all() };
    let part = if is_broken(Rule::DeleteAll) { keys.parts() } else { whole };
    if is_broken(Rule::ManifestLast) {
        store.delete(&manifest).await?;
    }
    let listed = store.list(&part, None).await?;
    let others = listed.into_iter().map(|entry| entry.key).filter(|key| *key != manifest);
    let deletes = stream::iter(others).map(|key| async move { store.delete(&key).await });
    let deleted: Vec<Result<(), StoreError>> = deletes.buffer_unordered(IN_FLIGHT).collect().await;
    deleted.into_iter().collect::<Result<Vec<()>, StoreError>>()?;
    store.delete(&manifest).await?;
    Ok(())
}

/// The sessions that are gone and of which something is there all the same, such as what a worker wrote that stood still
/// while its session was deleted. A session's manifest is the first of its objects to be written and the last to go. Whoever
/// has none is gone, unless the manifest alone was lost: what was written in the last [`SWEEP_GRACE`] before `now` stays.
///
/// # Errors
/// A failure of the store.
pub async fn leftovers(store: &dyn Store, now: UnixMillis) -> Result<Vec<SessionId>, Error> {
    let mut gone = Vec::new();
    for name in store.children(&key::sessions()).await? {
        let Ok(session) = SessionId::parse(&name) else {
            continue;
        };
        let keys = SessionKeys::new(session.clone());
        let has_manifest = store.head(&keys.manifest()).await?.is_some();
        if has_manifest && !is_broken(Rule::SweepAsks) {
            continue;
        }
        let left = store.list(&keys.all(), None).await?;
        let young = |entry: &Entry| entry.modified.is_some_and(|at| now.since(at) < SWEEP_GRACE);
        if !left.is_empty() && !left.iter().any(young) {
            gone.push(session);
        }
    }
    Ok(gone)
}

/// Deletes all [`leftovers`]. Returns the sessions that they were of.
///
/// # Errors
/// A failure of the store.
pub async fn sweep(store: &dyn Store, now: UnixMillis) -> Result<Vec<SessionId>, Error> {
    let gone = leftovers(store, now).await?;
    for session in &gone {
        delete_objects(store, &SessionKeys::new(session.clone())).await?;
    }
    Ok(gone)
}

/// Deletes a session that its user names, whatever state it is in: also one that no client can attach to. Workers of it that
/// are still there are told by their heartbeats, and leave.
///
/// # Errors
/// A failure of the store.
pub async fn delete_session(deps: &Deps, session: &SessionId) -> Result<(), Error> {
    match Client::attach(deps.clone(), session.clone()).await {
        Ok(client) => client.delete().await,
        Err(Error::Damaged { .. } | Error::Version { .. } | Error::Refused { .. }) => {
            delete_objects(&*deps.store, &SessionKeys::new(session.clone())).await?;
            deps.launcher.forget_logs(session).await;
            Ok(())
        }
        Err(Error::NoSession { .. }) => Ok(()),
        Err(other) => Err(other),
    }
}
