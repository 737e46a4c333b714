//! What S3 may do to a request, and what becomes of it.
#![allow(clippy::unwrap_used)] // a test's helper fails its test
mod common;

use bytes::Bytes;
use common::{Bucket, key, keys};
use starburst_core::{
    error::{Error, ErrorKind},
    ids::Nonce,
    ledger::Ledger,
    retry::{RetryPolicy, RetryStore},
    store::{Store, StoreError},
    update,
};
use starburst_local::{SystemClock, SystemIds};
use starburst_testkit::s3::{Fault, Limits, Operation, Rule, S3Server};
use std::{sync::Arc, time::Duration};

fn body() -> Bytes {
    (0..200_000u32).map(|n| (n % 251) as u8).collect::<Vec<u8>>().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_is_tried_again_until_it_has_passed() {
    let server = S3Server::start().await;
    let store = Bucket::on(&server).await.store();
    let writes = [Fault::InternalError, Fault::SlowDown, Fault::Conflict, Fault::ResetBefore];
    for (n, fault) in (0..).zip(writes) {
        server.add_rule(Rule { times: 2, ..Rule::always(Operation::PutObject, fault) });
        let key = keys().segment(n);
        store.create(&key, body()).await.unwrap();
        assert!(store.get(&key).await.unwrap().body == body(), "{fault:?}");
    }
    let reads = [
        Fault::InternalError,
        Fault::SlowDown,
        Fault::ResetBefore,
        Fault::ResetAfter,
        Fault::Truncate,
        Fault::FlipBit,
    ];
    for fault in reads {
        server.clear_rules();
        server.add_rule(Rule { times: 2, ..Rule::always(Operation::GetObject, fault) });
        assert!(store.get(&keys().segment(0)).await.unwrap().body == body(), "{fault:?}");
    }
    for fault in [Fault::InternalError, Fault::SlowDown, Fault::ResetBefore, Fault::Truncate] {
        server.clear_rules();
        server.add_rule(Rule { times: 2, ..Rule::always(Operation::ListObjectsV2, fault) });
        assert_eq!(store.list(&keys().segments(), None).await.unwrap().len(), 4, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_stands_still_is_not_waited_for_for_ever() {
    let server = S3Server::start().await;
    let store = Bucket::on(&server).await.store();
    store.create(&key(), body()).await.unwrap();
    server.add_rule(Rule::once(Operation::GetObject, Fault::StallBody));
    assert!(store.get(&key()).await.unwrap().body == body());
    assert_eq!(server.counts().of(Operation::GetObject), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_was_done_and_not_answered_is_done_once() {
    let server = S3Server::start().await;
    let store = Bucket::on(&server).await.store();
    let count = |ledger: &mut Ledger| {
        ledger.tasks.push(starburst_core::ledger::TaskState::Pending(Default::default()));
        Some(())
    };
    for fault in [Fault::ResetAfter, Fault::ResetBefore, Fault::InternalError] {
        for _ in 0..5 {
            server.add_rule(Rule::once(Operation::PutObject, fault));
            let missing = || Some(Ledger::new(Nonce(0), 0));
            update::update(&*store, &SystemIds, &key(), None, missing, count).await.unwrap();
        }
    }
    let ledger = update::read::<Ledger>(&*store, &key()).await.unwrap().unwrap();
    assert_eq!(ledger.value.tasks.len(), 15);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_try_says_what_is_certain_and_what_is_not() {
    let server = S3Server::start().await;
    let store = Bucket::on(&server).await.one_try();
    let uncertain = [Fault::InternalError, Fault::ResetBefore, Fault::ResetAfter];
    for (n, fault) in (0..).zip(uncertain) {
        server.clear_rules();
        server.add_rule(Rule::once(Operation::PutObject, fault));
        let written = store.create(&keys().segment(n), body()).await;
        assert!(matches!(written, Err(StoreError::Unanswered { .. })), "{fault:?}: {written:?}");
    }
    server.add_rule(Rule::once(Operation::PutObject, Fault::Conflict));
    let conflict = store.create(&key(), body()).await;
    assert!(matches!(conflict, Err(StoreError::Unavailable { .. })), "{conflict:?}");
    server.add_rule(Rule::once(Operation::PutObject, Fault::SlowDown));
    let slow = store.create(&key(), body()).await;
    assert!(matches!(slow, Err(StoreError::SlowDown { .. })), "{slow:?}");
    assert_eq!(store.head(&key()).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_asked_too_much_gets_fewer_calls_and_all_of_them_in_the_end() {
    let server = S3Server::start().await;
    let (clock, ids) = (Arc::new(SystemClock::default()), Arc::new(SystemIds));
    let one_try = Bucket::on(&server).await.one_try();
    let store = Arc::new(RetryStore::new(one_try, clock, ids, RetryPolicy::default()));
    // A second's worth is allowed at once: far fewer than are sent, however slow this machine is.
    let limits = Limits { writes_per_second: Some(30.0), reads_per_second: None };
    server.set_limits(limits);
    let before = store.limit();
    let calls = (0..150).map(|n| {
        let store = Arc::clone(&store);
        async move { store.create(&keys().segment(n), "x".into()).await.unwrap() }
    });
    futures_util::future::join_all(calls).await;
    assert!(store.limit() < before / 2, "{}", store.limit());
    assert_eq!(server.keys().len(), 150);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_was_gone_for_a_while_is_waited_for() {
    let server = Arc::new(S3Server::start().await);
    let store = Bucket::on(&server).await.store();
    let etag = store.create(&key(), "1".into()).await.unwrap();
    server.set_network(false);
    let writing = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.replace(&key(), "2".into(), &etag).await }
    });
    tokio::time::timeout(Duration::from_millis(700), std::future::pending::<()>())
        .await
        .unwrap_err();
    assert!(!writing.is_finished());
    server.set_network(true);
    writing.await.unwrap().unwrap();
    assert_eq!(store.get(&key()).await.unwrap().body, "2");
}

async fn advice_for(fault: Fault, operation: Operation) -> (ErrorKind, String, String) {
    let server = S3Server::start().await;
    let store = Bucket::on(&server).await.store();
    server.add_rule(Rule::always(operation, fault));
    let error: Error = if operation == Operation::PutObject {
        store.create(&key(), body()).await.unwrap_err().into()
    } else if operation == Operation::ListObjectsV2 {
        store.list(&keys().all(), None).await.unwrap_err().into()
    } else {
        store.head(&key()).await.unwrap_err().into()
    };
    (error.kind(), error.chain().join(": "), error.advice().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_names_operation_bucket_and_key_and_says_what_to_do() {
    let (kind, text, advice) = advice_for(Fault::AccessDenied, Operation::PutObject).await;
    assert_eq!(kind, ErrorKind::Permission);
    assert!(text.contains("S3 PutObject s3://starburst/sessions/s/parts/"), "{text}");
    assert!(text.contains("AccessDenied"), "{text}");
    assert!(
        advice.contains("s3:PutObject on arn:aws:s3:::starburst/sessions/s/parts/"),
        "{advice}"
    );

    let (_, _, advice) = advice_for(Fault::AccessDenied, Operation::ListObjectsV2).await;
    assert!(advice.contains("s3:ListBucket on arn:aws:s3:::starburst"), "{advice}");

    let (kind, _, advice) = advice_for(Fault::ExpiredToken, Operation::PutObject).await;
    assert_eq!(kind, ErrorKind::Unauthenticated);
    assert!(advice.contains("aws sso login --profile lab"), "{advice}");

    for operation in [Operation::PutObject, Operation::HeadObject] {
        let (kind, _, advice) = advice_for(Fault::WrongRegion, operation).await;
        assert_eq!(kind, ErrorKind::NotFound);
        assert!(advice.contains("region = \"eu-north-1\""), "{advice}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_not_there_and_keys_that_nobody_knows_are_told_in_words() {
    let server = S3Server::start().await;
    let store = Bucket::on(&server).await.named("elsewhere").store();
    let error: Error = store.create(&key(), body()).await.unwrap_err().into();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.advice().unwrap().contains("`elsewhere`"), "{error:?}");

    let store = Bucket::with(&server, S3Server::ACCESS_KEY, "another secret").store();
    let error: Error = store.create(&key(), body()).await.unwrap_err().into();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{:?}", error.chain());
    assert!(error.advice().unwrap().contains("profile `lab`"), "{error:?}");
    assert!(!error.chain().join(" ").contains("another secret"));
}
