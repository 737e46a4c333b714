//! Of all that could start workers of a detached session on ECS, one does, and another when that one is gone.
#![allow(clippy::unwrap_used)] // a test's helper fails its test
mod common;

use common::{Lab, completed, late::Late, on_ecs, seconds, submit};
use parking_lot::Mutex;
use starburst_core::{
    clock::{Clock, Monotonic},
    held::Ground,
    ids::{ClientId, SessionId},
    key::{Key, SessionKeys},
    lead::Leadership,
    manifest::Lifetime,
    pace::Pace,
};
use starburst_testkit::{Fault, FaultStore, ManualClock, MemStore, Operation, SeededIds};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

const LEASE: Duration = Duration::from_secs(90);
const PATROL: Duration = Duration::from_secs(15);

#[tokio::test(start_paused = true)]
async fn one_of_two_clients_starts_the_workers() {
    assert_eq!((Pace::remote().lease, Pace::remote().patrol), (LEASE, PATROL));
    let lab = Lab::new(seconds(20));
    let a = lab.create(on_ecs(3)).await;
    lab.crew.set_stay(seconds(50));
    submit(&a, 60);
    let b = lab.attach("b", &a).await;
    lab.during(seconds(300), |_| assert!(lab.crew.alive() <= 3)).await;
    assert!(lab.crew.launches("a").len() > 6 && lab.crew.launches("b").is_empty());
    lab.until(seconds(1_000), || completed(&b) == 60).await;
    assert!(lab.crew.launches("b").is_empty());
}

#[tokio::test(start_paused = true)]
async fn another_takes_over_when_the_one_that_leads_has_stopped_answering() {
    let lab = Lab::new(seconds(20));
    let a = lab.create(on_ecs(3)).await;
    lab.crew.set_stay(seconds(50));
    submit(&a, 100);
    let b = lab.attach("b", &a).await;
    for odd in [0, 7] {
        lab.clock.sleep(seconds(200 + odd)).await;
        assert!(lab.crew.launches("b").is_empty());
    }
    let gone = lab.clock.now();
    a.stop();
    lab.until(seconds(300), || !lab.crew.launches("b").is_empty()).await;
    let (last, first) = (*lab.crew.launches("a").last().unwrap(), lab.crew.launches("b")[0]);
    assert!(first.since(gone) <= LEASE + PATROL, "{:?}", first.since(gone));
    assert!(first.since(last) >= LEASE * 3 / 4, "{:?}", first.since(last));
    lab.until(seconds(2_000), || completed(&b) == 100).await;
    assert_eq!(lab.crew.launches("a").last(), Some(&last));
}

#[tokio::test(start_paused = true)]
async fn another_takes_over_at_once_from_one_that_leaves_and_knows_whom_it_started() {
    let lab = Lab::new(seconds(20));
    let a = lab.create(on_ecs(3)).await;
    submit(&a, 60);
    let b = lab.attach("b", &a).await;
    a.leave().await.unwrap();
    assert_eq!(lab.crew.launches("a").len(), 3);
    // None of them has said anything yet, and none of them is started again.
    lab.during(PATROL * 3, |_| assert_eq!(lab.crew.alive(), 3)).await;
    lab.crew.set_stay(seconds(50));
    lab.crew.take_back();
    let emptied = lab.clock.now();
    lab.until(PATROL * 2, || !lab.crew.launches("b").is_empty()).await;
    assert!(lab.crew.launches("b")[0].since(emptied) <= PATROL);
    lab.during(seconds(100), |_| assert!(lab.crew.alive() <= 3)).await;
    lab.until(seconds(1_000), || completed(&b) == 60).await;
    assert_eq!(lab.crew.launches("a").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_owner_of_a_plan_needs_no_lead() {
    let store = Arc::new(MemStore::default());
    let lab = Lab::on(store.clone(), seconds(20));
    let a = lab
        .create(starburst_core::client::SessionConfig { lifetime: Lifetime::Owned, ..on_ecs(3) })
        .await;
    submit(&a, 9);
    lab.until(seconds(200), || completed(&a) == 9).await;
    let lead = SessionKeys::new(a.session().clone()).lead();
    assert_eq!((lab.crew.launches("a").len(), store.keys().contains(&lead)), (3, false));
}

fn loses_answers() -> impl Fn(Operation, &Key) -> Option<Fault> + Send + Sync {
    |operation, key| {
        let lead = key.as_str().ends_with("/lead");
        (lead && operation == Operation::Write).then_some(Fault::LoseAnswer)
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_taking_the_lead_makes_one_leader() {
    let store = FaultStore::new(MemStore::default(), loses_answers());
    let lab = Lab::on(Arc::new(store), seconds(20));
    let a = lab.create(on_ecs(3)).await;
    lab.crew.set_stay(seconds(50));
    let b = lab.attach("b", &a).await;
    submit(&a, 30);
    submit(&b, 30);
    lab.until(seconds(1_000), || completed(&b) == 60).await;
    let (a, b) = (lab.crew.launches("a").len(), lab.crew.launches("b").len());
    assert!((a == 0) != (b == 0) && a + b > 3, "{a} {b}");
}

/// Who was told last that it leads, and when; and how often the lead changed hands.
#[derive(Debug, Default)]
struct Story {
    led: [Option<Monotonic>; 3],
    last: Option<usize>,
    changes: usize,
}

impl Story {
    fn tell(&mut self, who: usize, now: Monotonic) {
        self.led[who] = Some(now);
        if self.last.replace(who) == Some(who) {
            return;
        }
        self.changes += 1;
        for other in (0..3).filter(|other| *other != who) {
            let since = self.led[other].map_or(LEASE, |led| now.since(led));
            // Who leads is sure of it for a quarter of the lease, and an answer may be late.
            assert!(since + LATE * 4 >= LEASE * 3 / 4, "{since:?}");
        }
    }
}

/// The longest that a request, or its answer, is on its way.
const LATE: Duration = Duration::from_secs(1);

/// Candidates that ask together and at odd times, stand still for minutes, and whose store fails in each way: how
/// often the lead changed hands.
async fn contest(seed: u64) -> usize {
    let dice = Arc::new(SeededIds::new(seed));
    let fate = Arc::clone(&dice);
    let clock = Arc::new(ManualClock::new(Instant::now(), Duration::ZERO));
    let inner = FaultStore::new(MemStore::default(), move |_, _| {
        let faults = [Fault::LoseAnswer, Fault::LoseRequest, Fault::Refuse];
        faults.get(fate.below(60) as usize).copied()
    });
    let store = Late { inner, clock: clock.clone(), dice: dice.clone(), most: LATE };
    let keys = SessionKeys::new(SessionId::parse("s").unwrap());
    let ground =
        Ground { store: &store, key: keys.lead(), clock: &*clock, ids: &*dice, lease: LEASE };
    let story = Mutex::new(Story::default());
    let candidate = async |who: usize| {
        let (me, mut leadership) = (ClientId::fresh(&*dice), Leadership::default());
        while clock.now().0 < seconds(20_000) {
            if leadership.ask(&ground, &me, None).await.unwrap_or(false) {
                story.lock().tell(who, clock.now());
            }
            let away = if dice.one_in(40) { dice.below(400) } else { 15 };
            clock.sleep(seconds(away)).await;
        }
    };
    futures_util::future::join3(candidate(0), candidate(1), candidate(2)).await;
    story.into_inner().changes
}

#[tokio::test(start_paused = true)]
async fn no_two_lead_within_one_lease_whatever_the_store_answers() {
    let mut changes = 0;
    for seed in 0..20 {
        changes += contest(seed).await;
    }
    assert!(changes > 100, "{changes}");
}
