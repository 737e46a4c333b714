//! The lists of S3: of objects, of their versions, and of uploads.
use super::{
    listing::{self, Ask, Item},
    objects::Objects,
    service::{count, etag},
};
use s3s::{
    S3Result,
    dto::{
        CommonPrefix, ListMultipartUploadsInput, ListMultipartUploadsOutput,
        ListObjectVersionsInput, ListObjectVersionsOutput, ListObjectsV2Input, ListObjectsV2Output,
        MultipartUpload, Object, ObjectVersion,
    },
    s3_error,
};

/// One page of `ListObjectsV2`.
pub(super) fn objects(
    stored: &Objects,
    input: ListObjectsV2Input,
) -> S3Result<ListObjectsV2Output> {
    let limit = stored.page_size(input.max_keys);
    let after = match &input.continuation_token {
        Some(token) => Some(listing::from_token(token).ok_or_else(|| {
            s3_error!(InvalidArgument, "The continuation token provided is incorrect")
        })?),
        None => input.start_after.clone(),
    };
    let ask = Ask {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref().unwrap_or_default(),
        after: after.as_deref().unwrap_or_default(),
        limit,
    };
    let (mut contents, mut common_prefixes) = (Vec::new(), Vec::new());
    let next = stored.within(&input.bucket, |bucket| {
        let page = listing::page(&bucket.objects, &ask);
        for item in page.items {
            match item {
                Item::Object(key, object) => contents.push(Object {
                    key: Some(key.to_owned()),
                    size: count(object.body.len()),
                    e_tag: etag(&object.etag),
                    last_modified: Some(object.modified.into()),
                    ..Object::default()
                }),
                Item::Group(group) => {
                    common_prefixes.push(CommonPrefix { prefix: Some(group.to_owned()) });
                }
            }
        }
        Ok(page.next)
    })?;
    Ok(ListObjectsV2Output {
        name: Some(input.bucket),
        key_count: count(contents.len() + common_prefixes.len()),
        is_truncated: Some(next.is_some()),
        next_continuation_token: next.as_deref().map(listing::token),
        contents: Some(contents),
        common_prefixes: Some(common_prefixes),
        max_keys: count(limit),
        prefix: input.prefix,
        delimiter: input.delimiter,
        start_after: input.start_after,
        continuation_token: input.continuation_token,
        ..ListObjectsV2Output::default()
    })
}

/// The version of an object in a bucket that keeps one version of each.
const ONLY_VERSION: &str = "null";

/// One page of `ListObjectVersions`: of each object the one version there is. Delimiters are not followed.
pub(super) fn versions(
    stored: &Objects,
    input: ListObjectVersionsInput,
) -> S3Result<ListObjectVersionsOutput> {
    let limit = stored.page_size(input.max_keys);
    let ask = Ask {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: "",
        after: input.key_marker.as_deref().unwrap_or_default(),
        limit,
    };
    let (versions, next) = stored.within(&input.bucket, |bucket| {
        let page = listing::page(&bucket.objects, &ask);
        let objects = page.items.into_iter().filter_map(|item| match item {
            Item::Object(key, object) => Some(ObjectVersion {
                key: Some(key.to_owned()),
                version_id: Some(ONLY_VERSION.to_owned()),
                is_latest: Some(true),
                size: count(object.body.len()),
                e_tag: etag(&object.etag),
                last_modified: Some(object.modified.into()),
                ..ObjectVersion::default()
            }),
            Item::Group(_) => None,
        });
        Ok((objects.collect::<Vec<_>>(), page.next))
    })?;
    Ok(ListObjectVersionsOutput {
        name: Some(input.bucket),
        is_truncated: Some(next.is_some()),
        next_version_id_marker: next.as_ref().map(|_| ONLY_VERSION.to_owned()),
        next_key_marker: next,
        versions: Some(versions),
        max_keys: count(limit),
        prefix: input.prefix,
        key_marker: input.key_marker,
        version_id_marker: input.version_id_marker,
        ..ListObjectVersionsOutput::default()
    })
}

/// One page of `ListMultipartUploads`. Delimiters are not followed.
pub(super) fn uploads(
    stored: &Objects,
    input: ListMultipartUploadsInput,
) -> S3Result<ListMultipartUploadsOutput> {
    let limit = stored.page_size(input.max_uploads);
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let key_marker = input.key_marker.as_deref().unwrap_or_default();
    let id_marker = input.upload_id_marker.as_deref();
    // A key alone means behind all uploads of that key.
    let is_behind = |key: &str, id: &str| {
        key > key_marker || (key == key_marker && id_marker.is_some_and(|marker| id > marker))
    };
    let mut uploads = stored.within(&input.bucket, |bucket| {
        let all = bucket.uploads.iter();
        let asked = all.filter(|((key, id), _)| key.starts_with(prefix) && is_behind(key, id));
        let told = asked.take(limit + 1).map(|((key, id), upload)| MultipartUpload {
            key: Some(key.clone()),
            upload_id: Some(id.clone()),
            initiated: Some(upload.initiated.into()),
            ..MultipartUpload::default()
        });
        Ok(told.collect::<Vec<_>>())
    })?;
    let is_truncated = uploads.len() > limit && limit > 0;
    uploads.truncate(limit);
    let last = uploads.last().filter(|_| is_truncated);
    Ok(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        next_key_marker: last.and_then(|last| last.key.clone()),
        next_upload_id_marker: last.and_then(|last| last.upload_id.clone()),
        is_truncated: Some(is_truncated),
        max_uploads: count(limit),
        uploads: Some(uploads),
        prefix: input.prefix,
        key_marker: input.key_marker,
        upload_id_marker: input.upload_id_marker,
        ..ListMultipartUploadsOutput::default()
    })
}
