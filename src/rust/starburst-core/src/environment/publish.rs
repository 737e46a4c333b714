//! What a client puts into the store before a session needs it: what is needed, and the sources of local packages.
use super::{look, look::Use, needs::Needs, parts};
use crate::{
    blob::BlobHash,
    clock::Clock,
    envelope::{self, Kind},
    error::Error,
    ids::EnvironmentId,
    key::EnvironmentKeys,
    store::Store,
    worker::pulse,
};
use bytes::Bytes;
use std::time::Duration;

/// A use is written down at most this often.
const NOTED_EVERY: Duration = Duration::from_hours(1);

/// Makes an environment known and returns its name. `archive` reads the source archive with a hash, and is asked for those
/// only that the store does not have.
///
/// # Errors
/// A failure of the store, or of `archive`.
pub async fn publish(
    store: &dyn Store,
    clock: &dyn Clock,
    needs: &Needs,
    archive: impl Fn(&BlobHash) -> Result<Bytes, Error>,
) -> Result<EnvironmentId, Error> {
    let keys = EnvironmentKeys::new(needs.id());
    // Noted first: what is in use is not cleaned up.
    note_use(store, clock, &keys).await?;
    for need in &needs.packages {
        if let Some(hash) = &need.archive {
            let key = keys.source(hash);
            if store.head(&key).await?.is_none() {
                let sealed = envelope::seal(Kind::SourceArchive, &key, &archive(hash)?);
                parts::put(store, &key, sealed).await?;
            }
        }
    }
    let key = keys.needs();
    let sealed = needs.sealed(&key)?;
    let known = look::needs(store, &keys).await.ok();
    if known.as_ref() != Some(needs) {
        pulse::overwrite(store, &key, sealed, None).await?;
        // Something changed, such as the address of a repository: what failed may work now.
        if known.is_some() {
            look::forget_failures(store, &keys).await?;
        }
    }
    Ok(keys.environment().clone())
}

async fn note_use(
    store: &dyn Store,
    clock: &dyn Clock,
    keys: &EnvironmentKeys,
) -> Result<(), Error> {
    let (at, key) = (clock.wall(), keys.used());
    let noted = look::used(store, keys).await;
    if noted.is_some_and(|noted| at.since(noted) < NOTED_EVERY && noted <= at) {
        return Ok(());
    }
    let body = envelope::encode(Kind::Use, &key, &Use { at })?;
    // Another client that notes it at the same moment says the same.
    match pulse::overwrite(store, &key, body, None).await {
        Ok(_) | Err(Error::Internal { .. }) => Ok(()),
        Err(other) => Err(other),
    }
}
