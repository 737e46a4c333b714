//! A store that fails on demand: refuses, loses answers after the effect, is slow.
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use starburst_core::{
    key::Key,
    store::{ETag, Entry, Object, Store, StoreError},
};

/// A call of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `get`, `get_if_changed`, `head`.
    Read,
    /// `create`, `replace`.
    Write,
    /// `list`, `children`.
    List,
    /// `delete`.
    Delete,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done and the caller is told so.
    Refuse,
    /// It is done, and the answer is lost. Reads just fail.
    LoseAnswer,
    /// It is not done, and there is no answer either. Reads just fail.
    LoseRequest,
    /// There is no room. Reads just fail.
    Full,
    /// Nothing is done, and fewer calls are asked for.
    SlowDown,
}

type Chooser = dyn Fn(Operation, &Key) -> Option<Fault> + Send + Sync;

/// Wraps a store; a function says what happens to each call.
pub struct FaultStore<S> {
    inner: S,
    choose: Box<Chooser>,
    calls: Mutex<u64>,
}

impl<S: std::fmt::Debug> std::fmt::Debug for FaultStore<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultStore").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S> FaultStore<S> {
    /// Faults as the function chooses.
    pub fn new(
        inner: S,
        choose: impl Fn(Operation, &Key) -> Option<Fault> + Send + Sync + 'static,
    ) -> Self {
        Self { inner, choose: Box::new(choose), calls: Mutex::new(0) }
    }

    /// Calls made so far.
    pub fn calls(&self) -> u64 {
        *self.calls.lock()
    }

    fn before(&self, operation: Operation, key: &Key) -> Result<Option<Fault>, StoreError> {
        *self.calls.lock() += 1;
        let fault = (self.choose)(operation, key);
        let key = key.clone();
        let source = "injected".into();
        match fault {
            Some(Fault::Refuse) => {
                Err(StoreError::Unavailable { operation: name(operation), key, source })
            }
            Some(Fault::SlowDown) => {
                Err(StoreError::SlowDown { operation: name(operation), key, source })
            }
            Some(Fault::Full) if operation == Operation::Write => {
                Err(StoreError::Full { key, source })
            }
            Some(Fault::LoseRequest) if operation == Operation::Write => {
                Err(StoreError::Unanswered { key, source })
            }
            Some(Fault::LoseAnswer | Fault::LoseRequest | Fault::Full)
                if operation != Operation::Write =>
            {
                Err(StoreError::Unavailable { operation: name(operation), key, source })
            }
            Some(Fault::LoseAnswer | Fault::LoseRequest | Fault::Full) | None => Ok(fault),
        }
    }
}

fn name(operation: Operation) -> &'static str {
    match operation {
        Operation::Read => "read",
        Operation::Write => "write",
        Operation::List => "list",
        Operation::Delete => "delete",
    }
}

fn after<T>(
    fault: Option<Fault>,
    key: &Key,
    answer: Result<T, StoreError>,
) -> Result<T, StoreError> {
    match (fault, &answer) {
        (Some(Fault::LoseAnswer), Ok(_)) => {
            Err(StoreError::Unanswered { key: key.clone(), source: "injected".into() })
        }
        _ => answer,
    }
}

#[async_trait]
impl<S: Store> Store for FaultStore<S> {
    async fn get(&self, key: &Key) -> Result<Object, StoreError> {
        self.before(Operation::Read, key)?;
        self.inner.get(key).await
    }
    async fn get_if_changed(&self, key: &Key, seen: &ETag) -> Result<Option<Object>, StoreError> {
        self.before(Operation::Read, key)?;
        self.inner.get_if_changed(key, seen).await
    }
    async fn head(&self, key: &Key) -> Result<Option<ETag>, StoreError> {
        self.before(Operation::Read, key)?;
        self.inner.head(key).await
    }
    async fn create(&self, key: &Key, body: Bytes) -> Result<ETag, StoreError> {
        let fault = self.before(Operation::Write, key)?;
        after(fault, key, self.inner.create(key, body).await)
    }
    async fn replace(&self, key: &Key, body: Bytes, seen: &ETag) -> Result<ETag, StoreError> {
        let fault = self.before(Operation::Write, key)?;
        after(fault, key, self.inner.replace(key, body, seen).await)
    }
    async fn list(&self, prefix: &Key, after: Option<&Key>) -> Result<Vec<Entry>, StoreError> {
        self.before(Operation::List, prefix)?;
        self.inner.list(prefix, after).await
    }
    async fn children(&self, prefix: &Key) -> Result<Vec<String>, StoreError> {
        self.before(Operation::List, prefix)?;
        self.inner.children(prefix).await
    }
    async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.before(Operation::Delete, key)?;
        self.inner.delete(key).await
    }
}
