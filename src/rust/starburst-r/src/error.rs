//! Errors leave Rust as values; `R/native.R` makes conditions of them.
use extendr_api::prelude::*;
use starburst_core::error::Error;
use starburst_place::PlaceError;
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
    /// The place of the store cannot be used.
    Place(PlaceError),
}

pub(crate) type Result<T> = std::result::Result<T, RError>;

impl From<Error> for RError {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl From<starburst_aws::call::CallError> for RError {
    fn from(error: starburst_aws::call::CallError) -> Self {
        Self::Core(error.into())
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

/// `NULL` where there is none; in a list of its own `None` would be `NA`.
pub(crate) fn text_or_null(text: Option<String>) -> Robj {
    text.map_or_else(|| ().into(), Robj::from)
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
            RError::Place(PlaceError::Invalid(error)) => {
                ("invalid_input".into(), vec![error.to_string()], None)
            }
            RError::Place(error @ PlaceError::Directory { path, source }) => {
                let kind = match source.kind() {
                    std::io::ErrorKind::PermissionDenied
                    | std::io::ErrorKind::ReadOnlyFilesystem => "permission",
                    _ => "unavailable",
                };
                let texts = vec![error.to_string(), source.to_string()];
                (kind.into(), texts, Some(path.display().to_string()))
            }
        };
        let advice = match &error {
            RError::Core(Error::NoTask { .. }) => Some(
                "`$submit()` and `$map()` return the ids of tasks, and `$tasks()` lists them"
                    .into(),
            ),
            RError::Core(error) => error.advice(),
            RError::Shared(error) => error.advice(),
            _ => None,
        };
        let message = texts.remove(0);
        list!(
            kind = kind,
            message = message,
            causes = texts,
            subject = text_or_null(subject),
            advice = text_or_null(advice)
        )
        .into()
    }
}
