//! Compare-and-swap loops: read, change, write back; settle lost answers by the writer's own nonce.
use crate::{
    envelope::{self, Kind},
    error::Error,
    ids::{Ids, Nonce},
    key::Key,
    ledger::Ledger,
    manifest::Manifest,
    mutation::{Rule, is_broken},
    store::{ETag, Store, StoreError},
};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

/// Races one update may lose before it is reported; each loss means somebody else got on.
const MAX_RACES: usize = 1_000;

/// An object that is changed by compare-and-swap.
pub trait Record: Serialize + DeserializeOwned + Clone + Send + Sync {
    /// Its kind.
    const KIND: Kind;
    /// The mark of its last writer.
    fn write(&self) -> Nonce;
    /// Leaves a writer's mark.
    fn set_write(&mut self, nonce: Nonce);
    /// Checks a record that was read under this key.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    fn check(&self, _key: &Key) -> Result<(), Error> {
        Ok(())
    }
    /// The object to store.
    ///
    /// # Errors
    /// [`Error::Internal`] only.
    fn sealed(&self, key: &Key) -> Result<Bytes, Error> {
        envelope::encode(Self::KIND, key, self)
    }
}

impl Record for Ledger {
    const KIND: Kind = Kind::Ledger;
    fn write(&self) -> Nonce {
        self.write
    }
    fn set_write(&mut self, nonce: Nonce) {
        self.write = nonce;
        self.revision = self.revision.saturating_add(1);
    }
    fn sealed(&self, key: &Key) -> Result<Bytes, Error> {
        Ledger::sealed(self, key)
    }
}

impl Record for Manifest {
    const KIND: Kind = Kind::Manifest;
    fn write(&self) -> Nonce {
        self.write
    }
    fn set_write(&mut self, nonce: Nonce) {
        self.write = nonce;
    }
    fn check(&self, key: &Key) -> Result<(), Error> {
        Manifest::check(self, key)
    }
}

/// A record as it was read or written.
#[derive(Debug, Clone)]
pub struct Versioned<T> {
    /// The record.
    pub value: T,
    /// Its version in the store; none when it does not exist there yet.
    pub etag: Option<ETag>,
}

/// Reads a record; `None` when there is none.
///
/// # Errors
/// A failure of the store, or a damaged record.
pub async fn read<T: Record>(store: &dyn Store, key: &Key) -> Result<Option<Versioned<T>>, Error> {
    match store.get(key).await {
        Ok(object) => {
            let (value, _) = envelope::decode::<T>(T::KIND, key, &object.body)?;
            value.check(key)?;
            Ok(Some(Versioned { value, etag: Some(object.etag) }))
        }
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// The identity that a ledger must have before it is changed: a copy of another one, or an older one, is an error.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// The mark of its segment.
    pub segment: Nonce,
    /// How many tasks it has.
    pub len: usize,
    /// The revision that was seen last.
    pub least: u64,
}

impl Shape {
    /// The shape of what a ledger that was read becomes.
    pub fn of(ledger: &Ledger) -> Self {
        Self { segment: ledger.segment, len: ledger.tasks.len(), least: ledger.revision }
    }

    /// Checks a ledger that was read under this key.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn check(&self, key: &Key, ledger: &Ledger) -> Result<(), Error> {
        ledger.belongs_to(key, self.segment, self.len)?;
        ledger.follows(key, self.least)
    }
}

/// Changes a ledger as [`update`] does. With `may_begin` it is made where there is none.
///
/// # Errors
/// As [`update`]; and [`Error::Damaged`] for a ledger of another shape.
pub async fn update_ledger<R>(
    store: &dyn Store,
    ids: &dyn Ids,
    key: &Key,
    seen: Option<Versioned<Ledger>>,
    (shape, may_begin): (Shape, bool),
    change: impl FnMut(&mut Ledger) -> Option<R>,
) -> Result<(Option<R>, Versioned<Ledger>), Error> {
    let missing = || may_begin.then(|| Ledger::new(shape.segment, shape.len));
    update_checked(store, ids, key, seen, missing, |ledger| shape.check(key, ledger), change).await
}

/// Changes a record, starting from what the caller saw last; `change` says what it did, or that there is
/// nothing to do. It runs again on a newer state whenever the write lost a race. Returns what was done, and
/// the record as it is then.
///
/// `missing` makes the record where there is none.
///
/// # Errors
/// A failure of the store, or a damaged record.
pub async fn update<T: Record, R>(
    store: &dyn Store,
    ids: &dyn Ids,
    key: &Key,
    seen: Option<Versioned<T>>,
    missing: impl Fn() -> Option<T>,
    change: impl FnMut(&mut T) -> Option<R>,
) -> Result<(Option<R>, Versioned<T>), Error> {
    update_checked(store, ids, key, seen, missing, |_| Ok(()), change).await
}

async fn update_checked<T: Record, R>(
    store: &dyn Store,
    ids: &dyn Ids,
    key: &Key,
    seen: Option<Versioned<T>>,
    missing: impl Fn() -> Option<T>,
    check: impl Fn(&T) -> Result<(), Error>,
    mut change: impl FnMut(&mut T) -> Option<R>,
) -> Result<(Option<R>, Versioned<T>), Error> {
    let mut seen = seen;
    for _ in 0..MAX_RACES {
        let current = match seen.take() {
            Some(seen) => seen,
            None => match read(store, key).await? {
                Some(read) => read,
                None => match missing() {
                    Some(value) => Versioned { value, etag: None },
                    None => return Err(StoreError::NotFound { key: key.clone() }.into()),
                },
            },
        };
        check(&current.value)?;
        let mut next = current.value.clone();
        let Some(done) = change(&mut next) else {
            return Ok((None, current));
        };
        let mine = Nonce::fresh(ids);
        next.set_write(mine);
        let body = next.sealed(key)?;
        if let Some(etag) = put(store, key, body, current.etag.as_ref()).await? {
            return Ok((Some(done), Versioned { value: next, etag: Some(etag) }));
        }
        // A repeated write can meet its own first success as a lost race: the nonce tells.
        seen = read(store, key).await?;
        let own = |found: &mut Versioned<T>| found.value.write() == mine;
        if !is_broken(Rule::OwnNonce)
            && let Some(found) = seen.take_if(own)
        {
            return Ok((Some(done), found));
        }
    }
    Err(Error::Internal { detail: format!("lost {MAX_RACES} races for `{key}`") })
}

async fn put(
    store: &dyn Store,
    key: &Key,
    body: Bytes,
    seen: Option<&ETag>,
) -> Result<Option<ETag>, Error> {
    let written = match seen {
        Some(etag) => store.replace(key, body, etag).await,
        None => store.create(key, body).await,
    };
    match written {
        Ok(etag) => Ok(Some(etag)),
        Err(
            StoreError::AlreadyExists { .. }
            | StoreError::VersionMismatch { .. }
            | StoreError::Unanswered { .. },
        ) => Ok(None),
        Err(other) => Err(other.into()),
    }
}
