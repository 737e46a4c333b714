//! Fetching ahead: what tasks of this client left is on its way before it is asked for.
//!
//! A few results, first the earliest of those that have ended, and a few chunks of each. One that is never asked for keeps
//! its place: no more than these are fetched in vain.
use super::{Client, board::Board};
use crate::{
    downloads::Material,
    error::Error,
    ids::{PartId, TaskId},
    ledger::{Ended, Ending, Ledger, TaskState},
    results::ResultRef,
};
use std::collections::{BTreeMap, BTreeSet};
use tokio::task::JoinHandle;

/// Results that are fetched ahead at once.
const RESULTS: usize = 4;

/// By the numbers of the tasks.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// What has not begun.
    waiting: BTreeSet<u64>,
    begun: BTreeMap<u64, Begun>,
}

#[derive(Debug)]
struct Begun {
    at: ResultRef,
    fetching: JoinHandle<Result<Material, Error>>,
}

impl Ahead {
    /// Notes tasks that left something in the store.
    pub(super) fn add(&mut self, tasks: impl IntoIterator<Item = u64>) {
        self.waiting.extend(tasks);
    }

    /// What a task left, if it is on its way. It is not fetched ahead any more.
    pub(super) fn take(
        &mut self,
        task: u64,
        at: &ResultRef,
    ) -> Option<JoinHandle<Result<Material, Error>>> {
        self.waiting.remove(&task);
        // A task that was done again left something else.
        self.begun.remove(&task).filter(|begun| begun.at == *at).map(|begun| begun.fetching)
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Client {
    /// Begins to fetch what there is room for.
    pub(super) fn fetch_ahead(&self) {
        let mut ahead = self.ahead.lock();
        while ahead.begun.len() < RESULTS {
            let Some(seq) = ahead.waiting.pop_first() else { return };
            let id = TaskId { client: self.id.clone(), seq };
            let Some((part, at)) = where_stored(&self.board.lock(), &id) else { continue };
            let (batches, there) = (std::sync::Arc::clone(&self.batches), at.clone());
            let fetching = tokio::spawn(async move {
                let material = batches.material(part, there).await?;
                material.begin();
                Ok(material)
            });
            ahead.begun.insert(seq, Begun { at, fetching });
        }
    }
}

fn where_stored(board: &Board, id: &TaskId) -> Option<(PartId, ResultRef)> {
    let (part, place) = board.find(id)?;
    let at = board.ended(part, place).and_then(|ended| stored(&ended).cloned())?;
    Some((part, at))
}

fn stored(ended: &Ended) -> Option<&ResultRef> {
    match &ended.ending {
        Ending::Value(at @ ResultRef::Batch { .. })
        | Ending::Error(at @ ResultRef::Batch { .. }) => Some(at),
        Ending::Value(ResultRef::Here(_))
        | Ending::Error(ResultRef::Here(_))
        | Ending::Broken { .. } => None,
    }
}

/// The places of tasks that left something in the store since an older version of their ledger.
pub(super) fn news(old: Option<&Ledger>, new: &Ledger) -> Vec<u64> {
    let at = |task: &TaskState| match task {
        TaskState::Ended(ended) => stored(ended).cloned(),
        TaskState::Pending(_) | TaskState::Claimed { .. } | TaskState::Cancelled(_) => None,
    };
    let before = |place: usize| old.and_then(|old| old.tasks.get(place)).and_then(at);
    let places = new.tasks.iter().enumerate();
    let found =
        places.filter(|(place, task)| at(task).is_some_and(|at| before(*place) != Some(at)));
    found.map(|(place, _)| place as u64).collect()
}
