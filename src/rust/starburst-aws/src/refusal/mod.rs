//! What AWS said when it did not do what it was asked, as one error: what did not come about, AWS's words, and what to do.
mod advice;
mod meaning;
mod sdk;

pub(crate) use advice::{allow, login, profile_in_use, words_that_deny};
pub use meaning::Meaning;
pub(crate) use sdk::{NO_SOURCE, credentials_problem, innermost, is_of_the_network, never_sent};

use crate::{account::Account, call::Call};
use starburst_core::{
    error::{Error, ErrorKind},
    store::{Advised, Cause},
};
use std::{error::Error as StdError, fmt};

/// Why a call of AWS's control plane did not do what it was asked.
#[derive(Debug)]
pub struct CallError {
    meaning: Meaning,
    /// The service, the operation, and what it was about.
    call: String,
    resource: Option<String>,
    code: Option<String>,
    advice: Option<String>,
    source: Cause,
}

/// What is known of one answer, or of its absence.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Answer<'a> {
    /// The HTTP status, if there was an answer.
    pub(crate) status: Option<u16>,
    /// The error's code.
    pub(crate) code: Option<&'a str>,
    /// The error's message, or what went wrong on the way.
    pub(crate) words: &'a str,
}

impl CallError {
    /// What it amounts to.
    pub fn meaning(&self) -> Meaning {
        self.meaning
    }

    /// AWS's code for it, such as `AccessDeniedException`.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// AWS's words, or what went wrong on the way there.
    pub fn words(&self) -> String {
        self.source.to_string()
    }

    /// What a user can do about it, as a sentence without a full stop.
    pub fn advice(&self) -> Option<&str> {
        self.advice.as_deref()
    }

    /// The kind of error it is for a user.
    pub fn kind(&self) -> ErrorKind {
        match self.meaning {
            Meaning::Absent => ErrorKind::NotFound,
            Meaning::Exists | Meaning::Invalid | Meaning::NoRegion => ErrorKind::InvalidInput,
            Meaning::Denied
            | Meaning::PassRole
            | Meaning::RoleUnusable
            | Meaning::ServiceRole
            | Meaning::RegionOff => ErrorKind::Permission,
            Meaning::BadCredentials => ErrorKind::Unauthenticated,
            Meaning::Full => ErrorKind::Capacity,
            Meaning::Throttled
            | Meaning::Skewed
            | Meaning::Unavailable
            | Meaning::Unreachable
            | Meaning::Unreadable => ErrorKind::Unavailable,
        }
    }

    /// What AWS said, and what to do, for errors that say the rest themselves.
    pub(crate) fn into_source(self) -> Cause {
        self.source
    }

    pub(super) fn new(
        call: &Call<'_>,
        meaning: Meaning,
        answer: Answer<'_>,
        advice: Option<String>,
    ) -> Self {
        let said = match answer {
            Answer { code: Some(code), words: "", .. } => code.to_owned(),
            Answer { code: Some(code), words, .. } => format!("{code}: {words}"),
            Answer { code: None, words: "", status: Some(status) } => {
                format!("HTTP status {status}")
            }
            Answer { words, .. } => words.to_owned(),
        };
        let source: Cause = match &advice {
            Some(advice) => Box::new(Advised { said, advice: advice.clone() }),
            None => said.into(),
        };
        Self {
            meaning,
            call: call.to_string(),
            resource: call.resource.map(ToOwned::to_owned),
            code: answer.code.map(ToOwned::to_owned),
            advice,
            source,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = &self.call;
        match self.meaning {
            Meaning::Absent => write!(f, "nothing there for {call}"),
            Meaning::Exists => write!(f, "{call}: it exists already"),
            Meaning::Denied => write!(f, "not allowed: {call}"),
            Meaning::PassRole => write!(f, "not allowed to hand over a role: {call}"),
            Meaning::RoleUnusable => write!(f, "a role cannot be used: {call}"),
            Meaning::ServiceRole => write!(f, "the service-linked role of ECS is missing: {call}"),
            Meaning::BadCredentials => write!(f, "no valid AWS credentials for {call}"),
            Meaning::RegionOff => write!(f, "this account does not use the region: {call}"),
            Meaning::NoRegion => write!(f, "no AWS region is set for {call}"),
            Meaning::Full => write!(f, "a limit of the account is reached: {call}"),
            Meaning::Throttled => write!(f, "AWS is asked too often: {call}"),
            Meaning::Skewed => write!(f, "the clock of this machine is wrong for {call}"),
            Meaning::Unavailable => write!(f, "AWS failed to do {call}"),
            Meaning::Unreachable => write!(f, "no connection for {call}"),
            Meaning::Unreadable => write!(f, "an answer that makes no sense to {call}"),
            Meaning::Invalid => write!(f, "AWS refused {call}"),
        }
    }
}

impl StdError for CallError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.source.as_ref())
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        Error::Service {
            kind: error.kind(),
            message: error.to_string(),
            subject: error.resource,
            source: error.source,
        }
    }
}

impl Account {
    /// The error for an answer that refuses.
    pub(crate) fn refused(&self, call: &Call<'_>, answer: Answer<'_>) -> CallError {
        self.told(call, meaning::of(answer), answer)
    }

    /// The error for one part of a call, of which the rest was done.
    pub(crate) fn refused_part(
        &self,
        call: &Call<'_>,
        code: Option<&str>,
        words: Option<&str>,
    ) -> CallError {
        self.refused(call, Answer { status: None, code, words: words.unwrap_or_default() })
    }

    /// The error for something that is certain without looking at an answer.
    pub(crate) fn told(&self, call: &Call<'_>, meaning: Meaning, answer: Answer<'_>) -> CallError {
        let profile = profile_in_use(self.access());
        let advice = advice::of(meaning, call, answer, &profile, self.region());
        CallError::new(call, meaning, answer, advice)
    }

    /// The error for an answer that is not what its service promises.
    pub(crate) fn unreadable(&self, call: &Call<'_>, words: &str) -> CallError {
        self.told(call, Meaning::Unreadable, Answer { words, ..Answer::default() })
    }
}

#[cfg(test)]
mod tests;
