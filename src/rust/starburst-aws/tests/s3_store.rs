//! A bucket keeps the store's contract: on the S3 of the tests, through the SDK and real connections.
#![allow(clippy::unwrap_used)] // a test's helper fails its test
mod common;

use common::{Bucket, key, keys};
use starburst_core::{
    cost::s3_requests,
    store::{ETag, StoreError},
};
use starburst_testkit::{
    s3::{Fault, Operation, Rule, S3Server},
    store_contract,
};
use std::{cell::Cell, sync::Arc};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_keeps_the_contract() {
    let server = S3Server::start().await;
    // More pages than AWS would make of the same names.
    server.set_page_size(100);
    let bucket = Bucket::on(&server).await;
    let count = Cell::new(0);
    store_contract::all(|| {
        count.set(count.get() + 1);
        bucket.folder(&format!("run-{}", count.get()))
    })
    .await;
    assert!(server.counts().connections < 100, "connections are used again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditional_writes_of_32_racers_on_one_key_form_one_sequence() {
    let server = S3Server::start().await;
    let store = Bucket::on(&server).await.one_try();
    for round in 0..40 {
        let key = keys().segment(round);
        let racers: Vec<_> = (0..32u32)
            .map(|n| {
                let (store, key) = (Arc::clone(&store), key.clone());
                tokio::spawn(async move { (n, store.create(&key, n.to_string().into()).await) })
            })
            .collect();
        let mut winners = Vec::new();
        for racer in racers {
            let (n, written) = racer.await.unwrap();
            winners.extend(written.is_ok().then_some(n));
        }
        assert_eq!(winners.len(), 1, "creating, round {round}");
        let first = store.get(&key).await.unwrap();
        assert_eq!(first.body, winners[0].to_string());
        let racers: Vec<_> = (0..32u32)
            .map(|n| {
                let (store, key, etag) = (Arc::clone(&store), key.clone(), first.etag.clone());
                let body = format!("again {n}");
                tokio::spawn(async move { (n, store.replace(&key, body.into(), &etag).await) })
            })
            .collect();
        let mut winners = Vec::new();
        for racer in racers {
            let (n, written) = racer.await.unwrap();
            winners.extend(written.is_ok().then_some(n));
        }
        assert_eq!(winners.len(), 1, "replacing, round {round}");
        assert_eq!(store.get(&key).await.unwrap().body, format!("again {}", winners[0]));
    }
    assert_eq!(server.counts().of(Operation::PutObject), 40 * 64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_objects_travel_in_parts_and_leave_none_behind() {
    let server = S3Server::start().await;
    let store = Bucket::on(&server).await.store();
    let body: bytes::Bytes =
        (0..50_000_000u32).map(|n| (n / 977) as u8).collect::<Vec<u8>>().into();
    let etag = store.create(&key(), body.clone()).await.unwrap();
    let read = store.get(&key()).await.unwrap();
    assert!(read.body == body);
    assert_eq!(read.etag, etag);
    assert!(server.counts().of(Operation::UploadPart) >= 6);
    assert!(server.counts().of(Operation::GetObject) >= 6);
    let second = store.create(&key(), body.clone()).await;
    assert!(matches!(second, Err(StoreError::AlreadyExists { .. })), "{second:?}");
    let stale = store.replace(&key(), body.clone(), &ETag("\"stale\"".into())).await;
    assert!(matches!(stale, Err(StoreError::VersionMismatch { .. })), "{stale:?}");
    store.replace(&key(), body.slice(1..), &etag).await.unwrap();
    assert_eq!(store.get(&key()).await.unwrap().body.len(), body.len() - 1);
    assert_eq!(server.uploads(), 0, "what failed was withdrawn");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_calls_are_on_the_way_than_the_limit() {
    let server = S3Server::start().await;
    let bucket = Bucket::on(&server).await;
    let store = bucket.store();
    server.set_latency(starburst_testkit::s3::Latency {
        base: std::time::Duration::from_millis(250),
        tail: std::time::Duration::ZERO,
    });
    let calls = (0..300).map(|n| {
        let store = Arc::clone(&store);
        async move { store.create(&keys().segment(n), "x".into()).await.unwrap() }
    });
    futures_util::future::join_all(calls).await;
    let counts = server.counts();
    assert!((64..=128).contains(&counts.most_in_flight), "{}", counts.most_in_flight);
    assert!(counts.connections <= 128, "{}", counts.connections);
    assert_eq!(counts.requests(), 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_requests_that_are_counted_are_those_that_are_billed() {
    let server = S3Server::start().await;
    server.set_page_size(2);
    let store = Bucket::on(&server).await.store();
    server.reset_counts();
    let first = store.create(&key(), "one".into()).await.unwrap();
    // A try that fails is billed too.
    server.add_rule(Rule::once(Operation::PutObject, Fault::InternalError));
    let second = store.replace(&key(), "two".into(), &first).await.unwrap();
    assert!(store.create(&key(), "three".into()).await.is_err());
    store.get(&key()).await.unwrap();
    assert!(store.get_if_changed(&key(), &second).await.unwrap().is_none());
    store.head(&key()).await.unwrap();
    for number in 0..5 {
        store.create(&keys().segment(number), "body".into()).await.unwrap();
    }
    assert_eq!(store.list(&keys().all(), None).await.unwrap().len(), 6);
    store.children(&keys().all()).await.unwrap();
    // In parts, and in ranges.
    let large = keys().segment(9);
    store.create(&large, vec![1_u8; 40 << 20].into()).await.unwrap();
    assert_eq!(store.get(&large).await.unwrap().body.len(), 40 << 20);
    store.delete(&large).await.unwrap();
    let (counted, billed) = (store.requests(), server.counts().usd());
    assert!((s3_requests(counted) - billed).abs() < 1e-12, "{counted:?} {billed}");
    assert!(counted.writes > 15 && counted.reads > 7, "{counted:?}");
}
