//! Random numbers from a seed, so that a run that failed can be run again.
use std::time::Duration;

/// SplitMix64: small, and good enough to choose faults and waits with.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// True once in `number` calls on average; always for 0 and 1.
    pub(super) fn one_in(&mut self, number: u64) -> bool {
        number <= 1 || self.next().is_multiple_of(number)
    }

    /// An exponentially distributed wait; zero, without a draw, for a mean of zero.
    pub(super) fn exponential(&mut self, mean: Duration) -> Duration {
        if mean.is_zero() {
            return Duration::ZERO;
        }
        // 53 bits, shifted by a half so that the logarithm never sees zero.
        let uniform = ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        mean.mul_f64(-uniform.ln())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (mut left, mut right) = (Random::new(7), Random::new(7));
        assert!((0..100).all(|_| left.next() == right.next()));
    }

    #[test]
    fn a_tail_has_its_mean() {
        let mut random = Random::new(1);
        let mean = Duration::from_millis(10);
        let sum: Duration = (0..10_000).map(|_| random.exponential(mean)).sum();
        let found = sum.as_secs_f64() / 10_000.0;
        assert!((0.0095..0.0105).contains(&found), "{found}");
    }
}
