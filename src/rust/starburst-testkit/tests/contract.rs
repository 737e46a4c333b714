//! The memory store keeps the contract.
use starburst_core::store::Store;
use starburst_testkit::{MemStore, store_contract};
use std::sync::Arc;

#[tokio::test]
async fn the_memory_store_keeps_the_contract() {
    store_contract::all(|| Arc::new(MemStore::default()) as Arc<dyn Store>).await;
}
