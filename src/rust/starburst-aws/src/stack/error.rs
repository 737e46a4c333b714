//! Why a stack is not as it should be.
use super::{StackEvent, watch::LIMIT};
use crate::{
    call::CallError,
    refusal::{allow, words_that_deny},
};
use starburst_core::{
    error::{Error, ErrorKind},
    store::Advised,
};
use std::fmt;

/// Why a stack is not as it should be.
#[derive(Debug)]
pub enum StackError {
    /// A call failed.
    Call(CallError),
    /// What CloudFormation did, failed.
    Failed {
        /// The stack.
        name: String,
        /// How it stands now.
        status: String,
        /// The event that says why, if one does.
        cause: Option<Box<StackEvent>>,
        /// What CloudFormation says of the whole stack.
        reason: Option<String>,
    },
    /// It takes longer than anybody waits.
    Slow {
        /// The stack.
        name: String,
        /// What it still does.
        status: String,
    },
    /// It changes again and again while we look; somebody else works on it.
    Restless {
        /// The stack.
        name: String,
    },
    /// The stack does not tell what this package must know.
    MissingOutput {
        /// The stack.
        name: String,
        /// The output that is not there.
        output: &'static str,
        /// The version of its template, if it says.
        version: Option<String>,
    },
    /// The template is longer than CloudFormation takes in a request.
    LongTemplate {
        /// Its length in bytes.
        bytes: usize,
        /// The most there may be.
        most: usize,
    },
}

impl From<CallError> for StackError {
    fn from(error: CallError) -> Self {
        StackError::Call(error)
    }
}

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StackError::Call(error) => error.fmt(f),
            StackError::Failed { name, status, .. } => {
                write!(f, "the stack `{name}` failed, and is now in {status}")
            }
            StackError::Slow { name, status } => write!(
                f,
                "the stack `{name}` is still in {status} after {} minutes",
                LIMIT.as_secs() / 60
            ),
            StackError::Restless { name } => {
                write!(f, "the stack `{name}` is being changed by somebody else")
            }
            StackError::MissingOutput { name, output, version } => {
                write!(f, "the stack `{name}` has no output `{output}`")?;
                match version {
                    Some(version) => write!(f, " (its template has version {version})"),
                    None => Ok(()),
                }
            }
            StackError::LongTemplate { bytes, most } => {
                write!(f, "the template has {bytes} bytes; CloudFormation takes at most {most}")
            }
        }
    }
}

impl std::error::Error for StackError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StackError::Call(error) => error.source(),
            StackError::Failed { .. }
            | StackError::Slow { .. }
            | StackError::Restless { .. }
            | StackError::MissingOutput { .. }
            | StackError::LongTemplate { .. } => None,
        }
    }
}

impl StackError {
    /// What CloudFormation said, if it is CloudFormation that failed.
    pub fn said(&self) -> Option<String> {
        let StackError::Failed { cause, reason, .. } = self else { return None };
        match cause {
            Some(event) => Some(format!(
                "`{}` ({}) {}: {}",
                event.resource,
                event.kind,
                event.status,
                event.reason.as_deref().unwrap_or("no reason given")
            )),
            None => reason.clone(),
        }
    }

    /// What a user can do about it, as a sentence without a full stop.
    pub fn advice(&self) -> Option<String> {
        let advice = match self {
            StackError::Call(error) => return error.advice().map(ToOwned::to_owned),
            StackError::Failed { status, .. } => {
                let said = self.said().unwrap_or_default();
                match (words_that_deny(&said), status.as_str()) {
                    (Some(denial), _) => allow(denial.action, denial.resource.unwrap_or("*")),
                    (None, "REVIEW_IN_PROGRESS") => {
                        "somebody has prepared a change set: execute or delete it in the CloudFormation console"
                            .to_owned()
                    }
                    (None, "DELETE_FAILED") => {
                        "remove what holds it, and run `starburst_teardown()` again".to_owned()
                    }
                    (None, "UPDATE_ROLLBACK_FAILED") => {
                        "remove the cause, then run `aws cloudformation continue-update-rollback --stack-name` \
                         with the stack's name"
                            .to_owned()
                    }
                    (None, "CREATE_FAILED" | "ROLLBACK_FAILED") => {
                        "run `starburst_teardown()`, remove the cause, and run `starburst_setup()` again".to_owned()
                    }
                    (None, _) => "remove the cause and run `starburst_setup()` again".to_owned(),
                }
            }
            StackError::Slow { .. } => {
                "AWS goes on; run the same command again to go on watching".to_owned()
            }
            StackError::Restless { .. } => "wait until they are done, and try again".to_owned(),
            StackError::MissingOutput { .. } => {
                "its template is older than this package: run `starburst_setup()` to update the stack, \
                 or ask who deployed it to do so"
                    .to_owned()
            }
            StackError::LongTemplate { .. } => "make the template shorter".to_owned(),
        };
        Some(advice)
    }

    /// The kind of error it is for a user.
    pub fn kind(&self) -> ErrorKind {
        match self {
            StackError::Call(error) => error.kind(),
            StackError::Failed { .. } => {
                let said = self.said().unwrap_or_default();
                let denied = words_that_deny(&said).is_some();
                if denied { ErrorKind::Permission } else { ErrorKind::Unavailable }
            }
            StackError::Slow { .. } | StackError::Restless { .. } => ErrorKind::Unavailable,
            StackError::MissingOutput { .. } => ErrorKind::Version,
            StackError::LongTemplate { .. } => ErrorKind::InvalidInput,
        }
    }

    fn name(&self) -> Option<String> {
        match self {
            StackError::Failed { name, .. }
            | StackError::Slow { name, .. }
            | StackError::Restless { name }
            | StackError::MissingOutput { name, .. } => Some(name.clone()),
            StackError::Call(_) | StackError::LongTemplate { .. } => None,
        }
    }
}

impl From<StackError> for Error {
    fn from(error: StackError) -> Self {
        let (kind, subject, message) = (error.kind(), error.name(), error.to_string());
        let said = error.said().unwrap_or_else(|| message.clone());
        let advice = error.advice().unwrap_or_default();
        match error {
            StackError::Call(error) => error.into(),
            StackError::Failed { .. }
            | StackError::Slow { .. }
            | StackError::Restless { .. }
            | StackError::MissingOutput { .. }
            | StackError::LongTemplate { .. } => {
                let source = Box::new(Advised { said, advice });
                Error::Service { kind, message, subject, source }
            }
        }
    }
}
