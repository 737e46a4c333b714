//! An account at a server that stands in for AWS, without the process's environment and without waiting.
use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_http_client::Builder;
use parking_lot::Mutex;
use starburst_aws::account::Account;
use starburst_core::clock::{Clock, Monotonic, UnixMillis};
use starburst_local::SystemIds;
use std::{sync::Arc, time::Duration};

/// Time that passes only by waiting, and then at once.
#[derive(Debug)]
pub(crate) struct QuickClock {
    waited: Mutex<Duration>,
    wall: UnixMillis,
}

impl QuickClock {
    pub(crate) fn waited(&self) -> Duration {
        *self.waited.lock()
    }
}

#[async_trait]
impl Clock for QuickClock {
    fn wall(&self) -> UnixMillis {
        self.wall.plus(self.waited())
    }
    fn now(&self) -> Monotonic {
        Monotonic(self.waited())
    }
    async fn sleep(&self, time: Duration) {
        *self.waited.lock() += time;
        tokio::task::yield_now().await;
    }
}

/// 2026-11-24, 12:00.
pub(crate) const NOON: UnixMillis = UnixMillis(1_795_521_600_000);

pub(crate) fn account(endpoint: &str) -> (Account, Arc<QuickClock>) {
    let keys = Credentials::new("testing", "testing", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(Builder::new().build_http())
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .build();
    let clock = Arc::new(QuickClock { waited: Mutex::default(), wall: NOON });
    (Account::with_config(config, Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(SystemIds)), clock)
}
