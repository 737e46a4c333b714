//! Results that have been read: a session with one reader keeps none of them.
//!
//! Chunks are named by their content, so several results may share one. They are deleted only while no task is open and every
//! result was read: then nothing names them any more. Chunks of what was submitted go with them, but for those that tasks used
//! since the last time: the next tasks are likely to share these.
use super::{Client, Known};
use crate::{
    blob::BlobHash, clock::Monotonic, error::Error, ids::TaskId, key::Key, manifest::Lifetime,
    store::StoreError,
};
use futures_util::stream::{self, StreamExt};
use std::{collections::HashSet, time::Duration};

/// Deletes on the wire at once.
const IN_FLIGHT: usize = 8;
/// So long there is at least between two deletions.
const APART: Duration = Duration::from_millis(250);

/// Which results were read.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Since results were deleted last.
    since: HashSet<TaskId>,
    /// Tasks whose results were deleted.
    deleted: u64,
    last: Option<Monotonic>,
}

impl Client {
    /// Takes note that nobody asks for what these tasks left any more, and deletes what was read in a session that belongs to
    /// this process, where deleting is free. It does so now and then, while no task is open and nothing is left to be read.
    /// `true` when it did: what was packed before must be packed again to be submitted.
    ///
    /// # Errors
    /// A failure of the store. What was not deleted goes the next time, or with the session.
    pub async fn forget_results(&self, ids: Vec<TaskId>) -> Result<bool, Error> {
        let (manifest, now) = (self.manifest(), self.deps.clock.now());
        if manifest.lifetime != Lifetime::Owned || !manifest.pace.looks_are_free() {
            return Ok(false);
        }
        {
            let mut read = self.read.lock();
            read.since.extend(ids);
            if read.last.is_some_and(|last| now.since(last) < APART) {
                return Ok(false);
            }
            read.last = Some(now);
        }
        // No task is written meanwhile.
        let Ok(_writing) = self.writing.try_lock() else {
            return Ok(false);
        };
        if !self.all_is_read() {
            return Ok(false);
        }
        {
            let mut read = self.read.lock();
            let gone = read.since.len() as u64;
            read.deleted += gone;
            read.since.clear();
        }
        self.delete_results().await?;
        Ok(true)
    }

    fn all_is_read(&self) -> bool {
        if self.summary().pending + self.summary().running > 0 {
            return false;
        }
        let read = self.read.lock();
        let ended = |id: &TaskId| {
            matches!(self.known(id), Ok(Known::Completed | Known::Failed | Known::Cancelled))
        };
        read.since.iter().all(ended)
            && read.deleted + read.since.len() as u64 == self.board.lock().ended_tasks()
    }

    async fn delete_results(&self) -> Result<(), Error> {
        let store = &*self.deps.store;
        let kept = self.uploads.forget_unused();
        let mut garbage: Vec<Key> = Vec::new();
        garbage.extend(store.list(&self.keys.results(), None).await?.into_iter().map(|e| e.key));
        for entry in store.list(&self.keys.blobs(), None).await? {
            if BlobHash::parse(entry.key.last()).is_some_and(|hash| !kept.contains(&hash)) {
                garbage.push(entry.key);
            }
        }
        let deletes = stream::iter(garbage).map(|key| async move { store.delete(&key).await });
        let deleted: Vec<Result<(), StoreError>> =
            deletes.buffer_unordered(IN_FLIGHT).collect().await;
        deleted.into_iter().collect::<Result<Vec<()>, StoreError>>()?;
        Ok(())
    }
}
