//! How tasks that come one by one are written, in a directory, where each write wakes workers.

#![allow(clippy::unwrap_used)] // a test's helper fails its test

mod common;

use common::{Lab, completed, on_ecs, seconds, submit};
use starburst_core::{client::SessionConfig, clock::Clock, pace::Pace, store::Store};
use starburst_testkit::MemStore;
use std::{sync::Arc, time::Duration};

/// Submits tasks so far apart to two workers, each `length` long. How many segments there are, and how long after the
/// last one was submitted everything was known to have ended.
async fn come(tasks: usize, apart: Duration, length: Duration) -> (usize, Duration) {
    let store = Arc::new(MemStore::default());
    let lab = Lab::on(Arc::clone(&store) as Arc<dyn Store>, length);
    let config = SessionConfig { pace: Pace::local(), ..on_ecs(2) };
    let client = lab.create(config).await;
    // The workers are there.
    submit(&client, 2);
    lab.until(seconds(300), || completed(&client) == 2).await;
    for _ in 0..tasks {
        lab.clock.sleep(apart).await;
        submit(&client, 1);
    }
    let submitted = lab.clock.now();
    let mut seen = client.changes();
    while completed(&client) < 2 + tasks as u64 {
        seen = client.wait_change(seen, seconds(1)).await;
    }
    let after = lab.clock.now().since(submitted);
    let segments = store.keys().iter().filter(|key| key.as_str().contains("/segments/")).count();
    (segments, after)
}

#[tokio::test(start_paused = true)]
async fn workers_are_not_woken_for_every_future_of_many() {
    let (segments, after) = come(1_000, Duration::from_millis(8), Duration::from_millis(3)).await;
    assert!(segments <= 120, "{segments}");
    assert!(after <= Duration::from_millis(300), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn what_comes_now_and_then_is_begun_at_once() {
    let (segments, after) = come(20, Duration::from_millis(200), Duration::from_millis(100)).await;
    assert_eq!(segments, 21);
    assert!(after <= Duration::from_millis(200), "{after:?}");
}
