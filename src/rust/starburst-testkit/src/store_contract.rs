//! The contract of [`Store`] as tests. Each takes a fresh, empty store; run all of them on every store.
use bytes::Bytes;
use starburst_core::{
    ids::{PartId, SessionId, WorkerId},
    key::{Key, SessionKeys, sessions},
    store::{ETag, Entry, Store, StoreError},
};
use std::sync::Arc;

fn keys(session: &str) -> SessionKeys {
    SessionKeys::new(SessionId::parse(session).unwrap())
}

fn body(text: &str) -> Bytes {
    Bytes::from(text.to_owned())
}

/// Runs the whole contract; `fresh` makes an empty store.
pub async fn all(fresh: impl Fn() -> Arc<dyn Store>) {
    one_at_a_time(&fresh).await;
    of_racing_creates_one_wins(fresh()).await;
    racing_replaces_lose_no_update(fresh()).await;
    readers_never_see_part_of_a_write(fresh()).await;
}

/// The part of the contract that is about one call after the other: for a server that is no proof of more.
pub async fn one_at_a_time(fresh: impl Fn() -> Arc<dyn Store>) {
    absent_is_not_found(fresh()).await;
    what_is_written_is_read(fresh()).await;
    create_happens_once(fresh()).await;
    replace_needs_the_version_it_saw(fresh()).await;
    versions_never_return(fresh()).await;
    unchanged_is_not_read_again(fresh()).await;
    delete_is_idempotent(fresh()).await;
    listings_are_whole_and_in_order(fresh()).await;
}

async fn absent_is_not_found(store: Arc<dyn Store>) {
    let key = keys("s").manifest();
    assert!(matches!(store.get(&key).await, Err(StoreError::NotFound { .. })));
    assert_eq!(store.head(&key).await.unwrap(), None);
    assert_eq!(store.list(&keys("s").all(), None).await.unwrap(), []);
    assert!(store.children(&sessions()).await.unwrap().is_empty());
    let seen = ETag("x".into());
    let replaced = store.replace(&key, body("b"), &seen).await;
    assert!(matches!(replaced, Err(StoreError::VersionMismatch { .. })), "{replaced:?}");
    let changed = store.get_if_changed(&key, &seen).await;
    assert!(matches!(changed, Err(StoreError::NotFound { .. })), "{changed:?}");
}

async fn what_is_written_is_read(store: Arc<dyn Store>) {
    for (n, bytes) in [Bytes::new(), body("x"), vec![7u8; 3_000_000].into()].into_iter().enumerate()
    {
        let key = keys("s").segment(n as u64);
        let etag = store.create(&key, bytes.clone()).await.unwrap();
        let object = store.get(&key).await.unwrap();
        assert!(object.body == bytes);
        assert_eq!(object.etag, etag);
        assert_eq!(store.head(&key).await.unwrap(), Some(etag));
    }
}

async fn create_happens_once(store: Arc<dyn Store>) {
    let key = keys("s").manifest();
    store.create(&key, body("first")).await.unwrap();
    let second = store.create(&key, body("second")).await;
    assert!(matches!(second, Err(StoreError::AlreadyExists { .. })), "{second:?}");
    assert_eq!(store.get(&key).await.unwrap().body, "first");
}

async fn replace_needs_the_version_it_saw(store: Arc<dyn Store>) {
    let key = keys("s").ledger(PartId(0));
    let one = store.create(&key, body("1")).await.unwrap();
    let two = store.replace(&key, body("2"), &one).await.unwrap();
    let stale = store.replace(&key, body("x"), &one).await;
    assert!(matches!(stale, Err(StoreError::VersionMismatch { .. })), "{stale:?}");
    assert_eq!(store.get(&key).await.unwrap().body, "2");
    store.delete(&key).await.unwrap();
    let gone = store.replace(&key, body("x"), &two).await;
    assert!(matches!(gone, Err(StoreError::VersionMismatch { .. })), "{gone:?}");
    assert_eq!(store.head(&key).await.unwrap(), None);
}

async fn versions_never_return(store: Arc<dyn Store>) {
    let key = keys("s").ledger(PartId(0));
    let mut etag = store.create(&key, body("0")).await.unwrap();
    let mut seen = vec![etag.clone()];
    for n in 1..20 {
        etag = store.replace(&key, body(&n.to_string()), &etag).await.unwrap();
        assert!(!seen.contains(&etag));
        seen.push(etag.clone());
    }
    store.delete(&key).await.unwrap();
    let again = store.create(&key, body("again")).await.unwrap();
    assert!(!seen.contains(&again));
}

async fn unchanged_is_not_read_again(store: Arc<dyn Store>) {
    let key = keys("s").ledger(PartId(0));
    let one = store.create(&key, body("1")).await.unwrap();
    assert_eq!(store.get_if_changed(&key, &one).await.unwrap(), None);
    let two = store.replace(&key, body("2"), &one).await.unwrap();
    let changed = store.get_if_changed(&key, &one).await.unwrap().unwrap();
    assert_eq!((changed.body, changed.etag), (body("2"), two));
}

async fn delete_is_idempotent(store: Arc<dyn Store>) {
    let key = keys("s").manifest();
    store.create(&key, body("1")).await.unwrap();
    store.delete(&key).await.unwrap();
    store.delete(&key).await.unwrap();
    assert!(matches!(store.get(&key).await, Err(StoreError::NotFound { .. })));
}

async fn listings_are_whole_and_in_order(store: Arc<dyn Store>) {
    let (s, t) = (keys("s"), keys("s2"));
    let mut etags = Vec::new();
    // More than one page of any service, written out of order.
    for n in (0..1_100).rev() {
        etags.push(store.create(&s.segment(n), body(&n.to_string())).await.unwrap());
    }
    etags.reverse();
    let worker = WorkerId::parse("w").unwrap();
    store.create(&s.signal(PartId(0), &worker, 0), body("x")).await.unwrap();
    store.create(&t.manifest(), body("x")).await.unwrap();

    let listed = store.list(&s.segments(), None).await.unwrap();
    let expected: Vec<Key> = (0..1_100).map(|n| s.segment(n)).collect();
    assert_eq!(listed.iter().map(|e| e.key.clone()).collect::<Vec<_>>(), expected);
    assert_eq!(listed.iter().map(|e| e.etag.clone()).collect::<Vec<_>>(), etags);
    assert_eq!(listed[1_099].size, 4);

    let later = store.list(&s.segments(), Some(&s.segment(1_097))).await.unwrap();
    assert_eq!(names(later), [s.segment(1_098), s.segment(1_099)]);

    assert_eq!(store.list(&s.all(), None).await.unwrap().len(), 1_101);
    assert_eq!(store.list(&s.parts(), None).await.unwrap().len(), 1);

    // In several directories, where a store has such, from each possible place on.
    for part in [0, 1, 2, 10] {
        store.create(&s.ledger(PartId(part)), body("x")).await.unwrap();
        store.create(&s.signal(PartId(part), &worker, 7), body("x")).await.unwrap();
    }
    let all = names(store.list(&s.parts(), None).await.unwrap());
    assert_eq!((all.len(), all.is_sorted()), (9, true));
    let parts = (0..12).map(|n| s.part(PartId(n)));
    for after in all.iter().cloned().chain(parts).chain([s.parts(), s.segments(), s.manifest()]) {
        let behind: Vec<Key> = all.iter().filter(|key| **key > after).cloned().collect();
        assert_eq!(names(store.list(&s.parts(), Some(&after)).await.unwrap()), behind, "{after}");
    }
    assert_eq!(store.children(&sessions()).await.unwrap(), ["s", "s2"]);
    assert_eq!(store.children(&s.all()).await.unwrap(), ["parts", "segments"]);
}

fn names(listed: Vec<Entry>) -> Vec<Key> {
    listed.into_iter().map(|entry| entry.key).collect()
}

async fn of_racing_creates_one_wins(store: Arc<dyn Store>) {
    for round in 0..50 {
        let key = keys("s").segment(round);
        let race = |n: u32| {
            let (store, key) = (Arc::clone(&store), key.clone());
            tokio::spawn(async move { store.create(&key, body(&n.to_string())).await.map(|_| n) })
        };
        let racers: Vec<_> = (0..16).map(race).collect();
        let mut winners = Vec::new();
        for racer in racers {
            match racer.await.unwrap() {
                Ok(n) => winners.push(n),
                Err(StoreError::AlreadyExists { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        assert_eq!(store.get(&key).await.unwrap().body, winners[0].to_string());
    }
}

async fn racing_replaces_lose_no_update(store: Arc<dyn Store>) {
    let key = keys("s").ledger(PartId(0));
    store.create(&key, body("0")).await.unwrap();
    let count = |store: Arc<dyn Store>, key: Key| async move {
        let mut won = 0u64;
        while won < 20 {
            let object = store.get(&key).await.unwrap();
            let n: u64 = std::str::from_utf8(&object.body).unwrap().parse().unwrap();
            match store.replace(&key, body(&(n + 1).to_string()), &object.etag).await {
                Ok(_) => won += 1,
                Err(StoreError::VersionMismatch { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    };
    let tasks: Vec<_> =
        (0..8).map(|_| tokio::spawn(count(Arc::clone(&store), key.clone()))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(store.get(&key).await.unwrap().body, "160");
}

async fn readers_never_see_part_of_a_write(store: Arc<dyn Store>) {
    let key = keys("s").ledger(PartId(0));
    let uniform = |byte: u8| Bytes::from(vec![byte; 100_000]);
    let mut etag = store.create(&key, uniform(0)).await.unwrap();
    let reader = tokio::spawn({
        let (store, key) = (Arc::clone(&store), key.clone());
        async move {
            loop {
                let read = store.get(&key).await.unwrap().body;
                assert_eq!(read.len(), 100_000);
                assert!(read.iter().all(|b| *b == read[0]), "a torn read");
                if read[0] == 60 {
                    return;
                }
                tokio::task::yield_now().await;
            }
        }
    });
    for byte in 1..=60 {
        etag = store.replace(&key, uniform(byte), &etag).await.unwrap();
        tokio::task::yield_now().await;
    }
    reader.await.unwrap();
}
