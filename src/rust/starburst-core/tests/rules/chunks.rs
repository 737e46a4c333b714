//! Whatever is named is stored before: chunks, batches of results, near-live conditions.
use super::bench::{Actor, Bench, Flag, config, guards, noise, pack, seconds, small, task};
use starburst_core::{
    blob::Payload,
    client::{Client, FetchedEnding, Known},
    ids::TaskId,
    key::{Key, SessionKeys},
    mutation::Rule,
    worker::evaluator::Outcome,
};
use starburst_testkit::{Fault, FaultStore, MemStore, Operation};
use std::sync::Arc;

/// A store that takes no object with this in its name while the flag is set.
fn without(part: &'static str, down: &Flag) -> Bench {
    let down = down.clone();
    let store = FaultStore::new(MemStore::default(), move |operation, key| {
        let hit = operation == Operation::Write && key.as_str().contains(part);
        (hit && down.is_set()).then_some(Fault::Refuse)
    });
    Bench::on(Arc::new(store))
}

async fn value(client: &Client, id: &TaskId) -> Option<Vec<u8>> {
    let fetched = client.fetch(id).await.ok()??;
    match fetched.ending {
        FetchedEnding::Value(material) => Some(material.concat().await.ok()?.to_vec()),
        FetchedEnding::Error(_) | FetchedEnding::Broken { .. } | FetchedEnding::Cancelled => None,
    }
}

#[test]
fn chunks_are_stored_before_the_segment_that_names_them() {
    guards(Rule::SegmentChunks, async || {
        let down = Flag::default();
        let bench = without("/blobs/", &down);
        let client = bench.create(config()).await;
        down.set(true);
        let payload = pack(&client.uploads(), &noise(300_000));
        assert!(!payload.chunks().is_empty());
        let keys = SessionKeys::new(client.session().clone());
        client.submit(task(payload.clone())).unwrap();
        bench.sleep(seconds(120)).await;
        let named = bench.store.head(&keys.segment(0)).await.unwrap().is_some();
        down.set(false);
        client.flush().await.ok();
        let there = async |key: Key| bench.store.head(&key).await.unwrap().is_some();
        let written = bench.until(seconds(120), async || there(keys.segment(0)).await).await;
        for chunk in payload.chunks() {
            let stored = there(keys.blob(chunk)).await;
            assert!(stored || named, "{chunk} is named and not there");
        }
        written && !named
    });
}

#[test]
fn chunks_are_stored_before_the_batch_of_results_that_names_them() {
    guards(Rule::BatchChunks, async || {
        let down = Flag::default();
        let bench = without("/blobs/", &down);
        let client = bench.create(config()).await;
        down.set(true);
        let id = client.submit(small()).unwrap();
        client.flush().await.unwrap();
        let r = Actor::new(seconds(1), |uploads, _| Outcome::Value(pack(uploads, &noise(300_000))));
        let _worker = bench.hire(client.session(), r);
        let early = bench
            .until(seconds(120), async || client.known(&id).unwrap() == Known::Completed)
            .await;
        down.set(false);
        let ended = bench
            .until(seconds(120), async || client.known(&id).unwrap() == Known::Completed)
            .await;
        ended && !early && value(&client, &id).await.unwrap() == noise(300_000)
    });
}

#[test]
fn a_batch_of_results_that_was_not_written_is_not_named() {
    guards(Rule::BatchWritten, async || {
        let down = Flag::default();
        let bench = without("/results/", &down);
        let client = bench.create(config()).await;
        down.set(true);
        let id = client.submit(small()).unwrap();
        client.flush().await.unwrap();
        let r = Actor::new(seconds(1), |_, _| Outcome::Value(Payload::Inline(noise(40_000))));
        let _worker = bench.hire(client.session(), r);
        let early =
            bench.until(seconds(60), async || client.known(&id).unwrap() == Known::Completed).await;
        down.set(false);
        let ended = bench
            .until(seconds(120), async || client.known(&id).unwrap() == Known::Completed)
            .await;
        ended && !early && value(&client, &id).await.is_some_and(|bytes| bytes == noise(40_000))
    });
}

#[test]
fn near_live_conditions_are_written_before_the_end_of_their_task() {
    guards(Rule::SignalsFirst, async || {
        let down = Flag::default();
        let bench = without("/signals/", &down);
        let client = bench.create(config()).await;
        down.set(true);
        let id = client.submit(small()).unwrap();
        client.flush().await.unwrap();
        let r = Actor { signals: 2, ..Actor::echo(seconds(1)) };
        let _worker = bench.hire(client.session(), r);
        let ended = async || client.known(&id).unwrap() == Known::Completed;
        let early = bench.until(seconds(60), ended).await;
        down.set(false);
        assert!(bench.until(seconds(120), ended).await);
        // They are there as soon as the end is.
        !early && client.take_signals().len() == 2
    });
}
