//! What tasks left is on its way before it is asked for, and is read once.
#![allow(clippy::unwrap_used, clippy::panic)] // a test's helper fails its test
mod common;

use bytes::Bytes;
use common::{Lab, completed, on_ecs, seconds};
use parking_lot::Mutex;
use starburst_core::{
    blob::Payload,
    client::{Client, FetchedEnding, NewTask},
    clock::Clock,
    ids::TaskId,
    key::Key,
    segment::{TaskHeader, TaskKind},
};
use starburst_testkit::{Fault, FaultStore, MemStore, Operation};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Reads of batches of results, and whether they fail.
#[derive(Debug, Default)]
struct Reads {
    counts: Mutex<BTreeMap<String, usize>>,
    fail: AtomicBool,
}

impl Reads {
    fn note(&self, operation: Operation, key: &Key) -> Option<Fault> {
        if operation != Operation::Read || !key.to_string().contains("/results/") {
            return None;
        }
        *self.counts.lock().entry(key.to_string()).or_default() += 1;
        self.fail.load(Ordering::Relaxed).then_some(Fault::Refuse)
    }
    fn batches(&self) -> usize {
        self.counts.lock().len()
    }
    fn all(&self) -> usize {
        self.counts.lock().values().sum()
    }
}

fn lab(reads: &Arc<Reads>, task: Duration) -> Lab {
    let reads = Arc::clone(reads);
    let choose = move |operation: Operation, key: &Key| reads.note(operation, key);
    Lab::on(Arc::new(FaultStore::new(MemStore::default(), choose)), task)
}

/// More than a ledger takes, and less than is cut into chunks.
fn bytes(number: usize) -> Bytes {
    vec![number as u8; 40 * 1024].into()
}

fn submit(client: &Client, tasks: usize) -> Vec<TaskId> {
    let task = |number: usize| NewTask {
        header: TaskHeader { kind: TaskKind::Call, label: None, timeout: None },
        payload: Payload::Inline(bytes(number)),
        common: None,
    };
    (0..tasks).map(|number| client.submit(task(number)).unwrap()).collect()
}

async fn value(client: &Client, id: &TaskId) -> Bytes {
    let FetchedEnding::Value(value) = client.fetch(id).await.unwrap().unwrap().ending else {
        panic!("no value")
    };
    value.concat().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_few_results_are_fetched_before_they_are_asked_for_and_each_batch_once() {
    let reads = Arc::new(Reads::default());
    let lab = lab(&reads, seconds(10));
    let client = lab.create(on_ecs(2)).await;
    let ids = submit(&client, 12);
    lab.until(seconds(1_000), || completed(&client) == 12).await;
    // A round of the store later.
    lab.clock.sleep(seconds(1)).await;
    let ahead = reads.batches();
    assert!((1..=4).contains(&ahead), "{ahead}");
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(value(&client, id).await, bytes(number));
    }
    assert!(reads.batches() > 4, "{reads:?}");
    assert_eq!(reads.all(), reads.batches(), "{reads:?}");
    // What was fetched can be fetched again.
    assert_eq!(value(&client, &ids[0]).await, bytes(0));
}

#[tokio::test(start_paused = true)]
async fn of_what_nobody_asks_for_no_more_is_fetched_than_a_few() {
    let reads = Arc::new(Reads::default());
    let lab = lab(&reads, seconds(10));
    let client = lab.create(on_ecs(2)).await;
    let ids = submit(&client, 30);
    lab.until(seconds(1_000), || completed(&client) == 30).await;
    // The first ones are never asked for.
    for (number, id) in ids.iter().enumerate().skip(10) {
        lab.clock.sleep(seconds(1)).await;
        assert_eq!(value(&client, id).await, bytes(number));
    }
    lab.clock.sleep(seconds(1)).await;
    assert!((20..=24).contains(&reads.batches()), "{reads:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_stopped_fetches_nothing_ahead() {
    let reads = Arc::new(Reads::default());
    let lab = lab(&reads, seconds(10));
    let client = lab.create(on_ecs(2)).await;
    let ids = submit(&client, 6);
    client.flush().await.unwrap();
    client.stop();
    let other = lab.attach("b", &client).await;
    lab.until(seconds(1_000), || completed(&other) == 6).await;
    // It learns now of what its tasks left.
    client.refresh().await.unwrap();
    assert_eq!(completed(&client), 6);
    lab.clock.sleep(seconds(1)).await;
    assert_eq!(reads.all(), 0);
    assert_eq!(value(&client, &ids[5]).await, bytes(5));
}

#[tokio::test(start_paused = true)]
async fn what_failed_before_it_was_asked_for_is_read_again() {
    let reads = Arc::new(Reads::default());
    let lab = lab(&reads, seconds(10));
    reads.fail.store(true, Ordering::Relaxed);
    let client = lab.create(on_ecs(2)).await;
    let ids = submit(&client, 6);
    lab.until(seconds(1_000), || completed(&client) == 6).await;
    lab.clock.sleep(seconds(1)).await;
    assert!(reads.all() > 0, "nothing was fetched ahead");
    reads.fail.store(false, Ordering::Relaxed);
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(value(&client, id).await, bytes(number));
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_submitted_is_not_fetched_before_it_is_asked_for() {
    let reads = Arc::new(Reads::default());
    let lab = lab(&reads, seconds(10));
    let client = lab.create(on_ecs(2)).await;
    let ids = submit(&client, 3);
    client.flush().await.unwrap();
    client.stop();
    let other = lab.attach("b", &client).await;
    lab.until(seconds(1_000), || completed(&other) == 3).await;
    lab.clock.sleep(seconds(1)).await;
    assert_eq!(reads.all(), 0);
    assert_eq!(value(&other, &ids[2]).await, bytes(2));
}

#[tokio::test(start_paused = true)]
async fn tasks_that_are_fetched_one_after_the_other_read_what_they_share_once() {
    let reads = Arc::new(Reads::default());
    let lab = lab(&reads, Duration::ZERO);
    let client = lab.create(on_ecs(2)).await;
    let ids = submit(&client, 100);
    lab.until(seconds(1_000), || completed(&client) == 100).await;
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(value(&client, id).await, bytes(number));
    }
    assert!(reads.batches() < 20, "{reads:?}");
    assert_eq!(reads.all(), reads.batches(), "{reads:?}");
}
