//! The record of a run: every write and deletion that was done, and what happened to whom.
use bytes::Bytes;
use parking_lot::Mutex;
use starburst_core::{
    envelope::{self, Kind},
    ids::{ClientId, PartId, TaskId},
    key::{Key, OfPart},
    ledger::{Ending, History, Ledger, TaskState},
    segment::Segment,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hasher,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// One thing that happened.
#[derive(Debug)]
pub enum Event {
    /// An object was written.
    Write {
        /// Virtual time since the start.
        at: Duration,
        /// Its name.
        key: Key,
        /// What it is from now on.
        body: Bytes,
        /// The ledger, if it is one.
        ledger: Option<Arc<Ledger>>,
    },
    /// An object was deleted.
    Delete {
        /// Virtual time since the start.
        at: Duration,
        /// Its name.
        key: Key,
    },
    /// An object was damaged.
    Damage {
        /// Virtual time since the start.
        at: Duration,
        /// Its name.
        key: Key,
        /// How, in words.
        how: &'static str,
        /// The ledger that it is all the same, if it can be read.
        ledger: Option<Arc<Ledger>>,
    },
    /// Something happened to a process or a request.
    Note {
        /// Virtual time since the start.
        at: Duration,
        /// In words.
        text: String,
    },
}

/// Everything that happened in a run, in order.
#[derive(Debug, Default)]
pub struct Log {
    events: Mutex<Vec<Event>>,
    /// Where each task is, by its client and its number there.
    places: Mutex<BTreeMap<(ClientId, u64), (PartId, usize)>>,
    /// All states of each ledger.
    states: Mutex<BTreeMap<PartId, Vec<Arc<Ledger>>>>,
    /// Objects that were damaged, whatever became of them later.
    damaged: Mutex<BTreeSet<Key>>,
    /// Parts whose ledger was replaced by one that can be read.
    put_back: Mutex<BTreeSet<PartId>>,
    /// A segment was deleted.
    torn: AtomicBool,
}

impl Log {
    pub(super) fn add(&self, event: Event) {
        if let Event::Delete { key, .. } = &event
            && key.number().is_some()
        {
            self.torn.store(true, Ordering::Relaxed);
        }
        self.events.lock().push(event);
    }

    /// Whether segments were deleted: their numbers may be given again, to others' tasks.
    pub(super) fn is_torn(&self) -> bool {
        self.torn.load(Ordering::Relaxed)
    }

    /// An object was written.
    pub(super) fn wrote(&self, at: Duration, key: &Key, body: Bytes) {
        let mut ledger = None;
        if let Some((part, OfPart::Ledger)) = key.of_part() {
            let (read, _) = envelope::decode::<Ledger>(Kind::Ledger, key, &body).unwrap();
            let read = Arc::new(read);
            self.states.lock().entry(part).or_default().push(Arc::clone(&read));
            ledger = Some(read);
        } else if let Some(number) = key.number()
            && let Ok(index) = Segment::decode_index(key, &body)
        {
            let mut places = self.places.lock();
            for (part, range) in index.parts(number) {
                let first = index.first + range.start as u64;
                let tasks = (first..first + range.len() as u64).enumerate();
                places.extend(tasks.map(|(at, seq)| ((index.client.clone(), seq), (part, at))));
            }
        }
        self.add(Event::Write { at, key: key.clone(), body, ledger });
    }

    /// An object was damaged, and is this from now on.
    pub(super) fn damaged(&self, at: Duration, key: &Key, how: &'static str, body: &Bytes) {
        let is_ledger = matches!(key.of_part(), Some((_, OfPart::Ledger)));
        let read = is_ledger.then(|| envelope::decode::<Ledger>(Kind::Ledger, key, body));
        let ledger = read.and_then(Result::ok).map(|(ledger, _)| Arc::new(ledger));
        if let Some((part, _)) = key.of_part().filter(|_| ledger.is_some()) {
            self.put_back.lock().insert(part);
        }
        self.damaged.lock().insert(key.clone());
        self.add(Event::Damage { at, key: key.clone(), how, ledger });
    }

    /// The objects that were damaged.
    pub(super) fn all_damaged(&self) -> BTreeSet<Key> {
        self.damaged.lock().clone()
    }

    pub(super) fn is_ledger_damaged(&self, part: PartId) -> bool {
        let damaged = self.damaged.lock();
        damaged.iter().any(|key| key.of_part() == Some((part, OfPart::Ledger)))
    }

    /// Whether an older state of this part's ledger was put back, from which others may have gone on.
    pub(super) fn is_put_back(&self, part: PartId) -> bool {
        self.put_back.lock().contains(&part)
    }

    /// Whether near-live conditions of this part were damaged.
    pub(super) fn are_signals_damaged(&self, part: PartId) -> bool {
        let damaged = self.damaged.lock();
        damaged.iter().any(|key| key.of_part() == Some((part, OfPart::Signals)))
    }

    /// All that was written under this name, but for the last.
    pub(super) fn earlier(&self, name: &Key) -> Vec<Bytes> {
        let mut bodies = Vec::new();
        self.each(|event| match event {
            Event::Write { key, body, .. } if key == name => bodies.push(body.clone()),
            Event::Write { .. }
            | Event::Delete { .. }
            | Event::Damage { .. }
            | Event::Note { .. } => {}
        });
        bodies.pop();
        bodies
    }

    /// Where a task is; nowhere before its segment is written.
    pub(super) fn place(&self, id: &TaskId) -> Option<(PartId, usize)> {
        self.places.lock().get(&(id.client.clone(), id.seq)).copied()
    }

    /// The states of a ledger from the one with this number on; the first has number 0.
    pub(super) fn states(&self, part: PartId, from: usize) -> Vec<Arc<Ledger>> {
        let states = self.states.lock();
        states.get(&part).and_then(|all| all.get(from..)).unwrap_or_default().to_vec()
    }

    pub(super) fn note(&self, at: Duration, text: String) {
        self.add(Event::Note { at, text });
    }

    pub(super) fn each(&self, mut see: impl FnMut(&Event)) {
        self.events.lock().iter().for_each(&mut see);
    }

    /// The same for two runs that wrote the same things in the same order at the same time.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = std::hash::DefaultHasher::new();
        self.each(|event| match event {
            Event::Write { at, key, body, .. } => {
                hash.write_u128(at.as_nanos());
                hash.write(key.as_str().as_bytes());
                hash.write(body);
            }
            Event::Delete { at, key } => {
                hash.write_u128(at.as_nanos());
                hash.write(key.as_str().as_bytes());
            }
            Event::Damage { at, key, .. } => {
                hash.write_u128(at.as_nanos());
                hash.write(key.as_str().as_bytes());
            }
            Event::Note { .. } => {}
        });
        hash.finish()
    }

    /// The run in lines for people: what changed in the ledgers, who came and went, what failed.
    pub fn story(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut ledgers: HashMap<Key, Arc<Ledger>> = HashMap::new();
        self.each(|event| match event {
            Event::Note { at, text } => lines.push(line(*at, text)),
            Event::Damage { at, key, how, .. } => lines.push(line(*at, &format!("{key} is {how}"))),
            Event::Delete { at, key } => lines.push(line(*at, &format!("{key} is deleted"))),
            Event::Write { at, key, body, ledger } => {
                let Some(ledger) = ledger else {
                    lines.push(line(*at, &format!("{key} is written, {} bytes", body.len())));
                    return;
                };
                let before = ledgers.get(key).map(|l| l.tasks.as_slice()).unwrap_or_default();
                for (place, task) in ledger.tasks.iter().enumerate() {
                    if before.get(place) != Some(task) {
                        let what = format!("{key}[{place}]: {}", in_words(task));
                        lines.push(line(*at, &what));
                    }
                }
                ledgers.insert(key.clone(), Arc::clone(ledger));
            }
        });
        lines
    }
}

fn line(at: Duration, text: &str) -> String {
    format!("{:>10.3} s  {text}", at.as_secs_f64())
}

fn in_words(task: &TaskState) -> String {
    match task {
        TaskState::Pending(history) => {
            let why = history.last_loss.as_ref().map(|why| format!(": {why}"));
            let History { attempt, strikes, .. } = history;
            format!(
                "waits, after {attempt} attempts and {strikes} strikes{}",
                why.unwrap_or_default()
            )
        }
        TaskState::Claimed { worker, history, backup } => {
            let backup = backup.as_ref().map(|id| format!(", backed up by {id}"));
            format!(
                "claimed by {worker}, attempt {}{}",
                history.attempt,
                backup.unwrap_or_default()
            )
        }
        TaskState::Cancelled(_) => "cancelled".into(),
        TaskState::Ended(ended) => {
            let by = ended.worker.as_ref().map_or("nobody", |worker| worker.as_str());
            let how = match &ended.ending {
                Ending::Value(_) => "a value",
                Ending::Error(_) => "an error",
                Ending::Broken { message, .. } => message,
            };
            format!("ended with {how}, by {by}, attempt {}", ended.attempt)
        }
    }
}
