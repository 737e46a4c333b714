//! What there is of environments in a store; forgetting and deleting them.
use super::{
    library::{Failure, Library},
    needs::Needs,
};
use crate::{
    clock::UnixMillis,
    envelope::{self, Kind},
    error::Error,
    ids::{EnvironmentId, PlatformId},
    key::{self, EnvironmentKeys, Key, OfEnvironment},
    store::{Store, StoreError},
};
use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Libraries that are looked at to find the nearest.
const MOST_LOOKED_AT: usize = 64;
/// Calls on the wire at once.
const IN_FLIGHT: usize = 16;

/// When an environment was last asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// On the clock of whoever asked.
    pub at: UnixMillis,
}

async fn read<T: DeserializeOwned>(
    store: &dyn Store,
    kind: Kind,
    key: &Key,
) -> Result<Option<T>, Error> {
    match store.get(key).await {
        Ok(object) => Ok(Some(envelope::decode(kind, key, &object.body)?.0)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// What an environment is made of.
///
/// # Errors
/// [`Error::Environment`] when nobody said, a failure of the store, or a damaged object.
pub async fn needs(store: &dyn Store, keys: &EnvironmentKeys) -> Result<Needs, Error> {
    let key = keys.needs();
    match store.get(&key).await {
        Ok(object) => Needs::open(&key, &object.body),
        Err(StoreError::NotFound { .. }) => {
            let message = "what the environment of this session is made of was deleted; \
                           make a new session"
                .to_owned();
            Err(Error::Environment { message })
        }
        Err(other) => Err(other.into()),
    }
}

/// The environment as it is installed on a platform.
///
/// # Errors
/// A failure of the store. One that is damaged is none.
pub async fn library(
    store: &dyn Store,
    keys: &EnvironmentKeys,
    platform: &PlatformId,
) -> Result<Option<Library>, Error> {
    let key = keys.library(platform);
    match read(store, Kind::Library, &key).await {
        Err(Error::Damaged { .. }) => {
            store.delete(&key).await?;
            Ok(None)
        }
        other => other,
    }
}

/// Why it could not be installed there.
///
/// # Errors
/// A failure of the store, or a damaged object.
pub async fn failure(
    store: &dyn Store,
    keys: &EnvironmentKeys,
    platform: &PlatformId,
) -> Result<Option<Failure>, Error> {
    read(store, Kind::BuildFailure, &keys.failure(platform)).await
}

/// The libraries of a platform, as many as are worth looking at.
///
/// # Errors
/// A failure of the store.
pub async fn libraries(
    store: &dyn Store,
    platform: &PlatformId,
) -> Result<Vec<(EnvironmentId, Library)>, Error> {
    let environments = store.children(&key::environments()).await?;
    let keys = environments.iter().filter_map(|name| EnvironmentId::parse(name).ok());
    let mut reading = stream::FuturesOrdered::new();
    for id in keys.take(MOST_LOOKED_AT) {
        reading.push_back(async move {
            let key = EnvironmentKeys::new(id.clone()).library(platform);
            // One that cannot be read is of no use here.
            let found = read::<Library>(store, Kind::Library, &key).await.ok().flatten()?;
            Some((id, found))
        });
    }
    let found: Vec<Option<_>> = reading.collect().await;
    Ok(found.into_iter().flatten().collect())
}

/// All libraries of a store.
///
/// # Errors
/// A failure of the store. One that cannot be read is left out.
pub async fn built(store: &dyn Store) -> Result<Vec<(EnvironmentId, PlatformId, Library)>, Error> {
    let mut built = Vec::new();
    for entry in store.list(&key::environments(), None).await? {
        if let Some((id, platform, OfEnvironment::Library)) = entry.key.of_environment()
            && let Ok(Some(library)) = read::<Library>(store, Kind::Library, &entry.key).await
        {
            built.push((id, platform, library));
        }
    }
    Ok(built)
}

/// Forgets that an environment is installed, or could not be, on any platform: the next worker installs it anew.
/// Returns whether there was anything to forget.
///
/// # Errors
/// A failure of the store.
pub async fn forget(store: &dyn Store, keys: &EnvironmentKeys) -> Result<bool, Error> {
    // Without its lease a build that is under way is given up, and begun anew.
    let of = [OfEnvironment::Failure, OfEnvironment::Library, OfEnvironment::Lease];
    forget_what(store, keys, &of).await
}

/// Forgets that an environment could not be installed.
///
/// # Errors
/// A failure of the store.
pub async fn forget_failures(store: &dyn Store, keys: &EnvironmentKeys) -> Result<(), Error> {
    forget_what(store, keys, &[OfEnvironment::Failure]).await.map(|_| ())
}

async fn forget_what(
    store: &dyn Store,
    keys: &EnvironmentKeys,
    what: &[OfEnvironment],
) -> Result<bool, Error> {
    let listed = store.list(&keys.all(), None).await?;
    let gone = |key: &Key| key.of_environment().is_some_and(|(_, _, kind)| what.contains(&kind));
    let names: Vec<Key> = listed.into_iter().map(|entry| entry.key).filter(|k| gone(k)).collect();
    for key in &names {
        store.delete(key).await?;
    }
    Ok(!names.is_empty())
}

/// When an environment was last asked for; none when that cannot be told.
pub async fn used(store: &dyn Store, keys: &EnvironmentKeys) -> Option<UnixMillis> {
    let noted = read::<Use>(store, Kind::Use, &keys.used()).await.ok().flatten();
    noted.map(|noted| noted.at)
}

/// The environments of a store and when each was last asked for.
///
/// # Errors
/// A failure of the store.
pub async fn uses(store: &dyn Store) -> Result<Vec<(EnvironmentId, UnixMillis)>, Error> {
    let mut uses = Vec::new();
    for name in store.children(&key::environments()).await? {
        let Ok(id) = EnvironmentId::parse(&name) else {
            continue;
        };
        let at = used(store, &EnvironmentKeys::new(id.clone())).await;
        // One of which that cannot be told is as old as can be.
        uses.push((id, at.unwrap_or_default()));
    }
    Ok(uses)
}

/// Deletes all of an environment. What says that it is there goes first.
///
/// # Errors
/// A failure of the store.
pub async fn delete(store: &dyn Store, keys: &EnvironmentKeys) -> Result<(), Error> {
    forget(store, keys).await?;
    let listed = store.list(&keys.all(), None).await?;
    let deletes = stream::iter(listed).map(|entry| async move { store.delete(&entry.key).await });
    let deleted: Vec<Result<(), StoreError>> = deletes.buffer_unordered(IN_FLIGHT).collect().await;
    deleted.into_iter().collect::<Result<Vec<()>, StoreError>>()?;
    Ok(())
}
