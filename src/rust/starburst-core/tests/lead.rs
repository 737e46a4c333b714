//! Of all that could start workers of a detached session on ECS, one does, and another when that one is gone.
#![allow(clippy::unwrap_used)] // a test's helper fails its test
mod common;

use common::{Lab, completed, on_ecs, seconds, submit};
use starburst_core::{
    clock::{Clock, Monotonic},
    ids::{ClientId, Ids, SessionId},
    key::{Key, SessionKeys},
    lead::{Ground, Leadership},
    manifest::Lifetime,
    pace::Pace,
    store::Store,
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

/// A candidate, and when it was last told that it leads.
struct Candidate {
    me: ClientId,
    leadership: Leadership,
    led: Option<Monotonic>,
    /// It does nothing until then.
    away: Monotonic,
}

/// Candidates that ask at odd times, stand still for minutes, and whose store fails in each way: how often the lead
/// changed hands.
async fn contest(seed: u64) -> usize {
    let dice = Arc::new(SeededIds::new(seed));
    let fate = Arc::clone(&dice);
    let store: Arc<dyn Store> = Arc::new(FaultStore::new(MemStore::default(), move |_, _| {
        [Some(Fault::LoseAnswer), Some(Fault::LoseRequest), Some(Fault::Refuse)]
            .get(fate.below(20) as usize)
            .copied()
            .flatten()
    }));
    let clock = ManualClock::new(Instant::now(), Duration::ZERO);
    let keys = SessionKeys::new(SessionId::parse("s").unwrap());
    let ids: &dyn Ids = &*dice;
    let ground = Ground { store: &*store, keys: &keys, clock: &clock, ids, lease: LEASE };
    let candidate = |_| Candidate {
        me: ClientId::fresh(ids),
        leadership: Leadership::default(),
        led: None,
        away: clock.now(),
    };
    let mut all: Vec<Candidate> = (0..3).map(candidate).collect();
    let (mut changes, mut leader) = (0, None);
    while clock.now().0 < seconds(20_000) {
        let at = dice.below(3) as usize;
        let others: Vec<_> = (0..3).filter(|other| *other != at).collect();
        let asking = all.get_mut(at).unwrap();
        if asking.away <= clock.now() {
            let leads = asking.leadership.ask(&ground, &asking.me).await.unwrap_or(false);
            let now = clock.now();
            asking.led = if leads { Some(now) } else { asking.led };
            if leads && leader != Some(at) {
                leader = Some(at);
                changes += 1;
                for led in others.iter().filter_map(|other| all[*other].led) {
                    assert!(now.since(led) >= LEASE * 3 / 4, "seed {seed}: {:?}", now.since(led));
                }
            }
        }
        if dice.one_in(40) {
            let away = seconds(dice.below(400));
            all[at].away = Monotonic(clock.now().0 + away);
        }
        clock.sleep(Duration::from_millis(dice.below(8_000))).await;
    }
    changes
}

#[tokio::test(start_paused = true)]
async fn no_two_lead_within_one_lease_whatever_the_store_answers() {
    let mut changes = 0;
    for seed in 0..20 {
        changes += contest(seed).await;
    }
    assert!(changes > 100, "{changes}");
}
