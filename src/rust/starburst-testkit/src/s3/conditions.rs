//! When a conditional request goes through.
use hyper::{
    HeaderMap,
    header::{ETAG, HeaderValue},
};
use s3s::{S3Error, S3Result, dto::ETagCondition, s3_error};

/// `If-Match` and `If-None-Match` of a request.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
}

pub(super) fn no_such_key() -> S3Error {
    s3_error!(NoSuchKey, "The specified key does not exist.")
}

fn precondition_failed() -> S3Error {
    s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
}

fn etag_header(etag: &str) -> HeaderMap {
    let value = HeaderValue::try_from(format!("\"{etag}\"")).ok();
    value.map(|value| (ETAG, value)).into_iter().collect()
}

fn matches(condition: &ETagCondition, etag: &str) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(expected) => expected.value() == etag,
    }
}

impl Conditions {
    /// A write over the object with this ETag, or over none.
    pub(super) fn check_write(&self, present: Option<&str>) -> S3Result<()> {
        match (&self.if_none_match, present) {
            (Some(ETagCondition::ETag(_)), _) => {
                let message = "A header you provided implies functionality that is not implemented";
                return Err(s3_error!(NotImplemented, "{message}"));
            }
            (Some(ETagCondition::Any), Some(_)) => return Err(precondition_failed()),
            (Some(ETagCondition::Any), None) | (None, _) => {}
        }
        match (&self.if_match, present) {
            (Some(_), None) => Err(no_such_key()),
            (Some(condition), Some(etag)) if !matches(condition, etag) => {
                Err(precondition_failed())
            }
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// A read of the object with this ETag.
    pub(super) fn check_read(&self, etag: &str) -> S3Result<()> {
        if self.if_match.as_ref().is_some_and(|condition| !matches(condition, etag)) {
            return Err(precondition_failed());
        }
        if self.if_none_match.as_ref().is_some_and(|condition| matches(condition, etag)) {
            let mut error = s3_error!(NotModified, "Not Modified");
            error.set_headers(etag_header(etag));
            return Err(error);
        }
        Ok(())
    }

    /// A deletion of the object with this ETag, or of none. Deleting nothing succeeds, unless something was demanded to be there.
    pub(super) fn check_delete(&self, present: Option<&str>) -> S3Result<()> {
        match (&self.if_match, present) {
            (Some(condition), Some(etag)) if !matches(condition, etag) => {
                Err(precondition_failed())
            }
            (Some(ETagCondition::Any), None) => Err(precondition_failed()),
            (Some(_) | None, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: S3Result<()>) -> Option<String> {
        result.err().map(|error| error.code().as_str().to_owned())
    }

    fn conditions(if_match: &str, if_none_match: &str) -> Conditions {
        Conditions { if_match: if_match.parse().ok(), if_none_match: if_none_match.parse().ok() }
    }

    #[test]
    fn a_write_is_refused_as_by_s3() {
        for (if_match, if_none_match, present, expected) in [
            ("", "", Some("x"), None),
            ("", "*", None, None),
            ("", "*", Some("x"), Some("PreconditionFailed")),
            ("", "\"x\"", Some("x"), Some("NotImplemented")),
            ("\"x\"", "", Some("x"), None),
            ("\"x\"", "", Some("y"), Some("PreconditionFailed")),
            ("\"x\"", "", None, Some("NoSuchKey")),
        ] {
            let found = code(conditions(if_match, if_none_match).check_write(present));
            assert_eq!(found.as_deref(), expected, "{if_match} {if_none_match} {present:?}");
        }
    }

    #[test]
    fn a_read_of_what_is_known_is_not_modified() {
        assert_eq!(code(conditions("", "\"x\"").check_read("x")).as_deref(), Some("NotModified"));
        assert_eq!(code(conditions("", "\"x\"").check_read("y")), None);
        let other = code(conditions("\"x\"", "").check_read("y"));
        assert_eq!(other.as_deref(), Some("PreconditionFailed"));
    }

    #[test]
    fn a_deletion_of_nothing_succeeds() {
        assert_eq!(code(conditions("\"x\"", "").check_delete(None)), None);
        assert_eq!(code(conditions("\"x\"", "").check_delete(Some("x"))), None);
        let other = code(conditions("\"x\"", "").check_delete(Some("y")));
        assert_eq!(other.as_deref(), Some("PreconditionFailed"));
    }
}
