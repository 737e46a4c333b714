//! How often things are looked at: fast where looking is free, slow where each look is a paid request.
use crate::clock::Monotonic;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The intervals of one session, fixed when it is created so that all its processes agree on the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// A worker rewrites its heartbeat this often.
    pub heartbeat: Duration,
    /// A worker whose heartbeat stood still this long, on the observer's own clock, may lose its tasks.
    pub lease: Duration,
    /// A client gathers submitted tasks at least this long before it writes them, unless somebody waits for one of them.
    pub flush: Duration,
    /// The shortest wait between two looks at the store.
    pub poll_min: Duration,
    /// The longest wait between two looks at the store.
    pub poll_max: Duration,
    /// An idle worker looks for tasks that became free again this often.
    pub recheck: Duration,
    /// A worker looks this often whether its running task was cancelled.
    pub cancel_check: Duration,
    /// Finished tasks wait at most this long before they are committed.
    pub commit: Duration,
    /// Clients and idle workers look after the other workers this often.
    pub patrol: Duration,
    /// A claim is sized to take about this long.
    pub claim: Duration,
    /// A client looks for near-live conditions at least this often.
    pub signals: Duration,
    /// A busy worker looks this often whether the session still wants it; a changed heartbeat tells it at once.
    pub orders: Duration,
    /// A worker looks this often whether the owner of its session lives.
    pub owner: Duration,
    /// A worker of a session whose owner stood still this long leaves.
    pub owner_lease: Duration,
    /// Up to this many ledgers are asked for one by one; for more, one listing is cheaper.
    pub ask_each: usize,
    /// So many ledgers of others an idle worker reads in one round.
    pub probes: usize,
}

impl Pace {
    /// For a directory on this machine, where a look costs microseconds.
    pub fn local() -> Self {
        Self {
            heartbeat: Duration::from_secs(2),
            lease: Duration::from_secs(30),
            flush: Duration::from_millis(8),
            poll_min: Duration::from_millis(2),
            poll_max: Duration::from_millis(50),
            recheck: Duration::from_millis(250),
            cancel_check: Duration::from_millis(250),
            commit: Duration::from_millis(40),
            patrol: Duration::from_millis(500),
            claim: Duration::from_millis(100),
            signals: Duration::from_millis(40),
            orders: Duration::from_secs(2),
            owner: Duration::from_secs(2),
            owner_lease: Duration::from_secs(30),
            ask_each: 8,
            probes: 64,
        }
    }

    /// For an object store across a network, where a look takes tens of milliseconds and is billed.
    pub fn remote() -> Self {
        Self {
            heartbeat: Duration::from_secs(30),
            lease: Duration::from_secs(90),
            flush: Duration::from_millis(30),
            poll_min: Duration::from_millis(50),
            poll_max: Duration::from_secs(5),
            recheck: Duration::from_secs(10),
            cancel_check: Duration::from_secs(120),
            commit: Duration::from_secs(1),
            patrol: Duration::from_secs(15),
            claim: Duration::from_secs(5),
            signals: Duration::from_secs(5),
            orders: Duration::from_secs(120),
            owner: Duration::from_secs(10),
            owner_lease: Duration::from_secs(67),
            ask_each: 0,
            probes: 2,
        }
    }
}

impl Pace {
    /// The same pace with another lease, and with heartbeats and looks that fit it.
    pub fn with_lease(self, lease: Duration) -> Self {
        Self {
            heartbeat: self.heartbeat.min(lease / 3),
            lease,
            recheck: self.recheck.min(lease / 3),
            patrol: self.patrol.min(lease / 6),
            owner: self.owner.min(lease / 3),
            owner_lease: self.owner_lease.min(lease),
            ..self
        }
    }

    /// Whether every interval is one that a loop can wait for: longer than nothing, and no longer than a day.
    pub fn is_sound(&self) -> bool {
        let day = Duration::from_secs(24 * 60 * 60);
        let all = [
            self.heartbeat,
            self.lease,
            self.flush,
            self.poll_min,
            self.poll_max,
            self.recheck,
            self.cancel_check,
            self.commit,
            self.patrol,
            self.claim,
            self.signals,
            self.orders,
            self.owner,
            self.owner_lease,
        ];
        let each = all.iter().all(|time| *time > Duration::ZERO && *time <= day);
        each && self.poll_min <= self.poll_max
    }

    /// Whether a look at the store costs next to nothing.
    pub fn looks_are_free(&self) -> bool {
        self.ask_each > 0
    }
}

/// A wait that grows while nothing happens and starts over when something does.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
    /// In halves: a wait is so many halves of the one before.
    growth: u32,
}

impl Backoff {
    /// Waits from `min` up to `max`, each twice as long as the one before: for who was refused.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self { min, max: max.max(min), next: min, growth: 4 }
    }
    /// Waits from `min` up to `max` that grow by half: for who looks. What takes a second is seen half a second later at the most.
    pub fn looking(min: Duration, max: Duration) -> Self {
        Self { growth: 3, ..Self::new(min, max) }
    }
    /// Something happened: the next wait is short again.
    pub fn reset(&mut self) {
        self.next = self.min;
    }
    /// The wait to make now; `random` spreads it over its upper half so that many waiters do not march in step.
    pub fn step(&mut self, random: u64) -> Duration {
        let wait = self.next;
        self.next = (self.next * self.growth / 2).min(self.max);
        let half = wait / 2;
        let share = u32::try_from(random % 1024).unwrap_or(0);
        half + half * share / 1024
    }
}

/// How long what comes one by one is gathered: longer, the longer it has been coming without a pause.
#[derive(Debug, Default, Clone, Copy)]
pub struct Gathering {
    began: Monotonic,
    /// For how long the last ones were to be gathered.
    wait: Duration,
    /// When they were written.
    wrote: Option<Monotonic>,
}

impl Gathering {
    /// Of the time for which it has been coming, what comes is gathered for this share.
    const SHARE: u32 = 8;

    /// How long to gather, from `least` up to `most`, when there is something at `now`. Without anything before it for much
    /// longer than that would be gathered, it is the first.
    pub fn wait(&mut self, now: Monotonic, least: Duration, most: Duration) -> Duration {
        let pause = (self.wait * 2).max(least * 4);
        if self.wrote.is_none_or(|at| now.since(at) > pause) {
            self.began = now;
        }
        self.wait = (now.since(self.began) / Self::SHARE).clamp(least, most.max(least));
        self.wait
    }
    /// What was gathered is written by `now`.
    pub fn wrote(&mut self, now: Monotonic) {
        self.wrote = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many batches 1,000 things make that come so far apart, and how long the last batch was gathered.
    fn batches(apart: Duration) -> (u32, Duration) {
        let (least, most) = (Duration::from_millis(8), Duration::from_millis(128));
        let (mut gathering, mut now, mut count, mut last) =
            (Gathering::default(), Monotonic(apart), 0, least);
        let mut next = 1;
        while next <= 1_000 {
            now = Monotonic(now.0.max(apart * next));
            last = gathering.wait(now, least, most);
            now = Monotonic(now.0 + last);
            gathering.wrote(now);
            while next <= 1_000 && apart * next <= now.0 {
                next += 1;
            }
            count += 1;
        }
        (count, last)
    }

    #[test]
    fn what_comes_without_a_pause_is_gathered_longer_and_longer() {
        let (count, last) = batches(Duration::from_millis(8));
        assert!((60..=110).contains(&count), "{count}");
        assert_eq!(last, Duration::from_millis(128));
    }

    #[test]
    fn what_comes_now_and_then_is_not_kept_waiting() {
        assert_eq!(batches(Duration::from_millis(60)), (1_000, Duration::from_millis(8)));
    }

    #[test]
    fn heartbeats_come_often_enough_for_every_lease() {
        for pace in [Pace::local(), Pace::remote()] {
            for seconds in [3, 10, 30, 90, 600] {
                let pace = pace.with_lease(Duration::from_secs(seconds));
                // A heartbeat comes up to a fifth late, and one may be lost.
                assert!(pace.heartbeat * 6 / 5 * 2 <= pace.lease, "{pace:?}");
                assert!(pace.owner < pace.owner_lease || pace.looks_are_free(), "{pace:?}");
            }
        }
    }
}
