use super::*;
use crate::{
    envelope::{self, Kind},
    ids::{PartId, SessionId},
    key::SessionKeys,
};
use proptest::prelude::*;
use std::collections::HashMap;

const MAX_ATTEMPTS: u32 = 3;

#[derive(Debug, Clone)]
enum Step {
    Claim { worker: u8, most: usize },
    End { worker: u8, place: usize, attempt: u32, value: bool },
    Release { worker: u8, place: usize, attempt: u32 },
    BackUp { worker: u8, place: usize, attempt: u32 },
    Strike { worker: u8, place: usize },
    Reclaim { worker: u8 },
    Cancel { place: usize },
    Retry { place: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let (worker, place, attempt) = (0u8..3, 0usize..6, 0u32..5);
    prop_oneof![
        (worker.clone(), 0usize..4).prop_map(|(worker, most)| Step::Claim { worker, most }),
        (worker.clone(), place.clone(), attempt.clone(), any::<bool>()).prop_map(
            |(worker, place, attempt, value)| Step::End { worker, place, attempt, value }
        ),
        (worker.clone(), place.clone(), attempt.clone())
            .prop_map(|(worker, place, attempt)| { Step::Release { worker, place, attempt } }),
        (worker.clone(), place.clone(), attempt)
            .prop_map(|(worker, place, attempt)| { Step::BackUp { worker, place, attempt } }),
        (worker.clone(), place.clone()).prop_map(|(worker, place)| Step::Strike { worker, place }),
        worker.prop_map(|worker| Step::Reclaim { worker }),
        place.clone().prop_map(|place| Step::Cancel { place }),
        place.prop_map(|place| Step::Retry { place }),
    ]
}

fn worker(n: u8) -> WorkerId {
    WorkerId::parse(&format!("w{n}")).unwrap()
}

fn ended(worker: &WorkerId, attempt: u32, value: bool) -> Ended {
    let here = ResultRef::Here(vec![u8::try_from(attempt).unwrap()].into());
    Ended {
        ending: if value { Ending::Value(here) } else { Ending::Error(here) },
        worker: Some(worker.clone()),
        attempt,
        at: UnixMillis(0),
        ran_ms: 0,
        signals: 0,
        log: None,
        failure: None,
    }
}

fn apply(ledger: &mut Ledger, step: &Step) {
    match *step {
        Step::Claim { worker: w, most } => {
            drop(ledger.claim(&worker(w), most, &[0, 1, 2, 3, 4, 5]))
        }
        Step::End { worker: w, place, attempt, value } => {
            let (w, claim) = (worker(w), Claim { place, attempt });
            let end = ended(&w, attempt, value);
            ledger.end(&w, claim, end);
        }
        Step::Release { worker: w, place, attempt } => {
            ledger.release(&worker(w), Claim { place, attempt }, MAX_ATTEMPTS, UnixMillis(0));
        }
        Step::BackUp { worker: w, place, attempt } => {
            ledger.back_up(&worker(w), Claim { place, attempt });
        }
        Step::Strike { worker: w, place } => {
            ledger.strike(&worker(w), place, "lost", MAX_ATTEMPTS, UnixMillis(0));
        }
        Step::Reclaim { worker: w } => {
            let judged = ledger.claims_of(&worker(w));
            ledger.reclaim(&worker(w), &judged, "lost", MAX_ATTEMPTS, UnixMillis(0));
        }
        Step::Cancel { place } => drop(ledger.cancel(place)),
        Step::Retry { place } => drop(ledger.retry(place)),
    }
}

fn attempt_of(task: &TaskState) -> u32 {
    match task {
        TaskState::Pending(h) | TaskState::Cancelled(h) | TaskState::Claimed { history: h, .. } => {
            h.attempt
        }
        TaskState::Ended(e) => e.attempt,
    }
}

proptest! {
    #[test]
    fn no_step_loses_or_adds_a_task(steps in proptest::collection::vec(step(), 0..60)) {
        let mut ledger = Ledger::new(Nonce(1), 6);
        for step in &steps {
            apply(&mut ledger, step);
            prop_assert_eq!(ledger.counts().total(), 6);
        }
    }

    #[test]
    fn attempts_never_go_down_and_a_value_is_for_ever(steps in proptest::collection::vec(step(), 0..80)) {
        let mut ledger = Ledger::new(Nonce(1), 6);
        let mut values: HashMap<usize, TaskState> = HashMap::new();
        for step in &steps {
            let before: Vec<u32> = ledger.tasks.iter().map(attempt_of).collect();
            apply(&mut ledger, step);
            for (place, task) in ledger.tasks.iter().enumerate() {
                prop_assert!(attempt_of(task) >= before[place]);
                if let Some(value) = values.get(&place) {
                    prop_assert_eq!(task, value);
                }
                if let TaskState::Ended(e) = task && matches!(e.ending, Ending::Value(_)) {
                    values.insert(place, task.clone());
                }
            }
        }
    }

    #[test]
    fn only_the_holder_of_the_attempt_can_end_a_task(steps in proptest::collection::vec(step(), 0..40), w in 0u8..3, place in 0usize..6, attempt in 0u32..5) {
        let mut ledger = Ledger::new(Nonce(1), 6);
        for step in &steps {
            apply(&mut ledger, step);
        }
        let (w, claim, before) = (worker(w), Claim { place, attempt }, ledger.clone());
        let held = ledger.holds(&w, claim);
        let end = ended(&w, attempt, true);
        ledger.end(&w, claim, end);
        prop_assert_eq!(ledger != before, held);
    }

    #[test]
    fn two_claims_never_share_a_task(mosts in proptest::collection::vec((0u8..3, 0usize..4), 0..9)) {
        let mut ledger = Ledger::new(Nonce(1), 6);
        let mut hands: HashMap<u8, Vec<usize>> = HashMap::new();
        for (w, most) in mosts {
            let hand = hands.entry(w).or_default();
            let claims = ledger.claim(&worker(w), most, hand);
            hand.extend(claims.iter().map(|c| c.place));
        }
        let mut all: Vec<usize> = hands.into_values().flatten().collect();
        let claimed = all.len();
        all.sort_unstable();
        all.dedup();
        prop_assert_eq!(all.len(), claimed);
    }

    #[test]
    fn a_ledger_is_read_back(steps in proptest::collection::vec(step(), 0..40)) {
        let mut ledger = Ledger::new(Nonce(1), 6);
        for step in &steps {
            apply(&mut ledger, step);
        }
        let key = SessionKeys::new(SessionId::parse("s").unwrap()).ledger(PartId(1));
        let object = ledger.sealed(&key).unwrap();
        prop_assert_eq!(may_hold_endings(object.len() as u64), ledger.counts().ended() > 0);
        prop_assert_eq!(may_hold_waiting(object.len() as u64), ledger.counts().pending > 0);
        prop_assert_eq!(envelope::decode::<Ledger>(Kind::Ledger, &key, &object).unwrap().0, ledger);
    }
}

#[test]
fn a_claim_whose_answer_was_lost_is_taken_up_again() {
    let mut ledger = Ledger::new(Nonce(1), 3);
    let lost = ledger.claim(&worker(0), 2, &[]);
    assert_eq!(ledger.claim(&worker(0), 0, &[]), lost);
    assert_eq!(ledger.claim(&worker(0), 0, &[0, 1]), []);
}

#[test]
fn a_task_whose_workers_die_fails_with_the_reason_after_its_last_attempt() {
    let mut ledger = Ledger::new(Nonce(1), 1);
    for attempt in 1..=MAX_ATTEMPTS {
        assert_eq!(ledger.claim(&worker(0), 1, &[]), [Claim { place: 0, attempt }]);
        let judged = ledger.claims_of(&worker(0));
        ledger.reclaim(
            &worker(0),
            &judged,
            "out of memory (exit 137)",
            MAX_ATTEMPTS,
            UnixMillis(0),
        );
    }
    let TaskState::Ended(e) = &ledger.tasks[0] else { panic!("{:?}", ledger.tasks[0]) };
    let message = "lost 3 of 3 attempts: out of memory (exit 137)".to_owned();
    assert_eq!(e.ending, Ending::Broken { broken: Broken::WorkerLost, message });
    assert_eq!(ledger.counts().failed, 1);
}

#[test]
fn a_released_task_keeps_its_attempts() {
    let mut ledger = Ledger::new(Nonce(1), 1);
    let claim = ledger.claim(&worker(0), 1, &[])[0];
    ledger.release(&worker(0), claim, MAX_ATTEMPTS, UnixMillis(0));
    assert_eq!(ledger.tasks[0], TaskState::Pending(History { attempt: 1, ..History::default() }));
}

#[test]
fn a_zombie_cannot_end_what_was_taken_over() {
    let mut ledger = Ledger::new(Nonce(1), 1);
    let (zombie, heir) = (worker(0), worker(1));
    let old = ledger.claim(&zombie, 1, &[])[0];
    let judged = ledger.claims_of(&zombie);
    ledger.reclaim(&zombie, &judged, "silent", MAX_ATTEMPTS, UnixMillis(0));
    let new = ledger.claim(&heir, 1, &[])[0];
    let (late, real) = (ended(&zombie, old.attempt, true), ended(&heir, new.attempt, true));
    assert!(!ledger.end(&zombie, old, late));
    assert!(ledger.end(&heir, new, real));
}

#[test]
fn what_a_worker_claimed_after_it_was_judged_dead_stays_its_own() {
    let mut ledger = Ledger::new(Nonce(1), 2);
    let who = worker(0);
    ledger.claim(&who, 1, &[]);
    let judged = ledger.claims_of(&who);
    ledger.reclaim(&who, &judged, "silent", MAX_ATTEMPTS, UnixMillis(0));
    let anew = ledger.claim(&who, 2, &[]);
    assert_eq!(ledger.reclaim(&who, &judged, "silent", MAX_ATTEMPTS, UnixMillis(0)), 0);
    assert_eq!(ledger.claims_of(&who), anew);
}
