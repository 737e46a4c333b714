//! Errors leave Rust as values; `R/native.R` makes conditions of them.
use extendr_api::prelude::*;
use starburst_core::error::Error;
use std::sync::Arc;

/// What a native function can fail with.
#[derive(Debug)]
pub(crate) enum RError {
    /// An error of the core.
    Core(Error),
    /// The same, seen by a background loop.
    Shared(Arc<Error>),
    /// The user pressed Ctrl-C.
    Interrupted,
    /// R raised an error while a call waited, such as a time limit.
    Raised(String),
    /// The handle belongs to another process, or was saved and loaded.
    Stale,
    /// R could not serialize or read a value.
    Value(String),
    /// The directory of the store cannot be used.
    Store(std::io::Error, String),
}

pub(crate) type Result<T> = std::result::Result<T, RError>;

impl From<Error> for RError {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl From<starburst_core::ids::InvalidId> for RError {
    fn from(error: starburst_core::ids::InvalidId) -> Self {
        Self::Core(error.into())
    }
}

fn core(error: &Error) -> (String, Vec<String>, Option<String>) {
    (error.kind().class_suffix().to_owned(), error.chain(), error.subject())
}

impl From<RError> for Robj {
    #[allow(clippy::wildcard_enum_match_arm)] // the system's errors are many, and more may come
    fn from(error: RError) -> Robj {
        let (kind, mut texts, subject) = match &error {
            RError::Core(error) => core(error),
            RError::Shared(error) => core(error),
            RError::Interrupted => ("interrupt".into(), vec!["interrupted".into()], None),
            RError::Raised(text) => ("raised".into(), vec![text.clone()], None),
            RError::Stale => {
                let text = "this handle is not connected in this R process".into();
                ("stale_handle".into(), vec![text], None)
            }
            RError::Value(text) => ("invalid_input".into(), vec![text.clone()], None),
            RError::Store(error, path) => {
                let kind = match error.kind() {
                    std::io::ErrorKind::PermissionDenied
                    | std::io::ErrorKind::ReadOnlyFilesystem => "permission",
                    _ => "unavailable",
                };
                let text = format!("cannot use the directory `{path}`");
                (kind.into(), vec![text, error.to_string()], Some(path.clone()))
            }
        };
        let message = texts.remove(0);
        list!(kind = kind, message = message, causes = texts, subject = subject.into_robj()).into()
    }
}
