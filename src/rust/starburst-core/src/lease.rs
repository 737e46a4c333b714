//! Leases without trusting clocks: a heartbeat that stood still for the lease, as this observer saw it.
use crate::{
    clock::Monotonic,
    ids::WorkerId,
    mutation::{Rule, is_broken},
    store::ETag,
};
use std::{collections::HashMap, time::Duration};

/// What one process has seen of the workers' heartbeats, on its own monotonic clock.
#[derive(Debug, Default)]
pub struct Observer {
    seen: HashMap<WorkerId, Sighting>,
    looked: Option<Monotonic>,
}

#[derive(Debug)]
struct Sighting {
    etag: ETag,
    since: Monotonic,
}

impl Observer {
    /// Takes a look: remembers each heartbeat's version, and since when it has been that.
    ///
    /// After a gap of half a lease between looks everybody's silence is counted anew: when this process
    /// could not look, or stood still, others may not have been able to beat.
    pub fn look(&mut self, heartbeats: &[(WorkerId, ETag)], now: Monotonic, lease: Duration) {
        if self.looked.is_some_and(|looked| now.since(looked) > lease / 2) {
            self.seen.clear();
        }
        self.looked = Some(now);
        self.see(heartbeats, now);
    }

    /// Adds heartbeats to the last look.
    pub fn see(&mut self, heartbeats: &[(WorkerId, ETag)], now: Monotonic) {
        for (worker, etag) in heartbeats {
            let unchanged = self.seen.get(worker).is_some_and(|s| s.etag == *etag);
            if !unchanged {
                self.seen.insert(worker.clone(), Sighting { etag: etag.clone(), since: now });
            }
        }
    }

    /// Whether the worker has been silent for the whole lease while this observer watched.
    pub fn expired(&self, worker: &WorkerId, lease: Duration, now: Monotonic) -> bool {
        let lease = if is_broken(Rule::LeaseWait) { lease / 8 } else { lease };
        self.seen.get(worker).is_some_and(|s| now.since(s.since) >= lease)
    }

    /// Whether this observer has seen the worker at all.
    pub fn knows(&self, worker: &WorkerId) -> bool {
        self.seen.contains_key(worker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(s: u64) -> Monotonic {
        Monotonic(Duration::from_secs(s))
    }

    proptest! {
        #[test]
        fn a_worker_that_beats_within_the_lease_never_expires(gaps in proptest::collection::vec(1u64..59, 1..50)) {
            let (mut observer, worker, mut now) = (Observer::default(), WorkerId::parse("w").unwrap(), 0);
            for (beat, gap) in gaps.iter().enumerate() {
                observer.look(&[(worker.clone(), ETag(beat.to_string()))], at(now), Duration::from_secs(60));
                now += gap;
                prop_assert!(!observer.expired(&worker, Duration::from_secs(60), at(now)));
            }
        }
    }

    #[test]
    fn after_a_gap_in_looking_nobody_is_expired_at_once() {
        let (mut observer, worker) = (Observer::default(), WorkerId::parse("w").unwrap());
        let lease = Duration::from_secs(60);
        let beat = [(worker.clone(), ETag("1".into()))];
        observer.look(&beat, at(0), lease);
        observer.look(&beat, at(300), lease);
        assert!(!observer.expired(&worker, lease, at(300)));
    }

    #[test]
    fn silence_is_counted_from_the_first_sight_of_it() {
        let (mut observer, worker) = (Observer::default(), WorkerId::parse("w").unwrap());
        let lease = Duration::from_secs(60);
        for s in [1_000, 1_020, 1_040, 1_059] {
            observer.look(&[(worker.clone(), ETag("1".into()))], at(s), lease);
        }
        assert!(!observer.expired(&worker, lease, at(1_059)));
        assert!(observer.expired(&worker, lease, at(1_060)));
        assert!(!observer.expired(&WorkerId::parse("other").unwrap(), lease, at(9_999)));
    }
}
