//! The operations of S3 as `s3s` calls them, once it has checked the signature.
use super::{
    bodies::{ranged, read_checked, told},
    conditions::Conditions,
    digest, lists,
    objects::{Completion, Described, Objects, Stored},
    uploads::{Part, Promise, Upload, check_number},
};
use async_trait::async_trait;
use s3s::{Body, S3, S3Request, S3Response, S3Result, dto::*, s3_error};
use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

/// The most keys in one `DeleteObjects`.
const MOST_DELETED: usize = 1_000;

/// S3 in memory.
#[derive(Debug)]
pub(super) struct Service(pub(super) Arc<Objects>);

#[allow(clippy::disallowed_methods)] // a real server tells real time
fn now() -> SystemTime {
    SystemTime::now()
}

pub(super) fn etag(value: &str) -> Option<ETag> {
    Some(ETag::Strong(value.to_owned()))
}

pub(super) fn count<N: TryFrom<usize>>(length: usize) -> Option<N> {
    N::try_from(length).ok()
}

#[async_trait]
impl S3 for Service {
    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        self.0.create_bucket(request.input.bucket);
        Ok(S3Response::new(CreateBucketOutput::default()))
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.0.within(&request.input.bucket, |_| Ok(()))?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let S3Request { input, headers, trailing_headers, .. } = request;
        let (body, checksum) =
            read_checked(input.body, &headers, trailing_headers.as_ref()).await?;
        let object = Stored {
            etag: digest::etag(&body),
            checksum: checksum.clone(),
            modified: now(),
            described: Described { metadata: input.metadata, content_type: input.content_type },
            body,
        };
        let e_tag = etag(&object.etag);
        let conditions =
            Conditions { if_match: input.if_match, if_none_match: input.if_none_match };
        self.0.within(&input.bucket, |bucket| bucket.write(input.key, object, &conditions))?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag,
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            checksum_type: checksum.checksum_type,
            ..PutObjectOutput::default()
        }))
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let conditions =
            Conditions { if_match: input.if_match, if_none_match: input.if_none_match };
        let object = self.0.within(&input.bucket, |it| it.read(&input.key, &conditions))?;
        let (body, content_range) = ranged(&object, input.range)?;
        let checksum = told(&object, input.checksum_mode.as_ref(), content_range.is_none());
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: count(body.len()),
            body: Some(StreamingBlob::from(Body::from(body))),
            content_range,
            e_tag: etag(&object.etag),
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            checksum_type: checksum.checksum_type,
            last_modified: Some(object.modified.into()),
            metadata: object.described.metadata,
            content_type: object.described.content_type,
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let conditions =
            Conditions { if_match: input.if_match, if_none_match: input.if_none_match };
        let object = self.0.within(&input.bucket, |it| it.read(&input.key, &conditions))?;
        let checksum = told(&object, input.checksum_mode.as_ref(), true);
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: count(object.body.len()),
            e_tag: etag(&object.etag),
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            checksum_type: checksum.checksum_type,
            last_modified: Some(object.modified.into()),
            metadata: object.described.metadata,
            content_type: object.described.content_type,
            ..HeadObjectOutput::default()
        }))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = request.input;
        let conditions = Conditions { if_match: input.if_match, if_none_match: None };
        self.0.within(&input.bucket, |bucket| bucket.delete(&input.key, &conditions))?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let input = request.input;
        if !(1..=MOST_DELETED).contains(&input.delete.objects.len()) {
            return Err(s3_error!(
                MalformedXML,
                "The XML you provided was not well-formed or did not validate against our published schema"
            ));
        }
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        self.0.within(&input.bucket, |bucket| {
            for asked in input.delete.objects {
                let if_match = asked.e_tag.map(ETagCondition::ETag);
                let conditions = Conditions { if_match, if_none_match: None };
                let key = Some(asked.key.clone());
                match bucket.delete(&asked.key, &conditions) {
                    Ok(()) => deleted.push(DeletedObject { key, ..DeletedObject::default() }),
                    Err(error) => errors.push(Error {
                        code: Some(error.code().as_str().to_owned()),
                        message: error.message().map(str::to_owned),
                        key,
                        ..Error::default()
                    }),
                }
            }
            Ok(())
        })?;
        let quiet = input.delete.quiet.unwrap_or(false);
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: (!quiet).then_some(deleted),
            errors: Some(errors),
            ..DeleteObjectsOutput::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        lists::objects(&self.0, request.input).map(S3Response::new)
    }

    async fn list_object_versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        lists::versions(&self.0, request.input).map(S3Response::new)
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let input = request.input;
        let (algorithm, kind) = (input.checksum_algorithm, input.checksum_type);
        let upload = Upload {
            initiated: now(),
            described: Described { metadata: input.metadata, content_type: input.content_type },
            promise: Promise::of(algorithm.as_ref(), kind.as_ref()),
            parts: BTreeMap::new(),
        };
        let name = (input.key.clone(), self.0.new_upload());
        self.0.within(&input.bucket, |it| Ok(it.uploads.insert(name.clone(), upload)))?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(name.1),
            checksum_algorithm: algorithm,
            checksum_type: kind,
            ..CreateMultipartUploadOutput::default()
        }))
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let S3Request { input, headers, trailing_headers, .. } = request;
        check_number(input.part_number)?;
        let (body, checksum) =
            read_checked(input.body, &headers, trailing_headers.as_ref()).await?;
        let crc32 = checksum.checksum_crc32.clone();
        let part = Part { md5: digest::md5(&body), body, crc32 };
        let e_tag = etag(&part.etag());
        let name = (input.key, input.upload_id);
        self.0.put_part(&input.bucket, &name, input.part_number, part)?;
        Ok(S3Response::new(UploadPartOutput {
            e_tag,
            checksum_crc32: checksum.checksum_crc32,
            checksum_crc32c: checksum.checksum_crc32c,
            checksum_crc64nvme: checksum.checksum_crc64nvme,
            checksum_sha1: checksum.checksum_sha1,
            checksum_sha256: checksum.checksum_sha256,
            ..UploadPartOutput::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = request.input;
        let completion = Completion {
            name: (input.key.clone(), input.upload_id),
            parts: input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default(),
            size: input.mpu_object_size,
            conditions: Conditions { if_match: input.if_match, if_none_match: input.if_none_match },
        };
        let object = self.0.complete(&input.bucket, completion, now())?;
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: etag(&object.etag),
            checksum_crc32: object.checksum.checksum_crc32,
            checksum_type: object.checksum.checksum_type,
            ..CompleteMultipartUploadOutput::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = request.input;
        let name = (input.key, input.upload_id);
        self.0.within(&input.bucket, |bucket| bucket.abort(&name))?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        lists::uploads(&self.0, request.input).map(S3Response::new)
    }
}
