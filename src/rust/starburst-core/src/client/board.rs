//! What this client knows of the session's tasks: a copy of the ledgers, and where each task is in them.
use crate::{
    error::Error,
    ids::{ClientId, Nonce, PartId, TaskId, WorkerId},
    key::Key,
    ledger::{Counts, Ended, Ending, Ledger, TaskState},
    mutation::{Rule, is_broken},
    segment::{SegmentIndex, TaskHeader},
    update::Versioned,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

/// Where a task stands, as far as this client has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Waiting for a worker, or not written yet.
    Pending,
    /// With a worker.
    Claimed,
    /// Over, with a value.
    Completed,
    /// Over, without one.
    Failed,
    /// Withdrawn.
    Cancelled,
}

/// One part of a segment.
#[derive(Debug)]
pub(super) struct View {
    pub(super) client: ClientId,
    pub(super) first: u64,
    /// The mark of the segment.
    pub(super) segment: Nonce,
    pub(super) headers: Arc<[TaskHeader]>,
    pub(super) ledger: Option<Arc<Versioned<Ledger>>>,
    pub(super) counts: Counts,
}

/// A task as it is shown in lists.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its id.
    pub id: TaskId,
    /// Where it stands.
    pub known: Known,
    /// The user's name for it.
    pub label: Option<String>,
}

/// All tasks of the session by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Waiting: nobody at them, or behind another task of the worker that holds them.
    pub pending: u64,
    /// Being evaluated: a worker evaluates one of those it holds at a time.
    pub running: u64,
    /// Ended with a value.
    pub completed: u64,
    /// Ended without one.
    pub failed: u64,
    /// Withdrawn.
    pub cancelled: u64,
}

/// The copy.
#[derive(Debug, Default)]
pub(super) struct Board {
    parts: BTreeMap<PartId, View>,
    /// First task number of each client's parts.
    starts: BTreeMap<(ClientId, u64), PartId>,
    counts: Counts,
    /// Parts with tasks that have not ended.
    open: BTreeSet<PartId>,
    /// The number of the last segment.
    last: Option<u64>,
}

impl Board {
    pub(super) fn add_segment(&mut self, number: u64, index: &SegmentIndex) {
        if self.has_segment(number) {
            return;
        }
        self.last = self.last.max(Some(number));
        for (id, range) in index.parts(number) {
            let counts = Counts { pending: range.len() as u64, ..Counts::default() };
            let first = index.first + range.start as u64;
            self.counts += counts;
            self.starts.insert((index.client.clone(), first), id);
            self.open.insert(id);
            let headers = index.tasks.get(range).unwrap_or_default().into();
            let client = index.client.clone();
            let segment = index.write;
            self.parts.insert(id, View { client, first, segment, headers, ledger: None, counts });
        }
    }

    pub(super) fn has_segment(&self, number: u64) -> bool {
        self.parts.contains_key(&PartId::new(number, 0))
    }

    /// Checks a ledger that was read under this key.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it is not the ledger of its part, or older than one that was taken in.
    pub(super) fn check_ledger(&self, key: &Key, id: PartId, ledger: &Ledger) -> Result<(), Error> {
        let Some(view) = self.parts.get(&id) else {
            let detail = "it belongs to no segment that is known".into();
            return Err(Error::Damaged { key: key.to_string(), detail });
        };
        ledger.belongs_to(key, view.segment, view.headers.len())?;
        if is_broken(Rule::NoOlderView) {
            return Ok(());
        }
        ledger.follows(key, view.ledger.as_ref().map_or(0, |l| l.value.revision))
    }

    /// The tasks of a part whose ledger cannot be read: those that had ended as they are known, the others broken for this
    /// reason. `None` for a part that is not known.
    pub(super) fn without_ledger(&self, id: PartId, why: &Error) -> Option<Ledger> {
        let view = self.parts.get(&id)?;
        let known = view.ledger.as_ref().map(|ledger| ledger.value.clone());
        let mut ledger = known.unwrap_or_else(|| Ledger::new(view.segment, view.headers.len()));
        let message = why.chain().join(": ");
        for task in &mut ledger.tasks {
            if !matches!(task, TaskState::Ended(_) | TaskState::Cancelled(_)) {
                *task = TaskState::unreadable(message.clone());
            }
        }
        Some(ledger)
    }

    /// Takes in a ledger that [was checked](Board::check_ledger).
    pub(super) fn add_ledger(&mut self, id: PartId, ledger: Versioned<Ledger>) {
        let Some(view) = self.parts.get_mut(&id) else {
            return;
        };
        let counts = ledger.value.counts();
        self.counts.pending = self.counts.pending + counts.pending - view.counts.pending;
        self.counts.claimed = self.counts.claimed + counts.claimed - view.counts.claimed;
        self.counts.completed = self.counts.completed + counts.completed - view.counts.completed;
        self.counts.failed = self.counts.failed + counts.failed - view.counts.failed;
        self.counts.cancelled = self.counts.cancelled + counts.cancelled - view.counts.cancelled;
        view.counts = counts;
        view.ledger = Some(Arc::new(ledger));
        if counts.open() == 0 {
            self.open.remove(&id);
        } else {
            self.open.insert(id);
        }
    }

    pub(super) fn next_number(&self) -> u64 {
        self.last.map_or(0, |last| last + 1)
    }

    pub(super) fn part(&self, id: PartId) -> Option<&View> {
        self.parts.get(&id)
    }

    pub(super) fn ids(&self) -> Vec<PartId> {
        self.parts.keys().copied().collect()
    }

    /// Parts whose tasks have not all ended.
    pub(super) fn open_parts(&self) -> Vec<PartId> {
        self.open.iter().copied().collect()
    }

    pub(super) fn open_tasks(&self) -> u64 {
        self.counts.open()
    }

    pub(super) fn ended_tasks(&self) -> u64 {
        self.counts.completed + self.counts.failed + self.counts.cancelled
    }

    /// Into how many parts new tasks are cut, so that every worker finds one of its own.
    pub(super) fn spread(&self, workers: u32) -> usize {
        let waiting = |id: &&PartId| self.parts.get(id).is_some_and(|v| v.counts.pending > 0);
        (workers as usize).saturating_sub(self.open.iter().filter(waiting).count()).max(1)
    }

    /// The part and place of a task.
    pub(super) fn find(&self, id: &TaskId) -> Option<(PartId, usize)> {
        let key = (id.client.clone(), id.seq);
        let ((client, first), part) = self.starts.range(..=key).next_back()?;
        let place = usize::try_from(id.seq.checked_sub(*first)?).ok()?;
        let view = self.parts.get(part)?;
        (*client == id.client && place < view.headers.len()).then_some((*part, place))
    }

    /// How many tasks of a run have not ended. Of a part that lies inside the run its counts tell.
    pub(super) fn open_in(&self, client: &ClientId, run: Range<u64>) -> Result<u64, Error> {
        let (mut open, mut next) = (0, run.start);
        while next < run.end {
            let id = TaskId { client: client.clone(), seq: next };
            let Some((part, place)) = self.find(&id) else {
                return Err(Error::NoTask { task: id.to_string() });
            };
            let Some(view) = self.parts.get(&part) else {
                return Err(Error::NoTask { task: id.to_string() });
            };
            let end = view.first + view.headers.len() as u64;
            if place == 0 && end <= run.end {
                open += view.counts.open();
            } else {
                let last = place + usize::try_from(end.min(run.end) - next).unwrap_or(0);
                let is_open = |place: &usize| {
                    matches!(self.known(part, *place), Known::Pending | Known::Claimed)
                };
                open += (place..last).filter(is_open).count() as u64;
            }
            next = end;
        }
        Ok(open)
    }

    pub(super) fn known(&self, id: PartId, place: usize) -> Known {
        let ledger = self.parts.get(&id).and_then(|v| v.ledger.as_ref());
        match ledger.and_then(|l| l.value.tasks.get(place)) {
            None | Some(TaskState::Pending(_)) => Known::Pending,
            Some(TaskState::Claimed { .. }) => Known::Claimed,
            Some(TaskState::Ended(e)) if matches!(e.ending, Ending::Value(_)) => Known::Completed,
            Some(TaskState::Ended(_)) => Known::Failed,
            Some(TaskState::Cancelled(_)) => Known::Cancelled,
        }
    }

    pub(super) fn ended(&self, id: PartId, place: usize) -> Option<Ended> {
        let ledger = self.parts.get(&id)?.ledger.as_ref()?;
        match ledger.value.tasks.get(place)? {
            TaskState::Ended(ended) => Some((**ended).clone()),
            TaskState::Pending(_) | TaskState::Claimed { .. } | TaskState::Cancelled(_) => None,
        }
    }

    /// Every task in the order of submission.
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (id, view) in &self.parts {
            for (place, header) in view.headers.iter().enumerate() {
                rows.push(Row {
                    id: TaskId { client: view.client.clone(), seq: view.first + place as u64 },
                    known: self.known(*id, place),
                    label: header.label.clone(),
                });
            }
        }
        rows
    }

    /// Workers that hold tasks.
    pub(super) fn holders(&self) -> BTreeSet<WorkerId> {
        let ledgers = self.open.iter().filter_map(|id| self.parts.get(id)?.ledger.as_ref());
        ledgers.flat_map(|ledger| ledger.value.holders().cloned()).collect()
    }

    pub(super) fn summary(&self) -> Summary {
        Summary::of(&self.counts, self.holders().len())
    }
}

impl Summary {
    /// Tasks in these states, with so many workers at them.
    pub(super) fn of(counts: &Counts, holders: usize) -> Self {
        // Two workers may be at one task.
        let running = (holders as u64).min(counts.claimed);
        Self {
            pending: counts.open().saturating_sub(running),
            running,
            completed: counts.completed,
            failed: counts.failed,
            cancelled: counts.cancelled,
        }
    }
    /// All tasks.
    pub fn total(&self) -> u64 {
        self.pending + self.running + self.completed + self.failed + self.cancelled
    }
}
