//! One precise error inside, one short list of kinds outside.
use crate::{
    ids::{InvalidId, SessionId},
    launch::LaunchError,
    store::{Advised, Cause, StoreError},
};

/// What went wrong, precisely.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A store call failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Workers could not be started or stopped.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// An id is not one.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// Stored bytes are not what was written.
    #[error("the object `{key}` is damaged: {detail}")]
    Damaged {
        /// The object's name.
        key: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Written by, or for, another version.
    #[error("{what} was written by {found}; this one reads {supported}")]
    Version {
        /// What was read.
        what: String,
        /// The version it needs.
        found: String,
        /// The versions there are.
        supported: String,
    },
    /// There is no such session.
    #[error("there is no session `{session}` in this store")]
    NoSession {
        /// The id asked for.
        session: SessionId,
    },
    /// The session takes no more work.
    #[error("the session `{session}` is closed")]
    Closed {
        /// The session.
        session: SessionId,
    },
    /// The session's time is over.
    #[error(
        "the time limit of the session `{session}` has passed; its tasks are kept, and `extend()` lets them go on"
    )]
    Expired {
        /// The session.
        session: SessionId,
    },
    /// There is no such task.
    #[error("there is no task `{task}` in this session")]
    NoTask {
        /// The id asked for, as it was given.
        task: String,
    },
    /// Workers refuse the session: another protocol or R version.
    #[error("the workers refuse this session: {message}")]
    Refused {
        /// What the worker said.
        message: String,
    },
    /// Workers die as fast as they are started.
    #[error("no worker stays alive: {message}")]
    WorkersLost {
        /// The last reason.
        message: String,
    },
    /// The account's quota has no room for a single worker.
    #[error("{message}")]
    Quota {
        /// What is needed, what there is, and what to do.
        message: String,
    },
    /// A ceiling on cost does not allow it, or stopped it.
    #[error("{message}")]
    Cost {
        /// Which, and what it comes to.
        message: String,
    },
    /// The environment of the workers cannot be made.
    #[error("{message}")]
    Environment {
        /// What cannot be installed and why, with the last lines of the log.
        message: String,
    },
    /// A service beside the store did not do what it was asked.
    #[error("{message}")]
    Service {
        /// What it amounts to; only who speaks to the service can tell.
        kind: ErrorKind,
        /// What did not come about.
        message: String,
        /// The thing it was about.
        subject: Option<String>,
        /// What the service said.
        #[source]
        source: Cause,
    },
    /// Our own mistake.
    #[error("{detail}")]
    Internal {
        /// What should not have happened.
        detail: String,
    },
}

/// What the caller can do about it. Every kind is one R condition class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// An argument is wrong: fix the call.
    InvalidInput,
    /// The thing asked for does not exist.
    NotFound,
    /// Not allowed.
    Permission,
    /// No credentials, or ones that have expired.
    Unauthenticated,
    /// The launcher has no room now.
    Capacity,
    /// The account's quota is too small.
    Quota,
    /// A ceiling on cost.
    Cost,
    /// Try again later.
    Unavailable,
    /// The packages that workers need cannot be installed.
    Environment,
    /// Workers died again and again.
    WorkerLost,
    /// The stored data is damaged.
    Data,
    /// Another version wrote it.
    Version,
    /// The session takes no more work.
    Closed,
    /// Our bug.
    Internal,
}

impl Error {
    /// The kind of this error. No wildcard arm: a new error must choose.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Store(StoreError::NotFound { .. } | StoreError::Misplaced { .. })
            | Error::NoSession { .. }
            | Error::NoTask { .. } => ErrorKind::NotFound,
            Error::Store(StoreError::Denied { .. }) => ErrorKind::Permission,
            Error::Store(StoreError::Unauthenticated { .. }) => ErrorKind::Unauthenticated,
            Error::Store(
                StoreError::AlreadyExists { .. }
                | StoreError::VersionMismatch { .. }
                | StoreError::Unanswered { .. }
                | StoreError::Full { .. }
                | StoreError::SlowDown { .. }
                | StoreError::Unavailable { .. },
            ) => ErrorKind::Unavailable,
            Error::Launch(LaunchError::Refused { .. }) => ErrorKind::Capacity,
            Error::Launch(LaunchError::Denied { kind, .. }) => *kind,
            Error::Quota { .. } => ErrorKind::Quota,
            Error::Cost { .. } => ErrorKind::Cost,
            Error::Launch(LaunchError::Failed { .. }) | Error::WorkersLost { .. } => {
                ErrorKind::WorkerLost
            }
            Error::Environment { .. } => ErrorKind::Environment,
            Error::Id(_) => ErrorKind::InvalidInput,
            Error::Damaged { .. } => ErrorKind::Data,
            Error::Version { .. } | Error::Refused { .. } => ErrorKind::Version,
            Error::Closed { .. } | Error::Expired { .. } => ErrorKind::Closed,
            Error::Service { kind, .. } => *kind,
            Error::Internal { .. } => ErrorKind::Internal,
        }
    }

    /// The key, session or task the error is about, for the fields of the R condition.
    pub fn subject(&self) -> Option<String> {
        match self {
            Error::Store(
                StoreError::NotFound { key }
                | StoreError::AlreadyExists { key }
                | StoreError::VersionMismatch { key }
                | StoreError::Unanswered { key, .. }
                | StoreError::Denied { key, .. }
                | StoreError::Full { key, .. }
                | StoreError::SlowDown { key, .. }
                | StoreError::Unauthenticated { key, .. }
                | StoreError::Misplaced { key, .. }
                | StoreError::Unavailable { key, .. },
            ) => Some(key.to_string()),
            Error::Damaged { key, .. } => Some(key.clone()),
            Error::Service { subject, .. } => subject.clone(),
            Error::NoSession { session }
            | Error::Closed { session }
            | Error::Expired { session } => Some(session.to_string()),
            Error::NoTask { task } => Some(task.clone()),
            Error::Launch(_)
            | Error::Id(_)
            | Error::Version { .. }
            | Error::Refused { .. }
            | Error::WorkersLost { .. }
            | Error::Quota { .. }
            | Error::Cost { .. }
            | Error::Environment { .. }
            | Error::Internal { .. } => None,
        }
    }

    /// Whether the same may succeed later without anybody changing a configuration: the network, or room in the store, may
    /// come back.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Error::Store(
                StoreError::Unavailable { .. }
                    | StoreError::Unanswered { .. }
                    | StoreError::SlowDown { .. }
                    | StoreError::Full { .. }
            )
        )
    }

    /// What a user can do about it, where whoever refused knows better than the kind of error tells.
    pub fn advice(&self) -> Option<String> {
        let first: Option<&(dyn std::error::Error + 'static)> = Some(self);
        std::iter::successors(first, |e| e.source())
            .find_map(|e| e.downcast_ref::<Advised>())
            .map(|advised| advised.advice.clone())
    }

    /// The message and the messages of its causes, outermost first.
    pub fn chain(&self) -> Vec<String> {
        let first: Option<&(dyn std::error::Error + 'static)> = Some(self);
        let mut texts: Vec<String> = Vec::new();
        for text in std::iter::successors(first, |e| e.source()).map(ToString::to_string) {
            if texts.last() != Some(&text) {
                texts.push(text);
            }
        }
        texts
    }
}

impl ErrorKind {
    /// Every kind, for the test that compares them with the classes R documents.
    pub const ALL: [ErrorKind; 14] = [
        ErrorKind::InvalidInput,
        ErrorKind::NotFound,
        ErrorKind::Permission,
        ErrorKind::Unauthenticated,
        ErrorKind::Capacity,
        ErrorKind::Quota,
        ErrorKind::Cost,
        ErrorKind::Unavailable,
        ErrorKind::Environment,
        ErrorKind::WorkerLost,
        ErrorKind::Data,
        ErrorKind::Version,
        ErrorKind::Closed,
        ErrorKind::Internal,
    ];

    /// The end of the R class, `starburst_error_<name>`.
    pub fn class_suffix(self) -> &'static str {
        match self {
            ErrorKind::InvalidInput => "invalid_input",
            ErrorKind::NotFound => "not_found",
            ErrorKind::Permission => "permission",
            ErrorKind::Unauthenticated => "unauthenticated",
            ErrorKind::Capacity => "capacity",
            ErrorKind::Quota => "quota",
            ErrorKind::Cost => "cost",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Environment => "environment",
            ErrorKind::WorkerLost => "worker_lost",
            ErrorKind::Data => "data",
            ErrorKind::Version => "version",
            ErrorKind::Closed => "closed",
            ErrorKind::Internal => "internal",
        }
    }
}
