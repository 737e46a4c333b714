//! Bodies on their way in and out: what is checked of them, and which part of them is told.
use super::{digest, objects::Stored};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use s3s::{
    S3Result, TrailingHeaders,
    dto::{Checksum, ChecksumMode, Range, StreamingBlob},
    s3_error,
};

async fn read_all(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let mut all = BytesMut::new();
    let mut body = body;
    while let Some(stream) = &mut body {
        match stream.next().await {
            Some(Ok(chunk)) => all.extend_from_slice(&chunk),
            Some(Err(error)) => return Err(s3_error!(IncompleteBody, "{error}")),
            None => break,
        }
    }
    Ok(all.freeze())
}

/// The body, and its checksums if the client sent the right ones.
pub(super) async fn read_checked(
    body: Option<StreamingBlob>,
    headers: &hyper::HeaderMap,
    behind: Option<&TrailingHeaders>,
) -> S3Result<(Bytes, Checksum)> {
    let body = read_all(body).await?;
    // Trailers are known only now.
    let checksum = digest::verified(&body, &digest::claimed(headers, behind))?;
    Ok((body, checksum))
}

/// The checksums are told only to those who ask, and only with the whole object.
pub(super) fn told(object: &Stored, mode: Option<&ChecksumMode>, whole: bool) -> Checksum {
    let asked = mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED);
    if asked && whole { object.checksum.clone() } else { Checksum::default() }
}

/// The range in bytes, if not all of them.
pub(super) fn ranged(object: &Stored, range: Option<Range>) -> S3Result<(Bytes, Option<String>)> {
    let Some(range) = range else { return Ok((object.body.clone(), None)) };
    let full = object.body.len();
    let found = range
        .check(full as u64)
        .map_err(|_| s3_error!(InvalidRange, "The requested range is not satisfiable"))?;
    let body = object.body.slice(found.start as usize..found.end as usize);
    Ok((body, Some(format!("bytes {}-{}/{full}", found.start, found.end - 1))))
}
