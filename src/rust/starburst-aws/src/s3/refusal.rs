//! What S3 said, as the errors of the store seam: each with the operation, bucket and key, and what to do.
use super::location::S3Location;
use crate::{
    account::Access,
    refusal::{
        NO_SOURCE, allow, credentials_problem, innermost, is_of_the_network, login, never_sent,
        profile_in_use,
    },
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use starburst_core::{
    key::Key,
    store::{Advised, Cause, StoreError},
};
use std::error::Error as StdError;

/// A call of the store, with what it is called in S3 and in IAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Get,
    Head,
    /// A write of any kind.
    Create,
    Replace,
    List,
    Delete,
}

impl Call {
    fn verb(self) -> &'static str {
        match self {
            Call::Get | Call::Head => "read",
            Call::Create | Call::Replace => "write",
            Call::List => "list",
            Call::Delete => "delete",
        }
    }
    fn writes(self) -> bool {
        matches!(self, Call::Create | Call::Replace)
    }
    fn s3_name(self) -> &'static str {
        match self {
            Call::Get => "GetObject",
            Call::Head => "HeadObject",
            Call::Create | Call::Replace => "PutObject",
            Call::List => "ListObjectsV2",
            Call::Delete => "DeleteObject",
        }
    }
    fn iam_action(self) -> &'static str {
        match self {
            Call::Get | Call::Head => "s3:GetObject",
            Call::Create | Call::Replace => "s3:PutObject",
            Call::List => "s3:ListBucket",
            Call::Delete => "s3:DeleteObject",
        }
    }
}

/// What an answer amounts to, before it is put in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Absent,
    Lost,
    NoBucket,
    OtherRegion,
    Denied,
    BadCredentials,
    SlowDown,
    /// Certainly nothing was done; the same call may succeed later.
    Again,
    /// It may have been done.
    Perhaps,
    /// It will be refused again.
    Wrong,
}

/// Where refusals are told: they name the place.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) location: S3Location,
    pub(super) access: Access,
}

impl Place {
    /// The error of the seam for an error of the SDK.
    pub(super) fn refusal<E>(
        &self,
        call: Call,
        key: &Key,
        error: SdkError<E, HttpResponse>,
    ) -> StoreError
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let status = error.raw_response().map(|r| r.status().as_u16());
        let header =
            |name| error.raw_response().and_then(|r| r.headers().get(name)).map(ToOwned::to_owned);
        let region = header("x-amz-bucket-region");
        let problem = credentials_problem(&error);
        let meaning = match (&error, status) {
            (SdkError::ServiceError(service), Some(status)) => {
                meaning(call, status, service.err().code(), region.is_some())
            }
            // Nothing was sent.
            (_, _) if problem.as_deref().is_some_and(is_of_the_network) => Meaning::Again,
            (_, _) if problem.is_some() => Meaning::BadCredentials,
            (SdkError::ConstructionFailure(_), _) => Meaning::Wrong,
            (SdkError::DispatchFailure(failure), _) if failure.is_other() && never_sent(&error) => {
                Meaning::Wrong
            }
            // Sent, perhaps; answered, perhaps.
            (_, _) => Meaning::Perhaps,
        };
        let code = error.as_service_error().and_then(|e| e.code().map(ToOwned::to_owned));
        let words = error.as_service_error().and_then(|e| e.message().map(ToOwned::to_owned));
        let words = words.unwrap_or_else(|| innermost(&error));
        let said = match (&code, status) {
            (Some(code), _) => format!("{code}: {words}"),
            (None, Some(status)) => format!("HTTP status {status}"),
            (None, None) if meaning == Meaning::Again => format!("{NO_SOURCE}: {words}"),
            (None, None) => words,
        };
        self.told(call, key, meaning, &said, code.as_deref(), region.as_deref(), problem.as_deref())
    }

    /// A call whose time ran out.
    pub(super) fn out_of_time(&self, call: Call, key: &Key) -> StoreError {
        self.told(call, key, Meaning::Perhaps, "no answer in time", None, None, None)
    }

    /// A body that broke off.
    pub(super) fn broken_body(&self, key: &Key, error: &(dyn StdError + 'static)) -> StoreError {
        self.told(Call::Get, key, Meaning::Again, &innermost(error), None, None, None)
    }

    #[allow(clippy::too_many_arguments)] // what is known of one answer
    fn told(
        &self,
        call: Call,
        key: &Key,
        meaning: Meaning,
        said: &str,
        code: Option<&str>,
        region: Option<&str>,
        problem: Option<&str>,
    ) -> StoreError {
        let (operation, key) = (call.verb(), key.clone());
        let name = self.location.url(key.as_str());
        let said = format!("S3 {} {name}: {said}", call.s3_name());
        let source = |advice: Option<String>| -> Cause {
            match advice {
                Some(advice) => Box::new(Advised { said: said.clone(), advice }),
                None => said.clone().into(),
            }
        };
        match meaning {
            Meaning::Absent => StoreError::NotFound { key },
            Meaning::Lost if call == Call::Create => StoreError::AlreadyExists { key },
            Meaning::Lost => StoreError::VersionMismatch { key },
            Meaning::NoBucket => {
                let advice = format!(
                    "check the name of the bucket `{}`, and that it is in this account",
                    self.location.bucket
                );
                StoreError::Misplaced { operation, key, source: source(Some(advice)) }
            }
            Meaning::OtherRegion => {
                let advice = match region {
                    Some(region) => format!(
                        "the bucket `{}` is in {region}: use region = \"{region}\"",
                        self.location.bucket
                    ),
                    None => format!("use the region of the bucket `{}`", self.location.bucket),
                };
                StoreError::Misplaced { operation, key, source: source(Some(advice)) }
            }
            Meaning::Denied => {
                let on = match call {
                    Call::List => format!("arn:aws:s3:::{}", self.location.bucket),
                    Call::Get | Call::Head | Call::Create | Call::Replace | Call::Delete => {
                        self.location.arn(key.as_str())
                    }
                };
                let advice = allow(call.iam_action(), &on);
                StoreError::Denied { operation, key, source: source(Some(advice)) }
            }
            Meaning::BadCredentials => {
                let profile = profile_in_use(&self.access);
                let advice = login(&profile, self.access.region.as_deref(), code, problem);
                StoreError::Unauthenticated { operation, key, source: source(Some(advice)) }
            }
            Meaning::SlowDown => StoreError::SlowDown { operation, key, source: source(None) },
            Meaning::Perhaps if call.writes() => {
                StoreError::Unanswered { key, source: source(None) }
            }
            Meaning::Again | Meaning::Perhaps => {
                StoreError::Unavailable { operation, key, source: source(None) }
            }
            Meaning::Wrong => StoreError::Misplaced {
                operation,
                key,
                source: source(Some(
                    "check `region`, the profile and the AWS_* environment variables".into(),
                )),
            },
        }
    }
}

/// Sources: the S3 API's error codes and the table of conditional requests (AWS, November 2026).
fn meaning(call: Call, status: u16, code: Option<&str>, says_region: bool) -> Meaning {
    match (status, code.unwrap_or_default()) {
        (_, "NoSuchBucket") => Meaning::NoBucket,
        (
            _,
            "PermanentRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException",
        ) => Meaning::OtherRegion,
        (301 | 307, _) => Meaning::OtherRegion,
        (
            _,
            "ExpiredToken"
            | "ExpiredTokenException"
            | "TokenRefreshRequired"
            | "InvalidToken"
            | "InvalidAccessKeyId"
            | "SignatureDoesNotMatch",
        ) => Meaning::BadCredentials,
        // The signature of the next try follows the server's clock.
        (_, "RequestTimeTooSkewed" | "RequestExpired" | "RequestTimeout" | "BadDigest") => {
            Meaning::Again
        }
        (
            _,
            "SlowDown"
            | "Throttling"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "TooManyRequests",
        )
        | (429, _) => Meaning::SlowDown,
        (412, _) => Meaning::Lost,
        (404, _) if call == Call::Replace => Meaning::Lost,
        (404, "NoSuchUpload") => Meaning::Again,
        (404, _) => Meaning::Absent,
        // Somebody else writes the same key just now: neither won yet.
        (409, _) => Meaning::Again,
        (400, _) if says_region && call == Call::Head => Meaning::OtherRegion,
        (403, _) => Meaning::Denied,
        // A HEAD has no body to say more in.
        (503, "") if call == Call::Head => Meaning::SlowDown,
        // The last step of a large write may begin its answer before it fails.
        (500.. | 200..=299, _) => Meaning::Perhaps,
        (_, _) => Meaning::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_condition_is_a_lost_race_and_a_conflict_is_none() {
        assert_eq!(meaning(Call::Create, 412, Some("PreconditionFailed"), false), Meaning::Lost);
        assert_eq!(meaning(Call::Replace, 404, Some("NoSuchKey"), false), Meaning::Lost);
        assert_eq!(meaning(Call::Get, 404, Some("NoSuchKey"), false), Meaning::Absent);
        assert_eq!(
            meaning(Call::Create, 409, Some("ConditionalRequestConflict"), false),
            Meaning::Again
        );
        assert_eq!(meaning(Call::Create, 500, Some("InternalError"), false), Meaning::Perhaps);
        assert_eq!(meaning(Call::Create, 503, Some("SlowDown"), false), Meaning::SlowDown);
        assert_eq!(meaning(Call::Replace, 404, Some("NoSuchBucket"), false), Meaning::NoBucket);
    }
}
