//! Changing and ending sessions: cancel, retry, extend, close, delete, list.
use super::{Client, Deps, Summary};
use crate::{
    clock::UnixMillis,
    compute::Compute,
    envelope::{self, Kind},
    error::Error,
    ids::{PartId, SessionId, TaskId, WorkerId},
    key::{self, OfPart, SessionKeys},
    lead::Lead,
    ledger::{Counts, Ledger},
    manifest::{Lifetime, Manifest, SessionState},
    mutation::{Rule, is_broken},
    patrol::Verdict,
    segment::Segment,
    store::{Store, StoreError},
    update,
    worker::pulse,
};
use futures_util::stream::{self, StreamExt};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Deletes on the wire at once.
const IN_FLIGHT: usize = 32;
/// How long workers get to leave a session that is to be deleted.
const LEAVE_LIMIT: Duration = Duration::from_secs(10);

/// A session in a list.
#[derive(Debug, Clone)]
pub struct SessionRow {
    /// Its configuration, or why it cannot be read.
    pub manifest: Manifest,
    /// Its tasks by state.
    pub tasks: Summary,
    /// When a task was last submitted or ended, on the clock of whoever did that.
    pub last_activity: UnixMillis,
    /// What it has cost in US dollars, as whoever led wrote it down last; `None` where only its own clients know.
    pub cost_usd: Option<f64>,
}

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
        let mut places: BTreeMap<PartId, (usize, Vec<usize>)> = BTreeMap::new();
        {
            let board = self.board.lock();
            for id in ids {
                let no_task = || Error::NoTask { task: id.clone() };
                let (part, place) = board.find(id).ok_or_else(no_task)?;
                let len = board.part(part).map_or(0, |view| view.headers.len());
                places.entry(part).or_insert((len, Vec::new())).1.push(place);
            }
        }
        let (mut count, mut interrupted) = (0, BTreeSet::new());
        for (part, (len, places)) in places {
            let key = self.keys.ledger(part);
            let (store, ids) = (&*self.deps.store, &*self.deps.ids);
            let missing = || Some(Ledger::new(len));
            // A look that is under way must not put an older ledger over this one.
            let _looking = match is_broken(Rule::NoOlderView) {
                true => None,
                false => Some(self.looking.lock().await),
            };
            let changed = update::update(store, ids, &key, None, missing, |ledger: &mut Ledger| {
                let at = |place: &usize| ledger.workers_at(*place).cloned().collect::<Vec<_>>();
                let holders: Vec<WorkerId> = places.iter().flat_map(at).collect();
                let changed = places.iter().filter(|place| change(ledger, **place)).count();
                (changed > 0).then_some((changed, holders))
            });
            let (done, ledger) = changed.await?;
            if let Some((changed, holders)) = done {
                count += changed;
                interrupted.extend(holders);
                self.take_in(part, ledger)?;
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
        self.buffer.lock().close();
        self.change_manifest(Manifest::closed).await?;
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
        self.close().await?;
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
            sweep(&*self.deps.store).await?;
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
/// while its session was deleted. A session's manifest is the first of its objects to be written and the last to go, so
/// whoever has none is gone, at any age.
///
/// # Errors
/// A failure of the store.
pub async fn leftovers(store: &dyn Store) -> Result<Vec<SessionId>, Error> {
    let mut gone = Vec::new();
    for name in store.children(&key::sessions()).await? {
        let Ok(session) = SessionId::parse(&name) else {
            continue;
        };
        let keys = SessionKeys::new(session.clone());
        let gone_for_sure = store.head(&keys.manifest()).await?.is_none();
        if (gone_for_sure || is_broken(Rule::SweepAsks))
            && !store.list(&keys.all(), None).await?.is_empty()
        {
            gone.push(session);
        }
    }
    Ok(gone)
}

/// Deletes all [`leftovers`]. Returns the sessions that they were of.
///
/// # Errors
/// A failure of the store.
pub async fn sweep(store: &dyn Store) -> Result<Vec<SessionId>, Error> {
    let gone = leftovers(store).await?;
    for session in &gone {
        delete_objects(store, &SessionKeys::new(session.clone())).await?;
    }
    Ok(gone)
}

/// All sessions in a store that this version can read, oldest first.
///
/// # Errors
/// A failure of the store. A session that is damaged or being deleted is left out.
pub async fn list_sessions(deps: &Deps) -> Result<Vec<SessionRow>, Error> {
    let mut rows = Vec::new();
    for name in deps.store.children(&key::sessions()).await? {
        let Ok(session) = SessionId::parse(&name) else {
            continue;
        };
        let keys = SessionKeys::new(session);
        let manifest = match update::read::<Manifest>(&*deps.store, &keys.manifest()).await {
            Ok(Some(found)) => found.value,
            Ok(None) | Err(Error::Damaged { .. } | Error::Version { .. }) => continue,
            Err(other) => return Err(other),
        };
        let (tasks, active) = match count_tasks(&*deps.store, &keys).await {
            Ok(counted) => counted,
            Err(
                Error::Damaged { .. }
                | Error::Version { .. }
                | Error::Store(StoreError::NotFound { .. }),
            ) => continue,
            Err(other) => return Err(other),
        };
        let last_activity = active.max(manifest.created_at);
        let cost_usd = kept_cost(&*deps.store, &keys, &manifest).await?;
        rows.push(SessionRow { manifest, tasks, last_activity, cost_usd });
    }
    rows.sort_by_key(|row| row.manifest.created_at);
    Ok(rows)
}

/// What a listing can know of a session's cost without looking at its workers.
async fn kept_cost(
    store: &dyn Store,
    keys: &SessionKeys,
    manifest: &Manifest,
) -> Result<Option<f64>, Error> {
    match (&manifest.compute, &manifest.lifetime) {
        (Compute::Local, _) => Ok(manifest.pace.looks_are_free().then_some(0.0)),
        (Compute::Ecs(_), Lifetime::Owned) => Ok(None),
        (Compute::Ecs(_), Lifetime::Detached) if manifest.budget.is_none() => Ok(None),
        (Compute::Ecs(_), Lifetime::Detached) => {
            match update::read::<Lead>(store, &keys.lead()).await {
                // Nobody has led, so nothing was started.
                Ok(None) => Ok(Some(0.0)),
                Ok(Some(lead)) => Ok(lead.value.spent.map(|spent| spent.total_usd())),
                Err(Error::Damaged { .. } | Error::Version { .. }) => Ok(None),
                Err(other) => Err(other),
            }
        }
    }
}

async fn count_tasks(
    store: &dyn Store,
    keys: &SessionKeys,
) -> Result<(Summary, UnixMillis), Error> {
    let mut counts = Counts::default();
    let mut holders = BTreeSet::new();
    let mut active = UnixMillis(0);
    let listed = store.list(&keys.parts(), None).await?;
    let begun: BTreeSet<PartId> = listed
        .iter()
        .filter_map(|entry| entry.key.of_part())
        .filter(|(_, kind)| *kind == OfPart::Ledger)
        .map(|(part, _)| part)
        .collect();
    for part in &begun {
        if let Some(ledger) = update::read::<Ledger>(store, &keys.ledger(*part)).await? {
            counts += ledger.value.counts();
            holders.extend(ledger.value.holders().cloned());
            active = active.max(ledger.value.last_ended());
        }
    }
    for entry in store.list(&keys.segments(), None).await? {
        let Some(number) = entry.key.number() else {
            continue;
        };
        let object = store.get(&entry.key).await?;
        let index = Segment::decode_index(&entry.key, &object.body)?;
        active = active.max(index.submitted_at);
        for (part, places) in index.parts(number) {
            if !begun.contains(&part) {
                counts.pending += places.len() as u64;
            }
        }
    }
    let running = holders.len() as u64;
    let summary = Summary {
        pending: counts.open() - running,
        running,
        completed: counts.completed,
        failed: counts.failed,
        cancelled: counts.cancelled,
    };
    Ok((summary, active))
}

/// Whether a session still takes work, in the word that lists show.
pub fn state_word(manifest: &Manifest, now: UnixMillis) -> &'static str {
    match manifest.state {
        SessionState::Closed => "closed",
        SessionState::Open if now >= manifest.deadline => "expired",
        SessionState::Open => "open",
    }
}
