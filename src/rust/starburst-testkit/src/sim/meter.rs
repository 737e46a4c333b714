//! A store with S3's latency and limits that counts requests as S3 bills them.
use crate::{ManualClock, MemStore, SeededIds};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use starburst_core::{
    clock::Clock,
    key::Key,
    store::{ETag, Entry, Object, Store, StoreError},
};
use std::{sync::Arc, time::Duration};

/// Keys on one page of a listing (AWS, November 2026).
const PAGE: usize = 1_000;
/// Writes and reads a second that a fresh bucket takes (AWS, November 2026).
const WRITES_PER_S: f64 = 3_500.0;
const READS_PER_S: f64 = 5_500.0;
/// US dollars for one PUT or LIST, and for one GET or HEAD, us-east-1 (AWS, November 2026). DELETE is free.
const USD_WRITE: f64 = 0.005 / 1e3;
const USD_READ: f64 = 0.0004 / 1e3;

/// Requests by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    /// PUT.
    pub put: u64,
    /// GET, answered or not modified.
    pub get: u64,
    /// HEAD.
    pub head: u64,
    /// Pages of listings.
    pub list: u64,
    /// DELETE.
    pub delete: u64,
    /// Of all of them, those that were told to slow down.
    pub slowed: u64,
}

impl Requests {
    /// All of them.
    pub fn all(&self) -> u64 {
        self.put + self.get + self.head + self.list + self.delete
    }
    /// What S3 charges for them, in US dollars.
    pub fn usd(&self) -> f64 {
        (self.put + self.list) as f64 * USD_WRITE + (self.get + self.head) as f64 * USD_READ
    }
}

/// The store.
#[derive(Debug)]
pub(super) struct MeteredStore {
    objects: MemStore,
    clock: Arc<ManualClock>,
    dice: SeededIds,
    /// Half of a round trip takes between half of this and one and a half.
    half_trip_ms: u64,
    meter: Mutex<Meter>,
}

#[derive(Debug, Default)]
struct Meter {
    requests: Requests,
    writes: Bucket,
    reads: Bucket,
}

/// A token bucket that holds one second's requests.
#[derive(Debug, Default)]
struct Bucket {
    used: f64,
    at: Duration,
}

impl Bucket {
    fn takes(&mut self, now: Duration, per_s: f64) -> bool {
        let gone = now.saturating_sub(self.at).as_secs_f64() * per_s;
        (self.used, self.at) = ((self.used - gone).max(0.0), now);
        let room = self.used + 1.0 <= per_s;
        if room {
            self.used += 1.0;
        }
        room
    }
}

impl MeteredStore {
    pub(super) fn new(seed: u64, round_trip_ms: u64, clock: Arc<ManualClock>) -> Self {
        Self {
            objects: MemStore::default(),
            clock,
            dice: SeededIds::new(seed),
            half_trip_ms: round_trip_ms / 2,
            meter: Mutex::default(),
        }
    }

    pub(super) fn requests(&self) -> Requests {
        self.meter.lock().requests
    }

    async fn travel(&self) {
        let ms = self.half_trip_ms / 2 + self.dice.below(self.half_trip_ms.max(1));
        self.clock.sleep(Duration::from_millis(ms)).await;
    }

    async fn served<T>(
        &self,
        operation: &'static str,
        key: &Key,
        count: impl Fn(&mut Requests),
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.travel().await;
        let room = {
            let mut meter = self.meter.lock();
            count(&mut meter.requests);
            let now = self.clock.now().0;
            let room = match operation {
                "write" | "delete" => meter.writes.takes(now, WRITES_PER_S),
                _ => meter.reads.takes(now, READS_PER_S),
            };
            meter.requests.slowed += u64::from(!room);
            room
        };
        let answer = if room {
            answer.await
        } else {
            Err(StoreError::SlowDown { operation, key: key.clone(), source: "slow down".into() })
        };
        self.travel().await;
        answer
    }

    fn more_pages(&self, rows: usize) {
        self.meter.lock().requests.list += (rows.saturating_sub(1) / PAGE) as u64;
    }
}

#[async_trait]
impl Store for MeteredStore {
    async fn get(&self, key: &Key) -> Result<Object, StoreError> {
        self.served("read", key, |r| r.get += 1, self.objects.get(key)).await
    }
    async fn get_if_changed(&self, key: &Key, seen: &ETag) -> Result<Option<Object>, StoreError> {
        self.served("read", key, |r| r.get += 1, self.objects.get_if_changed(key, seen)).await
    }
    async fn head(&self, key: &Key) -> Result<Option<ETag>, StoreError> {
        self.served("read", key, |r| r.head += 1, self.objects.head(key)).await
    }
    async fn create(&self, key: &Key, body: Bytes) -> Result<ETag, StoreError> {
        self.served("write", key, |r| r.put += 1, self.objects.create(key, body)).await
    }
    async fn replace(&self, key: &Key, body: Bytes, seen: &ETag) -> Result<ETag, StoreError> {
        self.served("write", key, |r| r.put += 1, self.objects.replace(key, body, seen)).await
    }
    async fn list(&self, prefix: &Key, after: Option<&Key>) -> Result<Vec<Entry>, StoreError> {
        let list = self.objects.list(prefix, after);
        let rows = self.served("list", prefix, |r| r.list += 1, list).await?;
        self.more_pages(rows.len());
        Ok(rows)
    }
    async fn children(&self, prefix: &Key) -> Result<Vec<String>, StoreError> {
        let list = self.objects.children(prefix);
        let rows = self.served("list", prefix, |r| r.list += 1, list).await?;
        self.more_pages(rows.len());
        Ok(rows)
    }
    async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.served("delete", key, |r| r.delete += 1, self.objects.delete(key)).await
    }
}
