//! A launcher that starts what a test gives it.
use async_trait::async_trait;
use parking_lot::Mutex;
use starburst_core::{
    heartbeat::ProcessId,
    ids::{SessionId, WorkerId},
    launch::{Fate, Fates, LaunchError, LaunchSpec, Launcher, LogPart},
};
use std::collections::HashMap;

type Start = dyn Fn(LaunchSpec) -> Result<(), LaunchError> + Send + Sync;

/// Calls a function for each worker, and reports the fates that the test sets.
pub struct FakeLauncher {
    start: Box<Start>,
    fates: Mutex<HashMap<WorkerId, Fate>>,
    launched: Mutex<Vec<WorkerId>>,
}

impl std::fmt::Debug for FakeLauncher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeLauncher").finish_non_exhaustive()
    }
}

impl FakeLauncher {
    /// Starts workers by this function.
    pub fn new(
        start: impl Fn(LaunchSpec) -> Result<(), LaunchError> + Send + Sync + 'static,
    ) -> Self {
        Self { start: Box::new(start), fates: Mutex::default(), launched: Mutex::default() }
    }
    /// Says what became of a worker from now on.
    pub fn set_fate(&self, worker: &WorkerId, fate: Fate) {
        self.fates.lock().insert(worker.clone(), fate);
    }
    /// Every worker started so far.
    pub fn launched(&self) -> Vec<WorkerId> {
        self.launched.lock().clone()
    }
}

#[async_trait]
impl Fates for FakeLauncher {
    async fn fate(&self, worker: &WorkerId, _: Option<&ProcessId>) -> Fate {
        self.fates.lock().get(worker).cloned().unwrap_or(Fate::Unknown)
    }
}

#[async_trait]
impl Launcher for FakeLauncher {
    async fn launch(&self, spec: &LaunchSpec) -> Result<(), LaunchError> {
        (self.start)(spec.clone())?;
        self.launched.lock().push(spec.worker.clone());
        Ok(())
    }
    async fn stop(&self, worker: &WorkerId, _: Option<&ProcessId>) {
        self.set_fate(worker, Fate::Gone("stopped".into()));
    }
    async fn log(&self, _: &SessionId, _: &WorkerId, _: LogPart) -> String {
        String::new()
    }
    async fn forget_logs(&self, _: &SessionId) {}
}
