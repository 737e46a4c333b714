//! Which operation of S3 a request asks for, told from its method and its path-style address.
use super::query::{Query, decode};
use hyper::{Method, Uri};

/// An operation of S3, as far as faults and counts tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Write one object.
    PutObject,
    /// Read one object, or a range of it.
    GetObject,
    /// Ask about one object.
    HeadObject,
    /// Delete one object.
    DeleteObject,
    /// Delete up to 1,000 objects.
    DeleteObjects,
    /// List keys, up to 1,000 a page.
    ListObjectsV2,
    /// List versions of objects.
    ListObjectVersions,
    /// List objects in parts that are under way.
    ListMultipartUploads,
    /// Begin an object in parts.
    CreateMultipartUpload,
    /// Write one part.
    UploadPart,
    /// Make the object from its parts.
    CompleteMultipartUpload,
    /// Forget the parts.
    AbortMultipartUpload,
    /// All others: buckets, what is not implemented.
    Other,
}

/// Requests for these are about something else than the object's bytes.
const BESIDES: [&str; 7] =
    ["acl", "attributes", "legal-hold", "restore", "retention", "tagging", "torrent"];

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 13] = [
        Self::PutObject,
        Self::GetObject,
        Self::HeadObject,
        Self::DeleteObject,
        Self::DeleteObjects,
        Self::ListObjectsV2,
        Self::ListObjectVersions,
        Self::ListMultipartUploads,
        Self::CreateMultipartUpload,
        Self::UploadPart,
        Self::CompleteMultipartUpload,
        Self::AbortMultipartUpload,
        Self::Other,
    ];

    /// The name in the documentation of S3.
    pub fn name(self) -> &'static str {
        match self {
            Self::PutObject => "PutObject",
            Self::GetObject => "GetObject",
            Self::HeadObject => "HeadObject",
            Self::DeleteObject => "DeleteObject",
            Self::DeleteObjects => "DeleteObjects",
            Self::ListObjectsV2 => "ListObjectsV2",
            Self::ListObjectVersions => "ListObjectVersions",
            Self::ListMultipartUploads => "ListMultipartUploads",
            Self::CreateMultipartUpload => "CreateMultipartUpload",
            Self::UploadPart => "UploadPart",
            Self::CompleteMultipartUpload => "CompleteMultipartUpload",
            Self::AbortMultipartUpload => "AbortMultipartUpload",
            Self::Other => "Other",
        }
    }

    /// The operation of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }

    /// True for what changes objects or uploads: the requests that S3 limits as writes.
    pub fn is_write(self) -> bool {
        match self {
            Self::PutObject
            | Self::DeleteObject
            | Self::DeleteObjects
            | Self::CreateMultipartUpload
            | Self::UploadPart
            | Self::CompleteMultipartUpload
            | Self::AbortMultipartUpload => true,
            Self::GetObject
            | Self::HeadObject
            | Self::ListObjectsV2
            | Self::ListObjectVersions
            | Self::ListMultipartUploads
            | Self::Other => false,
        }
    }

    /// The operation and its key: the prefix for a list, empty where the address names none.
    pub fn of(method: &Method, uri: &Uri) -> (Self, String) {
        let query = Query::parse(uri.query());
        let path = uri.path().trim_start_matches('/');
        match path.split_once('/') {
            Some((_, key)) if !key.is_empty() => (of_object(method, &query), decode(key)),
            Some(_) | None => of_bucket(method, &query),
        }
    }
}

fn of_bucket(method: &Method, query: &Query) -> (Operation, String) {
    match method.as_str() {
        "GET" if query.get("list-type") == Some("2") => {
            (Operation::ListObjectsV2, query.get("prefix").unwrap_or_default().to_owned())
        }
        "GET" if query.has("versions") => {
            (Operation::ListObjectVersions, query.get("prefix").unwrap_or_default().to_owned())
        }
        "GET" if query.has("uploads") => (Operation::ListMultipartUploads, String::new()),
        "POST" if query.has("delete") => (Operation::DeleteObjects, String::new()),
        _ => (Operation::Other, String::new()),
    }
}

fn of_object(method: &Method, query: &Query) -> Operation {
    if BESIDES.iter().any(|name| query.has(name)) {
        return Operation::Other;
    }
    match (method.as_str(), query.has("uploadId")) {
        ("PUT", false) => Operation::PutObject,
        ("PUT", true) => Operation::UploadPart,
        ("GET", false) => Operation::GetObject,
        ("HEAD", false) => Operation::HeadObject,
        ("DELETE", false) => Operation::DeleteObject,
        ("DELETE", true) => Operation::AbortMultipartUpload,
        ("POST", true) => Operation::CompleteMultipartUpload,
        ("POST", false) if query.has("uploads") => Operation::CreateMultipartUpload,
        _ => Operation::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, uri: &str) -> (Operation, String) {
        Operation::of(&Method::from_bytes(method.as_bytes()).unwrap(), &uri.parse().unwrap())
    }

    #[test]
    fn requests_for_an_object_are_told_apart() {
        for (method, query, expected) in [
            ("PUT", "?x-id=PutObject", Operation::PutObject),
            ("PUT", "?partNumber=1&uploadId=u&x-id=UploadPart", Operation::UploadPart),
            ("PUT", "?tagging", Operation::Other),
            ("GET", "?x-id=GetObject", Operation::GetObject),
            ("GET", "?uploadId=u", Operation::Other),
            ("HEAD", "", Operation::HeadObject),
            ("DELETE", "?x-id=DeleteObject", Operation::DeleteObject),
            ("DELETE", "?uploadId=u", Operation::AbortMultipartUpload),
            ("POST", "?uploads", Operation::CreateMultipartUpload),
            ("POST", "?uploadId=u", Operation::CompleteMultipartUpload),
            ("POST", "", Operation::Other),
        ] {
            let found = of(method, &format!("/bucket/a/b%20c{query}"));
            assert_eq!(found, (expected, "a/b c".to_owned()), "{method} {query}");
        }
    }

    #[test]
    fn requests_for_a_bucket_are_told_apart() {
        assert_eq!(
            of("GET", "/bucket/?list-type=2&prefix=a%2Fb"),
            (Operation::ListObjectsV2, "a/b".to_owned())
        );
        assert_eq!(of("GET", "/bucket?list-type=2").0, Operation::ListObjectsV2);
        assert_eq!(of("POST", "/bucket?delete").0, Operation::DeleteObjects);
        assert_eq!(of("PUT", "/bucket").0, Operation::Other);
        assert_eq!(of("GET", "/bucket?uploads").0, Operation::ListMultipartUploads);
        assert_eq!(of("GET", "/bucket?versions").0, Operation::ListObjectVersions);
        assert_eq!(of("GET", "/").0, Operation::Other);
    }

    #[test]
    fn every_name_names_its_operation() {
        for operation in Operation::ALL {
            assert_eq!(Operation::named(operation.name()), Some(operation));
        }
        assert_eq!(Operation::named("CopyObject"), None);
    }
}
