//! The store in memory: one map behind one lock.
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use starburst_core::{
    key::Key,
    store::{ETag, Entry, Object, Store, StoreError},
};
use std::{collections::BTreeMap, collections::BTreeSet, ops::Bound};

/// A store that lives as long as the value.
#[derive(Debug, Default)]
pub struct MemStore(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    objects: BTreeMap<Key, Object>,
    writes: u64,
}

impl Inner {
    fn write(&mut self, key: &Key, body: Bytes) -> ETag {
        self.writes += 1;
        let etag = ETag(format!("m{}", self.writes));
        self.objects.insert(key.clone(), Object { body, etag: etag.clone() });
        etag
    }
}

impl MemStore {
    /// Every key there is.
    pub fn keys(&self) -> Vec<Key> {
        self.0.lock().objects.keys().cloned().collect()
    }

    /// Overwrites an object, as damage or another version would.
    pub fn damage(&self, key: &Key, body: impl Into<Bytes>) {
        self.0.lock().write(key, body.into());
    }
}

#[async_trait]
impl Store for MemStore {
    async fn get(&self, key: &Key) -> Result<Object, StoreError> {
        let found = self.0.lock().objects.get(key).cloned();
        found.ok_or_else(|| StoreError::NotFound { key: key.clone() })
    }

    async fn get_if_changed(&self, key: &Key, seen: &ETag) -> Result<Option<Object>, StoreError> {
        Ok(Some(self.get(key).await?).filter(|object| object.etag != *seen))
    }

    async fn head(&self, key: &Key) -> Result<Option<ETag>, StoreError> {
        Ok(self.0.lock().objects.get(key).map(|object| object.etag.clone()))
    }

    async fn create(&self, key: &Key, body: Bytes) -> Result<ETag, StoreError> {
        let mut inner = self.0.lock();
        if inner.objects.contains_key(key) {
            return Err(StoreError::AlreadyExists { key: key.clone() });
        }
        Ok(inner.write(key, body))
    }

    async fn replace(&self, key: &Key, body: Bytes, seen: &ETag) -> Result<ETag, StoreError> {
        let mut inner = self.0.lock();
        match inner.objects.get(key) {
            Some(object) if object.etag == *seen => Ok(inner.write(key, body)),
            Some(_) | None => Err(StoreError::VersionMismatch { key: key.clone() }),
        }
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>) -> Result<Vec<Entry>, StoreError> {
        let inner = self.0.lock();
        let below = format!("{prefix}/");
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = inner.objects.range::<Key, _>((from, Bound::Unbounded));
        let ours = rows.filter(|(key, _)| key.as_str().starts_with(&below));
        let entry = |(key, object): (&Key, &Object)| Entry {
            key: key.clone(),
            etag: object.etag.clone(),
            size: object.body.len() as u64,
            modified: None,
        };
        Ok(ours.map(entry).collect())
    }

    async fn children(&self, prefix: &Key) -> Result<Vec<String>, StoreError> {
        let inner = self.0.lock();
        let below = format!("{prefix}/");
        let next = |key: &Key| {
            let rest = key.as_str().strip_prefix(&below)?;
            rest.split('/').next().map(ToOwned::to_owned)
        };
        Ok(inner.objects.keys().filter_map(next).collect::<BTreeSet<_>>().into_iter().collect())
    }

    async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.0.lock().objects.remove(key);
        Ok(())
    }
}
