//! The launcher seam: starts workers, watches them, stops them, and finds their logs.
use crate::{
    clock::UnixMillis,
    error::ErrorKind,
    heartbeat::ProcessId,
    ids::{SessionId, WorkerId},
    store::Cause,
    waves::Limits,
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
    /// Not now: no room. There may be some later.
    #[error("no room to start a worker: {message}")]
    Refused {
        /// What the launcher said.
        message: String,
    },
    /// A service refused, for a reason that does not pass by itself.
    #[error("cannot start a worker: {message}")]
    Denied {
        /// What it amounts to.
        kind: ErrorKind,
        /// What did not come about.
        message: String,
        /// What the service said, and what to do.
        #[source]
        source: Cause,
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

/// The workers that a launcher started at once.
#[derive(Debug, Default)]
pub struct Launched {
    /// Those that were started.
    pub workers: Vec<WorkerId>,
    /// Why the others were not.
    pub refused: Option<LaunchError>,
}

/// What is wanted of a worker's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogPart {
    /// What one task wrote: its place in the log as the worker knew it, and when the task ran.
    Task {
        /// The place.
        span: LogSpan,
        /// When it began.
        from: UnixMillis,
        /// When it was over.
        to: UnixMillis,
    },
    /// The last bytes.
    Tail(u64),
}

/// A part of a worker's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LogSpan {
    /// The first byte.
    pub from: u64,
    /// The first byte behind it.
    pub to: u64,
}

impl LogSpan {
    /// The line that a worker writes behind a task's output where its log is a stream of lines, so that the output is
    /// found again.
    pub fn mark(&self) -> String {
        format!("{MARK}{} to {} end here", self.from, self.to)
    }

    /// Whether a line is such a mark.
    pub fn is_mark(line: &str) -> bool {
        line.starts_with(MARK)
    }
}

/// How a mark begins.
const MARK: &str = "[starburst] bytes ";

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

    /// Starts several workers. A launcher that names its workers itself starts them in groups, each with a name of its
    /// own instead of the one asked for.
    async fn launch_all(&self, specs: &[LaunchSpec]) -> Launched {
        let mut launched = Launched::default();
        for spec in specs {
            match self.launch(spec).await {
                Ok(()) => launched.workers.push(spec.worker.clone()),
                Err(error) => {
                    launched.refused = Some(error);
                    break;
                }
            }
        }
        launched
    }

    /// The workers of a session that are there or on their way, whoever started them, as far as the launcher can see
    /// workers that it did not start. Asked by whoever takes the lead from another.
    ///
    /// # Errors
    /// [`LaunchError`] when they cannot be asked for: to start others then could start too many.
    async fn workers_of(&self, _session: &SessionId) -> Result<Vec<WorkerId>, LaunchError> {
        Ok(Vec::new())
    }

    /// How many vCPU may be used for workers, and are used by others. No limit where there is none.
    async fn limits(&self) -> Limits {
        Limits { vcpu: None, used_by_others: 0.0, most_workers: None }
    }

    /// Asks a worker to stop, and makes it stop if it does not. Idempotent.
    async fn stop(&self, worker: &WorkerId, process: Option<&ProcessId>);

    /// Tells a worker to look at its claims now, where the launcher can reach it. It would look by itself, later.
    async fn nudge(&self, _worker: &WorkerId) {}

    /// What a worker's R printed. Empty when there is nothing.
    async fn log(&self, session: &SessionId, worker: &WorkerId, part: LogPart) -> String;

    /// Deletes the logs of a session.
    async fn forget_logs(&self, session: &SessionId);
}
