//! What a client shows while things happen: states that were there, never an older one after a newer one, and no end
//! before the near-live conditions that came before it.
use super::history::Log;
use starburst_core::{
    client::{Client, Known},
    ids::{PartId, TaskId},
    ledger::{Ending, Ledger, TaskState},
};
use std::collections::{BTreeMap, BTreeSet};

/// What one client has shown so far.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// For each part how many states its ledger has gone through at least, as this client showed it.
    states: BTreeMap<PartId, usize>,
    /// Near-live conditions of its own tasks.
    signals: BTreeMap<TaskId, u64>,
    /// Tasks of which it showed that they have a value.
    completed: BTreeSet<TaskId>,
    /// It cancelled something or tried something again.
    meddled: bool,
}

impl Shown {
    /// Its client cancels tasks, or tries some again.
    ///
    /// Known fault: what else has ended in their parts is shown at once then, before its near-live conditions are read.
    pub(super) fn meddles(&mut self) {
        self.meddled = true;
    }

    /// Looks at what a client shows now, with `signals` also at near-live conditions. Returns what is wrong with it.
    pub(super) fn look(&mut self, client: &Client, log: &Log, signals: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        for (id, _) in client.take_signals() {
            *self.signals.entry(id).or_default() += 1;
        }
        let rows = client.rows();
        let completed = rows.iter().filter(|row| row.known == Known::Completed).count() as u64;
        let summary = client.summary();
        if (summary.completed, summary.total()) != (completed, rows.len() as u64) {
            wrong.push(format!("{summary:?} is the sum of {} tasks", rows.len()));
        }
        let mut parts: BTreeMap<PartId, Vec<(usize, Known, TaskId)>> = BTreeMap::new();
        for row in rows {
            if let Some((part, place)) = log.place(&row.id) {
                parts.entry(part).or_default().push((place, row.known, row.id));
            } else if row.known != Known::Pending {
                wrong.push(format!("{} is {:?} and was never written", row.id, row.known));
            }
        }
        for (part, tasks) in parts {
            wrong.extend(self.look_at(part, &tasks, client, log, signals));
        }
        wrong
    }

    /// The first state that fits what is shown, from the one on that was shown last, is the one that is shown, or an older
    /// one: so an alarm is never false.
    fn look_at(
        &mut self,
        part: PartId,
        tasks: &[(usize, Known, TaskId)],
        client: &Client,
        log: &Log,
        signals: bool,
    ) -> Option<String> {
        for (_, known, id) in tasks {
            if *known == Known::Completed {
                self.completed.insert(id.clone());
            } else if self.completed.contains(id) && !log.is_put_back(part) {
                return Some(format!("client {} takes back the value of {id}", client.id()));
            }
        }
        // Open tasks of a damaged ledger are shown as failed, which no ledger says.
        if log.is_ledger_damaged(part) {
            return None;
        }
        let signals = signals && !log.are_signals_damaged(part);
        let passed = self.states.entry(part).or_default();
        let untouched = tasks.iter().all(|(_, known, _)| *known == Known::Pending);
        if *passed == 0 && untouched {
            return None;
        }
        let states = log.states(part, passed.saturating_sub(1));
        let fits = |ledger: &Ledger| {
            tasks
                .iter()
                .all(|(place, known, _)| ledger.tasks.get(*place).map(shows) == Some(*known))
        };
        let Some(at) = states.iter().position(|ledger| fits(ledger)) else {
            return Some(format!("client {} shows an older state of part {part}", client.id()));
        };
        *passed = passed.saturating_sub(1) + at + 1;
        let ledger = states.get(at)?;
        let early = |(place, _, id): &&(usize, Known, TaskId)| {
            (signals && !self.meddled)
                && id.client == *client.id()
                && said(ledger.tasks.get(*place)) > self.signals.get(id).copied().unwrap_or(0)
        };
        tasks.iter().find(early).map(|(_, _, id)| format!("{id} ended before what it signalled"))
    }
}

/// How many conditions an ended task signalled.
fn said(task: Option<&TaskState>) -> u64 {
    match task {
        Some(TaskState::Ended(ended)) => ended.signals,
        Some(TaskState::Pending(_) | TaskState::Claimed { .. } | TaskState::Cancelled(_))
        | None => 0,
    }
}

fn shows(task: &TaskState) -> Known {
    match task {
        TaskState::Pending(_) => Known::Pending,
        TaskState::Claimed { .. } => Known::Claimed,
        TaskState::Ended(e) if matches!(e.ending, Ending::Value(_)) => Known::Completed,
        TaskState::Ended(_) => Known::Failed,
        TaskState::Cancelled(_) => Known::Cancelled,
    }
}
