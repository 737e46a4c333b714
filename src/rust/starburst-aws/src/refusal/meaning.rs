//! What an answer amounts to, by its code, status and words.
use super::{Answer, words_that_deny};

/// What a refusal amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// There is no such thing.
    Absent,
    /// There is such a thing already.
    Exists,
    /// The caller may not do this.
    Denied,
    /// The caller may not hand over a role.
    PassRole,
    /// A service may not use the role it was given.
    RoleUnusable,
    /// The role that ECS makes for itself is missing.
    ServiceRole,
    /// No credentials, or ones that have expired or are unknown.
    BadCredentials,
    /// The account has not switched the region on, or not subscribed to the service.
    RegionOff,
    /// Nothing says which region.
    NoRegion,
    /// A limit on how many there may be.
    Full,
    /// Too many calls; it did nothing.
    Throttled,
    /// Signed at a time that the service does not accept.
    Skewed,
    /// The service failed.
    Unavailable,
    /// There was no answer.
    Unreachable,
    /// The answer is not what the service promises.
    Unreadable,
    /// The request is wrong, and will be refused again.
    Invalid,
}

impl Meaning {
    /// Whether the same call may succeed a moment later.
    pub fn passes(self) -> bool {
        matches!(self, Meaning::Throttled | Meaning::Unavailable | Meaning::Unreachable)
    }
}

/// Sources: the common errors of AWS services and those in the models of the services called (AWS, November 2026).
pub(super) fn of(answer: Answer<'_>) -> Meaning {
    let words = answer.words.to_lowercase();
    let says = |text: &str| words.contains(text);
    let status = answer.status.unwrap_or_default();
    match answer.code.unwrap_or_default() {
        "AccessDenied"
        | "AccessDeniedException"
        | "AuthorizationError"
        | "NotAuthorized"
        | "UnauthorizedOperation" => denied(answer),
        "ExpiredToken"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidToken"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "TokenRefreshRequired"
        | "UnrecognizedClientException" => Meaning::BadCredentials,
        // The same code for a wrong key and for a wrong time.
        "AuthFailure" | "InvalidSignatureException" | "SignatureDoesNotMatch"
            if says("signature expired") || says("signature not yet current") =>
        {
            Meaning::Skewed
        }
        "AuthFailure" | "InvalidSignatureException" | "SignatureDoesNotMatch" => {
            Meaning::BadCredentials
        }
        "RequestExpired" | "RequestInTheFuture" | "RequestTimeTooSkewed" => Meaning::Skewed,
        "OptInRequired" | "SubscriptionRequiredException" | "RegionDisabledException" => {
            Meaning::RegionOff
        }
        "BandwidthLimitExceeded"
        | "EC2ThrottledException"
        | "PriorRequestNotComplete"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "TooManyRequests"
        | "TooManyRequestsException" => Meaning::Throttled,
        "LimitExceeded" | "LimitExceededException" | "QuotaExceededException" => Meaning::Full,
        "NoSuchEntity" | "NoSuchResourceException" => Meaning::Absent,
        code if code.contains("NotFound") => Meaning::Absent,
        code if code.contains("AlreadyExists") => Meaning::Exists,
        "ValidationError" if says("does not exist") => Meaning::Absent,
        _ if words_that_deny(answer.words).is_some() => denied(answer),
        _ if says("service linked role") || says("service-linked role") => Meaning::ServiceRole,
        _ if says("unable to assume the role") => Meaning::RoleUnusable,
        _ if status == 429 => Meaning::Throttled,
        _ if status >= 500 => Meaning::Unavailable,
        "InternalError"
        | "InternalFailure"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "ServerException"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => Meaning::Unavailable,
        _ if status == 403 => Meaning::Denied,
        _ => Meaning::Invalid,
    }
}

fn denied(answer: Answer<'_>) -> Meaning {
    match words_that_deny(answer.words) {
        Some(denied) if denied.action == "iam:PassRole" => Meaning::PassRole,
        _ => Meaning::Denied,
    }
}
