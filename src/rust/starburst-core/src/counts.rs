//! How many tasks are in which state.

/// Tasks by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Waiting, with nobody at them.
    pub pending: u64,
    /// Held by a worker.
    pub claimed: u64,
    /// Ended with a value.
    pub completed: u64,
    /// Ended without one.
    pub failed: u64,
    /// Withdrawn.
    pub cancelled: u64,
}

impl Counts {
    /// All tasks.
    pub fn total(&self) -> u64 {
        self.pending + self.claimed + self.completed + self.failed + self.cancelled
    }
    /// Tasks that have not ended.
    pub fn open(&self) -> u64 {
        self.pending + self.claimed
    }
    /// Tasks that have ended, withdrawn ones included.
    pub fn ended(&self) -> u64 {
        self.completed + self.failed + self.cancelled
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.pending += other.pending;
        self.claimed += other.claimed;
        self.completed += other.completed;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
    }
}
