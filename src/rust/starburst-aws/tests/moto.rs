//! The wire format, against a second implementation of S3's: moto. It proves nothing about races.
#![allow(clippy::unwrap_used, clippy::panic)] // a test's helper fails its test
mod common;

use common::Bucket;
use starburst_testkit::store_contract;
use std::cell::Cell;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_mean_to_moto_what_they_mean_to_the_s3_of_the_tests() {
    let Some(moto) = common::moto::moto().await else { return };
    let bucket = Bucket::at(&moto.endpoint, "testing", "testing");
    bucket.make().await;
    let count = Cell::new(0);
    store_contract::one_at_a_time(|| {
        count.set(count.get() + 1);
        bucket.folder(&format!("run-{}", count.get()))
    })
    .await;
}
