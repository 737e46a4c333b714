//! Large data through a store: sent while it is cut, fetched while it is used.
#![allow(clippy::unwrap_used)] // a test's helper fails its test
use bytes::Bytes;
use parking_lot::Mutex;
use proptest::prelude::*;
use starburst_core::{
    blob::{BlobHash, ChunkSink, Packer, Payload},
    clock::Clock,
    downloads::{ChunkCache, Downloads, Material, MemoryCache},
    envelope::Unsealed,
    error::Error,
    ids::{Ids, SessionId},
    key::SessionKeys,
    store::{Store, StoreError},
    uploads::Uploads,
};
use starburst_testkit::{Fault, FaultStore, ManualClock, MemStore, Operation, SeededIds};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let ids = SeededIds::new(seed);
    let mut out: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| ids.random().to_le_bytes()).collect();
    out.truncate(len);
    out
}

fn keys() -> SessionKeys {
    SessionKeys::new(SessionId::parse("s").unwrap())
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Instant::now(), Duration::ZERO))
}

/// Passes a second of virtual time: whatever can be done without waiting is done then.
async fn a_second() {
    clock().sleep(Duration::from_secs(1)).await;
}

fn uploads(store: &Arc<dyn Store>) -> Arc<Uploads> {
    Uploads::new(Arc::clone(store), keys(), clock())
}

/// Gives chunks to uploads, and remembers how many it could not give at once.
#[derive(Debug)]
struct Sink {
    uploads: Arc<Uploads>,
    refused: usize,
}

impl ChunkSink for Sink {
    fn has(&self, hash: &BlobHash) -> bool {
        self.uploads.has(hash)
    }
    fn take(&mut self, hash: BlobHash, chunk: Unsealed) -> Result<(), Error> {
        if self.uploads.try_take(hash, chunk).is_err() {
            self.refused += 1;
        }
        Ok(())
    }
}

fn pack(bytes: &[u8], sink: &mut Sink) -> Payload {
    let mut packer = Packer::into(sink);
    packer.write(bytes).unwrap();
    packer.finish().unwrap()
}

async fn through_a_store(bytes: &[u8]) -> Bytes {
    let store: Arc<dyn Store> = Arc::new(MemStore::default());
    let mut sink = Sink { uploads: uploads(&store), refused: 0 };
    let payload = pack(bytes, &mut sink);
    sink.uploads.stored(payload.chunks()).await.unwrap();
    let downloads = Downloads::new(store, keys(), Arc::new(MemoryCache::new(1 << 20)));
    Material::of(&payload, &downloads).concat().await.unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn bytes_come_back_whatever_their_length(
        seed in any::<u64>(),
        len in prop_oneof![0usize..200, 60_000usize..70_000, 8_300_000usize..8_500_000],
    ) {
        let bytes = noise(seed, len);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        prop_assert!(runtime.block_on(through_a_store(&bytes)) == bytes);
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_is_on_the_way_than_the_limit_and_what_was_not_taken_is_said() {
    let down = Arc::new(AtomicBool::new(true));
    let fails = Arc::clone(&down);
    let store: Arc<dyn Store> =
        Arc::new(FaultStore::new(MemStore::default(), move |operation, _| {
            (operation == Operation::Write && fails.load(Ordering::Relaxed)).then_some(Fault::Full)
        }));
    let mut sink = Sink { uploads: uploads(&store), refused: 0 };
    let payload = pack(&noise(1, 100 << 20), &mut sink);
    assert!(sink.refused > 20, "{}", sink.refused);
    let first = &payload.chunks()[..1];
    let full = sink.uploads.stored(first).await;
    assert!(matches!(full, Err(Error::Store(StoreError::Full { .. }))), "{full:?}");
    // It is sent again by itself once there is room.
    down.store(false, Ordering::Relaxed);
    while sink.uploads.stored(first).await.is_err() {}
    while sink.uploads.room().await.is_err() {}
}

#[tokio::test(start_paused = true)]
async fn a_chunk_that_two_payloads_share_is_sent_and_fetched_once() {
    let (writes, reads) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (w, r) = (Arc::clone(&writes), Arc::clone(&reads));
    let store: Arc<dyn Store> =
        Arc::new(FaultStore::new(MemStore::default(), move |operation, _| {
            let counter = if operation == Operation::Write { &w } else { &r };
            counter.fetch_add(1, Ordering::Relaxed);
            None
        }));
    let mut sink = Sink { uploads: uploads(&store), refused: 0 };
    let bytes = noise(2, 20 << 20);
    let payload = pack(&bytes, &mut sink);
    assert_eq!(pack(&bytes, &mut sink), payload);
    sink.uploads.stored(payload.chunks()).await.unwrap();
    assert_eq!(writes.load(Ordering::Relaxed), payload.chunks().len());
    let downloads = Downloads::new(store, keys(), Arc::new(MemoryCache::new(64 << 20)));
    for _ in 0..3 {
        assert!(Material::of(&payload, &downloads).concat().await.unwrap() == bytes);
    }
    assert_eq!(reads.load(Ordering::Relaxed), payload.chunks().len());
}

/// A cache that tells the lengths of what it was given.
#[derive(Debug)]
struct Measured(MemoryCache, Mutex<Vec<usize>>);

impl ChunkCache for Measured {
    fn get(&self, hash: &BlobHash) -> Option<Bytes> {
        self.0.get(hash)
    }
    fn put(&self, hash: &BlobHash, sealed: &Bytes) {
        self.1.lock().push(sealed.len());
        self.0.put(hash, sealed);
    }
    fn forget(&self, hash: &BlobHash) {
        self.0.forget(hash);
    }
}

#[tokio::test(start_paused = true)]
async fn a_chunk_that_is_used_again_is_kept_uncompressed_where_that_saved_little() {
    // How many of ten bytes are zeros, and whether it is kept anew when it is used again.
    for (zeros, anew) in [(0, false), (4, true), (8, false)] {
        let (fails, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let store = failing(&fails, &reads);
        let mut sink = Sink { uploads: uploads(&store), refused: 0 };
        let mut bytes = noise(6, 700_000);
        bytes.chunks_mut(10).for_each(|ten| ten[..zeros].fill(0));
        let payload = pack(&bytes, &mut sink);
        sink.uploads.stored(payload.chunks()).await.unwrap();
        let cache = Arc::new(Measured(MemoryCache::new(64 << 20), Mutex::default()));
        let downloads = Downloads::new(store, keys(), Arc::clone(&cache) as Arc<dyn ChunkCache>);
        let mut kept = Vec::new();
        for _ in 0..3 {
            assert!(Material::of(&payload, &downloads).concat().await.unwrap() == bytes);
            kept.push(std::mem::take(&mut *cache.1.lock()).iter().sum::<usize>());
        }
        assert_eq!(reads.load(Ordering::Relaxed), payload.chunks().len());
        assert_eq!(kept[0] < bytes.len(), zeros > 0, "{zeros}: {kept:?}");
        assert_eq!((kept[1] > bytes.len(), kept[2]), (anew, 0), "{zeros}: {kept:?}");
        assert!(anew || kept[1] == 0, "{zeros}: {kept:?}");
    }
}

/// A cache whose copies are all damaged.
#[derive(Debug, Default)]
struct Rotten(AtomicUsize);

impl ChunkCache for Rotten {
    fn get(&self, _: &BlobHash) -> Option<Bytes> {
        Some("rotten".into())
    }
    fn put(&self, _: &BlobHash, _: &Bytes) {}
    fn forget(&self, _: &BlobHash) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_copy_is_forgotten_and_the_store_asked() {
    let store: Arc<dyn Store> = Arc::new(MemStore::default());
    let mut sink = Sink { uploads: uploads(&store), refused: 0 };
    let bytes = noise(3, 5 << 20);
    let payload = pack(&bytes, &mut sink);
    sink.uploads.stored(payload.chunks()).await.unwrap();
    let rotten = Arc::new(Rotten::default());
    let downloads = Downloads::new(store, keys(), Arc::clone(&rotten) as Arc<dyn ChunkCache>);
    assert!(Material::of(&payload, &downloads).concat().await.unwrap() == bytes);
    assert_eq!(rotten.0.load(Ordering::Relaxed), payload.chunks().len());
}

#[tokio::test(start_paused = true)]
async fn a_chunk_that_is_gone_ends_the_pieces_with_the_reason() {
    let store: Arc<dyn Store> = Arc::new(MemStore::default());
    let mut sink = Sink { uploads: uploads(&store), refused: 0 };
    let payload = pack(&noise(4, 12 << 20), &mut sink);
    sink.uploads.stored(payload.chunks()).await.unwrap();
    store.delete(&keys().blob(&payload.chunks()[2])).await.unwrap();
    let downloads = Downloads::new(store, keys(), Arc::new(MemoryCache::new(0)));
    let mut pieces = Material::of(&payload, &downloads).pieces();
    assert!(pieces.next().await.unwrap().is_ok());
    assert!(pieces.next().await.unwrap().is_ok());
    let gone = pieces.next().await.unwrap();
    assert!(matches!(gone, Err(Error::Store(StoreError::NotFound { .. }))), "{gone:?}");
    assert!(pieces.next().await.is_none());
}

/// Whether reads fail, and how many were made.
fn failing(fails: &Arc<AtomicBool>, reads: &Arc<AtomicUsize>) -> Arc<dyn Store> {
    let (fails, reads) = (Arc::clone(fails), Arc::clone(reads));
    Arc::new(FaultStore::new(MemStore::default(), move |operation, _| {
        if operation != Operation::Read {
            return None;
        }
        let read = reads.fetch_add(1, Ordering::Relaxed);
        (fails.load(Ordering::Relaxed) && read >= 3).then_some(Fault::Refuse)
    }))
}

#[tokio::test(start_paused = true)]
async fn what_is_begun_waits_for_who_asks_and_a_failure_before_that_is_none() {
    let (fails, reads) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let store = failing(&fails, &reads);
    let mut sink = Sink { uploads: uploads(&store), refused: 0 };
    let bytes = noise(5, 20 << 20);
    let payload = pack(&bytes, &mut sink);
    sink.uploads.stored(payload.chunks()).await.unwrap();
    let downloads = Downloads::new(store, keys(), Arc::new(MemoryCache::new(0)));
    let material = Material::of(&payload, &downloads);
    material.begin();
    a_second().await;
    let begun = reads.load(Ordering::Relaxed);
    assert!((4..payload.chunks().len()).contains(&begun), "{begun}");
    // The store answers again, and what arrived before is not asked for twice.
    fails.store(false, Ordering::Relaxed);
    assert!(material.concat().await.unwrap() == bytes);
    assert_eq!(reads.load(Ordering::Relaxed), begun + payload.chunks().len() - 3);
    // Who asks anew gets it all, and is told what fails now.
    assert!(material.concat().await.unwrap() == bytes);
    fails.store(true, Ordering::Relaxed);
    material.begin();
    let refused = material.concat().await;
    assert!(matches!(refused, Err(Error::Store(StoreError::Unavailable { .. }))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn no_more_is_begun_than_there_is_room_for_and_who_asks_waits_for_nobody_else() {
    let (fails, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let store = failing(&fails, &reads);
    let mut sink = Sink { uploads: uploads(&store), refused: 0 };
    let values: Vec<Vec<u8>> = (10..14).map(|seed| noise(seed, 60 << 20)).collect();
    let mut materials = Vec::new();
    let downloads = Downloads::new(Arc::clone(&store), keys(), Arc::new(MemoryCache::new(0)));
    let mut chunks = 0;
    for value in &values {
        let payload = pack(value, &mut sink);
        while sink.uploads.stored(payload.chunks()).await.is_err() {}
        chunks += payload.chunks().len();
        materials.push(Material::of(&payload, &downloads));
    }
    materials.iter().for_each(Material::begin);
    a_second().await;
    // 128 of 240 MB.
    let begun = reads.load(Ordering::Relaxed);
    assert!((chunks / 3..chunks * 3 / 5).contains(&begun), "{begun} of {chunks}");
    // The last one, while the others keep what they have.
    for (material, value) in materials.iter().zip(&values).rev() {
        assert!(material.concat().await.unwrap() == *value);
    }
    assert_eq!(reads.load(Ordering::Relaxed), chunks);
    // There is room again.
    materials[0].begin();
    a_second().await;
    assert!(reads.load(Ordering::Relaxed) > chunks + 40);
}
