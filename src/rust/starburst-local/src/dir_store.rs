//! A directory as the store. Any number of processes, on one machine or on a shared POSIX file system
//! with working `flock`, use it at once.
use crate::dir_files as files;
use async_trait::async_trait;
use bytes::Bytes;
use starburst_core::{
    envelope::Worth,
    ids::Ids,
    key::Key,
    store::{ETag, Entry, Object, Store, StoreError},
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What a write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The end of any process: enough for a session that ends with its R.
    Process,
    /// A crash of the machine too: data and directory are synced before a write returns.
    Machine,
}

/// A store in a directory.
#[derive(Debug, Clone)]
pub struct DirStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    access: files::Access,
    ids: Arc<dyn Ids>,
    durability: Durability,
}

impl DirStore {
    /// Opens a directory, and makes it where there is none.
    ///
    /// # Errors
    /// What the system said when it cannot be made or written to.
    pub fn open(root: PathBuf, ids: Arc<dyn Ids>, durability: Durability) -> io::Result<Self> {
        let access = files::prepare(&root)?;
        let store = Self(Arc::new(Inner { root, access, ids, durability }));
        store.try_writing()?;
        Ok(store)
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// Finds out now, rather than at the first task, whether the directory takes files.
    fn try_writing(&self) -> io::Result<()> {
        let probe = self.0.root.join("tmp").join(format!("probe-{:016x}", self.0.ids.random()));
        std::fs::write(&probe, b"probe")?;
        std::fs::remove_file(probe)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> T + Send + 'static,
    ) -> Result<T, io::Error> {
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&inner)).await.map_err(io::Error::other)
    }
}

impl Inner {
    fn put(&self, key: &Key, body: &[u8], seen: Option<&ETag>) -> Result<ETag, StoreError> {
        let failed = |e| failure("write", key, e);
        let _lock = files::lock(&self.root, self.access, key).map_err(failed)?;
        let there = match files::version(&files::path(&self.root, key)) {
            Ok(etag) => Some(etag),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(failed(e)),
        };
        match seen {
            None if there.is_some() => return Err(StoreError::AlreadyExists { key: key.clone() }),
            Some(seen) if there.as_ref() != Some(seen) => {
                return Err(StoreError::VersionMismatch { key: key.clone() });
            }
            None | Some(_) => {}
        }
        let version = (u128::from(self.ids.random()) << 64) | u128::from(self.ids.random());
        let sync = self.durability == Durability::Machine;
        files::write(&self.root, self.access, key, body, version, sync).map_err(failed)
    }

    fn remove(&self, key: &Key) -> io::Result<()> {
        let _lock = files::lock(&self.root, self.access, key)?;
        files::remove(&self.root, key)
    }

    fn list(&self, prefix: &Key, after: Option<&Key>) -> io::Result<Vec<Entry>> {
        let mut found = Vec::new();
        files::walk(&self.root, &files::path(&self.root, prefix), after, &mut found)?;
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }
}

#[allow(clippy::wildcard_enum_match_arm)] // the system's errors are many, and more may come
fn failure(operation: &'static str, key: &Key, error: io::Error) -> StoreError {
    let key = key.clone();
    match error.kind() {
        io::ErrorKind::NotFound => StoreError::NotFound { key },
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StoreError::Denied { operation, key, source: error.into() }
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StoreError::Full { key, source: error.into() }
        }
        _ => StoreError::Unavailable { operation, key, source: error.into() },
    }
}

#[async_trait]
impl Store for DirStore {
    async fn get(&self, key: &Key) -> Result<Object, StoreError> {
        let named = key.clone();
        let read = self.blocking(move |inner| files::read(&inner.root, &named)).await;
        read.flatten().map_err(|e| failure("read", key, e))
    }

    async fn get_if_changed(&self, key: &Key, seen: &ETag) -> Result<Option<Object>, StoreError> {
        let (named, seen) = (key.clone(), seen.clone());
        let read = self.blocking(move |inner| {
            if files::version(&files::path(&inner.root, &named))? == seen {
                return Ok(None);
            }
            files::read(&inner.root, &named).map(Some)
        });
        read.await.flatten().map_err(|e| failure("read", key, e))
    }

    async fn head(&self, key: &Key) -> Result<Option<ETag>, StoreError> {
        let named = key.clone();
        let read = self.blocking(move |inner| files::version(&files::path(&inner.root, &named)));
        match read.await.flatten() {
            Ok(etag) => Ok(Some(etag)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failure("read", key, e)),
        }
    }

    async fn create(&self, key: &Key, body: Bytes) -> Result<ETag, StoreError> {
        let named = key.clone();
        let put = self.blocking(move |inner| inner.put(&named, &body, None)).await;
        put.map_err(|e| failure("write", key, e))?
    }

    async fn replace(&self, key: &Key, body: Bytes, seen: &ETag) -> Result<ETag, StoreError> {
        let (named, seen) = (key.clone(), seen.clone());
        let put = self.blocking(move |inner| inner.put(&named, &body, Some(&seen))).await;
        put.map_err(|e| failure("write", key, e))?
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>) -> Result<Vec<Entry>, StoreError> {
        let (named, after) = (prefix.clone(), after.cloned());
        let listed = self.blocking(move |inner| inner.list(&named, after.as_ref())).await;
        listed.flatten().map_err(|e| failure("list", prefix, e))
    }

    async fn children(&self, prefix: &Key) -> Result<Vec<String>, StoreError> {
        let named = prefix.clone();
        let listed =
            self.blocking(move |inner| files::children(&files::path(&inner.root, &named))).await;
        listed.flatten().map_err(|e| failure("list", prefix, e))
    }

    async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        let named = key.clone();
        let deleted = self.blocking(move |inner| inner.remove(&named)).await;
        deleted.flatten().map_err(|e| failure("delete", key, e))
    }

    fn worth_compressing(&self) -> Worth {
        Worth::Half
    }
}
