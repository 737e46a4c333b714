//! Real time: worker processes know no other.
#![allow(clippy::disallowed_methods)] // the one place that asks for it
use std::time::{Duration, Instant, SystemTime};

pub(super) fn now() -> Instant {
    Instant::now()
}

/// A timestamp of the JSON protocol: seconds since 1970, with milliseconds as a fraction.
pub(super) fn timestamp() -> f64 {
    milliseconds() as f64 / 1_000.0
}

/// Milliseconds since 1970, as in an event of a log.
pub(super) fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub(super) async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
