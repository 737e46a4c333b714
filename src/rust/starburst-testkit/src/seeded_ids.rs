//! Randomness that a seed replays.
use parking_lot::Mutex;
use starburst_core::ids::Ids;

/// SplitMix64: the same numbers from the same seed, for ever.
#[derive(Debug)]
pub struct SeededIds(Mutex<u64>);

impl SeededIds {
    /// The numbers of this seed.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }
    /// A number below `end`.
    pub fn below(&self, end: u64) -> u64 {
        self.random() % end.max(1)
    }
    /// True once in `n` times.
    pub fn one_in(&self, n: u64) -> bool {
        self.below(n) == 0
    }
}

impl Ids for SeededIds {
    fn random(&self) -> u64 {
        let mut state = self.0.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
