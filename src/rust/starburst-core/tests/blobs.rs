//! Large data through a store.
#![allow(clippy::unwrap_used)] // a test's helper fails its test
use bytes::Bytes;
use proptest::prelude::*;
use starburst_core::{
    blob::{BlobReader, KnownBlobs, Packer, store_blobs},
    ids::{Ids, SessionId},
    key::SessionKeys,
    store::Store,
};
use starburst_testkit::{MemStore, SeededIds};
use std::sync::Arc;

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let ids = SeededIds::new(seed);
    let mut out: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| ids.random().to_le_bytes()).collect();
    out.truncate(len);
    out
}

async fn through_a_store(bytes: &[u8]) -> Bytes {
    let store: Arc<dyn Store> = Arc::new(MemStore::default());
    let keys = SessionKeys::new(SessionId::parse("s").unwrap());
    let mut packer = Packer::new(Arc::default());
    packer.write(bytes);
    let packed = packer.finish();
    store_blobs(&*store, &keys, packed.blobs, &KnownBlobs::default()).await.unwrap();
    let reader = BlobReader::new(store, keys, 1 << 20);
    reader.fetch(&packed.payload).await.unwrap().concat().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn bytes_come_back_whatever_their_length(
        seed in any::<u64>(),
        len in prop_oneof![0usize..200, 60_000usize..70_000, 8_300_000usize..8_500_000],
    ) {
        let bytes = noise(seed, len);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        prop_assert!(runtime.block_on(through_a_store(&bytes)) == bytes);
    }
}
