//! What all connections of a server share.
use super::{
    counts::Tally,
    faults::Rules,
    link::Links,
    objects::Objects,
    pace::{Limits, Pace},
    service::Service,
};
use bytes::Bytes;
use parking_lot::Mutex;
use s3s::{
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

/// Chosen once, so that tests that set no seed are the same each time.
const SEED: u64 = 20_261_101;

/// A running server.
#[derive(Debug)]
pub(super) struct State {
    pub(super) objects: Arc<Objects>,
    pub(super) service: S3Service,
    pub(super) rules: Mutex<Rules>,
    pub(super) pace: Mutex<Pace>,
    pub(super) tally: Tally,
    pub(super) links: Links,
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

    pub(super) fn uploads(&self) -> usize {
        self.objects.within(self.bucket, |bucket| Ok(bucket.uploads.len())).unwrap_or(0)
    }
}
