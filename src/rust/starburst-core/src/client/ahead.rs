//! Fetching ahead: what tasks of this client left is on its way before it is asked for.
//!
//! A few results, first the earliest of those that have ended, and as much of each as there is room for
//! ([`crate::pieces`]). One that is never asked for keeps its place: no more than these are fetched in vain.
use super::{Client, board::Board};
use crate::{
    downloads::Material,
    error::Error,
    ids::{PartId, TaskId},
    ledger::{Ending, Ledger, TaskState},
    results::ResultRef,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
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
    /// Notes what tasks left in the store since an older version of their ledger; `first` is the number of its first task.
    pub(super) fn note(&mut self, first: u64, old: Option<&Ledger>, new: &Ledger) {
        let before = |place: usize| old.and_then(|old| old.tasks.get(place)).and_then(stored);
        for (place, task) in new.tasks.iter().enumerate() {
            let now = stored(task);
            if now.is_some() && now != before(place) {
                self.waiting.insert(first + place as u64);
            }
        }
        // A task that is done again leaves something else, or nothing.
        self.begun.retain(|number, begun| {
            let place = number.checked_sub(first).and_then(|place| usize::try_from(place).ok());
            let task = place.and_then(|place| new.tasks.get(place));
            task.is_none_or(|task| stored(task) == Some(&begun.at))
        });
    }

    /// What a task left, if it is on its way. It is not fetched ahead any more.
    pub(super) fn take(
        &mut self,
        task: u64,
        at: &ResultRef,
    ) -> Option<JoinHandle<Result<Material, Error>>> {
        self.waiting.remove(&task);
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
        if *self.stopped.borrow() {
            return;
        }
        while ahead.begun.len() < RESULTS {
            let Some(seq) = ahead.waiting.pop_first() else { return };
            let id = TaskId { client: self.id.clone(), seq };
            let Some((part, at)) = where_stored(&self.board.lock(), &id) else { continue };
            let (batches, there) = (Arc::clone(&self.batches), at.clone());
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
    let ledger = board.part(part)?.ledger.as_ref()?;
    let at = stored(ledger.value.tasks.get(place)?)?;
    Some((part, at.clone()))
}

fn stored(task: &TaskState) -> Option<&ResultRef> {
    match task {
        TaskState::Ended(ended) => match &ended.ending {
            Ending::Value(at @ ResultRef::Batch { .. })
            | Ending::Error(at @ ResultRef::Batch { .. }) => Some(at),
            Ending::Value(ResultRef::Here(_))
            | Ending::Error(ResultRef::Here(_))
            | Ending::Broken { .. } => None,
        },
        TaskState::Pending(_) | TaskState::Claimed { .. } | TaskState::Cancelled(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::UnixMillis, ids::ObjectId, ledger::Ended};

    fn at(object: &str) -> ResultRef {
        ResultRef::Batch { object: ObjectId::parse(object).unwrap(), place: 0 }
    }

    fn ledger(ends: &[Option<ResultRef>]) -> Ledger {
        let mut ledger = Ledger::new(crate::ids::Nonce(1), ends.len());
        for (task, at) in ledger.tasks.iter_mut().zip(ends) {
            if let Some(at) = at {
                *task = TaskState::Ended(Box::new(Ended {
                    ending: Ending::Error(at.clone()),
                    worker: None,
                    attempt: 1,
                    at: UnixMillis(0),
                    ran_ms: 0,
                    signals: 0,
                    log: None,
                    failure: None,
                }));
            }
        }
        ledger
    }

    #[tokio::test]
    async fn a_task_that_is_done_again_gives_its_place_back_and_is_noted_again() {
        let mut ahead = Ahead::default();
        let first = ledger(&[Some(at("a")), None, Some(at("b"))]);
        ahead.note(10, None, &first);
        assert_eq!(ahead.waiting, [10, 12].into());
        ahead.note(10, Some(&first), &first);
        ahead.waiting.clear();
        for (task, object) in [(10, "a"), (12, "b"), (13, "c")] {
            let fetching = tokio::spawn(async { Ok(Material::Here("".into())) });
            ahead.begun.insert(task, Begun { at: at(object), fetching });
        }
        let retried = ledger(&[None, None, Some(at("b"))]);
        ahead.note(10, Some(&first), &retried);
        assert_eq!(ahead.begun.keys().copied().collect::<Vec<_>>(), [12, 13]);
        assert!(ahead.waiting.is_empty());
        ahead.note(10, Some(&retried), &ledger(&[Some(at("d")), None, Some(at("b"))]));
        assert_eq!(ahead.waiting, [10].into());
        assert!(ahead.take(12, &at("e")).is_none());
        assert!(ahead.take(13, &at("c")).is_some());
    }
}
