//! The rules that a record must keep, whatever happened.
use super::history::{Event, Log};
use starburst_core::{
    ids::WorkerId,
    key::{Key, OfWorker},
    ledger::{Ending, History, Ledger, TaskState},
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

/// By what the steps of a session are judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Law {
    /// How long a worker must be silent before its claims are taken back.
    pub(super) lease: Duration,
    /// Attempts a task gets before its last strike ends it.
    pub(super) max_attempts: u32,
}

/// Every step of every ledger is one that the protocol allows: an accepted result stays, a task is ended by the holder
/// of its current attempt, attempts are counted and never go down, the last strike ends a task and none before it, and a
/// claim is taken back only after its worker was silent for the lease. Ledgers of a session that is deleted begin anew.
pub(super) fn steps(log: &Log, law: Law) -> Vec<String> {
    let mut violations = Vec::new();
    let mut ledgers: HashMap<Key, Arc<Ledger>> = HashMap::new();
    let mut beats: HashMap<WorkerId, Beats> = HashMap::new();
    let mut ruined: HashSet<Key> = HashSet::new();
    log.each(|event| match event {
        Event::Note { .. } => {}
        Event::Delete { key, .. } => {
            ledgers.remove(key);
            ruined.remove(key);
        }
        // From an older state that was put back it goes on.
        Event::Damage { key, ledger: Some(ledger), .. } => {
            ruined.remove(key);
            ledgers.insert(key.clone(), Arc::clone(ledger));
        }
        Event::Damage { key, ledger: None, .. } => {
            ruined.insert(key.clone());
        }
        Event::Write { at, key, ledger, .. } => {
            if let Some((worker, OfWorker::Beat)) = key.of_worker() {
                let seen = beats.entry(worker).or_default();
                seen.silences.push((at.saturating_sub(seen.last), *at));
                seen.last = *at;
            }
            let Some(ledger) = ledger else {
                return;
            };
            if ruined.contains(key) {
                let at = at.as_secs_f64();
                violations.push(format!("{at:.3} s {key} cannot be read and is written over"));
            }
            let fresh = TaskState::Pending(History::default());
            let before = ledgers.get(key).map(|ledger| ledger.tasks.as_slice());
            for (place, new) in ledger.tasks.iter().enumerate() {
                let old = before.and_then(|tasks| tasks.get(place)).unwrap_or(&fresh);
                let step = Step { old, new, at: *at, law };
                if let Some(what) = step.broken_rule(&beats) {
                    violations.push(format!("{:.3} s {key}[{place}]: {what}", at.as_secs_f64()));
                }
            }
            ledgers.insert(key.clone(), Arc::clone(ledger));
        }
    });
    violations
}

/// Taking back what a silent worker holds takes no longer than this, from the look that finds it silent.
const TAKING_BACK: Duration = Duration::from_secs(5);

/// A worker's heartbeats: the last one, and how long it had been silent before each, and until when.
#[derive(Debug, Default)]
struct Beats {
    last: Duration,
    silences: Vec<(Duration, Duration)>,
}

impl Beats {
    /// The longest silence that a claim taken back at this time can have been judged by: one that comes back while its
    /// claims are being taken was silent for long enough before.
    fn silence(&self, at: Duration) -> Duration {
        let recent = self.silences.iter().filter(|(_, until)| *until + TAKING_BACK >= at);
        recent
            .map(|(silence, _)| *silence)
            .max()
            .unwrap_or_default()
            .max(at.saturating_sub(self.last))
    }
}

/// One task before and after a write.
#[derive(Debug, Clone, Copy)]
struct Step<'a> {
    old: &'a TaskState,
    new: &'a TaskState,
    at: Duration,
    law: Law,
}

fn attempt(task: &TaskState) -> u32 {
    match task {
        TaskState::Pending(history)
        | TaskState::Claimed { history, .. }
        | TaskState::Cancelled(history) => history.attempt,
        TaskState::Ended(ended) => ended.attempt,
    }
}

/// The strikes of a task that is not over, and its last loss.
fn open(task: &TaskState) -> Option<(u32, Option<&str>)> {
    match task {
        TaskState::Pending(history) | TaskState::Claimed { history, .. } => {
            Some((history.strikes, history.last_loss.as_deref()))
        }
        TaskState::Ended(_) | TaskState::Cancelled(_) => None,
    }
}

impl Step<'_> {
    fn broken_rule(&self, beats: &HashMap<WorkerId, Beats>) -> Option<String> {
        if self.old == self.new {
            return None;
        }
        if attempt(self.new) < attempt(self.old) {
            let (old, new) = (attempt(self.old), attempt(self.new));
            return Some(format!("its attempts went down from {old} to {new}"));
        }
        self.wrong_strikes().or_else(|| self.wrong_change(beats))
    }

    /// Strikes are counted one for each worker that is lost, and the last one ends the task.
    fn wrong_strikes(&self) -> Option<String> {
        let at_it = match self.old {
            TaskState::Claimed { backup, .. } => 1 + u32::from(backup.is_some()),
            TaskState::Pending(_) | TaskState::Ended(_) | TaskState::Cancelled(_) => 0,
        };
        let had = open(self.old).map_or(0, |(strikes, _)| strikes);
        if let Some((strikes, loss)) = open(self.new) {
            // Only a backup that is at it already may go on.
            let anew =
                matches!(self.new, TaskState::Pending(_)) || attempt(self.new) > attempt(self.old);
            if strikes >= self.law.max_attempts && anew {
                return Some(format!("it goes on after {strikes} strikes"));
            }
            let free = strikes > had && loss.is_none();
            let wrong = strikes > had + at_it || free;
            return wrong.then(|| format!("{had} strikes became {strikes} without a loss"));
        }
        match self.new {
            TaskState::Ended(ended) => match &ended.ending {
                Ending::Broken { message, .. }
                    if message.starts_with("lost") && had + at_it < self.law.max_attempts =>
                {
                    Some(format!("it was given up after {had} strikes: {message}"))
                }
                Ending::Broken { .. } | Ending::Value(_) | Ending::Error(_) => None,
            },
            TaskState::Pending(_) | TaskState::Claimed { .. } | TaskState::Cancelled(_) => None,
        }
    }

    fn wrong_change(&self, beats: &HashMap<WorkerId, Beats>) -> Option<String> {
        match (self.old, self.new) {
            (TaskState::Ended(e), TaskState::Pending(_)) => {
                let value = matches!(e.ending, Ending::Value(_));
                value.then(|| "an accepted result was given up".into())
            }
            (TaskState::Ended(_), _) => Some(format!("an ended task changed to {:?}", self.new)),
            (TaskState::Pending(_) | TaskState::Cancelled(_), TaskState::Ended(_)) => {
                Some("it ended without a claim".into())
            }
            (TaskState::Pending(a), TaskState::Claimed { history: b, .. }) => {
                (b.attempt != a.attempt + 1).then(|| "a claim did not count".into())
            }
            (TaskState::Claimed { worker, history, backup }, TaskState::Ended(e)) => {
                let by = e.worker.as_ref();
                let by_holder = (by == Some(worker) || by.is_some() && by == backup.as_ref())
                    && e.attempt == history.attempt;
                (!by_holder).then(|| "ended by somebody who did not hold it".into())
            }
            (TaskState::Claimed { worker, history, .. }, TaskState::Pending(next)) => {
                self.taken_early(worker, history, next, beats)
            }
            (
                TaskState::Claimed { worker: a, history: before, backup: of_a },
                TaskState::Claimed { worker: b, history: after, .. },
            ) => {
                // Given back and claimed again by the same worker, or left to its backup.
                let kept = a == b || of_a.as_ref() == Some(b) && before.attempt == after.attempt;
                (!kept).then(|| "a claim changed hands in one step".into())
            }
            (TaskState::Cancelled(_), TaskState::Claimed { .. }) => {
                Some("a cancelled task was claimed".into())
            }
            (TaskState::Pending(_), TaskState::Pending(_) | TaskState::Cancelled(_))
            | (TaskState::Claimed { .. } | TaskState::Cancelled(_), TaskState::Cancelled(_))
            | (TaskState::Cancelled(_), TaskState::Pending(_)) => None,
        }
    }

    /// Whether a claim was taken back from a worker that had not been silent for the lease.
    fn taken_early(
        &self,
        worker: &WorkerId,
        history: &History,
        next: &History,
        beats: &HashMap<WorkerId, Beats>,
    ) -> Option<String> {
        let silent_for = |why: &str| why.contains("stopped answering");
        let taken_back =
            next.strikes > history.strikes && next.last_loss.as_deref().is_some_and(silent_for);
        let silent = beats.get(worker).map_or(self.at, |seen| seen.silence(self.at));
        (taken_back && silent < self.law.lease)
            .then(|| format!("taken from {worker}, which was silent for {silent:?} only"))
    }
}
