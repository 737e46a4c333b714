//! The server's time: read from its answers, so that a machine's wrong clock does no harm.
//!
//! The SDK corrects its own signatures. What is corrected here is the wall clock that deadlines and
//! shown times are compared with, which all processes of a session must agree about, and by which
//! the requests that do not come from the SDK are signed.
use async_trait::async_trait;
use aws_sdk_s3::config::{
    ConfigBag, Intercept, RuntimeComponents,
    interceptors::BeforeDeserializationInterceptorContextRef,
};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_types::{DateTime, date_time::Format};
use starburst_core::clock::{Clock, Monotonic, UnixMillis};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// Differences up to this are left alone, in milliseconds: the header counts in seconds, and answers take time.
const TRUSTED: i64 = 5_000;

/// How far the server's clock is ahead of this machine's.
#[derive(Debug, Clone)]
pub struct ServerTime {
    ahead_ms: Arc<AtomicI64>,
    clock: Arc<dyn Clock>,
}

impl ServerTime {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { ahead_ms: Arc::default(), clock }
    }

    /// Reads a `Date` header. True if it changed what the time is taken to be.
    pub(crate) fn learn_date(&self, text: &str) -> bool {
        let date = DateTime::from_str(text, Format::HttpDate).ok();
        date.is_some_and(|date| self.learn(date.secs().saturating_mul(1_000)))
    }

    fn learn(&self, server: i64) -> bool {
        let here = i64::try_from(self.clock.wall().0).unwrap_or(i64::MAX);
        let ahead = server.saturating_sub(here);
        let ahead = if ahead.abs() <= TRUSTED { 0 } else { ahead };
        // The header's seconds are cut off: a correction that differs by less says nothing new.
        let news = (ahead - self.ahead_ms.load(Ordering::Relaxed)).abs() > 1_500;
        if news {
            self.ahead_ms.store(ahead, Ordering::Relaxed);
        }
        news
    }
}

#[async_trait]
impl Clock for ServerTime {
    fn wall(&self) -> UnixMillis {
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        UnixMillis(self.clock.wall().0.saturating_add_signed(ahead))
    }
    fn now(&self) -> Monotonic {
        self.clock.now()
    }
    async fn sleep(&self, time: Duration) {
        self.clock.sleep(time).await;
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for ServerTime {
    fn name(&self) -> &'static str {
        "ServerTime"
    }
    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date") {
            self.learn_date(date);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct At(u64);
    #[async_trait]
    impl Clock for At {
        fn wall(&self) -> UnixMillis {
            UnixMillis(self.0)
        }
        fn now(&self) -> Monotonic {
            Monotonic(Duration::ZERO)
        }
        async fn sleep(&self, _: Duration) {}
    }

    #[test]
    fn a_clock_a_day_off_is_corrected_in_either_direction() {
        let day = 86_400_000;
        for server in [10 * day + day, 10 * day - day] {
            let time = ServerTime::new(Arc::new(At(10 * day)));
            time.learn(server as i64);
            assert_eq!(time.wall(), UnixMillis(server));
        }
    }

    #[test]
    fn a_clock_that_is_right_is_left_alone() {
        let time = ServerTime::new(Arc::new(At(1_000_900)));
        time.learn(1_000_000);
        assert_eq!(time.wall(), UnixMillis(1_000_900));
    }
}
