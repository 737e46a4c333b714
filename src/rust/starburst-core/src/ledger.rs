//! The ledger: the state of the tasks of one part of a segment, and the only truth about them.
//!
//! Every transition is a function of the ledger alone. It is read, changed here and written back by
//! compare-and-swap, so each change is made by one writer, on the state it saw. A result that the ledger
//! does not name does not exist; a worker that lost its claim cannot name one.
//!
//! The length of a stored ledger tells, in a listing, what reading it would show:
//! - whether anything has ended: while nothing has, it is a multiple of [`QUIET`] bytes, and no such multiple
//!   otherwise. A client that waits for endings need not read what only says who works at what;
//! - whether tasks wait: an odd length, or a multiple of twice [`QUIET`], says so. A worker that looks for tasks
//!   reads no ledger that has none to give.
pub use crate::counts::Counts;
use crate::{
    backup::{take_off, workers_at},
    clock::UnixMillis,
    envelope::{self, Kind},
    error::Error,
    ids::{Nonce, WorkerId},
    key::Key,
    launch::LogSpan,
    mutation::{Rule, is_broken},
    results::ResultRef,
};
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// Ledgers in which nothing has ended have a length that is a multiple of this, in bytes.
pub const QUIET: u64 = 512;

/// Whether a ledger of this stored length may hold endings.
pub fn may_hold_endings(stored: u64) -> bool {
    !stored.is_multiple_of(QUIET)
}

/// Whether a ledger of this stored length may hold tasks that wait.
pub fn may_hold_waiting(stored: u64) -> bool {
    !stored.is_multiple_of(2) || stored.is_multiple_of(2 * QUIET)
}

/// Why a task ended without its code returning or failing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Broken {
    /// Its workers, or their R, died on every attempt.
    WorkerLost,
    /// It ran longer than its limit.
    Timeout,
    /// Its payload could not be read.
    Unreadable,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// The task's code returned.
    Value(ResultRef),
    /// The task's code failed; the result is its condition.
    Error(ResultRef),
    /// Something around it failed.
    Broken {
        /// What.
        broken: Broken,
        /// In words.
        message: String,
    },
}

/// A condition as text: read without unserializing what a task left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureText {
    /// Its classes, the first one first.
    pub classes: Vec<String>,
    /// Its message; the beginning of a long one.
    pub message: String,
}

/// The record of an ended task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// How.
    pub ending: Ending,
    /// By which worker; none when no worker was left to say so.
    pub worker: Option<WorkerId>,
    /// In which attempt.
    pub attempt: u32,
    /// When, on that worker's clock.
    pub at: UnixMillis,
    /// How long the last attempt ran, in milliseconds.
    pub ran_ms: u64,
    /// How many near-live conditions it signalled.
    pub signals: u64,
    /// What it printed, in the worker's log.
    pub log: Option<LogSpan>,
    /// The condition that its code raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureText>,
}

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskState {
    /// Waits for a worker.
    Pending(History),
    /// A worker holds it; only that worker, or its backup, may end it, in this attempt.
    Claimed {
        /// The holder.
        worker: WorkerId,
        /// What came before, this attempt included.
        history: History,
        /// Another worker at the same task, in the same attempt.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        backup: Option<WorkerId>,
    },
    /// Over.
    Ended(Box<Ended>),
    /// Withdrawn before it ended.
    Cancelled(History),
}

impl TaskState {
    /// A task whose state, or result, cannot be read for this reason.
    pub(crate) fn unreadable(message: String) -> Self {
        Self::broken(Broken::Unreadable, message, None, 0, UnixMillis(0))
    }

    fn broken(
        broken: Broken,
        message: String,
        worker: Option<WorkerId>,
        attempt: u32,
        at: UnixMillis,
    ) -> Self {
        Self::Ended(Box::new(Ended {
            ending: Ending::Broken { broken, message },
            worker,
            attempt,
            at,
            ran_ms: 0,
            signals: 0,
            log: None,
            failure: None,
        }))
    }
}

/// What a task has been through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Claims so far. Never goes down, so that an old claim is never mistaken for a new one.
    pub attempt: u32,
    /// Attempts that its worker did not survive, since it was submitted or retried.
    pub strikes: u32,
    /// Why the last of them was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_loss: Option<String>,
}

/// A claim on one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The task's place in the part.
    pub place: usize,
    /// The attempt this claim is.
    pub attempt: u32,
}

/// The state of one part's tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Recognises the last writer's own write.
    pub write: Nonce,
    /// The mark of the segment whose tasks these are. Another segment may come to have the same number, where the first one
    /// is gone.
    #[serde(default)]
    pub segment: Nonce,
    /// Counts the writes, so that an older copy that was put back is noticed.
    #[serde(default)]
    pub revision: u64,
    /// One state a task, in the part's order.
    pub tasks: Vec<TaskState>,
}

impl Ledger {
    /// A ledger for a part of `len` tasks of this segment that nobody has touched.
    pub fn new(segment: Nonce, len: usize) -> Self {
        Self {
            write: Nonce(0),
            segment,
            revision: 0,
            tasks: vec![TaskState::Pending(History::default()); len],
        }
    }

    /// Whether these are the states of `len` tasks of this segment.
    ///
    /// # Errors
    /// [`Error::Damaged`] with what it is instead.
    pub fn belongs_to(&self, key: &Key, segment: Nonce, len: usize) -> Result<(), Error> {
        let detail = if self.segment != segment {
            "it belongs to another segment of this number, whose tasks are gone"
        } else if self.tasks.len() != len {
            "it does not fit its segment"
        } else {
            return Ok(());
        };
        Err(Error::Damaged { key: key.to_string(), detail: detail.into() })
    }

    /// Whether it is at least of this revision.
    ///
    /// # Errors
    /// [`Error::Damaged`] for an older state, which somebody put back.
    pub fn follows(&self, key: &Key, revision: u64) -> Result<(), Error> {
        if self.revision >= revision {
            return Ok(());
        }
        let (old, new) = (self.revision, revision);
        let detail = format!("its state {old} was put back in the place of its state {new}");
        Err(Error::Damaged { key: key.to_string(), detail })
    }

    /// The object to store under this key.
    ///
    /// # Errors
    /// [`Error::Internal`] only.
    pub fn sealed(&self, key: &Key) -> Result<Bytes, Error> {
        let mut object = BytesMut::from(envelope::encode(Kind::Ledger, key, self)?);
        let (counts, quiet) = (self.counts(), QUIET as usize);
        let fits = |len: usize| {
            let len = len as u64;
            may_hold_endings(len) == (counts.ended() > 0)
                && may_hold_waiting(len) == (counts.pending > 0)
        };
        let mut len =
            if counts.ended() == 0 { object.len().next_multiple_of(quiet) } else { object.len() };
        while !fits(len) {
            len += if counts.ended() == 0 { quiet } else { 1 };
        }
        object.resize(len, 0);
        Ok(object.freeze())
    }

    /// Gives `worker` up to `most` waiting tasks, and any it holds without having them in `hand`:
    /// those are from a claim whose answer it never got.
    pub fn claim(&mut self, worker: &WorkerId, most: usize, hand: &[usize]) -> Vec<Claim> {
        let mut claims = Vec::new();
        for (place, task) in self.tasks.iter_mut().enumerate() {
            match task {
                TaskState::Claimed { worker: holder, history, backup }
                    if holder == worker || backup.as_ref() == Some(worker) =>
                {
                    if !hand.contains(&place) {
                        claims.push(Claim { place, attempt: history.attempt });
                    }
                }
                TaskState::Pending(history) if claims.len() < most => {
                    let mut history = std::mem::take(history);
                    history.attempt = history.attempt.saturating_add(1);
                    claims.push(Claim { place, attempt: history.attempt });
                    *task = TaskState::Claimed { worker: worker.clone(), history, backup: None };
                }
                TaskState::Pending(_)
                | TaskState::Claimed { .. }
                | TaskState::Ended(_)
                | TaskState::Cancelled(_) => {}
            }
        }
        claims
    }

    /// Ends a task that `worker` holds, or is the backup for, in this attempt. `false` when the claim was lost: the ending is void.
    pub fn end(&mut self, worker: &WorkerId, claim: Claim, ended: Ended) -> bool {
        match self.tasks.get_mut(claim.place) {
            Some(task) if holds(task, worker, claim.attempt) || is_broken(Rule::LedgerHolder) => {
                *task = TaskState::Ended(Box::new(ended));
                true
            }
            // Our own write, whose answer was lost.
            Some(TaskState::Ended(e)) => {
                e.worker.as_ref() == Some(worker) && e.attempt == claim.attempt
            }
            _ => false,
        }
    }

    /// Gives back a task that `worker` holds and has not started. Costs the task nothing; but one that was left to this
    /// worker at its last strike is over.
    pub fn release(&mut self, worker: &WorkerId, claim: Claim, max_attempts: u32, at: UnixMillis) {
        if let Some(task) = self.tasks.get_mut(claim.place)
            && holds(task, worker, claim.attempt)
        {
            if is_broken(Rule::FreeRelease)
                && let TaskState::Claimed { history, .. } = task
            {
                history.strikes += 1;
            }
            take_off(task, worker);
            if let TaskState::Pending(history) = task
                && let Some(loss) = history.last_loss.as_deref()
                && history.strikes >= max_attempts
                && !is_broken(Rule::MaxAttempts)
            {
                *task = lost(history, worker, loss, max_attempts, at);
            }
        }
    }

    /// Counts a lost attempt against a task that `worker` holds; the last one ends the task.
    pub fn strike(
        &mut self,
        worker: &WorkerId,
        place: usize,
        reason: &str,
        max_attempts: u32,
        at: UnixMillis,
    ) -> bool {
        let Some(task) = self.tasks.get_mut(place) else {
            return false;
        };
        if !workers_at(task).any(|there| there == worker) {
            return false;
        }
        let TaskState::Claimed { history, .. } = task else {
            return false;
        };
        history.strikes = history.strikes.saturating_add(1);
        let strikes = history.strikes;
        // The other worker at the task may still end it, whatever the count.
        let alone = workers_at(task).all(|there| there == worker);
        let TaskState::Claimed { history, .. } = task else {
            return false;
        };
        if strikes < max_attempts || !alone || is_broken(Rule::MaxAttempts) {
            history.last_loss = Some(reason.to_owned());
            take_off(task, worker);
            return true;
        }
        *task = lost(history, worker, reason, max_attempts, at);
        true
    }

    /// The claims that a worker holds.
    pub fn claims_of(&self, worker: &WorkerId) -> Vec<Claim> {
        let held = |(place, task): (usize, &TaskState)| match task {
            TaskState::Claimed { worker: holder, history, backup }
                if holder == worker || backup.as_ref() == Some(worker) =>
            {
                Some(Claim { place, attempt: history.attempt })
            }
            TaskState::Pending(_)
            | TaskState::Claimed { .. }
            | TaskState::Ended(_)
            | TaskState::Cancelled(_) => None,
        };
        self.tasks.iter().enumerate().filter_map(held).collect()
    }

    /// Takes back claims that a worker held when it was judged dead, and still holds. What it has claimed since
    /// then shows that it lives. Returns how many that was.
    pub fn reclaim(
        &mut self,
        dead: &WorkerId,
        judged: &[Claim],
        reason: &str,
        max_attempts: u32,
        at: UnixMillis,
    ) -> usize {
        let mut taken = 0;
        for claim in judged {
            let held = self.holds(dead, *claim) || is_broken(Rule::JudgedOnly);
            if held && self.strike(dead, claim.place, reason, max_attempts, at) {
                taken += 1;
            }
        }
        taken
    }

    /// Withdraws a task that has not ended.
    pub fn cancel(&mut self, place: usize) -> bool {
        let Some(task) = self.tasks.get_mut(place) else {
            return false;
        };
        match task {
            TaskState::Pending(history) | TaskState::Claimed { history, .. } => {
                *task = TaskState::Cancelled(std::mem::take(history));
                true
            }
            TaskState::Ended(e)
                if !matches!(e.ending, Ending::Value(_)) && is_broken(Rule::CancelOpenOnly) =>
            {
                let history = History { attempt: e.attempt, ..History::default() };
                *task = TaskState::Cancelled(history);
                true
            }
            TaskState::Ended(_) | TaskState::Cancelled(_) => false,
        }
    }

    /// Makes a task wait again that failed or was cancelled. Its earlier ending is gone.
    pub fn retry(&mut self, place: usize) -> bool {
        let Some(task) = self.tasks.get_mut(place) else {
            return false;
        };
        let attempt = match task {
            TaskState::Ended(e)
                if !matches!(e.ending, Ending::Value(_)) || is_broken(Rule::RetryWithoutValue) =>
            {
                e.attempt
            }
            TaskState::Cancelled(history) => history.attempt,
            TaskState::Ended(_) | TaskState::Pending(_) | TaskState::Claimed { .. } => {
                return false;
            }
        };
        let attempt = if is_broken(Rule::AttemptsStay) { 0 } else { attempt };
        *task = TaskState::Pending(History { attempt, ..History::default() });
        true
    }

    /// Whether `worker` still holds this claim.
    pub fn holds(&self, worker: &WorkerId, claim: Claim) -> bool {
        self.tasks.get(claim.place).is_some_and(|task| holds(task, worker, claim.attempt))
    }

    /// Workers that hold tasks, or are backups for them.
    pub fn holders(&self) -> impl Iterator<Item = &WorkerId> {
        self.tasks.iter().flat_map(workers_at)
    }

    /// Tasks by state.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for task in &self.tasks {
            match task {
                TaskState::Pending(_) => counts.pending += 1,
                TaskState::Claimed { .. } => counts.claimed += 1,
                TaskState::Ended(e) if matches!(e.ending, Ending::Value(_)) => {
                    counts.completed += 1;
                }
                TaskState::Ended(_) => counts.failed += 1,
                TaskState::Cancelled(_) => counts.cancelled += 1,
            }
        }
        counts
    }

    /// Whether no task can change any more, but by a retry.
    pub fn is_final(&self) -> bool {
        self.tasks.iter().all(|t| matches!(t, TaskState::Ended(_) | TaskState::Cancelled(_)))
    }

    /// When a task of it ended last.
    pub fn last_ended(&self) -> UnixMillis {
        let at = |task: &TaskState| match task {
            TaskState::Ended(e) => Some(e.at),
            TaskState::Pending(_) | TaskState::Claimed { .. } | TaskState::Cancelled(_) => None,
        };
        self.tasks.iter().filter_map(at).max().unwrap_or(UnixMillis(0))
    }

    /// Bytes of results that travel in this ledger.
    pub fn result_bytes(&self) -> usize {
        let inline = |task: &TaskState| match task {
            TaskState::Ended(e) => match &e.ending {
                Ending::Value(ResultRef::Here(b)) | Ending::Error(ResultRef::Here(b)) => b.len(),
                Ending::Value(_) | Ending::Error(_) | Ending::Broken { .. } => 0,
            },
            TaskState::Pending(_) | TaskState::Claimed { .. } | TaskState::Cancelled(_) => 0,
        };
        self.tasks.iter().map(inline).sum()
    }
}

/// A task that has had its last strike, by this worker.
fn lost(
    history: &History,
    worker: &WorkerId,
    reason: &str,
    max_attempts: u32,
    at: UnixMillis,
) -> TaskState {
    let message = format!("lost {} of {max_attempts} attempts: {reason}", history.strikes);
    TaskState::broken(Broken::WorkerLost, message, Some(worker.clone()), history.attempt, at)
}

fn holds(task: &TaskState, worker: &WorkerId, attempt: u32) -> bool {
    match task {
        TaskState::Claimed { worker: holder, history, backup } => {
            let joined = backup.as_ref() == Some(worker) && !is_broken(Rule::BackupEnds);
            (holder == worker || joined) && history.attempt == attempt
        }
        TaskState::Pending(_) | TaskState::Ended(_) | TaskState::Cancelled(_) => false,
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
