//! Stores on the S3 of the tests, and accounts at servers that stand in for AWS.
#![allow(dead_code)] // each test file uses its share
#![allow(clippy::unwrap_used, clippy::panic)] // a test's helper fails its test
pub(crate) mod account;
pub(crate) mod canned;
pub(crate) mod lab;
pub(crate) mod moto;
pub(crate) mod sdk_lab;

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
};
use aws_smithy_http_client::Builder;
use starburst_aws::{
    account::Access,
    s3::{S3Location, S3Store},
};
use starburst_core::{
    ids::{PartId, SessionId},
    key::{Key, SessionKeys},
    retry::{RetryPolicy, RetryStore},
    store::Store,
};
use starburst_local::{SystemClock, SystemIds};
use starburst_testkit::s3::S3Server;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A bucket of a test's server, and how to get there without the process's environment.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    client: Client,
    place: S3Location,
}

impl Bucket {
    pub(crate) async fn on(server: &S3Server) -> Self {
        Self::with(server, S3Server::ACCESS_KEY, S3Server::SECRET_KEY)
    }

    pub(crate) fn with(server: &S3Server, access_key: &str, secret_key: &str) -> Self {
        Self::at(&server.endpoint(), access_key, secret_key)
    }

    pub(crate) fn at(endpoint: &str, access_key: &str, secret_key: &str) -> Self {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(Builder::new().build_http())
            .credentials_provider(Credentials::new(access_key, secret_key, None, None, "test"))
            .region(Region::new("us-east-1"))
            .endpoint_url(endpoint)
            .force_path_style(true)
            .retry_config(RetryConfig::disabled())
            .build();
        let place = S3Location::parse(&format!("s3://{}", S3Server::BUCKET)).unwrap();
        Self { client: Client::from_conf(config), place }
    }

    pub(crate) fn named(mut self, bucket: &str) -> Self {
        self.place.bucket = bucket.to_owned();
        self
    }

    pub(crate) async fn make(&self) {
        self.client.create_bucket().bucket(&self.place.bucket).send().await.unwrap();
    }

    /// One try for each call.
    pub(crate) fn one_try(&self) -> Arc<dyn Store> {
        let access = Access { profile: Some("lab".into()), ..Access::default() };
        Arc::new(S3Store::new(self.client.clone(), self.place.clone(), access))
    }

    /// As [`starburst_aws::s3::connect`] makes one.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        let (clock, ids) = (Arc::new(SystemClock::default()), Arc::new(SystemIds));
        Arc::new(RetryStore::new(self.one_try(), clock, ids, RetryPolicy::default()))
    }

    pub(crate) fn folder(&self, name: &str) -> Arc<dyn Store> {
        let place = S3Location { prefix: format!("{name}/"), ..self.place.clone() };
        Self { client: self.client.clone(), place }.store()
    }
}

pub(crate) fn keys() -> SessionKeys {
    SessionKeys::new(SessionId::parse("s").unwrap())
}

pub(crate) fn key() -> Key {
    keys().ledger(PartId(0))
}

/// Asks until there is an answer, for at most half a minute.
pub(crate) async fn within_bounds<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    #[allow(clippy::disallowed_methods)] // processes live in real time
    let begun = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "it did not come to that");
        let never = std::future::pending::<()>();
        let _ = tokio::time::timeout(Duration::from_millis(10), never).await;
    }
}
