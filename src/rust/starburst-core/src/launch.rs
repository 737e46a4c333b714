//! The launcher seam: starts workers, watches them, stops them, and finds their logs.
use crate::{
    heartbeat::ProcessId,
    ids::{SessionId, WorkerId},
};
use async_trait::async_trait;

/// What a new worker needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct LaunchSpec {
    /// The session to drain.
    pub session: SessionId,
    /// The new worker's id.
    pub worker: WorkerId,
    /// Its place among the workers, which spreads their first claims.
    pub rank: u32,
    /// Virtual CPUs that a task is told it has.
    pub cpu: f64,
    /// Whether it must outlive the process that launches it.
    pub detached: bool,
}

/// Why workers did not start.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Not now: no room.
    #[error("no room to start a worker: {message}")]
    Refused {
        /// What the launcher said.
        message: String,
    },
    /// It cannot work as things are.
    #[error("cannot start a worker: {message}")]
    Failed {
        /// What the launcher said.
        message: String,
    },
}

/// What became of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It runs, as far as can be seen.
    Alive,
    /// It is certainly gone, and this is why.
    Gone(String),
    /// This launcher cannot tell.
    Unknown,
}

/// A part of a worker's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LogSpan {
    /// The first byte.
    pub from: u64,
    /// The first byte behind it.
    pub to: u64,
}

/// Tells what became of workers.
#[async_trait]
pub trait Fates: Send + Sync + std::fmt::Debug {
    /// What became of a worker. `process` is what it said of itself, if it ever did.
    async fn fate(&self, worker: &WorkerId, process: Option<&ProcessId>) -> Fate;
}

/// Starts workers. Launching is a request: a worker may come later, or never; its heartbeat says so.
#[async_trait]
pub trait Launcher: Fates {
    /// Starts one worker.
    ///
    /// # Errors
    /// [`LaunchError`] when it certainly did not start.
    async fn launch(&self, spec: &LaunchSpec) -> Result<(), LaunchError>;

    /// Asks a worker to stop, and makes it stop if it does not. Idempotent.
    async fn stop(&self, worker: &WorkerId, process: Option<&ProcessId>);

    /// Tells a worker to look at its claims now, where the launcher can reach it. It would look by itself, later.
    async fn nudge(&self, _worker: &WorkerId) {}

    /// What a worker's R printed: a span of it, or the last `tail` bytes. Empty when there is none.
    async fn log(
        &self,
        session: &SessionId,
        worker: &WorkerId,
        span: Option<LogSpan>,
        tail: u64,
    ) -> String;

    /// Deletes the logs of a session.
    async fn forget_logs(&self, session: &SessionId);
}
