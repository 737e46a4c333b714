//! The bucket as those see it who set it up and take it away: is it usable, what is in it, emptying it.
use crate::{
    account::{Account, retries, timeouts},
    call::{Call, CallError, Service},
};
use aws_sdk_s3::{
    Client,
    types::{Delete, ObjectIdentifier},
};
use futures_util::{StreamExt as _, stream::FuturesUnordered};

/// Pages of a listing that are counted; more is told as "more than".
const COUNTED_PAGES: usize = 20;
/// Pages of a listing that are read, of a thousand entries each.
const PAGES: usize = 1_000_000;
/// Calls of DeleteObjects under way at once.
const DELETES: usize = 4;
/// Where sessions are.
const SESSIONS: &str = "sessions/";

/// What is in a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contents {
    /// Sessions.
    pub sessions: usize,
    /// Objects.
    pub objects: usize,
    /// Whether counting stopped there.
    pub more: bool,
}

/// A client that tries again by itself: nothing here depends on which try it was.
fn client(account: &Account) -> Client {
    let config = account.s3().config().to_builder();
    Client::from_conf(config.retry_config(retries()).timeout_config(timeouts()).build())
}

fn no_bucket(error: &CallError) -> bool {
    error.code() == Some("NoSuchBucket")
}

/// Counts what is in a bucket. One that does not exist is empty.
pub(crate) async fn contents(account: &Account, bucket: &str) -> Result<Contents, CallError> {
    let (client, call) = (client(account), Call::new(Service::S3, "ListObjectsV2").on(bucket));
    let mut found = Contents::default();
    for (prefix, delimiter) in [(Some(SESSIONS), Some("/")), (None, None)] {
        let mut next: Option<String> = None;
        for page in 0.. {
            if page == COUNTED_PAGES {
                found.more = true;
                break;
            }
            let request = client.list_objects_v2().bucket(bucket);
            let request = request
                .set_prefix(prefix.map(Into::into))
                .set_delimiter(delimiter.map(Into::into))
                .set_continuation_token(next);
            let answer = match request.send().await.map_err(|e| account.sdk_error(&call, &e)) {
                Ok(answer) => answer,
                Err(error) if no_bucket(&error) => return Ok(found),
                Err(error) => return Err(error),
            };
            if delimiter.is_some() {
                found.sessions += answer.common_prefixes().len();
            } else {
                found.objects += answer.contents().len();
            }
            next = answer.next_continuation_token;
            if next.is_none() {
                break;
            }
        }
    }
    Ok(found)
}

/// What came of writing, refusing to write again, reading and deleting one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RoundTrip {
    /// All as it should be.
    Fine,
    /// The second write went through although the object was there.
    Unconditional,
}

/// Writes an object on the condition that there is none, twice, and deletes it.
pub(crate) async fn round_trip(account: &Account, bucket: &str) -> Result<RoundTrip, CallError> {
    let client = client(account);
    let key = format!("doctor/{:016x}", account.ids.random());
    let put = Call::new(Service::S3, "PutObject").on(bucket);
    let write = || client.put_object().bucket(bucket).key(&key).if_none_match("*").send();
    write().await.map_err(|e| account.sdk_error(&put, &e))?;
    let second = write().await.map_err(|e| account.sdk_error(&put, &e));
    let delete = Call::new(Service::S3, "DeleteObject").on(bucket);
    let deleted = client.delete_object().bucket(bucket).key(&key).send().await;
    let outcome = match second {
        Ok(_) => RoundTrip::Unconditional,
        Err(error) if error.code() == Some("PreconditionFailed") => RoundTrip::Fine,
        Err(error) => return Err(error),
    };
    deleted.map_err(|e| account.sdk_error(&delete, &e))?;
    Ok(outcome)
}

/// Deletes all objects of a bucket with all their versions, and uploads that nobody ended. `done` is told how many went
/// so far. A bucket that does not exist is empty.
pub(crate) async fn empty(
    account: &Account,
    bucket: &str,
    done: &(dyn Fn(usize) + Send + Sync),
) -> Result<usize, CallError> {
    let client = &client(account);
    let (mut count, mut from) = (0, Some((None, None)));
    let mut deletes = FuturesUnordered::new();
    while let Some((key, version)) = from {
        let page = match versions(account, client, bucket, key, version).await {
            Ok(page) => page,
            Err(error) if no_bucket(&error) => return Ok(count),
            Err(error) => return Err(error),
        };
        from = page.1;
        deletes.push(delete(account, client, bucket, page.0));
        // A page is listed while those before it are deleted, but listing does not run ahead.
        while deletes.len() >= DELETES || from.is_none() {
            let Some(some) = deletes.next().await else { break };
            count += some?;
            done(count);
        }
    }
    end_uploads(account, client, bucket).await?;
    Ok(count)
}

type Page = (Vec<ObjectIdentifier>, Option<(Option<String>, Option<String>)>);

/// A page of versions, and where the next one begins.
async fn versions(
    account: &Account,
    client: &Client,
    bucket: &str,
    key: Option<String>,
    version: Option<String>,
) -> Result<Page, CallError> {
    let call = Call::new(Service::S3, "ListObjectVersions").on(bucket);
    let request = client.list_object_versions().bucket(bucket);
    let request = request.set_key_marker(key).set_version_id_marker(version);
    let answer = request.send().await.map_err(|e| account.sdk_error(&call, &e))?;
    let objects = answer.versions().iter().map(|found| (found.key(), found.version_id()));
    let markers = answer.delete_markers().iter().map(|found| (found.key(), found.version_id()));
    let named = |(key, version): (Option<&str>, Option<&str>)| {
        let id = ObjectIdentifier::builder().key(key?);
        id.set_version_id(version.map(ToOwned::to_owned)).build().ok()
    };
    let some = objects.chain(markers).filter_map(named).collect();
    let more = answer.is_truncated() == Some(true) && answer.next_key_marker().is_some();
    Ok((some, more.then_some((answer.next_key_marker, answer.next_version_id_marker))))
}

async fn delete(
    account: &Account,
    client: &Client,
    bucket: &str,
    some: Vec<ObjectIdentifier>,
) -> Result<usize, CallError> {
    if some.is_empty() {
        return Ok(0);
    }
    let call = Call::new(Service::S3, "DeleteObjects").on(bucket);
    let count = some.len();
    let list = Delete::builder().set_objects(Some(some)).quiet(true).build();
    let list = list.map_err(|e| account.unreadable(&call, &e.to_string()))?;
    let request = client.delete_objects().bucket(bucket).delete(list);
    let answer = request.send().await.map_err(|e| account.sdk_error(&call, &e))?;
    match answer.errors().first() {
        None => Ok(count),
        Some(error) => {
            let key = error.key().unwrap_or_default();
            Err(account.refused_part(&call.on(key), error.code(), error.message()))
        }
    }
}

async fn end_uploads(account: &Account, client: &Client, bucket: &str) -> Result<(), CallError> {
    let list = Call::new(Service::S3, "ListMultipartUploads").on(bucket);
    let abort = Call::new(Service::S3, "AbortMultipartUpload").on(bucket);
    for _ in 0..PAGES {
        let request = client.list_multipart_uploads().bucket(bucket);
        let answer = match request.send().await.map_err(|e| account.sdk_error(&list, &e)) {
            Ok(answer) => answer,
            Err(error) if no_bucket(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        // Those that were ended are not listed again, so each page is the first.
        for upload in answer.uploads() {
            let (key, id) =
                (upload.key().unwrap_or_default(), upload.upload_id().unwrap_or_default());
            let request = client.abort_multipart_upload().bucket(bucket).key(key).upload_id(id);
            match request.send().await.map_err(|e| account.sdk_error(&abort, &e)) {
                Err(error) if error.code() != Some("NoSuchUpload") => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        if answer.uploads().is_empty() || answer.is_truncated() != Some(true) {
            return Ok(());
        }
    }
    Ok(())
}
