//! The environment as a client sees it: how far it is while no worker can start, and what is not as it was asked for.
use super::Client;
use crate::{
    environment::{lease::Progress, look, prepare::building},
    error::Error,
    key::{EnvironmentKeys, OfEnvironment},
};

/// What this client knows of the environment of its session.
#[derive(Debug, Default)]
pub(super) struct View {
    /// How far it is, while it is being made.
    progress: Option<Progress>,
    /// It is there, so nothing is left to look at.
    settled: bool,
    /// What its user was not told yet.
    warnings: Vec<String>,
}

impl Client {
    /// Looks how far the environment is, until it is there.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn look_at_environment(&self) -> Result<(), Error> {
        let Some(environment) = self.manifest().environment else {
            return Ok(());
        };
        if self.environment.lock().settled {
            return Ok(());
        }
        let (store, keys) = (&*self.deps.store, EnvironmentKeys::new(environment));
        let (mut progress, mut there) = (None, None);
        for entry in store.list(&keys.all(), None).await? {
            match entry.key.of_environment() {
                Some((_, _, OfEnvironment::Lease)) => {
                    progress = building(store, &entry.key).await?.or(progress);
                }
                Some((_, platform, OfEnvironment::Library)) => there = Some(platform),
                Some((_, _, OfEnvironment::Failure)) | None => {}
            }
        }
        // One that is there for another platform does not end the wait for this one.
        let library = match (&progress, there) {
            (None, Some(platform)) => look::library(store, &keys, &platform).await?,
            (Some(_), _) | (None, None) => None,
        };
        let mut view = self.environment.lock();
        let changed = view.progress != progress;
        view.progress = progress;
        if let Some(library) = library {
            view.settled = true;
            view.warnings = library.warnings;
        }
        drop(view);
        if changed {
            self.bump();
        }
        Ok(())
    }

    /// How far the environment is, while it is being made.
    pub fn environment_progress(&self) -> Option<Progress> {
        self.environment.lock().progress.clone()
    }

    /// What is not as it was asked for; said once.
    pub fn take_environment_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.environment.lock().warnings)
    }
}
