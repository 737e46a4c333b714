//! A store that tries again what may pass: in virtual time, over a store that fails.
#![allow(clippy::unwrap_used)] // a test's helper fails its test
use starburst_core::{
    clock::Clock,
    ids::{PartId, SessionId},
    key::{Key, SessionKeys},
    retry::{RetryPolicy, RetryStore},
    store::{Store, StoreError},
};
use starburst_testkit::{Fault, FaultStore, ManualClock, MemStore, Operation, SeededIds};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

fn key() -> Key {
    SessionKeys::new(SessionId::parse("s").unwrap()).ledger(PartId(0))
}

/// A store whose n-th call fails as this function says.
fn over(
    fault: impl Fn(u64) -> Option<Fault> + Send + Sync + 'static,
) -> (RetryStore, Arc<ManualClock>) {
    let (calls, clock) =
        (AtomicU64::new(0), Arc::new(ManualClock::new(Instant::now(), Duration::ZERO)));
    let choose = move |_: Operation, _: &Key| fault(calls.fetch_add(1, Ordering::Relaxed));
    let store = Arc::new(FaultStore::new(MemStore::default(), choose));
    let ids = Arc::new(SeededIds::new(1));
    (RetryStore::new(store, clock.clone(), ids, RetryPolicy::default()), clock)
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again_with_growing_waits() {
    let (store, clock) = over(|n| (n < 5).then_some(Fault::Refuse));
    store.create(&key(), "x".into()).await.unwrap();
    let took = clock.now().0;
    assert!(took > Duration::from_millis(700) && took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_pass_is_told_after_the_limit_and_not_much_later() {
    let (store, clock) = over(|_| Some(Fault::Refuse));
    let refused = store.get(&key()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    let took = clock.now().0;
    assert!(took > Duration::from_secs(10) && took <= Duration::from_secs(20), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_certain_is_told_at_once() {
    let (store, clock) = over(|_| None);
    assert!(matches!(store.get(&key()).await, Err(StoreError::NotFound { .. })));
    store.create(&key(), "x".into()).await.unwrap();
    let second = store.create(&key(), "y".into()).await;
    assert!(matches!(second, Err(StoreError::AlreadyExists { .. })));
    assert_eq!(clock.now().0, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_may_have_been_done_stays_uncertain_whatever_the_later_tries_say() {
    let (store, _) = over(|n| Some(if n == 0 { Fault::LoseRequest } else { Fault::Refuse }));
    let written = store.create(&key(), "x".into()).await;
    assert!(matches!(written, Err(StoreError::Unanswered { .. })), "{written:?}");
}

#[tokio::test(start_paused = true)]
async fn a_later_refusal_does_not_take_back_what_may_have_been_done() {
    let (store, _) = over(|n| Some(if n == 0 { Fault::LoseAnswer } else { Fault::Full }));
    let written = store.create(&key(), "x".into()).await;
    assert!(matches!(written, Err(StoreError::Unanswered { .. })), "{written:?}");
}

#[tokio::test(start_paused = true)]
async fn slow_down_halves_the_calls_on_the_way_and_successes_bring_them_back() {
    let (store, _) = over(|n| (n < 3).then_some(Fault::SlowDown));
    let most = store.limit();
    store.create(&key(), "x".into()).await.unwrap();
    let slowed = store.limit();
    assert!(slowed < most, "{slowed}");
    for _ in 0..20_000 {
        store.head(&key()).await.unwrap();
    }
    assert_eq!(store.limit(), most);
}
