//! The stand-ins for a store keep the contract.
use starburst_core::store::Store;
use starburst_testkit::{FaultStore, MemStore, store_contract};
use std::sync::Arc;

#[tokio::test]
async fn the_memory_store_keeps_the_contract() {
    store_contract::all(|| Arc::new(MemStore::default()) as Arc<dyn Store>).await;
}

#[tokio::test]
async fn a_fault_store_without_faults_keeps_the_contract() {
    store_contract::all(|| {
        Arc::new(FaultStore::new(MemStore::default(), |_, _| None)) as Arc<dyn Store>
    })
    .await;
}
