//! A store that tries again what may pass, and asks less at once when it is told to slow down.
//!
//! 1. No more than a limit of calls is on the way; the others wait their turn.
//! 2. A call that failed for a passing reason is made again, after a wait that doubles and is spread.
//! 3. "Slow down", and a write without an answer, halve the limit; as many successes as the limit raise it by one again.
//! 4. A write without an answer is made again too. It may then meet its own first success as a lost
//!    race, which callers settle by the nonce in the body (clause 5 of the store's contract).
use crate::{
    clock::{Clock, Monotonic},
    envelope::Worth,
    ids::Ids,
    key::Key,
    pace::Backoff,
    store::{ETag, Entry, Object, Requests, Store, StoreError},
};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::sync::Notify;

/// How a [`RetryStore`] behaves.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Calls on the way at once, at most.
    pub in_flight: usize,
    /// The first wait before a call is made again.
    pub wait_min: Duration,
    /// The longest such wait.
    pub wait_max: Duration,
    /// No try begins later than this after the first failure.
    pub give_up: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            in_flight: 96,
            wait_min: Duration::from_millis(50),
            wait_max: Duration::from_secs(5),
            give_up: Duration::from_secs(20),
        }
    }
}

/// Wraps a store that makes one try for each call.
#[derive(Debug)]
pub struct RetryStore {
    inner: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    policy: RetryPolicy,
    flow: Mutex<Flow>,
    free: Notify,
}

/// How many calls may be on the way, by what the store answered.
#[derive(Debug)]
struct Flow {
    limit: usize,
    most: usize,
    on_the_way: usize,
    /// Successes since the limit changed last.
    successes: usize,
}

impl Flow {
    fn new(most: usize) -> Self {
        Self { limit: most.max(1), most: most.max(1), on_the_way: 0, successes: 0 }
    }
    fn enter(&mut self) -> bool {
        let room = self.on_the_way < self.limit;
        if room {
            self.on_the_way += 1;
        }
        room
    }
    fn leave(&mut self) {
        self.on_the_way = self.on_the_way.saturating_sub(1);
    }
    fn slower(&mut self) {
        // All that were sent before the last change say the same: they count once.
        if self.successes > 0 || self.limit == self.most {
            self.limit = (self.limit / 2).max(1);
            self.successes = 0;
        }
    }
    fn well(&mut self) {
        self.successes += 1;
        if self.limit < self.most && self.successes >= self.limit {
            self.limit += 1;
            self.successes = 0;
        }
    }
}

/// A place among the calls on the way; given back when dropped.
struct Place<'a>(&'a RetryStore);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.flow.lock().leave();
        self.0.free.notify_one();
    }
}

impl RetryStore {
    /// Wraps a store.
    pub fn new(
        inner: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        policy: RetryPolicy,
    ) -> Self {
        let flow = Mutex::new(Flow::new(policy.in_flight));
        Self { inner, clock, ids, policy, flow, free: Notify::new() }
    }

    /// Calls that may be on the way at once now.
    pub fn limit(&self) -> usize {
        self.flow.lock().limit
    }

    async fn place(&self) -> Place<'_> {
        loop {
            let freed = self.free.notified();
            if self.flow.lock().enter() {
                return Place(self);
            }
            freed.await;
        }
    }

    async fn tried<T, F>(&self, call: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut backoff = Backoff::new(self.policy.wait_min, self.policy.wait_max);
        let mut began: Option<Monotonic> = None;
        let mut unanswered = None;
        loop {
            let answer = {
                let _place = self.place().await;
                call().await
            };
            let error = match answer {
                Ok(done) => {
                    self.flow.lock().well();
                    self.free.notify_one();
                    return Ok(done);
                }
                Err(error) => error,
            };
            // A line that is too slow for what is on its way leaves writes without an answer.
            if matches!(error, StoreError::SlowDown { .. } | StoreError::Unanswered { .. }) {
                self.flow.lock().slower();
            }
            if !passes(&error) {
                // A lost race is settled by the nonce; any other refusal does not take back what an earlier
                // try may have done.
                let race = matches!(
                    error,
                    StoreError::AlreadyExists { .. } | StoreError::VersionMismatch { .. }
                );
                return Err(if race { error } else { unanswered.unwrap_or(error) });
            }
            let now = self.clock.now();
            let wait = backoff.step(self.ids.random());
            if now.since(*began.get_or_insert(now)) + wait > self.policy.give_up {
                // A try that got no answer may have been applied: a later refusal does not take that back.
                return Err(unanswered.unwrap_or(error));
            }
            if matches!(error, StoreError::Unanswered { .. }) {
                unanswered = Some(error);
            }
            self.clock.sleep(wait).await;
        }
    }
}

/// Whether the same call may succeed a moment later.
fn passes(error: &StoreError) -> bool {
    match error {
        StoreError::Unanswered { .. }
        | StoreError::SlowDown { .. }
        | StoreError::Unavailable { .. } => true,
        StoreError::NotFound { .. }
        | StoreError::AlreadyExists { .. }
        | StoreError::VersionMismatch { .. }
        | StoreError::Denied { .. }
        | StoreError::Unauthenticated { .. }
        | StoreError::Misplaced { .. }
        | StoreError::Full { .. } => false,
    }
}

#[async_trait]
impl Store for RetryStore {
    async fn get(&self, key: &Key) -> Result<Object, StoreError> {
        self.tried(|| self.inner.get(key)).await
    }
    async fn get_if_changed(&self, key: &Key, seen: &ETag) -> Result<Option<Object>, StoreError> {
        self.tried(|| self.inner.get_if_changed(key, seen)).await
    }
    async fn head(&self, key: &Key) -> Result<Option<ETag>, StoreError> {
        self.tried(|| self.inner.head(key)).await
    }
    async fn create(&self, key: &Key, body: Bytes) -> Result<ETag, StoreError> {
        self.tried(|| self.inner.create(key, body.clone())).await
    }
    async fn replace(&self, key: &Key, body: Bytes, seen: &ETag) -> Result<ETag, StoreError> {
        self.tried(|| self.inner.replace(key, body.clone(), seen)).await
    }
    async fn list(&self, prefix: &Key, after: Option<&Key>) -> Result<Vec<Entry>, StoreError> {
        self.tried(|| self.inner.list(prefix, after)).await
    }
    async fn children(&self, prefix: &Key) -> Result<Vec<String>, StoreError> {
        self.tried(|| self.inner.children(prefix)).await
    }
    async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.tried(|| self.inner.delete(key)).await
    }
    fn requests(&self) -> Requests {
        self.inner.requests()
    }
    fn worth_compressing(&self) -> Worth {
        self.inner.worth_compressing()
    }
}
