//! The system's clock and randomness; the only place that asks for them.
#![allow(clippy::disallowed_methods)] // this is what everything else takes as a parameter
use async_trait::async_trait;
use starburst_core::{
    clock::{Clock, Monotonic, UnixMillis},
    ids::Ids,
};
use std::time::{Duration, Instant, SystemTime};

/// The system's clocks.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn wall(&self) -> UnixMillis {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        UnixMillis(0).plus(since)
    }
    fn now(&self) -> Monotonic {
        Monotonic(self.0.elapsed())
    }
    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// The system's randomness.
#[derive(Debug, Default)]
pub struct SystemIds;

impl Ids for SystemIds {
    #[allow(clippy::expect_used)] // without randomness no id is safe to use
    fn random(&self) -> u64 {
        getrandom::u64().expect("the system has random numbers")
    }
}
