//! Changing and ending sessions: cancel, retry, extend, close, delete, list.
use super::{Client, Deps, Summary};
use crate::{
    clock::UnixMillis,
    envelope::{self, Kind},
    error::Error,
    ids::{SessionId, TaskId},
    key::{self, SessionKeys},
    ledger::{Counts, Ledger},
    manifest::{Manifest, SessionState},
    segment::Segment,
    store::{Store, StoreError},
    update,
};
use futures_util::stream::{self, StreamExt};
use std::{collections::BTreeMap, time::Duration};

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
        let mut places: BTreeMap<u64, (usize, Vec<usize>)> = BTreeMap::new();
        {
            let board = self.board.lock();
            for id in ids {
                let no_task = || Error::NoTask { task: id.clone() };
                let (number, place) = board.find(id).ok_or_else(no_task)?;
                let len = board.segment(number).map_or(0, |view| view.headers.len());
                places.entry(number).or_insert((len, Vec::new())).1.push(place);
            }
        }
        let mut count = 0;
        for (number, (len, places)) in places {
            let key = self.keys.ledger(number);
            let (store, ids) = (&*self.deps.store, &*self.deps.ids);
            let missing = || Some(Ledger::new(len));
            // A look that is under way must not put an older ledger over this one.
            let _looking = self.looking.lock().await;
            let changed = update::update(store, ids, &key, None, missing, |ledger: &mut Ledger| {
                let changed = places.iter().filter(|place| change(ledger, **place)).count();
                (changed > 0).then_some(changed)
            });
            if let Some((changed, ledger)) = changed.await? {
                count += changed;
                self.board.lock().add_ledger(number, ledger);
                self.bump();
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
        self.change_manifest(Manifest::closed).await
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

    async fn change_manifest(&self, change: impl Fn(Manifest) -> Manifest) -> Result<(), Error> {
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
        if let Some(((), manifest)) = changed.await? {
            *self.manifest.lock() = manifest;
        }
        Ok(())
    }

    /// Deletes every object of the session, and nothing else, once its workers have left.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn delete(&self) -> Result<(), Error> {
        self.close().await?;
        self.stop_workers().await;
        let start = self.deps.clock.now();
        while self.deps.clock.now().since(start) < LEAVE_LIMIT {
            let rows = self.workers().await?;
            if rows.iter().all(|(_, verdict)| *verdict != crate::patrol::Verdict::Alive) {
                break;
            }
            self.deps.clock.sleep(self.pace().poll_max).await;
        }
        self.stop();
        let (store, keys) = (&*self.deps.store, &self.keys);
        let listed = store.list(&keys.all(), None).await?;
        let manifest = keys.manifest();
        let others = listed.into_iter().map(|e| e.key).filter(|key| *key != manifest);
        let deletes = stream::iter(others).map(|key| async move { store.delete(&key).await });
        let deleted: Vec<Result<(), StoreError>> =
            deletes.buffer_unordered(IN_FLIGHT).collect().await;
        deleted.into_iter().collect::<Result<Vec<()>, StoreError>>()?;
        // The manifest goes last: as long as anything is left, the session can be found and deleted.
        store.delete(&manifest).await?;
        self.deps.launcher.forget_logs(self.session()).await;
        Ok(())
    }
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
        rows.push(SessionRow { manifest, tasks, last_activity });
    }
    rows.sort_by_key(|row| row.manifest.created_at);
    Ok(rows)
}

async fn count_tasks(
    store: &dyn Store,
    keys: &SessionKeys,
) -> Result<(Summary, UnixMillis), Error> {
    let mut counts = Counts::default();
    let mut holders = std::collections::BTreeSet::new();
    let mut active = UnixMillis(0);
    for entry in store.list(&keys.segments(), None).await? {
        let Some(number) = entry.key.number() else {
            continue;
        };
        match update::read::<Ledger>(store, &keys.ledger(number)).await? {
            Some(ledger) => {
                counts += ledger.value.counts();
                holders.extend(ledger.value.holders().cloned());
                active = active.max(ledger.value.last_ended());
            }
            None => {
                let object = store.get(&entry.key).await?;
                let index = Segment::decode_index(&entry.key, &object.body)?;
                counts.pending += index.tasks.len() as u64;
                active = active.max(index.submitted_at);
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
