//! What everybody sees of the tasks: nothing is passed over, nothing is seen twice, nothing goes back.
use super::bench::{Actor, Bench, Flag, config, guards, seconds, small};
use async_trait::async_trait;
use bytes::Bytes;
use starburst_core::{
    blob::Payload,
    client::Known,
    clock::Clock,
    ids::SessionId,
    key::{Key, SessionKeys},
    ledger::Ledger,
    mutation::Rule,
    store::{ETag, Entry, Object, Store, StoreError},
    tail::Tail,
    update,
    worker::evaluator::Outcome,
};
use starburst_testkit::{Fault, FaultStore, ManualClock, MemStore, Operation};
use std::sync::Arc;
use tokio::time::Instant;

#[test]
fn a_segment_that_is_not_seen_yet_is_not_passed_over() {
    guards(Rule::TailStops, async || {
        let store = MemStore::default();
        let keys = SessionKeys::new(SessionId::parse("s").unwrap());
        // A listing that began earlier may miss a segment and show the next one.
        for number in [0, 1, 3] {
            store.create(&keys.segment(number), "x".into()).await.unwrap();
        }
        let mut tail = Tail::default();
        let mut seen: Vec<u64> = Vec::new();
        seen.extend(tail.advance(&store, &keys).await.unwrap().iter().map(|news| news.number));
        store.create(&keys.segment(2), "x".into()).await.unwrap();
        seen.extend(tail.advance(&store, &keys).await.unwrap().iter().map(|news| news.number));
        seen == [0, 1, 2, 3]
    });
}

#[test]
fn running_workers_notice_a_retry() {
    guards(Rule::RetryNoticed, async || {
        let bench = Bench::new();
        let client = bench.create(config()).await;
        let id = client.submit(small()).unwrap();
        client.flush().await.unwrap();
        let mut tries = 0;
        let r = Actor::new(seconds(1), move |_, bytes| {
            tries += 1;
            let payload = Payload::Inline(bytes);
            if tries == 1 { Outcome::Error(payload, None) } else { Outcome::Value(payload) }
        });
        let worker = bench.hire(client.session(), r);
        let known = async || client.known(&id).unwrap();
        assert!(bench.until(seconds(60), async || known().await == Known::Failed).await);
        bench.sleep(seconds(60)).await;
        assert_eq!(client.retry(std::slice::from_ref(&id)).await.unwrap(), 1);
        // There is no other worker, and none is started.
        let again = bench.until(seconds(300), async || known().await == Known::Completed).await;
        assert!(!worker.work.is_finished());
        again
    });
}

/// A store whose answers to reads of ledgers come late while the flag is set.
#[derive(Debug)]
struct LateReads {
    inner: MemStore,
    clock: Arc<ManualClock>,
    late: Flag,
}

impl LateReads {
    async fn wait(&self, key: &Key) {
        if key.as_str().ends_with("/ledger") && self.late.is_set() {
            self.late.set(false);
            self.clock.sleep(seconds(10)).await;
        }
    }
}

#[async_trait]
impl Store for LateReads {
    async fn get(&self, key: &Key) -> Result<Object, StoreError> {
        let answer = self.inner.get(key).await;
        self.wait(key).await;
        answer
    }
    async fn get_if_changed(&self, key: &Key, seen: &ETag) -> Result<Option<Object>, StoreError> {
        let answer = self.inner.get_if_changed(key, seen).await;
        self.wait(key).await;
        answer
    }
    async fn head(&self, key: &Key) -> Result<Option<ETag>, StoreError> {
        self.inner.head(key).await
    }
    async fn create(&self, key: &Key, body: Bytes) -> Result<ETag, StoreError> {
        self.inner.create(key, body).await
    }
    async fn replace(&self, key: &Key, body: Bytes, seen: &ETag) -> Result<ETag, StoreError> {
        self.inner.replace(key, body, seen).await
    }
    async fn list(&self, prefix: &Key, after: Option<&Key>) -> Result<Vec<Entry>, StoreError> {
        self.inner.list(prefix, after).await
    }
    async fn children(&self, prefix: &Key) -> Result<Vec<String>, StoreError> {
        self.inner.children(prefix).await
    }
    async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.inner.delete(key).await
    }
}

#[test]
fn an_older_ledger_never_covers_a_newer_one() {
    guards(Rule::NoOlderView, async || {
        let clock = Arc::new(ManualClock::new(Instant::now(), seconds(1_000_000)));
        let late = Flag::default();
        let store = LateReads { inner: MemStore::default(), clock, late: late.clone() };
        let bench = Bench::on(Arc::new(store));
        let client = bench.create(config()).await;
        let ids = [client.submit(small()).unwrap(), client.submit(small()).unwrap()];
        client.flush().await.unwrap();
        assert_eq!(client.cancel(&ids[..1]).await.unwrap(), 1);
        // One more state of the ledger, so that the look has something to read.
        let key = SessionKeys::new(client.session().clone()).ledger(starburst_core::ids::PartId(0));
        let touch = |_: &mut Ledger| Some(());
        update::update(&*bench.store, &*bench.ids, &key, None, || None, touch).await.unwrap();
        // Whoever looks from here on has an answer on its way that was true before the next change.
        late.set(true);
        let (cancelled, id) = (Flag::default(), ids[1].clone());
        let looking = tokio::spawn({
            let (client, cancelled) = (Arc::clone(&client), cancelled.clone());
            async move {
                client.refresh().await.unwrap();
                !cancelled.is_set() || client.known(&id).unwrap() == Known::Cancelled
            }
        });
        bench.sleep(seconds(1)).await;
        client.cancel(&ids[1..]).await.unwrap();
        cancelled.set(true);
        looking.await.unwrap()
    });
}

#[test]
fn a_change_whose_answer_was_lost_is_made_once() {
    guards(Rule::OwnNonce, async || {
        let lost = Flag::default();
        let loses = lost.clone();
        let store = FaultStore::new(MemStore::default(), move |operation, key| {
            let hit = operation == Operation::Write && key.last() == "manifest" && loses.is_set();
            loses.set(loses.is_set() && !hit);
            hit.then_some(Fault::LoseAnswer)
        });
        let bench = Bench::on(Arc::new(store));
        let client = bench.create(config()).await;
        lost.set(true);
        client.retry(&[]).await.unwrap();
        client.manifest().reopened == 1
    });
}
