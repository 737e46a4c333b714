//! The clock seam: wall time to show, monotonic time to decide.
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Milliseconds since the Unix epoch, on somebody's clock. Shown to people, never used to judge a lease.
#[derive(Default, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// This moment plus `later`.
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(later.as_millis()).unwrap_or(u64::MAX)))
    }
    /// Time from `earlier` to this moment; zero when clocks disagree about the order.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// A point on this process's own monotonic clock.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(pub Duration);

impl Monotonic {
    /// Time from `earlier` to this point.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Where time comes from and how to wait for it.
#[async_trait]
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// The wall clock.
    fn wall(&self) -> UnixMillis;
    /// The monotonic clock; never goes back.
    fn now(&self) -> Monotonic;
    /// Waits.
    async fn sleep(&self, time: Duration);
}
