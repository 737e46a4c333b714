//! Large objects: written in parts, read in ranges, several at once.
use super::{
    refusal::Call,
    store::{Condition, S3Store},
};
use aws_sdk_s3::{
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart},
};
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use starburst_core::{
    key::Key,
    store::{ETag, StoreError},
};

/// Objects from this size on are written in parts.
pub(super) const PUT_FROM: usize = 16 << 20;
/// Objects from this size on are read in ranges.
pub(super) const GET_FROM: u64 = 32 << 20;
/// A part or range. S3 takes parts from 5 MiB on, and at most 10,000 of them (AWS, November 2026).
const PART: usize = 8 << 20;
/// Parts on the way at once, besides the limit of calls above.
const AT_ONCE: usize = 8;

/// Writes an object in parts. Other readers see nothing of it before the last step.
pub(super) async fn put(
    store: &S3Store,
    key: &Key,
    body: Bytes,
    on: Condition<'_>,
) -> Result<ETag, StoreError> {
    let call = on.call();
    let begun = async {
        let begin =
            store.client.create_multipart_upload().bucket(store.bucket()).key(store.name(key));
        begin.send().await.map_err(|e| certain(store.place.refusal(call, key, e)))
    };
    let begun = store.one_try(call, key, 0, begun).await.map_err(certain)?;
    let upload = begun.upload_id.unwrap_or_default();
    let written = match parts(store, key, &body, call, &upload).await {
        Ok(parts) => complete(store, key, on, &upload, parts).await,
        // A part that failed changed no object.
        Err(error) => Err(certain(error)),
    };
    if !matches!(written, Ok(_) | Err(StoreError::Unanswered { .. })) {
        let abort = store.client.abort_multipart_upload().bucket(store.bucket());
        // What this leaves behind is removed by the bucket's rule for unfinished uploads.
        let _ = abort.key(store.name(key)).upload_id(&upload).send().await;
    }
    written
}

async fn parts(
    store: &S3Store,
    key: &Key,
    body: &Bytes,
    call: Call,
    upload: &str,
) -> Result<Vec<CompletedPart>, StoreError> {
    let numbered = (1..).zip((0..body.len()).step_by(PART));
    let sent = stream::iter(numbered).map(|(number, from)| async move {
        let bytes = body.slice(from..body.len().min(from + PART));
        let len = bytes.len() as u64;
        let part = store
            .client
            .upload_part()
            .bucket(store.bucket())
            .key(store.name(key))
            .upload_id(upload)
            .part_number(number)
            .body(ByteStream::from(bytes));
        let sent = async { part.send().await.map_err(|e| store.place.refusal(call, key, e)) };
        let sent = store.one_try(call, key, len, sent).await?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(sent.e_tag)
            .set_checksum_crc32(sent.checksum_crc32)
            .build())
    });
    sent.buffered(AT_ONCE).try_collect().await
}

async fn complete(
    store: &S3Store,
    key: &Key,
    on: Condition<'_>,
    upload: &str,
    parts: Vec<CompletedPart>,
) -> Result<ETag, StoreError> {
    let call = on.call();
    let (if_none_match, if_match) = on.headers();
    let completed = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let sent = async {
        let complete = store
            .client
            .complete_multipart_upload()
            .bucket(store.bucket())
            .key(store.name(key))
            .upload_id(upload)
            .set_if_none_match(if_none_match)
            .set_if_match(if_match)
            .multipart_upload(completed);
        let done = complete.send().await.map_err(|e| store.place.refusal(call, key, e))?;
        store.etag(call, key, done.e_tag)
    };
    store.one_try(call, key, 0, sent).await
}

/// Before an upload is completed nothing has been written, whatever was not answered.
fn certain(error: StoreError) -> StoreError {
    match error {
        StoreError::Unanswered { key, source } => {
            StoreError::Unavailable { operation: "write", key, source }
        }
        other @ (StoreError::NotFound { .. }
        | StoreError::AlreadyExists { .. }
        | StoreError::VersionMismatch { .. }
        | StoreError::Denied { .. }
        | StoreError::Full { .. }
        | StoreError::SlowDown { .. }
        | StoreError::Unauthenticated { .. }
        | StoreError::Misplaced { .. }
        | StoreError::Unavailable { .. }) => other,
    }
}

/// Reads the rest of an object whose answer has begun: its first range from that answer, the others each
/// by a request of its own, all of the same version.
pub(super) async fn get(
    store: &S3Store,
    key: &Key,
    len: u64,
    etag: &ETag,
    mut first: ByteStream,
) -> Result<Bytes, StoreError> {
    let part = PART as u64;
    let head = async {
        let mut bytes = BytesMut::new();
        while (bytes.len() as u64) < part {
            match first.try_next().await {
                Ok(Some(more)) => bytes.extend_from_slice(&more),
                Ok(None) => break,
                Err(e) => return Err(store.place.broken_body(key, &e)),
            }
        }
        Ok(bytes)
    };
    let mut whole = store.in_time(Call::Get, key, part, head).await?;
    drop(first);
    let starts = (whole.len() as u64..len).step_by(PART);
    let mut ranges = stream::iter(starts)
        .map(|from| range(store, key, etag, from, len.min(from + part)))
        .buffered(AT_ONCE);
    while let Some(bytes) = ranges.next().await {
        whole.extend_from_slice(&bytes?);
    }
    Ok(whole.freeze())
}

async fn range(
    store: &S3Store,
    key: &Key,
    etag: &ETag,
    from: u64,
    to: u64,
) -> Result<Bytes, StoreError> {
    let asked = store
        .client
        .get_object()
        .bucket(store.bucket())
        .key(store.name(key))
        .if_match(&etag.0)
        .range(format!("bytes={from}-{}", to - 1));
    let read = async {
        let answer = asked.send().await.map_err(|e| store.place.refusal(Call::Get, key, e))?;
        let body = answer.body.collect().await;
        body.map(|b| b.into_bytes()).map_err(|e| store.place.broken_body(key, &e))
    };
    match store.one_try(Call::Get, key, to - from, read).await {
        // Replaced meanwhile: the next try reads the new one.
        Err(StoreError::VersionMismatch { key }) => Err(StoreError::Unavailable {
            operation: "read",
            key,
            source: "it was replaced while it was read".into(),
        }),
        other => other,
    }
}
