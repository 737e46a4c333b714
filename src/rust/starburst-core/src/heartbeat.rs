//! Heartbeats: what a worker, or the owner of a `plan()` session, says about itself from time to time.
use crate::{clock::UnixMillis, ids::WorkerId, store::Requests};
use serde::{Deserialize, Serialize};

/// Where a worker stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkerState {
    /// Started; its R is not ready yet.
    Starting,
    /// Looking for tasks.
    Idle,
    /// Evaluating tasks.
    Busy,
    /// Left, and says why, as the last thing.
    Left {
        /// In words.
        reason: String,
        /// Whether it could not go on, as opposed to being told to leave.
        fault: bool,
    },
    /// Cannot serve this session, and says why.
    Refused {
        /// In words, for the user.
        message: String,
    },
}

/// A process on a host, precisely enough to tell it from a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The host's name.
    pub host: String,
    /// The process number there.
    pub pid: u32,
    /// When the process started, in the system's own units; 0 where that is unknown.
    pub started: u64,
}

/// One worker's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Counts the beats, so that every write changes the object.
    pub beat: u64,
    /// Whose it is.
    pub worker: WorkerId,
    /// Where it stands.
    pub state: WorkerState,
    /// Its process.
    pub process: ProcessId,
    /// When it started, on its own clock.
    pub started_at: UnixMillis,
    /// When this was written, on its own clock.
    #[serde(default)]
    pub at: UnixMillis,
    /// Tasks it has finished.
    pub finished: u64,
    /// Time it spent evaluating, in milliseconds.
    pub busy_ms: u64,
    /// Counts what others did to this object to make the worker look; its next beat takes no notice of the number.
    #[serde(default)]
    pub disturbed: u64,
    /// The billed requests to the store that its process made.
    #[serde(default)]
    pub requests: Requests,
    /// It refuses the session because the packages that it needs cannot be installed.
    #[serde(default)]
    pub no_environment: bool,
}

/// The owner's record of a `plan()` session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerBeat {
    /// Counts the beats.
    pub beat: u64,
}
