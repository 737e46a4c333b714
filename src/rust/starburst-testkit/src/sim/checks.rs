//! The rules that a record must keep, whatever happened.
use super::history::{Event, Log};
use starburst_core::{
    envelope::{self, Kind},
    ids::WorkerId,
    key::{Key, OfPart, OfWorker},
    ledger::{Ending, Ledger, TaskState},
};
use std::{collections::HashMap, time::Duration};

/// Every step of every ledger is one that the protocol allows: an accepted result stays, a task is ended by the holder
/// of its current attempt, attempts are counted, and a claim is taken back only after its worker was silent for the
/// lease. Ledgers of a session that is deleted begin anew.
pub(super) fn steps(log: &Log, lease: Duration) -> Vec<String> {
    let mut violations = Vec::new();
    let mut ledgers: HashMap<Key, Ledger> = HashMap::new();
    let mut beats: HashMap<WorkerId, Beats> = HashMap::new();
    log.each(|event| match event {
        Event::Note { .. } => {}
        Event::Delete { key, .. } => {
            ledgers.remove(key);
        }
        Event::Write { at, key, body } => {
            if let Some((worker, OfWorker::Beat)) = key.of_worker() {
                let seen = beats.entry(worker).or_default();
                seen.silences.push((at.saturating_sub(seen.last), *at));
                seen.last = *at;
            }
            let Some((_, OfPart::Ledger)) = key.of_part() else {
                return;
            };
            let (ledger, _) = envelope::decode::<Ledger>(Kind::Ledger, key, body).unwrap();
            let before =
                ledgers.get(key).cloned().unwrap_or_else(|| Ledger::new(ledger.segment, ledger.tasks.len()));
            for (place, (old, new)) in before.tasks.iter().zip(&ledger.tasks).enumerate() {
                if let Some(what) = broken_rule(old, new, *at, lease, &beats) {
                    violations.push(format!("{:.3} s {key}[{place}]: {what}", at.as_secs_f64()));
                }
            }
            ledgers.insert(key.clone(), ledger);
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

fn broken_rule(
    old: &TaskState,
    new: &TaskState,
    at: Duration,
    lease: Duration,
    beats: &HashMap<WorkerId, Beats>,
) -> Option<String> {
    if old == new {
        return None;
    }
    match (old, new) {
        (TaskState::Ended(e), TaskState::Pending(history)) => {
            let value = matches!(e.ending, Ending::Value(_));
            let lost = value || history.attempt < e.attempt;
            lost.then(|| "an accepted result was given up".into())
        }
        (TaskState::Ended(_), _) => Some(format!("an ended task changed to {new:?}")),
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
            let struck = matches!(e.ending, Ending::Broken { .. });
            (!by_holder && !struck).then(|| "ended by somebody who did not hold it".into())
        }
        (TaskState::Claimed { worker, history, .. }, TaskState::Pending(next)) => {
            let taken_back = next.strikes > history.strikes
                && next.last_loss.as_deref().is_some_and(|why| why.contains("stopped answering"));
            let silent = beats.get(worker).map_or(at, |seen| seen.silence(at));
            (taken_back && silent < lease)
                .then(|| format!("taken from {worker}, which was silent for {silent:?} only"))
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
