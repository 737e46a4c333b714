//! The simulated store: one map, reached over a network with latency, by requests that fail as S3's do.
use super::{
    history::{Event, Log},
    weather::Weather,
};
use crate::{ManualClock, MemStore, SeededIds};
use async_trait::async_trait;
use bytes::Bytes;
use starburst_core::{
    clock::Clock,
    key::Key,
    store::{ETag, Entry, Object, Store, StoreError},
};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// The store that all processes share.
#[derive(Debug)]
pub(super) struct SimStore {
    pub(super) objects: Arc<MemStore>,
    pub(super) log: Arc<Log>,
    pub(super) clock: Arc<ManualClock>,
    dice: SeededIds,
    weather: Weather,
    calm: AtomicBool,
    /// Nobody reaches it before this, in milliseconds since the start.
    down_until: AtomicU64,
    requests: AtomicU64,
}

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    /// Not done, and said so.
    Refused,
    /// Done, and not answered.
    AnswerLost,
    /// Not done, and not answered.
    RequestLost,
    /// Not answered, and done later.
    Late,
}

enum Condition {
    Absent,
    At(ETag),
}

impl SimStore {
    pub(super) fn new(seed: u64, weather: Weather, clock: Arc<ManualClock>) -> Self {
        Self {
            objects: Arc::default(),
            log: Arc::default(),
            clock,
            dice: SeededIds::new(seed ^ 0x0005_104e),
            weather,
            calm: AtomicBool::new(false),
            down_until: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        }
    }

    /// From now on nothing fails.
    pub(super) fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    /// Nobody reaches it for so long.
    pub(super) fn go_down(&self, time: Duration) {
        let until = self.clock.now().0 + time;
        self.down_until.store(until.as_millis() as u64, Ordering::Relaxed);
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    fn one_in(&self, n: u64) -> bool {
        n > 0 && self.dice.one_in(n)
    }

    fn fate(&self, writes: bool) -> Fate {
        let _ = self.requests.fetch_add(1, Ordering::Relaxed);
        if self.calm.load(Ordering::Relaxed) {
            return Fate::Answered;
        }
        let down = self.down_until.load(Ordering::Relaxed) > self.clock.now().0.as_millis() as u64;
        if down || self.one_in(self.weather.refuse) {
            return Fate::Refused;
        }
        if !writes || !self.one_in(self.weather.lose_answer) {
            return Fate::Answered;
        }
        if self.one_in(self.weather.late) {
            return Fate::Late;
        }
        if self.dice.one_in(2) { Fate::AnswerLost } else { Fate::RequestLost }
    }

    /// Half of a round trip: mostly short, at times long.
    async fn travel(&self) {
        let ms = if self.dice.one_in(40) { 2_000 } else { 60 };
        self.clock.sleep(Duration::from_millis(5 + self.dice.below(ms))).await;
    }

    async fn read<T>(
        &self,
        operation: &'static str,
        key: &Key,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let fate = self.fate(false);
        self.travel().await;
        if fate != Fate::Answered {
            let source = "refused".into();
            return Err(StoreError::Unavailable { operation, key: key.clone(), source });
        }
        let answer = answer.await;
        self.travel().await;
        answer
    }

    async fn write(
        &self,
        key: &Key,
        body: Bytes,
        condition: Condition,
    ) -> Result<ETag, StoreError> {
        let fate = self.fate(true);
        self.travel().await;
        let unanswered =
            || Err(StoreError::Unanswered { key: key.clone(), source: "no answer".into() });
        match fate {
            Fate::Answered => {
                let answer =
                    apply(&self.objects, &self.log, &self.clock, key, body, &condition).await;
                self.travel().await;
                answer
            }
            Fate::Refused => {
                let (operation, source) = ("write", "refused".into());
                Err(StoreError::Unavailable { operation, key: key.clone(), source })
            }
            Fate::AnswerLost => {
                self.note(key, "its answer is lost");
                let _ = apply(&self.objects, &self.log, &self.clock, key, body, &condition).await;
                unanswered()
            }
            Fate::RequestLost => {
                self.note(key, "the request is lost");
                unanswered()
            }
            Fate::Late => {
                self.note(key, "its answer is lost, and it comes late");
                let (objects, log) = (Arc::clone(&self.objects), Arc::clone(&self.log));
                let (clock, key) = (Arc::clone(&self.clock), key.clone());
                let late = Duration::from_millis(500 + self.dice.below(20_000));
                tokio::spawn(async move {
                    clock.sleep(late).await;
                    let _ = apply(&objects, &log, &clock, &key, body, &condition).await;
                });
                unanswered()
            }
        }
    }

    async fn names(&self, prefix: &Key, after: Option<&Key>) -> BTreeSet<Key> {
        let listed = self.objects.list(prefix, after).await.unwrap_or_default();
        listed.into_iter().map(|entry| entry.key).collect()
    }

    fn note(&self, key: &Key, what: &str) {
        let at = self.clock.now().0;
        self.log.add(Event::Note { at, text: format!("a write to {key}: {what}") });
    }
}

/// Does a write, and records it when it was done.
async fn apply(
    objects: &MemStore,
    log: &Log,
    clock: &ManualClock,
    key: &Key,
    body: Bytes,
    condition: &Condition,
) -> Result<ETag, StoreError> {
    let done = match condition {
        Condition::Absent => objects.create(key, body.clone()).await?,
        Condition::At(etag) => objects.replace(key, body.clone(), etag).await?,
    };
    log.wrote(clock.now().0, key, body);
    Ok(done)
}

#[async_trait]
impl Store for SimStore {
    async fn get(&self, key: &Key) -> Result<Object, StoreError> {
        self.read("read", key, self.objects.get(key)).await
    }
    async fn get_if_changed(&self, key: &Key, seen: &ETag) -> Result<Option<Object>, StoreError> {
        self.read("read", key, self.objects.get_if_changed(key, seen)).await
    }
    async fn head(&self, key: &Key) -> Result<Option<ETag>, StoreError> {
        self.read("read", key, self.objects.head(key)).await
    }
    async fn create(&self, key: &Key, body: Bytes) -> Result<ETag, StoreError> {
        self.write(key, body, Condition::Absent).await
    }
    async fn replace(&self, key: &Key, body: Bytes, seen: &ETag) -> Result<ETag, StoreError> {
        self.write(key, body, Condition::At(seen.clone())).await
    }
    async fn list(&self, prefix: &Key, after: Option<&Key>) -> Result<Vec<Entry>, StoreError> {
        if !self.weather.partial {
            return self.read("list", prefix, self.objects.list(prefix, after)).await;
        }
        let before: BTreeSet<Key> = self.names(prefix, after).await;
        let mut listed = self.read("list", prefix, self.objects.list(prefix, after)).await?;
        // What was created since the call began is there, or is not.
        listed.retain(|entry| before.contains(&entry.key) || self.dice.one_in(2));
        Ok(listed)
    }
    async fn children(&self, prefix: &Key) -> Result<Vec<String>, StoreError> {
        self.read("list", prefix, self.objects.children(prefix)).await
    }
    async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        let delete = async {
            self.objects.delete(key).await?;
            self.log.add(Event::Delete { at: self.clock.now().0, key: key.clone() });
            Ok(())
        };
        self.read("delete", key, delete).await
    }
}
