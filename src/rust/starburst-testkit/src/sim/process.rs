//! A simulated process: it may stand still, lose the network, or be dead.
use super::store::SimStore;
use crate::ManualClock;
use async_trait::async_trait;
use bytes::Bytes;
use starburst_core::{
    clock::Clock,
    key::Key,
    store::{ETag, Entry, Object, Store, StoreError},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

/// What a process can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    Runs = 0,
    /// Nothing goes on, until it does again.
    StandsStill = 1,
    /// It runs, and reaches nobody.
    Cut = 2,
    /// It never comes back.
    Dead = 3,
}

/// A process's power switch. Looked at in turns: waking all who wait would be in no fixed order.
#[derive(Debug, Clone, Default)]
pub(super) struct Switch(Arc<AtomicU8>);

impl Switch {
    pub(super) fn set(&self, power: Power) {
        if self.get() != Power::Dead {
            self.0.store(power as u8, Ordering::Relaxed);
        }
    }
    pub(super) fn get(&self) -> Power {
        match self.0.load(Ordering::Relaxed) {
            0 => Power::Runs,
            1 => Power::StandsStill,
            2 => Power::Cut,
            _ => Power::Dead,
        }
    }
}

/// The store as one process reaches it.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) store: Arc<SimStore>,
    pub(super) switch: Switch,
    pub(super) clock: Arc<ManualClock>,
}

impl Reached {
    /// Waits until the process goes on; `false` when it reaches nobody.
    async fn pass(&self) -> bool {
        loop {
            match self.switch.get() {
                Power::Runs => return true,
                Power::StandsStill => self.clock.sleep(Duration::from_millis(500)).await,
                Power::Cut => {
                    self.clock.sleep(Duration::from_millis(700)).await;
                    return false;
                }
                Power::Dead => std::future::pending().await,
            }
        }
    }

    async fn reach<T>(
        &self,
        operation: &'static str,
        key: &Key,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        if !self.pass().await {
            let source = "no route to host".into();
            return Err(StoreError::Unavailable { operation, key: key.clone(), source });
        }
        let answer = call.await;
        // The answer comes to a process that may stand still or be dead by now.
        while matches!(self.switch.get(), Power::StandsStill | Power::Dead) {
            self.pass().await;
        }
        answer
    }
}

#[async_trait]
impl Store for Reached {
    async fn get(&self, key: &Key) -> Result<Object, StoreError> {
        self.reach("read", key, self.store.get(key)).await
    }
    async fn get_if_changed(&self, key: &Key, seen: &ETag) -> Result<Option<Object>, StoreError> {
        self.reach("read", key, self.store.get_if_changed(key, seen)).await
    }
    async fn head(&self, key: &Key) -> Result<Option<ETag>, StoreError> {
        self.reach("read", key, self.store.head(key)).await
    }
    async fn create(&self, key: &Key, body: Bytes) -> Result<ETag, StoreError> {
        self.reach("write", key, self.store.create(key, body)).await
    }
    async fn replace(&self, key: &Key, body: Bytes, seen: &ETag) -> Result<ETag, StoreError> {
        self.reach("write", key, self.store.replace(key, body, seen)).await
    }
    async fn list(&self, prefix: &Key, after: Option<&Key>) -> Result<Vec<Entry>, StoreError> {
        self.reach("list", prefix, self.store.list(prefix, after)).await
    }
    async fn children(&self, prefix: &Key) -> Result<Vec<String>, StoreError> {
        self.reach("list", prefix, self.store.children(prefix)).await
    }
    async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.reach("delete", key, self.store.delete(key)).await
    }
}
