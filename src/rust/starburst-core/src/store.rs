//! The store seam: bytes at keys, with compare-and-swap.
use crate::{clock::UnixMillis, envelope::Worth, key::Key};
use async_trait::async_trait;
use bytes::Bytes;

/// The version of an object, as its store names it. Opaque: compare, never parse.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ETag(pub String);

/// What is stored at a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The bytes, as they were written.
    pub body: Bytes,
    /// The version they were read at.
    pub etag: ETag,
}

/// One row of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The object's name.
    pub key: Key,
    /// Its version when it was listed.
    pub etag: ETag,
    /// Its size in bytes.
    pub size: u64,
    /// When it was written, where the store says so.
    pub modified: Option<UnixMillis>,
}

/// What a transport or file system said, kept as the cause.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What a service said, and what a user can do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{said}")]
pub struct Advised {
    /// The service's words, with the name of the thing they are about.
    pub said: String,
    /// The next step, as a sentence without a full stop.
    pub advice: String,
}

/// Why a store call failed, in terms its callers act on.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No object at this key.
    #[error("no object at `{key}`")]
    NotFound {
        /// The key asked for.
        key: Key,
    },
    /// A create lost: there is an object already.
    #[error("`{key}` exists already")]
    AlreadyExists {
        /// The key written to.
        key: Key,
    },
    /// A replace lost: the object changed since it was read, or is gone.
    #[error("`{key}` changed since it was read")]
    VersionMismatch {
        /// The key written to.
        key: Key,
    },
    /// The write may or may not have been applied; read back before acting.
    #[error("no answer for a write to `{key}`")]
    Unanswered {
        /// The key written to.
        key: Key,
        /// What the transport said.
        #[source]
        source: Cause,
    },
    /// The caller may not do this.
    #[error("not allowed to {operation} `{key}`")]
    Denied {
        /// What was tried: `read`, `write`, `list` or `delete`.
        operation: &'static str,
        /// The key it was tried on.
        key: Key,
        /// What the store said.
        #[source]
        source: Cause,
    },
    /// There is no room left.
    #[error("no space left to write `{key}`")]
    Full {
        /// The key written to.
        key: Key,
        /// What the store said.
        #[source]
        source: Cause,
    },
    /// The store wants fewer calls, and did nothing.
    #[error("the store is asked too much to {operation} `{key}`")]
    SlowDown {
        /// What was tried: `read`, `write`, `list` or `delete`.
        operation: &'static str,
        /// The key it was tried on.
        key: Key,
        /// What the store said.
        #[source]
        source: Cause,
    },
    /// The store does not know who calls: no credentials, or ones that have expired.
    #[error("no valid credentials to {operation} `{key}`")]
    Unauthenticated {
        /// What was tried: `read`, `write`, `list` or `delete`.
        operation: &'static str,
        /// The key it was tried on.
        key: Key,
        /// What the store said.
        #[source]
        source: Cause,
    },
    /// There is no such store, or not where it was looked for.
    #[error("the store is not there to {operation} `{key}`")]
    Misplaced {
        /// What was tried: `read`, `write`, `list` or `delete`.
        operation: &'static str,
        /// The key it was tried on.
        key: Key,
        /// What the store said.
        #[source]
        source: Cause,
    },
    /// The store did not do what it was asked, and certainly changed nothing.
    #[error("could not {operation} `{key}`")]
    Unavailable {
        /// What was tried: `read`, `write`, `list` or `delete`.
        operation: &'static str,
        /// The key it was tried on.
        key: Key,
        /// What the store said.
        #[source]
        source: Cause,
    },
}

/// Requests as S3 bills them; others are free.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Requests {
    /// PUT, POST and LIST.
    pub writes: u64,
    /// GET and HEAD.
    pub reads: u64,
}

impl std::ops::Add for Requests {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            writes: self.writes.saturating_add(other.writes),
            reads: self.reads.saturating_add(other.reads),
        }
    }
}

impl std::iter::Sum for Requests {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), std::ops::Add::add)
    }
}

/// Bytes at keys, with compare-and-swap.
///
/// # Contract
/// Binds every implementation and every wrapper; `starburst_testkit::store_contract` checks it.
///
/// 1. **Atomic.** A reader sees an object as one write left it, never part of a write.
/// 2. **Read after write.** What a write that returned wrote is what every later call on any handle, in
///    any process, sees, listings included, until a later write or delete.
/// 3. **One winner.** Of all [`create`](Store::create)s racing on a free key one succeeds; of all
///    [`replace`](Store::replace)s racing from one version one succeeds. The others change nothing.
/// 4. **Versions never return.** Every successful write gives the object an [`ETag`] that no earlier
///    write of a session's object had, unless the bytes are the same too.
/// 5. **Refusals are certain.** [`StoreError::Unanswered`] alone means "perhaps applied"; every other
///    error means nothing was changed. A lost race may be reported for a writer's own success when a
///    request was repeated underway: callers recognise their own write by a nonce in the body.
/// 6. **Interrupted is nothing.** A process that dies at any instruction of a write leaves the old
///    object or the new one.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Reads an object and the version it was read at.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or a failure of the store.
    async fn get(&self, key: &Key) -> Result<Object, StoreError>;

    /// Reads an object unless it is still at `seen`; `None` when it is.
    ///
    /// # Errors
    /// As [`get`](Store::get).
    async fn get_if_changed(&self, key: &Key, seen: &ETag) -> Result<Option<Object>, StoreError>;

    /// The version of an object, or `None` when there is none.
    ///
    /// # Errors
    /// A failure of the store; absence is not one.
    async fn head(&self, key: &Key) -> Result<Option<ETag>, StoreError>;

    /// Writes an object where there is none.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`], [`StoreError::Unanswered`], or a failure of the store.
    async fn create(&self, key: &Key, body: Bytes) -> Result<ETag, StoreError>;

    /// Writes an object only if the one that is there is still at `seen`.
    ///
    /// # Errors
    /// [`StoreError::VersionMismatch`] (changed, or gone), [`StoreError::Unanswered`], or a failure.
    async fn replace(&self, key: &Key, body: Bytes, seen: &ETag) -> Result<ETag, StoreError>;

    /// All objects whose names begin with `prefix` and a slash and sort behind `after`, in order of
    /// their names. Every page of them. Objects created after the call began may be missing.
    ///
    /// # Errors
    /// A failure of the store; an empty listing is not one.
    async fn list(&self, prefix: &Key, after: Option<&Key>) -> Result<Vec<Entry>, StoreError>;

    /// The distinct next parts of the names below `prefix`, in order.
    ///
    /// # Errors
    /// A failure of the store.
    async fn children(&self, prefix: &Key) -> Result<Vec<String>, StoreError>;

    /// Deletes an object; an absent one is success.
    ///
    /// # Errors
    /// A failure of the store.
    async fn delete(&self, key: &Key) -> Result<(), StoreError>;

    /// The billed requests that were made through this store so far, failed ones included. None where none is billed.
    fn requests(&self) -> Requests {
        Requests::default()
    }

    /// How much less of a large object makes compressing it worth the time.
    fn worth_compressing(&self) -> Worth {
        Worth::Tenth
    }
}
