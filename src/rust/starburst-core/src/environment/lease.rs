//! The build lease: of all workers that miss an environment, one installs it.
//!
//! It is one object, taken and renewed by compare-and-swap, and shows how far its holder is. Whoever has seen it unchanged
//! for a lease, on its own clock, may take it. Two that install at once do no harm but the work: what exists last counts.
use crate::{
    clock::{Clock, Monotonic},
    envelope::Kind,
    error::Error,
    ids::{Ids, Nonce, WorkerId},
    key::Key,
    store::{ETag, Store},
    update::{self, Record, Versioned},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How far a build is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done, as the first word of what a user sees, such as `Installing`.
    pub doing: String,
    /// How many packages that is done with.
    pub done: u64,
    /// Of how many.
    pub total: u64,
    /// The package that is next.
    pub package: String,
}

/// Who installs an environment on one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildLease {
    /// Recognises the writer's own write, and changes with each renewal.
    pub write: Nonce,
    /// Who installs; nobody when it was laid down.
    pub holder: Option<WorkerId>,
    /// How far that is.
    pub progress: Progress,
}

impl Record for BuildLease {
    const KIND: Kind = Kind::BuildLease;
    fn write(&self) -> Nonce {
        self.write
    }
    fn set_write(&mut self, nonce: Nonce) {
        self.write = nonce;
    }
}

/// Where the lease is, and by what time it is judged.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The lease.
    pub key: &'a Key,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Randomness.
    pub ids: &'a dyn Ids,
    /// Whoever has not renewed it for so long may lose it.
    pub lease: Duration,
}

/// What one worker has seen of the lease.
#[derive(Debug, Default)]
pub struct Candidate {
    seen: Option<Sighting>,
}

#[derive(Debug)]
struct Sighting {
    etag: Option<ETag>,
    since: Monotonic,
    looked: Monotonic,
}

impl Candidate {
    /// Takes the lease if it is free. `false` when another holds it, as far as can be seen.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn ask(&mut self, on: &Ground<'_>, me: &WorkerId) -> Result<bool, Error> {
        let found = update::read::<BuildLease>(on.store, on.key).await?;
        if let Some(lease) = &found
            && lease.value.holder.as_ref().is_some_and(|holder| holder != me)
            && !self.is_stale(lease, on)
        {
            return Ok(false);
        }
        let before = found.as_ref().map_or(Nonce(0), |lease| lease.value.write);
        let missing =
            || Some(BuildLease { write: Nonce(0), holder: None, progress: Progress::default() });
        let take = |lease: &mut BuildLease| {
            // Whoever changed it meanwhile was faster.
            (lease.write == before).then(|| {
                lease.holder = Some(me.clone());
                lease.progress = Progress::default();
            })
        };
        let (taken, _) = update::update(on.store, on.ids, on.key, found, missing, take).await?;
        self.seen = None;
        Ok(taken.is_some())
    }

    /// Whether it has stood still for the lease, as this worker saw it.
    fn is_stale(&mut self, lease: &Versioned<BuildLease>, on: &Ground<'_>) -> bool {
        let now = on.clock.now();
        match &mut self.seen {
            Some(seen) if seen.etag == lease.etag => {
                // After a gap in looking its silence is counted anew: its holder may have been cut off too.
                if now.since(seen.looked) > on.lease / 2 {
                    seen.since = now;
                }
                seen.looked = now;
                now.since(seen.since) >= on.lease
            }
            Some(_) | None => {
                self.seen = Some(Sighting { etag: lease.etag.clone(), since: now, looked: now });
                false
            }
        }
    }
}

/// Shows that the holder lives, and how far it is. `false` when another has taken the lease.
///
/// # Errors
/// A failure of the store.
pub async fn renew(on: &Ground<'_>, me: &WorkerId, progress: &Progress) -> Result<bool, Error> {
    let renew = |lease: &mut BuildLease| {
        (lease.holder.as_ref() == Some(me)).then(|| lease.progress = progress.clone())
    };
    match update::update(on.store, on.ids, on.key, None, || None, renew).await {
        Ok((renewed, _)) => Ok(renewed.is_some()),
        // Deleted with its environment.
        Err(Error::Store(crate::store::StoreError::NotFound { .. })) => Ok(false),
        Err(other) => Err(other),
    }
}

/// Lays the lease down, so that another can take it at once. Where that fails it ends with its time.
pub async fn lay_down(on: &Ground<'_>, me: &WorkerId) {
    let drop =
        |lease: &mut BuildLease| (lease.holder.as_ref() == Some(me)).then(|| lease.holder = None);
    let _ = update::update(on.store, on.ids, on.key, None, || None, drop).await;
}
