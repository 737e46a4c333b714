//! Tasks that somebody waits for, as runs of consecutive numbers: a million elements of a map are one.
use super::{Client, Known};
use crate::{
    error::Error,
    ids::{ClientId, TaskId},
};
use std::ops::Range;

/// Tasks in the order in which they were given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskSet {
    runs: Vec<(ClientId, Range<u64>)>,
}

impl TaskSet {
    /// Puts a task behind the others.
    pub fn push(&mut self, id: &TaskId) {
        match self.runs.last_mut() {
            Some((client, run)) if *client == id.client && run.end == id.seq => run.end += 1,
            Some(_) | None => self.runs.push((id.client.clone(), id.seq..id.seq.saturating_add(1))),
        }
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.runs.iter().map(|(_, run)| run.end - run.start).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The tasks at these places, counted from 0.
    pub fn ids(&self, places: Range<u64>) -> Vec<TaskId> {
        let (mut ids, mut before) = (Vec::new(), 0);
        for (client, run) in &self.runs {
            let at =
                |place: u64| run.start + place.clamp(before, before + run.end - run.start) - before;
            let inside = at(places.start)..at(places.end);
            ids.extend(inside.map(|seq| TaskId { client: client.clone(), seq }));
            before += run.end - run.start;
        }
        ids
    }
}

impl Client {
    /// How many of these tasks have not ended. A look into memory.
    ///
    /// # Errors
    /// [`Error::NoTask`].
    pub fn open_among(&self, tasks: &TaskSet) -> Result<u64, Error> {
        let (buffer, board) = (self.buffer.lock(), self.board.lock());
        let mut open = 0;
        for (client, run) in &tasks.runs {
            let mut run = run.clone();
            if *client == self.id {
                // What is not written yet is behind all that is.
                let written = run.end.min(buffer.first()).max(run.start);
                let buffered = buffer.first() + buffer.len();
                if run.end > buffered {
                    let seq = buffered.max(run.start);
                    let task = TaskId { client: client.clone(), seq }.to_string();
                    return Err(Error::NoTask { task });
                }
                open += run.end - written;
                run.end = written;
            }
            open += board.open_in(client, run)?;
        }
        Ok(open)
    }

    /// How many of these tasks have ended from place `from` on, counted from 0, up to the first that has not; no more than
    /// `most`. A look into memory.
    ///
    /// # Errors
    /// [`Error::NoTask`].
    pub fn ended_from(&self, tasks: &TaskSet, from: u64, most: u64) -> Result<u64, Error> {
        let mut ended = 0;
        for id in tasks.ids(from..from.saturating_add(most)) {
            match self.known(&id)? {
                Known::Completed | Known::Failed | Known::Cancelled => ended += 1,
                Known::Pending | Known::Claimed => break,
            }
        }
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(client: usize, seq: u64) -> TaskId {
        TaskId { client: ClientId::parse(["a", "b"][client]).unwrap(), seq }
    }

    proptest! {
        #[test]
        fn a_set_gives_back_what_it_was_given(
            given in prop::collection::vec((0..2usize, 0..5u64), 0..40),
            from in 0..50u64,
            len in 0..50u64,
        ) {
            let ids: Vec<TaskId> = given.iter().map(|(client, seq)| id(*client, *seq)).collect();
            let mut set = TaskSet::default();
            ids.iter().for_each(|id| set.push(id));
            prop_assert_eq!(set.len(), ids.len() as u64);
            let places = from..from + len;
            let asked: Vec<TaskId> =
                ids.iter().skip(from as usize).take(len as usize).cloned().collect();
            prop_assert_eq!(set.ids(places), asked);
        }
    }

    #[test]
    fn consecutive_tasks_are_one_run() {
        let mut set = TaskSet::default();
        (0..1_000).for_each(|seq| set.push(&id(0, seq)));
        set.push(&id(1, 1_000));
        assert_eq!(set.runs.len(), 2);
    }
}
