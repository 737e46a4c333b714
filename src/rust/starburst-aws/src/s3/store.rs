//! The store contract on S3's conditional requests: one try for each call.
use super::{
    large,
    location::S3Location,
    refusal::{Call, Place},
};
use crate::account::Access;
use async_trait::async_trait;
use aws_sdk_s3::{Client, error::SdkError, primitives::ByteStream};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::Bytes;
use starburst_core::{
    clock::UnixMillis,
    key::Key,
    store::{ETag, Entry, Object, Requests, Store, StoreError},
};
use std::{
    future::Future,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// What one try may take besides moving its bytes.
const TRY_LIMIT: Duration = Duration::from_secs(20);
/// The slowest line that is waited for, in bytes a second.
const SLOWEST: u64 = 64 << 10;

/// A bucket, or a folder of one.
#[derive(Debug)]
pub struct S3Store {
    pub(super) client: Client,
    pub(super) place: Place,
    sent: Sent,
}

/// Requests that were sent, by what they cost.
#[derive(Debug, Default)]
struct Sent {
    writes: AtomicU64,
    reads: AtomicU64,
}

/// The condition of a write.
#[derive(Debug, Clone, Copy)]
pub(super) enum Condition<'a> {
    /// There is no object yet.
    Absent,
    /// The object is still at this version.
    At(&'a ETag),
}

impl Condition<'_> {
    pub(super) fn call(self) -> Call {
        match self {
            Condition::Absent => Call::Create,
            Condition::At(_) => Call::Replace,
        }
    }
    /// The values of `If-None-Match` and `If-Match`.
    pub(super) fn headers(self) -> (Option<String>, Option<String>) {
        match self {
            Condition::Absent => (Some("*".to_owned()), None),
            Condition::At(etag) => (None, Some(etag.0.clone())),
        }
    }
}

impl S3Store {
    /// Objects of this bucket, by this client. The client must not try again by itself.
    pub fn new(client: Client, location: S3Location, access: Access) -> Self {
        Self { client, place: Place { location, access }, sent: Sent::default() }
    }

    pub(super) fn bucket(&self) -> &str {
        &self.place.location.bucket
    }

    pub(super) fn name(&self, key: &Key) -> String {
        format!("{}{key}", self.place.location.prefix)
    }

    /// Sends one request and waits for its answer, no longer than moving `bytes` over a slow line takes.
    pub(super) async fn one_try<T>(
        &self,
        call: Call,
        key: &Key,
        bytes: u64,
        sent: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match call {
            Call::Create | Call::Replace | Call::List => &self.sent.writes,
            Call::Get | Call::Head => &self.sent.reads,
            Call::Delete => return self.in_time(call, key, bytes, sent).await,
        }
        .fetch_add(1, Ordering::Relaxed);
        self.in_time(call, key, bytes, sent).await
    }

    /// Waits no longer than moving `bytes` over a slow line takes.
    pub(super) async fn in_time<T>(
        &self,
        call: Call,
        key: &Key,
        bytes: u64,
        sent: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let limit = TRY_LIMIT + Duration::from_secs(bytes / SLOWEST);
        match tokio::time::timeout(limit, sent).await {
            Ok(answer) => answer,
            Err(_) => Err(self.place.out_of_time(call, key)),
        }
    }

    async fn put(&self, key: &Key, body: Bytes, on: Condition<'_>) -> Result<ETag, StoreError> {
        if body.len() >= large::PUT_FROM {
            return large::put(self, key, body, on).await;
        }
        let (call, bytes) = (on.call(), body.len() as u64);
        let (if_none_match, if_match) = on.headers();
        let sent = async {
            let put = self
                .client
                .put_object()
                .bucket(self.bucket())
                .key(self.name(key))
                .set_if_none_match(if_none_match)
                .set_if_match(if_match)
                .body(ByteStream::from(body));
            let answer = put.send().await.map_err(|e| self.place.refusal(call, key, e))?;
            self.etag(call, key, answer.e_tag)
        };
        self.one_try(call, key, bytes, sent).await
    }

    /// An answer without a version cannot be trusted to be one.
    pub(super) fn etag(
        &self,
        call: Call,
        key: &Key,
        etag: Option<String>,
    ) -> Result<ETag, StoreError> {
        etag.map(ETag).ok_or_else(|| self.place.out_of_time(call, key))
    }

    async fn read(&self, key: &Key, seen: Option<&ETag>) -> Result<Option<Object>, StoreError> {
        let asked = self.client.get_object().bucket(self.bucket()).key(self.name(key));
        let asked = asked.set_if_none_match(seen.map(|etag| etag.0.clone()));
        let answered = async { Ok(asked.send().await) };
        let answer = match self.one_try(Call::Get, key, 0, answered).await? {
            Ok(answer) => answer,
            Err(error) if seen.is_some() && is_unchanged(&error) => return Ok(None),
            Err(error) => return Err(self.place.refusal(Call::Get, key, error)),
        };
        let etag = self.etag(Call::Get, key, answer.e_tag)?;
        let len = u64::try_from(answer.content_length.unwrap_or(0)).unwrap_or(0);
        let body = if len >= large::GET_FROM {
            large::get(self, key, len, &etag, answer.body).await?
        } else {
            let collected = async {
                let body = answer.body.collect().await;
                body.map_err(|e| self.place.broken_body(key, &e))
            };
            self.in_time(Call::Get, key, len, collected).await?.into_bytes()
        };
        Ok(Some(Object { body, etag }))
    }

    /// One page of a listing, from a continuation or behind a name.
    async fn page(
        &self,
        prefix: &Key,
        delimiter: Option<&str>,
        after: Option<&Key>,
        continued: Option<String>,
    ) -> Result<Page, StoreError> {
        let asked = self
            .client
            .list_objects_v2()
            .bucket(self.bucket())
            .prefix(format!("{}/", self.name(prefix)))
            .set_delimiter(delimiter.map(ToOwned::to_owned))
            .set_start_after(after.map(|key| self.name(key)))
            .set_continuation_token(continued);
        let sent =
            async { asked.send().await.map_err(|e| self.place.refusal(Call::List, prefix, e)) };
        let answer = self.one_try(Call::List, prefix, 0, sent).await?;
        let own =
            |name: &str| name.strip_prefix(&self.place.location.prefix).map(ToOwned::to_owned);
        let mut page = Page { next: answer.next_continuation_token.clone(), ..Page::default() };
        for folder in answer.common_prefixes() {
            page.folders.extend(folder.prefix().and_then(own));
        }
        for object in answer.contents.unwrap_or_default() {
            let (Some(name), Some(etag)) = (object.key, object.e_tag) else {
                continue;
            };
            // A name that is none of ours is none of our business.
            let key = own(&name).and_then(|name| Key::from_listing(&name));
            let size = u64::try_from(object.size.unwrap_or(0)).unwrap_or(0);
            let modified = object.last_modified.and_then(|at| at.to_millis().ok());
            let modified = modified.and_then(|at| u64::try_from(at).ok()).map(UnixMillis);
            page.objects.extend(key.map(|key| Entry { key, etag: ETag(etag), size, modified }));
        }
        Ok(page)
    }
}

#[derive(Debug, Default)]
struct Page {
    objects: Vec<Entry>,
    folders: Vec<String>,
    next: Option<String>,
}

fn is_unchanged<E>(error: &SdkError<E, HttpResponse>) -> bool {
    error.raw_response().is_some_and(|r| r.status().as_u16() == 304)
}

#[async_trait]
impl Store for S3Store {
    async fn get(&self, key: &Key) -> Result<Object, StoreError> {
        let found = self.read(key, None).await?;
        found.ok_or_else(|| StoreError::NotFound { key: key.clone() })
    }

    async fn get_if_changed(&self, key: &Key, seen: &ETag) -> Result<Option<Object>, StoreError> {
        self.read(key, Some(seen)).await
    }

    async fn head(&self, key: &Key) -> Result<Option<ETag>, StoreError> {
        let asked = self.client.head_object().bucket(self.bucket()).key(self.name(key));
        let sent = async {
            match asked.send().await.map_err(|e| self.place.refusal(Call::Head, key, e)) {
                Ok(found) => self.etag(Call::Head, key, found.e_tag).map(Some),
                Err(StoreError::NotFound { .. }) => Ok(None),
                Err(other) => Err(other),
            }
        };
        self.one_try(Call::Head, key, 0, sent).await
    }

    async fn create(&self, key: &Key, body: Bytes) -> Result<ETag, StoreError> {
        self.put(key, body, Condition::Absent).await
    }

    async fn replace(&self, key: &Key, body: Bytes, seen: &ETag) -> Result<ETag, StoreError> {
        self.put(key, body, Condition::At(seen)).await
    }

    async fn list(&self, prefix: &Key, after: Option<&Key>) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        let mut continued = None;
        loop {
            let page = self.page(prefix, None, after, continued).await?;
            entries.extend(page.objects);
            if page.next.is_none() {
                return Ok(entries);
            }
            continued = page.next;
        }
    }

    async fn children(&self, prefix: &Key) -> Result<Vec<String>, StoreError> {
        let below = format!("{prefix}/");
        let mut names = Vec::new();
        let mut continued = None;
        loop {
            let page = self.page(prefix, Some("/"), None, continued).await?;
            let folder = |name: &String| {
                let rest = name.strip_prefix(&below)?;
                Some(rest.trim_end_matches('/').to_owned())
            };
            names.extend(page.folders.iter().filter_map(folder));
            names.extend(page.objects.iter().map(|entry| entry.key.last().to_owned()));
            if page.next.is_none() {
                names.sort();
                return Ok(names);
            }
            continued = page.next;
        }
    }

    async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        let asked = self.client.delete_object().bucket(self.bucket()).key(self.name(key));
        let sent = async {
            match asked.send().await.map_err(|e| self.place.refusal(Call::Delete, key, e)) {
                Ok(_) | Err(StoreError::NotFound { .. }) => Ok(()),
                Err(other) => Err(other),
            }
        };
        self.one_try(Call::Delete, key, 0, sent).await
    }

    fn requests(&self) -> Requests {
        let count = |sent: &AtomicU64| sent.load(Ordering::Relaxed);
        Requests { writes: count(&self.sent.writes), reads: count(&self.sent.reads) }
    }
}
