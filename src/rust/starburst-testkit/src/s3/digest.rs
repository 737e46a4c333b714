//! ETags and checksums, as S3 makes and checks them.
use bytes::Bytes;
use hyper::HeaderMap;
use md5::{Digest, Md5};
use s3s::{
    S3Result, TrailingHeaders,
    checksum::ChecksumHasher,
    crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256},
    dto::{Checksum, ChecksumType},
    s3_error,
};

/// The MD5 of a body.
pub(super) fn md5(body: &[u8]) -> [u8; 16] {
    Md5::digest(body).into()
}

/// The ETag of an object that was written at once.
pub(super) fn etag(body: &[u8]) -> String {
    hexadecimal(&md5(body))
}

/// The ETag of an object of parts: the MD5 of their MD5s, and their number.
pub(super) fn etag_of_parts(parts: &[[u8; 16]]) -> String {
    format!("{}-{}", etag(parts.as_flattened()), parts.len())
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The CRC32 of a body as S3 writes it.
pub(super) fn crc32(body: &[u8]) -> Option<String> {
    let mut hasher = ChecksumHasher { crc32: Some(Crc32::new()), ..ChecksumHasher::default() };
    hasher.update(body);
    hasher.finalize().checksum_crc32
}

/// The composite CRC32 of an object of parts: the CRC32 of their CRC32s, and their number.
pub(super) fn crc32_of_parts(parts: &[Bytes]) -> Option<String> {
    let sums: Vec<u8> = parts.iter().flat_map(|part| Crc32::checksum(part)).collect();
    crc32(&sums).map(|sum| format!("{sum}-{}", parts.len()))
}

/// The checksums that the client sent, in front of the body or behind it.
pub(super) fn claimed(headers: &HeaderMap, behind: Option<&TrailingHeaders>) -> Checksum {
    let trailers = behind.and_then(|trailers| trailers.read(HeaderMap::clone)).unwrap_or_default();
    let sent = |name: &str| {
        let value = headers.get(name).or_else(|| trailers.get(name))?;
        value.to_str().ok().map(str::to_owned)
    };
    Checksum {
        checksum_crc32: sent("x-amz-checksum-crc32"),
        checksum_crc32c: sent("x-amz-checksum-crc32c"),
        checksum_crc64nvme: sent("x-amz-checksum-crc64nvme"),
        checksum_sha1: sent("x-amz-checksum-sha1"),
        checksum_sha256: sent("x-amz-checksum-sha256"),
        checksum_type: None,
    }
}

/// The same checksums as found in the body.
fn found(body: &[u8], like: &Checksum) -> Checksum {
    let mut hasher = ChecksumHasher {
        crc32: like.checksum_crc32.is_some().then(Crc32::new),
        crc32c: like.checksum_crc32c.is_some().then(Crc32c::new),
        crc64nvme: like.checksum_crc64nvme.is_some().then(Crc64Nvme::new),
        sha1: like.checksum_sha1.is_some().then(Sha1::new),
        sha256: like.checksum_sha256.is_some().then(Sha256::new),
    };
    hasher.update(body);
    hasher.finalize()
}

/// The checksums to keep with the body: those that the client sent. `BadDigest` if the body is another one.
pub(super) fn verified(body: &[u8], claimed: &Checksum) -> S3Result<Checksum> {
    let found = found(body, claimed);
    if found != *claimed {
        return Err(s3_error!(BadDigest, "A checksum you specified did not match the content."));
    }
    Ok(of_whole_object(found))
}

/// The checksums of another body, of the same kinds as those that were kept.
pub(super) fn remade(body: &[u8], kept: &Checksum) -> Checksum {
    of_whole_object(found(body, kept))
}

fn of_whole_object(mut checksum: Checksum) -> Checksum {
    if checksum != Checksum::default() {
        checksum.checksum_type = Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT));
    }
    checksum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_are_those_of_s3() {
        assert_eq!(etag(b""), "d41d8cd98f00b204e9800998ecf8427e");
        // printf '' | md5sum, in binary, through md5sum again.
        assert_eq!(etag_of_parts(&[md5(b"")]), "59adb24ef3cdbe0297f05b395827453f-1");
    }

    #[test]
    fn a_checksum_of_another_body_is_refused() {
        let headers = HeaderMap::from_iter([(
            "x-amz-checksum-crc32".parse().unwrap(),
            "y/Q5Jg==".parse().unwrap(), // of 123456789, from the catalogue of CRCs
        )]);
        let claimed = claimed(&headers, None);
        assert_eq!(verified(b"123456789", &claimed).unwrap().checksum_crc32, crc32(b"123456789"));
        assert_eq!(verified(b"12345678", &claimed).unwrap_err().code().as_str(), "BadDigest");
        assert!(verified(b"anything", &Checksum::default()).unwrap() == Checksum::default());
    }
}
