//! Backup tasks: a second worker at a task that takes long. Both work in the same attempt, and whoever commits first ends it;
//! what the other has to say is void, as it is for every claim that was lost.
use crate::{
    ids::WorkerId,
    ledger::{Claim, Ledger, TaskState},
};

impl Ledger {
    /// Makes `worker` the second one at a task that another holds alone in this attempt.
    pub fn back_up(&mut self, worker: &WorkerId, claim: Claim) -> bool {
        match self.tasks.get_mut(claim.place) {
            Some(TaskState::Claimed { worker: holder, history, backup })
                if backup.is_none() && holder != worker && history.attempt == claim.attempt =>
            {
                *backup = Some(worker.clone());
                true
            }
            _ => false,
        }
    }

    /// Claims that one worker holds alone, and it is not `me`.
    pub fn alone(&self, me: &WorkerId) -> Vec<Claim> {
        let alone = |(place, task): (usize, &TaskState)| match task {
            TaskState::Claimed { worker, history, backup: None } if worker != me => {
                Some(Claim { place, attempt: history.attempt })
            }
            TaskState::Pending(_)
            | TaskState::Claimed { .. }
            | TaskState::Ended(_)
            | TaskState::Cancelled(_) => None,
        };
        self.tasks.iter().enumerate().filter_map(alone).collect()
    }

    /// Who works at the task at this place.
    pub fn workers_at(&self, place: usize) -> impl Iterator<Item = &WorkerId> {
        self.tasks.get(place).into_iter().flat_map(workers_at)
    }
}

/// Who works at a task.
pub(crate) fn workers_at(task: &TaskState) -> impl Iterator<Item = &WorkerId> {
    let (worker, backup) = match task {
        TaskState::Claimed { worker, backup, .. } => (Some(worker), backup.as_ref()),
        TaskState::Pending(_) | TaskState::Ended(_) | TaskState::Cancelled(_) => (None, None),
    };
    worker.into_iter().chain(backup)
}

/// Takes a worker off a task. If there is another one it is that one's; if not, it waits.
pub(crate) fn take_off(task: &mut TaskState, worker: &WorkerId) {
    let TaskState::Claimed { worker: holder, history, backup } = task else {
        return;
    };
    if holder != worker {
        *backup = None;
    } else if let Some(other) = backup.take() {
        *holder = other;
    } else {
        *task = TaskState::Pending(std::mem::take(history));
    }
}
