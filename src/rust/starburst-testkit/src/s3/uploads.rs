//! Objects in parts: which parts make one, and what S3 says to those that do not.
use super::{
    digest,
    objects::{Described, Stored},
};
use bytes::{Bytes, BytesMut};
use s3s::{
    S3Error, S3Result,
    dto::{Checksum, ChecksumAlgorithm, ChecksumType, CompletedPart, ETag},
    s3_error,
};
use std::{collections::BTreeMap, time::SystemTime};

/// Every part but the last has at least so many bytes.
const LEAST_IN_A_PART: usize = 5 << 20;

/// What S3 promises to check of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Promise {
    /// Nothing: no checksum was named, or one that this server does not follow through parts.
    Nothing,
    /// A CRC32 of each part, which the completion repeats.
    Crc32OfParts,
    /// A CRC32 of the whole.
    Crc32OfWhole,
}

impl Promise {
    pub(super) fn of(algorithm: Option<&ChecksumAlgorithm>, whole: Option<&ChecksumType>) -> Self {
        let crc32 = algorithm.is_some_and(|name| name.as_str() == ChecksumAlgorithm::CRC32);
        let whole = whole.is_some_and(|name| name.as_str() == ChecksumType::FULL_OBJECT);
        match (crc32, whole) {
            (false, _) => Self::Nothing,
            (true, false) => Self::Crc32OfParts,
            (true, true) => Self::Crc32OfWhole,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) body: Bytes,
    pub(super) md5: [u8; 16],
    pub(super) crc32: Option<String>,
}

impl Part {
    pub(super) fn etag(&self) -> String {
        digest::hexadecimal(&self.md5)
    }
}

/// An upload that is neither completed nor aborted.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) initiated: SystemTime,
    pub(super) described: Described,
    pub(super) promise: Promise,
    pub(super) parts: BTreeMap<i32, Part>,
}

pub(super) fn no_such_upload() -> S3Error {
    s3_error!(
        NoSuchUpload,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
    )
}

fn invalid_part() -> S3Error {
    s3_error!(
        InvalidPart,
        "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."
    )
}

/// Parts have the numbers 1 to 10,000.
pub(super) fn check_number(number: i32) -> S3Result<()> {
    if (1..=10_000).contains(&number) {
        return Ok(());
    }
    Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"))
}

impl Upload {
    /// The object of the parts that the completion names.
    pub(super) fn complete(&self, named: &[CompletedPart], now: SystemTime) -> S3Result<Stored> {
        if named.is_empty() {
            return Err(s3_error!(
                MalformedXML,
                "The XML you provided was not well-formed or did not validate against our published schema"
            ));
        }
        let mut before = 0;
        let mut parts = Vec::with_capacity(named.len());
        for asked in named {
            let number = asked.part_number.unwrap_or(0);
            check_number(number)?;
            if number <= before {
                return Err(s3_error!(
                    InvalidPartOrder,
                    "The list of parts was not in ascending order. Parts must be ordered by part number."
                ));
            }
            before = number;
            parts.push(self.part(number, asked)?);
        }
        if parts.iter().rev().skip(1).any(|part| part.body.len() < LEAST_IN_A_PART) {
            return Err(s3_error!(
                EntityTooSmall,
                "Your proposed upload is smaller than the minimum allowed size"
            ));
        }
        Ok(self.join(&parts, now))
    }

    fn part(&self, number: i32, asked: &CompletedPart) -> S3Result<&Part> {
        let part = self.parts.get(&number).ok_or_else(invalid_part)?;
        if asked.e_tag.as_ref().map(ETag::value) != Some(part.etag().as_str()) {
            return Err(invalid_part());
        }
        match (&asked.checksum_crc32, self.promise) {
            (None, Promise::Crc32OfParts) => Err(s3_error!(
                InvalidRequest,
                "The upload was created using a crc32 checksum. The complete request must include the checksum for each part. It was missing for part {number} in the request."
            )),
            (Some(_), _) if asked.checksum_crc32 != part.crc32 => Err(invalid_part()),
            (Some(_), _) | (None, Promise::Nothing | Promise::Crc32OfWhole) => Ok(part),
        }
    }

    fn join(&self, parts: &[&Part], now: SystemTime) -> Stored {
        let mut body = BytesMut::with_capacity(parts.iter().map(|part| part.body.len()).sum());
        parts.iter().for_each(|part| body.extend_from_slice(&part.body));
        let body = body.freeze();
        let bodies: Vec<Bytes> = parts.iter().map(|part| part.body.clone()).collect();
        let md5s: Vec<[u8; 16]> = parts.iter().map(|part| part.md5).collect();
        let (crc32, kind) = match self.promise {
            Promise::Nothing => (None, None),
            Promise::Crc32OfParts => {
                (digest::crc32_of_parts(&bodies), Some(ChecksumType::COMPOSITE))
            }
            Promise::Crc32OfWhole => (digest::crc32(&body), Some(ChecksumType::FULL_OBJECT)),
        };
        Stored {
            etag: digest::etag_of_parts(&md5s),
            checksum: Checksum {
                checksum_crc32: crc32,
                checksum_type: kind.map(ChecksumType::from_static),
                ..Checksum::default()
            },
            modified: now,
            described: self.described.clone(),
            body,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(body: &[u8]) -> Part {
        let crc32 = digest::crc32(body);
        Part { body: Bytes::copy_from_slice(body), md5: digest::md5(body), crc32 }
    }

    fn upload(promise: Promise, parts: &[(i32, &[u8])]) -> Upload {
        let parts = parts.iter().map(|(number, body)| (*number, part(body))).collect();
        let (initiated, described) = (SystemTime::UNIX_EPOCH, Described::default());
        Upload { initiated, described, promise, parts }
    }

    fn named(number: i32, body: &[u8]) -> CompletedPart {
        CompletedPart {
            e_tag: Some(ETag::Strong(digest::etag(body))),
            part_number: Some(number),
            ..CompletedPart::default()
        }
    }

    fn code(upload: &Upload, named: &[CompletedPart]) -> String {
        let error = upload.complete(named, SystemTime::UNIX_EPOCH).unwrap_err();
        error.code().as_str().to_owned()
    }

    #[test]
    fn parts_are_joined_in_order() {
        let big = vec![1_u8; LEAST_IN_A_PART];
        let upload = upload(Promise::Crc32OfWhole, &[(2, &big), (7, b"end"), (9, b"unused")]);
        let object = upload.complete(&[named(2, &big), named(7, b"end")], SystemTime::UNIX_EPOCH);
        let object = object.unwrap();
        assert_eq!(object.body, [&big[..], b"end"].concat());
        let expected = digest::etag_of_parts(&[digest::md5(&big), digest::md5(b"end")]);
        assert!(expected.ends_with("-2"));
        assert_eq!(object.etag, expected);
        assert_eq!(object.checksum.checksum_crc32, digest::crc32(&object.body));
    }

    #[test]
    fn a_completion_that_does_not_fit_is_refused_as_by_s3() {
        let upload = upload(Promise::Nothing, &[(1, b"a"), (2, b"b")]);
        assert_eq!(code(&upload, &[]), "MalformedXML");
        assert_eq!(code(&upload, &[named(2, b"b"), named(1, b"a")]), "InvalidPartOrder");
        assert_eq!(code(&upload, &[named(1, b"a"), named(1, b"a")]), "InvalidPartOrder");
        assert_eq!(code(&upload, &[named(3, b"c")]), "InvalidPart");
        assert_eq!(code(&upload, &[named(1, b"other")]), "InvalidPart");
        assert_eq!(code(&upload, &[named(0, b"a")]), "InvalidArgument");
        assert_eq!(code(&upload, &[named(1, b"a"), named(2, b"b")]), "EntityTooSmall");
        assert!(upload.complete(&[named(1, b"a")], SystemTime::UNIX_EPOCH).is_ok());
    }

    #[test]
    fn a_promised_checksum_is_asked_for_again() {
        let upload = upload(Promise::Crc32OfParts, &[(1, b"a")]);
        assert_eq!(code(&upload, &[named(1, b"a")]), "InvalidRequest");
        let wrong = CompletedPart { checksum_crc32: digest::crc32(b"b"), ..named(1, b"a") };
        assert_eq!(code(&upload, &[wrong]), "InvalidPart");
        let right = CompletedPart { checksum_crc32: digest::crc32(b"a"), ..named(1, b"a") };
        let object = upload.complete(&[right], SystemTime::UNIX_EPOCH).unwrap();
        assert!(object.checksum.checksum_crc32.unwrap().ends_with("-1"));
    }
}
