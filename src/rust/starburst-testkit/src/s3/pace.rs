//! How long a request waits, and how many a second are let in.
use super::random::Random;
use crate::token_bucket::TokenBucket;
use std::time::{Duration, Instant};

/// What each request waits before anything is done: `base`, and an exponentially distributed tail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    /// Every request waits at least this.
    pub base: Duration,
    /// The mean of what comes on top.
    pub tail: Duration,
}

/// Requests a second; what is above gets 503 `SlowDown`. `None` is no limit. One second's worth may come at once.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Limits {
    /// Requests that change objects or uploads; 3,500 a prefix in S3.
    pub writes_per_second: Option<f64>,
    /// All others; 5,500 a prefix in S3.
    pub reads_per_second: Option<f64>,
}

/// Below one a second it still holds one, or no request would ever pass.
fn bucket(rate: f64, now: Instant) -> TokenBucket {
    TokenBucket::new(rate.max(1.0), rate, now)
}

/// Latency and limits in force.
#[derive(Debug)]
pub(super) struct Pace {
    latency: Latency,
    writes: Option<TokenBucket>,
    reads: Option<TokenBucket>,
    random: Random,
}

impl Pace {
    pub(super) fn new(seed: u64) -> Self {
        Self { latency: Latency::default(), writes: None, reads: None, random: Random::new(seed) }
    }

    pub(super) fn set_seed(&mut self, seed: u64) {
        self.random = Random::new(seed);
    }

    pub(super) fn set_latency(&mut self, latency: Latency) {
        self.latency = latency;
    }

    pub(super) fn set_limits(&mut self, limits: Limits, now: Instant) {
        self.writes = limits.writes_per_second.map(|rate| bucket(rate, now));
        self.reads = limits.reads_per_second.map(|rate| bucket(rate, now));
    }

    pub(super) fn wait(&mut self) -> Duration {
        self.latency.base + self.random.exponential(self.latency.tail)
    }

    /// False if the request comes too soon.
    pub(super) fn admits(&mut self, is_write: bool, now: Instant) -> bool {
        let bucket = if is_write { &mut self.writes } else { &mut self.reads };
        bucket.as_mut().is_none_or(|bucket| bucket.take(1, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods)] // only the distance from it matters
    fn one_second_of_requests_passes_at_once_and_then_the_rate() {
        let now = Instant::now();
        let mut pace = Pace::new(1);
        pace.set_limits(Limits { writes_per_second: Some(4.0), ..Limits::default() }, now);
        let passed = |pace: &mut Pace, now| (0..10).filter(|_| pace.admits(true, now)).count();
        assert_eq!(passed(&mut pace, now), 4);
        assert_eq!(passed(&mut pace, now + Duration::from_millis(500)), 2);
        assert_eq!(passed(&mut pace, now + Duration::from_secs(60)), 4);
        assert!((0..10).all(|_| pace.admits(false, now)));
    }

    #[test]
    fn a_wait_is_never_below_the_base() {
        let mut pace = Pace::new(1);
        assert_eq!(pace.wait(), Duration::ZERO);
        let base = Duration::from_millis(5);
        pace.set_latency(Latency { base, tail: Duration::from_millis(1) });
        assert!((0..100).all(|_| pace.wait() > base));
    }
}
