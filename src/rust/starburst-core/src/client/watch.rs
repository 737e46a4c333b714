//! Watching: reads the ledgers that changed, other clients' new segments, and near-live conditions.
use super::Client;
use crate::{
    clock::Monotonic,
    envelope::{self, Kind},
    error::Error,
    ids::TaskId,
    key::Key,
    ledger::{Ledger, TaskState},
    pace::Backoff,
    segment::Segment,
    signal::Signal,
    store::{ETag, StoreError},
    tail::Tail,
    update::Versioned,
};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use std::collections::HashSet;

/// Up to this many ledgers are asked for one by one; for more a listing is cheaper.
const ASK_EACH: usize = 8;
/// Reads on the wire at once.
const IN_FLIGHT: usize = 32;

/// What one look remembers for the next.
#[derive(Debug, Default)]
pub(super) struct Look {
    tail: Tail,
    discovered: Option<Monotonic>,
    signals_read: Option<Monotonic>,
    /// Batches of signals whose tasks have ended and that were not read yet.
    signals_due: bool,
    /// Batches of signals that are other clients'.
    others: HashSet<Key>,
}

impl Client {
    pub(super) async fn watch_loop(&self) {
        let pace = self.pace();
        let mut backoff = Backoff::new(pace.poll_min, pace.poll_max);
        loop {
            let open = self.board.lock().open_tasks() > 0;
            let looked = self.look(false).await;
            let changed = matches!(looked, Ok(true));
            self.trouble.lock().watch.note(looked.err(), self.deps.clock.now());
            if changed {
                backoff.reset();
                self.bump();
            }
            let wait = if open {
                backoff.step(self.deps.ids.random())
            } else {
                backoff.reset();
                pace.recheck
            };
            tokio::select! {
                biased;
                () = self.look_now.notified() => backoff.reset(),
                () = self.deps.clock.sleep(wait) => {}
            }
        }
    }

    /// Brings the board up to date with the store, ended tasks included.
    ///
    /// # Errors
    /// A failure of the store, or damage.
    pub async fn refresh(&self) -> Result<(), Error> {
        if self.look(true).await? {
            self.bump();
        }
        Ok(())
    }

    /// One look. `whole` looks at ended segments too, which a retry can open again.
    async fn look(&self, whole: bool) -> Result<bool, Error> {
        let mut look = self.looking.lock().await;
        let (now, pace) = (self.deps.clock.now(), self.pace());
        let mut changed = false;
        if whole {
            self.read_manifest().await?;
        }
        if whole || look.discovered.is_none_or(|at| now.since(at) >= pace.recheck) {
            look.discovered = Some(now);
            changed |= self.discover(&mut look.tail).await?;
        }
        let numbers = {
            let board = self.board.lock();
            if whole { board.numbers() } else { board.open_segments() }
        };
        let ledgers = self.changed_ledgers(&numbers).await?;
        look.signals_due |= ledgers.iter().any(|(_, l)| has_signals(&l.value));
        let open = self.board.lock().open_tasks() > 0;
        let live = open && look.signals_read.is_none_or(|at| now.since(at) >= pace.commit);
        if look.signals_due || live {
            look.signals_read = Some(now);
            // Read before the ledgers are shown: a task's signals come before its end.
            changed |= self.read_signals(&mut look.others).await?;
            look.signals_due = false;
        }
        let mut board = self.board.lock();
        for (number, ledger) in ledgers {
            changed = true;
            if !board.add_ledger(number, ledger) {
                let key = self.keys.ledger(number).to_string();
                return Err(Error::Damaged { key, detail: "it does not fit its segment".into() });
            }
        }
        Ok(changed)
    }

    async fn discover(&self, tail: &mut Tail) -> Result<bool, Error> {
        let mut found = false;
        // The place is kept only once all of them were read: none is passed over by a failure.
        let mut ahead = *tail;
        for number in ahead.advance(&*self.deps.store, &self.keys).await? {
            if self.board.lock().segment(number).is_some() {
                continue;
            }
            let key = self.keys.segment(number);
            let object = self.deps.store.get(&key).await?;
            let index = Segment::decode_index(&key, &object.body)?;
            let buffer = self.buffer.lock();
            // One of our own that is being written is added by its writer, when it leaves the buffer.
            if index.client == self.id && buffer.holds(index.first) {
                return Ok(found);
            }
            self.board.lock().add_segment(number, &index);
            found = true;
        }
        *tail = ahead;
        Ok(found)
    }

    async fn changed_ledgers(
        &self,
        numbers: &[u64],
    ) -> Result<Vec<(u64, Versioned<Ledger>)>, Error> {
        let seen: Vec<(u64, Option<ETag>)> = {
            let board = self.board.lock();
            let etag = |n: &u64| {
                let ledger = board.segment(*n).and_then(|v| v.ledger.as_ref());
                (*n, ledger.and_then(|l| l.etag.clone()))
            };
            numbers.iter().map(etag).collect()
        };
        let suspects = if seen.len() <= ASK_EACH { seen } else { self.suspects(seen).await? };
        let reads = stream::iter(suspects).map(|(number, etag)| async move {
            Ok::<_, Error>((number, self.read_ledger(number, etag).await?))
        });
        let read: Vec<Result<_, Error>> = reads.buffered(IN_FLIGHT).collect().await;
        let mut changed = Vec::new();
        for row in read {
            if let (number, Some(ledger)) = row? {
                changed.push((number, ledger));
            }
        }
        Ok(changed)
    }

    /// Of these, the ledgers whose version a listing shows to be another one.
    async fn suspects(
        &self,
        seen: Vec<(u64, Option<ETag>)>,
    ) -> Result<Vec<(u64, Option<ETag>)>, Error> {
        let after = seen.first().and_then(|(n, _)| n.checked_sub(1)).map(|n| self.keys.ledger(n));
        let listed = self.deps.store.list(&self.keys.ledgers(), after.as_ref()).await?;
        let mut suspects = seen;
        let now: std::collections::HashMap<u64, ETag> =
            listed.into_iter().filter_map(|e| Some((e.key.number()?, e.etag))).collect();
        suspects
            .retain(|(n, etag)| now.get(n).is_some_and(|current| etag.as_ref() != Some(current)));
        Ok(suspects)
    }

    async fn read_ledger(
        &self,
        number: u64,
        seen: Option<ETag>,
    ) -> Result<Option<Versioned<Ledger>>, Error> {
        let key = self.keys.ledger(number);
        let read = match &seen {
            Some(etag) => self.deps.store.get_if_changed(&key, etag).await,
            None => self.deps.store.get(&key).await.map(Some),
        };
        match read {
            Ok(Some(object)) => {
                let (value, _) = envelope::decode(Kind::Ledger, &key, &object.body)?;
                Ok(Some(Versioned { value, etag: Some(object.etag) }))
            }
            Ok(None) | Err(StoreError::NotFound { .. }) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    /// Takes the near-live conditions of this client's tasks out of the store.
    async fn read_signals(&self, others: &mut HashSet<Key>) -> Result<bool, Error> {
        let mut found = false;
        for entry in self.deps.store.list(&self.keys.signals(), None).await? {
            if others.contains(&entry.key) {
                continue;
            }
            let object = match self.deps.store.get(&entry.key).await {
                Ok(object) => object,
                Err(StoreError::NotFound { .. }) => continue,
                Err(other) => return Err(other.into()),
            };
            let Ok((batch, _)) =
                envelope::decode::<Vec<Signal>>(Kind::Signals, &entry.key, &object.body)
            else {
                // Progress that cannot be read is not worth a failure.
                others.insert(entry.key);
                continue;
            };
            let ours = {
                let board = self.board.lock();
                let id = |s: &Signal| board.segment(s.segment).map(|v| (v.client.clone(), v.first));
                let ours = batch.iter().all(|s| id(s).is_some_and(|(client, _)| client == self.id));
                if ours {
                    for signal in batch {
                        if let Some((client, first)) = id(&signal) {
                            let task = TaskId { client, seq: first + u64::from(signal.place) };
                            self.signals.lock().push((task, signal.condition));
                        }
                    }
                }
                ours
            };
            if ours {
                found = true;
                self.deps.store.delete(&entry.key).await?;
            } else {
                others.insert(entry.key);
            }
        }
        Ok(found)
    }

    /// Whether there are near-live conditions to take.
    pub fn has_signals(&self) -> bool {
        !self.signals.lock().is_empty()
    }

    /// Near-live conditions that arrived since the last call, in order, as R serialized them.
    pub fn take_signals(&self) -> Vec<(TaskId, Bytes)> {
        std::mem::take(&mut *self.signals.lock())
    }
}

fn has_signals(ledger: &Ledger) -> bool {
    let signals = |task: &TaskState| match task {
        TaskState::Ended(ended) => ended.signals > 0,
        TaskState::Pending(_) | TaskState::Claimed { .. } | TaskState::Cancelled(_) => false,
    };
    ledger.tasks.iter().any(signals)
}
