//! Watching: reads the ledgers that changed, other clients' new segments, and near-live conditions.
use super::Client;
use crate::{
    clock::Monotonic,
    envelope::{self, Kind},
    error::Error,
    ids::{PartId, TaskId},
    key::{Key, OfPart},
    ledger::{self, Ledger, TaskState},
    mutation::{Rule, is_broken},
    pace::Backoff,
    segment::Segment,
    signal::Signal,
    store::{ETag, Entry, StoreError},
    tail::{News, Tail},
    update::Versioned,
};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use std::collections::{HashMap, HashSet};

/// Reads on the wire at once.
const IN_FLIGHT: usize = 32;

/// How much one look takes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// What has ended.
    Endings,
    /// Also who works at what.
    Claims,
    /// Also tasks that had ended and that a retry may have opened again.
    Whole,
}

/// What one look remembers for the next.
#[derive(Debug, Default)]
pub(super) struct Look {
    tail: Tail,
    discovered: Option<Monotonic>,
    signals_read: Option<Monotonic>,
    lengths: Lengths,
    /// Batches of signals that were read and may not be deleted yet, or cannot be read.
    taken: HashSet<Key>,
}

/// Whether the lengths in a listing are those of the objects. A store may round them, or not know them.
#[derive(Debug, Default)]
struct Lengths {
    wrong: bool,
    /// When a ledger was last read in spite of its length.
    tried: Option<Monotonic>,
}

/// The version and length of each ledger in a listing.
type Listed = HashMap<PartId, (ETag, u64)>;

/// A ledger as it was read, or why it cannot be.
pub(super) struct Read {
    pub(super) ledger: Result<Ledger, Error>,
    pub(super) etag: Option<ETag>,
    /// The length of the object, where it was read.
    pub(super) len: Option<u64>,
}

/// A part, and the version of its ledger that was seen last.
type Seen = (PartId, Option<ETag>);

impl Client {
    pub(super) async fn watch_loop(&self) {
        let pace = self.pace();
        let mut backoff = Backoff::looking(pace.poll_min, pace.poll_max);
        loop {
            let open = self.board.lock().open_tasks() > 0;
            let looked = self.look(Depth::Endings).await;
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
        if self.look(Depth::Whole).await? {
            self.bump();
        }
        Ok(())
    }

    pub(super) async fn look(&self, depth: Depth) -> Result<bool, Error> {
        let mut look = self.looking.lock().await;
        let (now, pace) = (self.deps.clock.now(), self.pace());
        let whole = depth == Depth::Whole;
        let mut changed = false;
        if whole {
            self.read_manifest().await?;
        }
        if whole || look.discovered.is_none_or(|at| now.since(at) >= pace.recheck) {
            look.discovered = Some(now);
            changed |= self.discover(&mut look.tail).await?;
        }
        let seen = self.seen(whole);
        let Some((first, _)) = seen.first().cloned() else {
            return Ok(changed);
        };
        let mut listing = Listed::new();
        let suspects = if seen.len() <= pace.ask_each {
            seen
        } else {
            let listed = self.list_parts(first).await?;
            changed |= self.read_signals(&listed, &mut look).await?;
            listing = listed.iter().filter_map(of_ledger).collect();
            self.suspects(seen, &listing, depth, &mut look.lengths)
        };
        let ledgers = self.read_ledgers(suspects).await?;
        look.lengths.wrong |= ledgers.iter().any(|(part, read)| {
            let listed = listing.get(part).filter(|(etag, _)| read.etag.as_ref() == Some(etag));
            listed.is_some_and(|(_, size)| read.len.is_some_and(|len| len != *size))
        });
        // Read before the ledgers are shown: a task's signals come before its end.
        let due = ledgers.iter().any(|(_, read)| read.ledger.as_ref().is_ok_and(has_signals));
        if due || look.signals_read.is_none_or(|at| now.since(at) >= pace.signals) {
            let listed = self.list_parts(first).await?;
            changed |= self.read_signals(&listed, &mut look).await?;
        }
        changed |= !ledgers.is_empty();
        for (part, ledger) in ledgers {
            self.take_in(part, ledger);
        }
        self.fetch_ahead();
        Ok(changed)
    }

    /// Brings a ledger that was read now onto the board. One that is damaged costs its tasks, and no others.
    pub(super) fn take_in(&self, part: PartId, read: Read) {
        let key = self.keys.ledger(part);
        // Held until both know of it: what is fetched in between would be fetched ahead after it.
        let mut ahead = self.ahead.lock();
        let mut board = self.board.lock();
        let checked = read.ledger.and_then(|ledger| {
            board.check_ledger(&key, part, &ledger)?;
            Ok(ledger)
        });
        let ledger = match checked {
            Ok(ledger) => ledger,
            Err(error) => match board.without_ledger(part, &error) {
                Some(ledger) => ledger,
                None => return,
            },
        };
        if let Some(view) = board.part(part).filter(|view| view.client == self.id) {
            ahead.note(view.first, view.ledger.as_ref().map(|old| &old.value), &ledger);
        }
        board.add_ledger(part, Versioned { value: ledger, etag: read.etag });
    }

    async fn discover(&self, tail: &mut Tail) -> Result<bool, Error> {
        let mut found = false;
        // The place is kept only once all of them were read: none is passed over by a failure.
        let mut ahead = *tail;
        for News { number, .. } in ahead.advance(&*self.deps.store, &self.keys).await? {
            if self.board.lock().has_segment(number) {
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

    fn seen(&self, whole: bool) -> Vec<Seen> {
        let board = self.board.lock();
        let ids = if whole { board.ids() } else { board.open_parts() };
        let etag = |id: PartId| {
            let ledger = board.part(id).and_then(|view| view.ledger.as_ref());
            (id, ledger.and_then(|ledger| ledger.etag.clone()))
        };
        ids.into_iter().map(etag).collect()
    }

    /// Ledgers and signals of this part and those behind it.
    async fn list_parts(&self, first: PartId) -> Result<Vec<Entry>, Error> {
        let after = self.keys.part(first);
        Ok(self.deps.store.list(&self.keys.parts(), Some(&after)).await?)
    }

    /// Of these, the ledgers that a listing shows to be worth reading. One of those that seem to hold no endings is read now
    /// and then all the same: it tells whether lengths can be believed.
    fn suspects(
        &self,
        seen: Vec<Seen>,
        listed: &Listed,
        depth: Depth,
        lengths: &mut Lengths,
    ) -> Vec<Seen> {
        let changed = |(part, seen): &Seen| {
            listed.get(part).is_some_and(|(etag, _)| seen.as_ref() != Some(etag))
        };
        let quiet = |(part, _): &Seen| {
            listed.get(part).is_some_and(|(_, size)| !ledger::may_hold_endings(*size))
        };
        let changed: Vec<Seen> = seen.into_iter().filter(changed).collect();
        if depth != Depth::Endings || lengths.wrong {
            return changed;
        }
        let (quiet, mut suspects): (Vec<Seen>, Vec<Seen>) = changed.into_iter().partition(quiet);
        let (now, every) = (self.deps.clock.now(), self.pace().patrol);
        let due = lengths.tried.is_none_or(|at| now.since(at) >= every);
        if due && !quiet.is_empty() && !is_broken(Rule::LengthsAreHints) {
            lengths.tried = Some(now);
            let any = self.deps.ids.random() as usize % quiet.len();
            suspects.extend(quiet.get(any).cloned());
        }
        suspects
    }

    async fn read_ledgers(&self, suspects: Vec<Seen>) -> Result<Vec<(PartId, Read)>, Error> {
        let reads = stream::iter(suspects).map(|(part, etag)| async move {
            Ok::<_, Error>((part, self.read_ledger(part, etag).await?))
        });
        let read: Vec<Result<_, Error>> = reads.buffered(IN_FLIGHT).collect().await;
        let mut changed = Vec::new();
        for row in read {
            if let (part, Some(ledger)) = row? {
                changed.push((part, ledger));
            }
        }
        Ok(changed)
    }

    async fn read_ledger(&self, part: PartId, seen: Option<ETag>) -> Result<Option<Read>, Error> {
        let key = self.keys.ledger(part);
        let read = match &seen {
            Some(etag) => self.deps.store.get_if_changed(&key, etag).await,
            None => self.deps.store.get(&key).await.map(Some),
        };
        match read {
            Ok(Some(object)) => {
                let read = envelope::decode::<Ledger>(Kind::Ledger, &key, &object.body);
                let ledger = read.map(|(ledger, _)| ledger);
                let len = Some(object.body.len() as u64);
                Ok(Some(Read { ledger, etag: Some(object.etag), len }))
            }
            Ok(None) | Err(StoreError::NotFound { .. }) => Ok(None),
            Err(other) => Err(other.into()),
        }
    }

    /// Reads the conditions that came before the endings which this ledger is about to show.
    pub(super) async fn read_signals_before(
        &self,
        part: PartId,
        ledger: &Ledger,
        look: &mut Look,
    ) -> Result<(), Error> {
        if has_signals(ledger) {
            let listed = self.list_parts(part).await?;
            self.read_signals(&listed, look).await?;
        }
        Ok(())
    }

    /// Takes the near-live conditions of this client's tasks out of the store.
    async fn read_signals(&self, listed: &[Entry], look: &mut Look) -> Result<bool, Error> {
        look.signals_read = Some(self.deps.clock.now());
        let mut found = false;
        for key in listed.iter().map(|entry| &entry.key) {
            let Some((part, OfPart::Signals)) = key.of_part() else {
                continue;
            };
            let first = {
                let board = self.board.lock();
                board.part(part).filter(|view| view.client == self.id).map(|view| view.first)
            };
            let Some(first) = first.filter(|_| !look.taken.contains(key)) else {
                continue;
            };
            let object = match self.deps.store.get(key).await {
                Ok(object) => object,
                Err(StoreError::NotFound { .. }) => continue,
                Err(other) => return Err(other.into()),
            };
            let Ok((batch, _)) = envelope::decode::<Vec<Signal>>(Kind::Signals, key, &object.body)
            else {
                // Progress that cannot be read is not worth a failure.
                look.taken.insert(key.clone());
                continue;
            };
            look.taken.insert(key.clone());
            {
                let mut signals = self.signals.lock();
                for signal in batch {
                    let seq = first + u64::from(signal.place);
                    signals.push((TaskId { client: self.id.clone(), seq }, signal.condition));
                }
            }
            found = true;
            // One that stays is passed over from now on, and goes with the session.
            if self.deps.store.delete(key).await.is_ok() {
                look.taken.remove(key);
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

fn of_ledger(entry: &Entry) -> Option<(PartId, (ETag, u64))> {
    match entry.key.of_part() {
        Some((part, OfPart::Ledger)) => Some((part, (entry.etag.clone(), entry.size))),
        Some((_, OfPart::Signals)) | None => None,
    }
}

fn has_signals(ledger: &Ledger) -> bool {
    let signals = |task: &TaskState| match task {
        TaskState::Ended(ended) => ended.signals > 0,
        TaskState::Pending(_) | TaskState::Claimed { .. } | TaskState::Cancelled(_) => false,
    };
    ledger.tasks.iter().any(signals)
}
