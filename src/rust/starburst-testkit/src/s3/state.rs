//! What all connections of a server share.
use super::{
    counts::Tally,
    faults::Rules,
    link::Links,
    objects::Objects,
    operation::Operation,
    pace::{Limits, Pace},
    service::Service,
};
use bytes::Bytes;
use hyper::HeaderMap;
use parking_lot::Mutex;
use s3s::{
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
};
use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

/// Chosen once, so that tests that set no seed are the same each time.
const SEED: u64 = 20_261_101;

/// Asks whether a bucket exists somewhere else.
pub(super) type Origin = Arc<dyn Fn(String) -> Asked + Send + Sync>;
/// The answer to that.
pub(super) type Asked = Pin<Box<dyn Future<Output = bool> + Send>>;
/// Told of an operation, its bucket, its key and its headers.
pub(super) type Observer = Arc<dyn Fn(Operation, &str, &str, &HeaderMap) + Send + Sync>;

/// What a server has to do with the world around it.
#[derive(Default)]
pub(super) struct Outside {
    pub(super) origin: Option<Origin>,
    pub(super) observer: Option<Observer>,
}

impl fmt::Debug for Outside {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Outside").finish_non_exhaustive()
    }
}

/// A running server.
#[derive(Debug)]
pub(super) struct State {
    pub(super) objects: Arc<Objects>,
    pub(super) service: S3Service,
    pub(super) rules: Mutex<Rules>,
    pub(super) pace: Mutex<Pace>,
    pub(super) tally: Tally,
    pub(super) links: Links,
    /// Who is asked about a bucket that is not known, and who is told of each request.
    pub(super) outside: Mutex<Outside>,
    network: AtomicBool,
    answers: AtomicU64,
    bucket: &'static str,
}

#[allow(clippy::disallowed_methods)] // a real server paces itself in real time
pub(super) fn now() -> Instant {
    Instant::now()
}

impl State {
    pub(super) fn new(bucket: &'static str, access_key: &str, secret_key: &str) -> Self {
        let objects = Arc::new(Objects::new());
        objects.create_bucket(bucket.to_owned());
        let mut builder = S3ServiceBuilder::new(Service(objects.clone()));
        builder.set_auth(SimpleAuth::from_single(access_key, secret_key));
        Self {
            objects,
            service: builder.build(),
            rules: Mutex::new(Rules::new(SEED)),
            pace: Mutex::new(Pace::new(SEED)),
            tally: Tally::default(),
            links: Links::default(),
            outside: Mutex::new(Outside::default()),
            network: AtomicBool::new(true),
            answers: AtomicU64::new(0),
            bucket,
        }
    }

    pub(super) fn set_seed(&self, seed: u64) {
        self.rules.lock().set_seed(seed);
        self.pace.lock().set_seed(seed);
    }

    pub(super) fn set_limits(&self, limits: Limits) {
        self.pace.lock().set_limits(limits, now());
    }

    /// What S3 calls one request, so that messages have something to name.
    pub(super) fn request_id(&self) -> String {
        format!("{:016X}", self.answers.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(super) fn network(&self) -> bool {
        self.network.load(Ordering::SeqCst)
    }

    /// First the word, then the connections: a request that comes between sees the word.
    pub(super) fn set_network(&self, up: bool) {
        self.network.store(up, Ordering::SeqCst);
        if !up {
            self.links.close_all();
        }
    }

    pub(super) fn keys(&self, prefix: &str) -> Vec<String> {
        let keys = self.objects.within(self.bucket, |bucket| {
            Ok(bucket.objects.keys().filter(|key| key.starts_with(prefix)).cloned().collect())
        });
        keys.unwrap_or_default()
    }

    pub(super) fn read(&self, key: &str) -> Option<Bytes> {
        let body = self.objects.within(self.bucket, |bucket| {
            Ok(bucket.objects.get(key).map(|object| object.body.clone()))
        });
        body.ok().flatten()
    }

    /// False if there is no such object.
    pub(super) fn overwrite(&self, key: &str, body: Bytes) -> bool {
        let found = self.objects.within(self.bucket, |bucket| {
            Ok(bucket.objects.get_mut(key).map(|object| object.overwrite(body)).is_some())
        });
        found.unwrap_or(false)
    }

    /// False if there is no such object.
    pub(super) fn remove(&self, key: &str) -> bool {
        let found =
            self.objects.within(self.bucket, |bucket| Ok(bucket.objects.remove(key).is_some()));
        found.unwrap_or(false)
    }

    /// A bucket that is not known, but exists where it may come from, is made, empty.
    pub(super) async fn adopt(&self, bucket: &str) {
        let origin = self.outside.lock().origin.clone();
        let Some(origin) = origin else { return };
        let known = self.objects.within(bucket, |_| Ok(())).is_ok();
        if !known && !bucket.is_empty() && origin(bucket.to_owned()).await {
            self.objects.create_bucket(bucket.to_owned());
        }
    }

    pub(super) fn observe(
        &self,
        operation: Operation,
        bucket: &str,
        key: &str,
        headers: &HeaderMap,
    ) {
        let observer = self.outside.lock().observer.clone();
        if let Some(observer) = observer {
            observer(operation, bucket, key, headers);
        }
    }

    pub(super) fn uploads(&self) -> usize {
        self.objects.within(self.bucket, |bucket| Ok(bucket.uploads.len())).unwrap_or(0)
    }
}
