//! A store across a network: each call takes its time, so that callers meet between a read and a write.
use async_trait::async_trait;
use bytes::Bytes;
use starburst_core::{
    clock::Clock,
    ids::Ids,
    key::Key,
    store::{ETag, Entry, Object, Store, StoreError},
};
use std::{sync::Arc, time::Duration};

#[derive(Debug)]
pub(crate) struct Late<S> {
    pub(crate) inner: S,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dice: Arc<dyn Ids>,
    /// The longest that a request, or its answer, is on its way.
    pub(crate) most: Duration,
}

impl<S> Late<S> {
    async fn on_its_way(&self) {
        let share = u32::try_from(self.dice.random() % 1_024).unwrap_or(0);
        self.clock.sleep(self.most * share / 1_024).await;
    }
}

#[async_trait]
impl<S: Store> Store for Late<S> {
    async fn get(&self, key: &Key) -> Result<Object, StoreError> {
        self.on_its_way().await;
        let answer = self.inner.get(key).await;
        self.on_its_way().await;
        answer
    }
    async fn get_if_changed(&self, key: &Key, seen: &ETag) -> Result<Option<Object>, StoreError> {
        self.on_its_way().await;
        self.inner.get_if_changed(key, seen).await
    }
    async fn head(&self, key: &Key) -> Result<Option<ETag>, StoreError> {
        self.on_its_way().await;
        self.inner.head(key).await
    }
    async fn create(&self, key: &Key, body: Bytes) -> Result<ETag, StoreError> {
        self.on_its_way().await;
        let answer = self.inner.create(key, body).await;
        self.on_its_way().await;
        answer
    }
    async fn replace(&self, key: &Key, body: Bytes, seen: &ETag) -> Result<ETag, StoreError> {
        self.on_its_way().await;
        let answer = self.inner.replace(key, body, seen).await;
        self.on_its_way().await;
        answer
    }
    async fn list(&self, prefix: &Key, after: Option<&Key>) -> Result<Vec<Entry>, StoreError> {
        self.on_its_way().await;
        self.inner.list(prefix, after).await
    }
    async fn children(&self, prefix: &Key) -> Result<Vec<String>, StoreError> {
        self.on_its_way().await;
        self.inner.children(prefix).await
    }
    async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.on_its_way().await;
        self.inner.delete(key).await
    }
}
