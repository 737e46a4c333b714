//! Heartbeats: what a worker, or the owner of a `plan()` session, says about itself from time to time.
use crate::{
    clock::UnixMillis,
    ids::WorkerId,
    store::{Requests, StoreError},
};
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

/// Why a worker cannot write into the store. It goes on trying.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// In words.
    pub message: String,
    /// Whether it is not allowed to, as opposed to that there is no room.
    pub denied: bool,
}

impl Trouble {
    /// The trouble that is worth telling: a store that is full, or refuses writes. A client meets other failures itself.
    pub(crate) fn of(error: &StoreError) -> Option<Self> {
        let denied = match error {
            StoreError::Full { .. } => false,
            StoreError::Denied { .. } => true,
            StoreError::NotFound { .. }
            | StoreError::AlreadyExists { .. }
            | StoreError::VersionMismatch { .. }
            | StoreError::Unanswered { .. }
            | StoreError::SlowDown { .. }
            | StoreError::Unauthenticated { .. }
            | StoreError::Misplaced { .. }
            | StoreError::Unavailable { .. } => return None,
        };
        let first: Option<&(dyn std::error::Error + 'static)> = Some(error);
        let texts: Vec<String> =
            std::iter::successors(first, |e| e.source()).map(ToString::to_string).collect();
        Some(Self { message: texts.join(": "), denied })
    }
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
    /// The reason why it cannot write results; none while it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
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
