//! The build lease: of all workers that miss an environment, one installs it.
//!
//! It shows how far its holder is. Two that install at once do no harm but the work: what exists last counts.
use crate::{
    envelope::Kind,
    error::Error,
    held::{self, Ground, Held, Sightings},
    ids::{Nonce, WorkerId},
    store::StoreError,
    update::Record,
};
use serde::{Deserialize, Serialize};

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

impl Held for BuildLease {
    type Holder = WorkerId;
    fn vacant() -> Self {
        Self { write: Nonce(0), holder: None, progress: Progress::default() }
    }
    fn holder(&self) -> Option<&WorkerId> {
        self.holder.as_ref()
    }
    fn set_holder(&mut self, holder: Option<WorkerId>) {
        self.holder = holder;
    }
}

/// Takes the lease if it is free. `false` when another holds it, as far as can be seen, or was faster.
///
/// # Errors
/// A failure of the store.
pub async fn ask(seen: &mut Sightings, on: &Ground<'_>, me: &WorkerId) -> Result<bool, Error> {
    let begin = |lease: &mut BuildLease| lease.progress = Progress::default();
    Ok(seen.take(on, me, begin).await?.is_some_and(|(taken, _)| taken))
}

/// Shows that the holder lives, and how far it is. `false` when another has taken the lease.
///
/// # Errors
/// A failure of the store.
pub async fn renew(on: &Ground<'_>, me: &WorkerId, progress: &Progress) -> Result<bool, Error> {
    let tell = |lease: &mut BuildLease| lease.progress = progress.clone();
    match held::renew(on, me, tell).await {
        // Deleted with its environment.
        Err(Error::Store(StoreError::NotFound { .. })) => Ok(false),
        other => other,
    }
}

/// Lays the lease down, so that another can take it at once. Where that fails it ends with its time.
pub async fn lay_down(on: &Ground<'_>, me: &WorkerId) {
    held::lay_down(on, me, |_: &mut BuildLease| {}).await;
}
