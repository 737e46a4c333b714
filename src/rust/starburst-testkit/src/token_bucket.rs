//! The way in which AWS limits a rate: what has not been used is saved up to a bound.
use std::time::Instant;

#[derive(Debug)]
pub(crate) struct TokenBucket {
    most: f64,
    rate: f64,
    tokens: f64,
    filled: Instant,
}

impl TokenBucket {
    /// Full at first; `rate` tokens come back each second.
    pub(crate) fn new(most: f64, rate: f64, now: Instant) -> Self {
        Self { most, rate, tokens: most, filled: now }
    }

    /// Takes so many tokens, or none and returns `false`.
    pub(crate) fn take(&mut self, number: u32, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + since * self.rate).min(self.most);
        self.filled = now;
        let enough = self.tokens >= f64::from(number);
        if enough {
            self.tokens -= f64::from(number);
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    #[allow(clippy::disallowed_methods)] // only the distance from it matters
    fn a_burst_passes_and_then_the_rate() {
        let now = Instant::now();
        let mut bucket = TokenBucket::new(100.0, 20.0, now);
        assert!((0..10).all(|_| bucket.take(10, now)));
        assert!(!bucket.take(1, now));
        assert!(!bucket.take(11, now + Duration::from_millis(500)));
        assert!(bucket.take(10, now + Duration::from_millis(500)));
    }
}
