//! A listing is a hint: a store may round lengths or not know them, and miss objects that were written while it listed.
use super::bench::{Actor, Bench, config, guards, seconds, small};
use async_trait::async_trait;
use bytes::Bytes;
use starburst_core::{
    client::{Client, Known, SessionConfig, list_sessions},
    clock::Clock,
    key::Key,
    mutation::Rule,
    store::{ETag, Entry, Object, Store, StoreError},
};
use starburst_testkit::MemStore;
use std::{sync::Arc, time::Duration};

/// A store whose listings are not what they should be.
#[derive(Debug)]
struct Listings {
    inner: MemStore,
    change: fn(&mut Vec<Entry>),
}

#[async_trait]
impl Store for Listings {
    async fn get(&self, key: &Key) -> Result<Object, StoreError> {
        self.inner.get(key).await
    }
    async fn get_if_changed(&self, key: &Key, seen: &ETag) -> Result<Option<Object>, StoreError> {
        self.inner.get_if_changed(key, seen).await
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
        let mut listed = self.inner.list(prefix, after).await?;
        (self.change)(&mut listed);
        Ok(listed)
    }
    async fn children(&self, prefix: &Key) -> Result<Vec<String>, StoreError> {
        self.inner.children(prefix).await
    }
    async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.inner.delete(key).await
    }
}

/// How long two workers, of which one comes late, take for twelve tasks in three segments until a client that only watches
/// shows that all of them have ended. Whoever starts workers looks at every ledger now and then to find out who holds tasks.
async fn time_for_all(change: fn(&mut Vec<Entry>)) -> Duration {
    let bench = Bench::on(Arc::new(Listings { inner: MemStore::default(), change }));
    let client = bench.create(SessionConfig { workers: 4, ..config() }).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.extend((0..4).map(|_| client.submit(small()).unwrap()));
        client.flush().await.unwrap();
    }
    let watching = Client::attach(bench.deps(), client.session().clone()).await.unwrap();
    let begun = bench.clock.now();
    let _first = bench.hire(client.session(), Actor::echo(seconds(20)));
    bench.sleep(seconds(30)).await;
    let _second = bench.hire(client.session(), Actor::echo(seconds(20)));
    let ended = async || ids.iter().all(|id| watching.known(id).unwrap() == Known::Completed);
    bench.until(seconds(4_000), ended).await;
    bench.clock.now().since(begun)
}

/// Whether endings show about as soon as with lengths that are right.
async fn shows_in_time(change: fn(&mut Vec<Entry>)) -> bool {
    let usual = time_for_all(|_| {}).await;
    assert!(usual < seconds(240), "{usual:?}");
    let time = time_for_all(change).await;
    let pace = config().pace;
    time <= usual + pace.patrol + pace.poll_max * 2
}

#[test]
fn endings_show_in_time_where_a_listing_gives_sizes_in_blocks() {
    guards(Rule::LengthsAreHints, async || {
        let in_blocks = |listed: &mut Vec<Entry>| {
            listed.iter_mut().for_each(|entry| entry.size = entry.size.next_multiple_of(4_096));
        };
        shows_in_time(in_blocks).await
    });
}

#[test]
fn endings_show_in_time_where_a_listing_gives_no_sizes() {
    guards(Rule::LengthsAreHints, async || {
        shows_in_time(|listed| listed.iter_mut().for_each(|entry| entry.size = 0)).await
    });
}

#[test]
fn tasks_are_found_where_a_length_says_that_none_wait() {
    // As if nothing waited in any ledger, every ledger had endings, and every segment had one part.
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(async {
            let usual = time_for_all(|_| {}).await;
            let time =
                time_for_all(|listed| listed.iter_mut().for_each(|entry| entry.size = 2)).await;
            assert!(time <= usual + config().pace.patrol, "{time:?} and not {usual:?}");
        });
}

#[test]
fn a_segment_that_a_listing_misses_is_not_said_to_be_gone() {
    guards(Rule::GapsAsked, async || {
        let misses: fn(&mut Vec<Entry>) =
            |listed| listed.retain(|entry| entry.key.number() != Some(0));
        let bench = Bench::on(Arc::new(Listings { inner: MemStore::default(), change: misses }));
        let client = bench.create(config()).await;
        for _ in 0..2 {
            client.submit(small()).unwrap();
            client.flush().await.unwrap();
        }
        let listed = list_sessions(&bench.deps()).await.unwrap();
        let attached = Client::attach(bench.deps(), client.session().clone()).await;
        attached.is_ok() && listed[0].problem.is_none()
    });
}
