//! An installed environment as it travels: a stream of bytes in parts, so that nobody holds all of it.
use super::library::Library;
use crate::{
    blob::BlobHash,
    envelope::{self, Kind},
    error::Error,
    ids::{ObjectId, PlatformId},
    key::{EnvironmentKeys, Key},
    store::{Store, StoreError},
};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use tokio::sync::mpsc;

/// Bytes of a part. Below what S3 takes in one request without being asked to do more.
pub const PART_BYTES: usize = 8 << 20;
/// Parts on the wire at once.
const IN_FLIGHT: usize = 4;
/// No library has more parts: 64 GiB.
const MOST_PARTS: u64 = 8_192;

/// Where the parts of one build are.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The environment.
    pub keys: &'a EnvironmentKeys,
    /// The platform.
    pub platform: &'a PlatformId,
}

/// What was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Parts.
    pub parts: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// The hash of all of them, one behind the other.
    pub hash: BlobHash,
}

/// Stores parts as they come. Their names are new, so that each is written once.
///
/// # Errors
/// A failure of the store, or what `parts` says went wrong.
pub async fn store(
    place: &Place<'_>,
    build: &ObjectId,
    mut parts: mpsc::Receiver<Result<Bytes, Error>>,
) -> Result<Stored, Error> {
    let (mut hasher, mut bytes, mut count) = (blake3::Hasher::new(), 0, 0);
    let mut on_the_way = stream::FuturesUnordered::new();
    while let Some(part) = parts.recv().await {
        let part = part?;
        hasher.update(&part);
        bytes += part.len() as u64;
        let key = place.keys.part(place.platform, build, count);
        count += 1;
        if count > MOST_PARTS {
            let message = "the installed packages are larger than 64 GiB".to_owned();
            return Err(Error::Environment { message });
        }
        on_the_way.push(async move {
            let sealed = envelope::seal(Kind::LibraryPart, &key, &part);
            put(place.store, &key, sealed).await
        });
        if on_the_way.len() >= IN_FLIGHT
            && let Some(done) = on_the_way.next().await
        {
            done?;
        }
    }
    while let Some(done) = on_the_way.next().await {
        done?;
    }
    Ok(Stored { parts: count, bytes, hash: BlobHash::from_hasher(&hasher) })
}

/// Writes what has one content at a name of its own: one that is there is the same.
pub(super) async fn put(store: &dyn Store, key: &Key, sealed: Bytes) -> Result<(), Error> {
    for _ in 0..5 {
        match store.create(key, sealed.clone()).await {
            Ok(_) | Err(StoreError::AlreadyExists { .. }) => return Ok(()),
            Err(StoreError::Unanswered { .. }) => {
                if store.head(key).await?.is_some() {
                    return Ok(());
                }
            }
            Err(other) => return Err(other.into()),
        }
    }
    Err(Error::Internal { detail: format!("`{key}` cannot be written") })
}

/// Fetches the parts of a library a few ahead of their use, and sends them on in their order, until whoever takes them
/// stops. `None` behind the last says that they are all there and are what was stored.
///
/// # Errors
/// A failure of the store, [`Error::Damaged`], or a library that cannot be one.
pub async fn fetch(
    place: &Place<'_>,
    library: &Library,
    to: mpsc::Sender<Option<Bytes>>,
) -> Result<(), Error> {
    let damaged = |detail: &str| Error::Damaged {
        key: place.keys.library(place.platform).to_string(),
        detail: detail.to_owned(),
    };
    if library.parts > MOST_PARTS {
        return Err(damaged("more parts than a library can have"));
    }
    let (mut hasher, mut bytes, mut next) = (blake3::Hasher::new(), 0, 0);
    let mut on_the_way = stream::FuturesOrdered::new();
    loop {
        while next < library.parts && on_the_way.len() < IN_FLIGHT {
            let key = place.keys.part(place.platform, &library.build, next);
            on_the_way.push_back(get(place.store, key));
            next += 1;
        }
        let Some(part) = on_the_way.next().await else {
            break;
        };
        let part = part?;
        hasher.update(&part);
        bytes += part.len() as u64;
        if to.send(Some(part)).await.is_err() {
            return Ok(());
        }
    }
    if bytes != library.packed || BlobHash::from_hasher(&hasher) != library.hash {
        return Err(damaged("its parts are not those that were stored"));
    }
    // Whoever takes them may have had enough.
    let _ = to.send(None).await;
    Ok(())
}

async fn get(store: &dyn Store, key: Key) -> Result<Bytes, Error> {
    let object = store.get(&key).await?;
    Ok(envelope::open(Kind::LibraryPart, &key, &object.body)?.0)
}
