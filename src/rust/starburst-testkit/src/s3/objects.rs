//! All buckets behind one lock, so that writes of one key happen one after the other, conditions and all.
use super::{
    conditions::{Conditions, no_such_key},
    digest,
    listing::MOST_ON_A_PAGE,
    uploads::{Part, Upload, no_such_upload},
};
use bytes::Bytes;
use parking_lot::Mutex;
use s3s::{
    S3Result,
    dto::{Checksum, CompletedPart, ContentType, Metadata},
    s3_error,
};
use std::{
    collections::{BTreeMap, HashMap},
    time::SystemTime,
};

/// What a client says about an object beside its bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Described {
    pub(super) metadata: Option<Metadata>,
    pub(super) content_type: Option<ContentType>,
}

/// An object.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) body: Bytes,
    pub(super) etag: String,
    /// The ones that came with it.
    pub(super) checksum: Checksum,
    pub(super) modified: SystemTime,
    pub(super) described: Described,
}

impl Stored {
    /// Other bytes with the ETag and the checksums of those, as if somebody else had written them: only the reader can tell.
    pub(super) fn overwrite(&mut self, body: Bytes) {
        self.etag = digest::etag(&body);
        self.checksum = digest::remade(&body, &self.checksum);
        self.body = body;
    }
}

/// Objects by key, and uploads by key and identifier.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    pub(super) objects: BTreeMap<String, Stored>,
    pub(super) uploads: BTreeMap<(String, String), Upload>,
}

impl Bucket {
    fn etag(&self, key: &str) -> Option<&str> {
        self.objects.get(key).map(|object| object.etag.as_str())
    }

    pub(super) fn read(&self, key: &str, conditions: &Conditions) -> S3Result<Stored> {
        let object = self.objects.get(key).ok_or_else(no_such_key)?;
        conditions.check_read(&object.etag)?;
        Ok(object.clone())
    }

    pub(super) fn write(
        &mut self,
        key: String,
        object: Stored,
        conditions: &Conditions,
    ) -> S3Result<()> {
        conditions.check_write(self.etag(&key))?;
        self.objects.insert(key, object);
        Ok(())
    }

    pub(super) fn delete(&mut self, key: &str, conditions: &Conditions) -> S3Result<()> {
        conditions.check_delete(self.etag(key))?;
        self.objects.remove(key);
        Ok(())
    }

    pub(super) fn upload(&mut self, name: &(String, String)) -> S3Result<&mut Upload> {
        self.uploads.get_mut(name).ok_or_else(no_such_upload)
    }

    pub(super) fn abort(&mut self, name: &(String, String)) -> S3Result<()> {
        self.uploads.remove(name).map(drop).ok_or_else(no_such_upload)
    }
}

/// A completion of an upload.
#[derive(Debug)]
pub(super) struct Completion {
    pub(super) name: (String, String),
    pub(super) parts: Vec<CompletedPart>,
    pub(super) size: Option<i64>,
    pub(super) conditions: Conditions,
}

#[derive(Debug)]
struct State {
    buckets: HashMap<String, Bucket>,
    page_size: usize,
    uploads_begun: u64,
}

/// All that the server stores.
#[derive(Debug)]
pub(super) struct Objects(Mutex<State>);

impl Objects {
    pub(super) fn new() -> Self {
        let (buckets, page_size) = (HashMap::new(), MOST_ON_A_PAGE);
        Self(Mutex::new(State { buckets, page_size, uploads_begun: 0 }))
    }

    /// Keeps what is in it if it exists, as in us-east-1.
    pub(super) fn create_bucket(&self, name: String) {
        self.0.lock().buckets.entry(name).or_default();
    }

    pub(super) fn set_page_size(&self, size: usize) {
        self.0.lock().page_size = size.clamp(1, MOST_ON_A_PAGE);
    }

    /// How many go on a page for a client that asks for so many.
    pub(super) fn page_size(&self, asked: Option<i32>) -> usize {
        let most = self.0.lock().page_size;
        asked.map_or(most, |asked| usize::try_from(asked).unwrap_or(0).min(most))
    }

    /// An identifier that no other upload has.
    pub(super) fn new_upload(&self) -> String {
        let mut state = self.0.lock();
        state.uploads_begun += 1;
        digest::etag(&state.uploads_begun.to_be_bytes())
    }

    /// The function runs alone.
    pub(super) fn within<T>(
        &self,
        bucket: &str,
        function: impl FnOnce(&mut Bucket) -> S3Result<T>,
    ) -> S3Result<T> {
        let mut state = self.0.lock();
        let bucket = state
            .buckets
            .get_mut(bucket)
            .ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))?;
        function(bucket)
    }

    /// The object that the parts made. Only one of two completions at one time succeeds.
    pub(super) fn complete(
        &self,
        bucket: &str,
        completion: Completion,
        now: SystemTime,
    ) -> S3Result<Stored> {
        let Completion { name, parts, size, conditions } = completion;
        // Joining takes long, so others may go on meanwhile; whether the upload is still there is asked again.
        let upload = self.within(bucket, |bucket| bucket.upload(&name).cloned())?;
        let object = upload.complete(&parts, now)?;
        if size.is_some_and(|size| usize::try_from(size) != Ok(object.body.len())) {
            let message =
                "The provided 'x-amz-mp-object-size' header does not match what was computed";
            return Err(s3_error!(InvalidRequest, "{message}"));
        }
        self.within(bucket, |bucket| {
            bucket.upload(&name)?;
            bucket.write(name.0.clone(), object.clone(), &conditions)?;
            bucket.abort(&name)?;
            Ok(object)
        })
    }

    pub(super) fn put_part(
        &self,
        bucket: &str,
        name: &(String, String),
        number: i32,
        part: Part,
    ) -> S3Result<()> {
        self.within(bucket, |bucket| {
            bucket.upload(name)?.parts.insert(number, part);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::uploads::Promise, *};
    use s3s::dto::{ETag, ETagCondition};
    use std::sync::Arc;

    fn object(body: &'static str) -> Stored {
        Stored {
            body: body.into(),
            etag: digest::etag(body.as_bytes()),
            checksum: Checksum::default(),
            modified: SystemTime::UNIX_EPOCH,
            described: Described::default(),
        }
    }

    fn objects() -> Arc<Objects> {
        let objects = Objects::new();
        objects.create_bucket("bucket".to_owned());
        Arc::new(objects)
    }

    fn absent() -> Conditions {
        Conditions { if_none_match: Some(ETagCondition::Any), if_match: None }
    }

    #[test]
    fn one_of_many_that_create_a_key_at_one_time_wins() {
        let objects = objects();
        let write = |body| {
            let objects = objects.clone();
            std::thread::spawn(move || {
                objects.within("bucket", |it| it.write("key".into(), object(body), &absent()))
            })
        };
        let threads = ["a", "b", "c", "d", "e", "f"].map(write);
        let won = threads.into_iter().filter_map(|thread| thread.join().unwrap().ok()).count();
        assert_eq!(won, 1);
    }

    #[test]
    fn a_missing_bucket_is_an_error_of_its_own() {
        let error = objects().within("other", |_| Ok(())).unwrap_err();
        assert_eq!(error.code().as_str(), "NoSuchBucket");
    }

    #[test]
    fn an_upload_completes_once_and_not_over_another_object() {
        let objects = objects();
        let name = ("key".to_owned(), objects.new_upload());
        let upload = Upload {
            initiated: SystemTime::UNIX_EPOCH,
            described: Described::default(),
            promise: Promise::Nothing,
            parts: BTreeMap::new(),
        };
        objects.within("bucket", |it| Ok(it.uploads.insert(name.clone(), upload))).unwrap();
        let part = Part { body: "a".into(), md5: digest::md5(b"a"), crc32: None };
        objects.put_part("bucket", &name, 1, part).unwrap();
        let complete = |size, conditions| {
            let e_tag = Some(ETag::Strong(digest::etag(b"a")));
            let parts =
                vec![CompletedPart { e_tag, part_number: Some(1), ..CompletedPart::default() }];
            let completion = Completion { name: name.clone(), parts, size, conditions };
            let result = objects.complete("bucket", completion, SystemTime::UNIX_EPOCH);
            result.map(|object| object.body).map_err(|error| error.code().as_str().to_owned())
        };
        objects
            .within("bucket", |it| it.write("key".into(), object("b"), &Conditions::default()))
            .unwrap();
        assert_eq!(complete(None, absent()), Err("PreconditionFailed".to_owned()));
        objects.within("bucket", |it| it.delete("key", &Conditions::default())).unwrap();
        assert_eq!(complete(Some(2), absent()), Err("InvalidRequest".to_owned()));
        assert_eq!(complete(Some(1), absent()), Ok("a".into()));
        assert_eq!(complete(Some(1), absent()), Err("NoSuchUpload".to_owned()));
    }
}
