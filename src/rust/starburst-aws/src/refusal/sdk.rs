//! Errors of the SDK, taken apart.
use super::{Answer, CallError, Meaning};
use crate::{account::Account, call::Call};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use std::error::Error as StdError;

impl Account {
    /// The error for an error of an SDK's client: with the operation's name, what it was about, and what to do.
    pub fn sdk_error<E>(&self, call: &Call<'_>, error: &SdkError<E, HttpResponse>) -> CallError
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        if let Some(problem) = credentials_problem(error) {
            return self.no_credentials(call, &problem);
        }
        let status = error.raw_response().map(|r| r.status().as_u16());
        let words = innermost(error);
        let answer = Answer { status, code: None, words: &words };
        if let SdkError::ServiceError(service) = error {
            // An answer that says yes, in words the SDK does not understand.
            if status.is_some_and(|status| status < 300) {
                return self.told(call, Meaning::Unreadable, answer);
            }
            let (code, words) = (service.err().code(), service.err().message());
            return self.refused(call, Answer { status, code, words: words.unwrap_or_default() });
        }
        let meaning = if matches!(error, SdkError::ResponseError(_)) {
            Meaning::Unreadable
        } else if never_sent(error) && self.region_of(call.service).is_none() {
            Meaning::NoRegion
        } else if matches!(error, SdkError::ConstructionFailure(_)) {
            Meaning::Invalid
        } else {
            Meaning::Unreachable
        };
        self.told(call, meaning, answer)
    }

    /// The error for want of credentials. A network that is down passes, and says nothing about credentials.
    pub(crate) fn no_credentials(&self, call: &Call<'_>, problem: &str) -> CallError {
        if is_of_the_network(problem) {
            let words = format!("{NO_SOURCE}: {problem}");
            return self.told(
                call,
                Meaning::Unreachable,
                Answer { words: &words, ..Answer::default() },
            );
        }
        self.told(call, Meaning::BadCredentials, Answer { words: problem, ..Answer::default() })
    }
}

/// Whether a request failed for want of an address, before anything was sent.
pub(crate) fn never_sent(error: &(dyn StdError + 'static)) -> bool {
    let about = |text: &str| innermost(error).to_lowercase().contains(text);
    about("endpoint") || about("region")
}

/// The service that gives credentials did not answer.
pub(crate) const NO_SOURCE: &str = "the service that gives credentials cannot be reached";

/// Whether credentials are missing because the service that gives them cannot be reached. The SDK tells it only in words.
pub(crate) fn is_of_the_network(problem: &str) -> bool {
    let problem = problem.to_lowercase();
    let signs = [
        "dns error",
        "failed to lookup address",
        "connection refused",
        "connection reset",
        "(connect)",
        "timed out",
    ];
    signs.iter().any(|sign| problem.contains(sign))
}

/// What is wrong with the credentials, if that is what is wrong.
pub(crate) fn credentials_problem(error: &(dyn StdError + 'static)) -> Option<String> {
    let chain = chain_of(error);
    let found = chain.iter().position(|e| e.downcast_ref::<CredentialsError>().is_some())?;
    let texts: Vec<String> = chain.iter().skip(found).map(ToString::to_string).collect();
    Some(texts.join(": "))
}

/// The last cause says what happened; the ones before it say that something happened.
pub(crate) fn innermost(error: &(dyn StdError + 'static)) -> String {
    chain_of(error).last().map(ToString::to_string).unwrap_or_default()
}

/// An error and its causes, outermost first.
fn chain_of<'a>(error: &'a (dyn StdError + 'static)) -> Vec<&'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&e| e.source()).collect()
}
