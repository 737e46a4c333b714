//! Virtual time: tokio's paused clock, which jumps to the next thing that waits.
use async_trait::async_trait;
use starburst_core::clock::{Clock, Monotonic, UnixMillis};
use std::time::Duration;
use tokio::time::Instant;

/// A clock for a runtime started with paused time. Its wall clock may be wrong, as real ones are.
#[derive(Debug)]
pub struct ManualClock {
    start: Instant,
    wall_offset: Duration,
}

impl ManualClock {
    /// A clock whose wall time starts at this offset from the epoch.
    pub fn new(start: Instant, wall_offset: Duration) -> Self {
        Self { start, wall_offset }
    }
    /// The same time by another wall clock, which showed this when the first one started.
    pub fn with_wall(&self, wall: UnixMillis) -> Self {
        Self { start: self.start, wall_offset: Duration::from_millis(wall.0) }
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn wall(&self) -> UnixMillis {
        UnixMillis(0).plus(self.wall_offset + self.start.elapsed())
    }
    fn now(&self) -> Monotonic {
        Monotonic(self.start.elapsed())
    }
    #[allow(clippy::disallowed_methods)] // this is the clock
    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}
