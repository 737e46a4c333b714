//! Records every write that a simulated run makes, and checks the rules on what was written.
use crate::MemStore;
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use starburst_core::{
    envelope::{self, Kind},
    ids::WorkerId,
    key::{Key, OfPart, OfWorker},
    ledger::{Ending, Ledger, TaskState},
    store::{ETag, Entry, Object, Store, StoreError},
};
use std::{collections::HashMap, hash::Hasher, sync::Arc, time::Duration};
use tokio::time::Instant;

/// A rule that was broken, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(pub String);

/// One successful write.
#[derive(Debug)]
struct Write {
    at: Duration,
    key: Key,
    body: Bytes,
}

/// All writes of a run in order.
#[derive(Debug, Default)]
pub struct Log(Mutex<Vec<Write>>);

/// A store that records what is written to it.
#[derive(Debug)]
pub struct History {
    inner: MemStore,
    start: Instant,
    log: Arc<Log>,
}

impl History {
    /// Records writes with the time since `start`.
    pub fn new(inner: MemStore, start: Instant) -> Self {
        Self { inner, start, log: Arc::default() }
    }
    /// The record.
    pub fn log(&self) -> Arc<Log> {
        Arc::clone(&self.log)
    }
    fn record(&self, key: &Key, body: &Bytes) {
        let write = Write { at: self.start.elapsed(), key: key.clone(), body: body.clone() };
        self.log.0.lock().push(write);
    }
}

impl Log {
    /// The same for two runs that wrote the same things in the same order at the same time.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = std::hash::DefaultHasher::new();
        for write in self.0.lock().iter() {
            hash.write_u128(write.at.as_nanos());
            hash.write(write.key.as_str().as_bytes());
            hash.write(&write.body);
        }
        hash.finish()
    }

    /// The rules: an ended task stays as it is, attempts never go back, every step is one that the
    /// ledger allows, and a claim changes hands only after its worker was silent for the lease.
    pub fn check(&self, lease: Duration) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut ledgers: HashMap<Key, Ledger> = HashMap::new();
        let mut beats: HashMap<WorkerId, Duration> = HashMap::new();
        for write in self.0.lock().iter() {
            if let Some((worker, OfWorker::Beat)) = write.key.of_worker() {
                beats.insert(worker, write.at);
                continue;
            }
            if !matches!(write.key.of_part(), Some((_, OfPart::Ledger))) {
                continue;
            }
            let (ledger, _) =
                envelope::decode::<Ledger>(Kind::Ledger, &write.key, &write.body).unwrap();
            if let Some(before) = ledgers.get(&write.key) {
                for (place, (old, new)) in before.tasks.iter().zip(&ledger.tasks).enumerate() {
                    if let Some(what) = broken_rule(old, new, write.at, lease, &beats) {
                        let text = format!("{:?} {}[{place}]: {what}", write.at, write.key);
                        violations.push(Violation(text));
                    }
                }
            }
            ledgers.insert(write.key.clone(), ledger);
        }
        violations
    }
}

fn broken_rule(
    old: &TaskState,
    new: &TaskState,
    at: Duration,
    lease: Duration,
    beats: &HashMap<WorkerId, Duration>,
) -> Option<String> {
    if old == new {
        return None;
    }
    match (old, new) {
        (TaskState::Ended(_), _) => Some(format!("an ended task changed to {new:?}")),
        (TaskState::Pending(_), TaskState::Ended(_)) => Some("ended without a claim".into()),
        (TaskState::Pending(a), TaskState::Claimed { history: b, .. }) => {
            (b.attempt != a.attempt + 1).then(|| "a claim did not count".into())
        }
        (TaskState::Claimed { worker, history }, TaskState::Ended(e)) => {
            let by_holder = e.worker.as_ref() == Some(worker) && e.attempt == history.attempt;
            let struck = matches!(e.ending, Ending::Broken { .. });
            (!by_holder && !struck).then(|| "ended by somebody who did not hold it".into())
        }
        (TaskState::Claimed { worker, history }, TaskState::Pending(next)) => {
            let taken_back = next.strikes > history.strikes
                && next.last_loss.as_deref().is_some_and(|why| why.contains("stopped answering"));
            let silent = at.saturating_sub(beats.get(worker).copied().unwrap_or_default());
            (taken_back && silent < lease)
                .then(|| format!("{worker} was silent for {silent:?} only"))
        }
        (TaskState::Claimed { worker: a, .. }, TaskState::Claimed { worker: b, .. }) => {
            (a != b).then(|| "a claim changed hands in one step".into())
        }
        (TaskState::Pending(_), TaskState::Pending(_) | TaskState::Cancelled(_))
        | (TaskState::Claimed { .. }, TaskState::Cancelled(_))
        | (TaskState::Cancelled(_), _) => None,
    }
}

#[async_trait]
impl Store for History {
    async fn get(&self, key: &Key) -> Result<Object, StoreError> {
        self.inner.get(key).await
    }
    async fn get_if_changed(&self, key: &Key, seen: &ETag) -> Result<Option<Object>, StoreError> {
        self.inner.get_if_changed(key, seen).await
    }
    async fn head(&self, key: &Key) -> Result<Option<ETag>, StoreError> {
        self.inner.head(key).await
    }
    async fn create(&self, key: &Key, body: Bytes) -> Result<ETag, StoreError> {
        let etag = self.inner.create(key, body.clone()).await?;
        self.record(key, &body);
        Ok(etag)
    }
    async fn replace(&self, key: &Key, body: Bytes, seen: &ETag) -> Result<ETag, StoreError> {
        let etag = self.inner.replace(key, body.clone(), seen).await?;
        self.record(key, &body);
        Ok(etag)
    }
    async fn list(&self, prefix: &Key, after: Option<&Key>) -> Result<Vec<Entry>, StoreError> {
        self.inner.list(prefix, after).await
    }
    async fn children(&self, prefix: &Key) -> Result<Vec<String>, StoreError> {
        self.inner.children(prefix).await
    }
    async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.inner.delete(key).await
    }
}
