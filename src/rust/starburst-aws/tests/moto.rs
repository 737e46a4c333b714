//! The wire format, against a second implementation of S3's: moto. It proves nothing about races.
#![allow(clippy::unwrap_used)] // a test's helper fails its test
mod common;

use common::Bucket;
use starburst_testkit::store_contract;
use std::{
    cell::Cell,
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

struct Moto {
    child: Child,
    endpoint: String,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn moto(python: &str) -> Moto {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new(python)
        .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let moto = Moto { child, endpoint: format!("http://127.0.0.1:{port}") };
    let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    for _ in 0..600 {
        if listens() {
            return moto;
        }
        let never = std::future::pending::<()>();
        let _ = tokio::time::timeout(Duration::from_millis(50), never).await;
    }
    assert!(listens(), "moto did not start");
    moto
}

/// `tools/test.sh` installs moto and names its Python in STARBURST_MOTO_PYTHON; elsewhere there is nothing to test against.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_mean_to_moto_what_they_mean_to_the_s3_of_the_tests() {
    let Ok(python) = std::env::var("STARBURST_MOTO_PYTHON") else {
        eprintln!("no STARBURST_MOTO_PYTHON: not tested against moto");
        return;
    };
    let moto = moto(&python).await;
    let bucket = Bucket::at(&moto.endpoint, "testing", "testing");
    bucket.make().await;
    let count = Cell::new(0);
    store_contract::one_at_a_time(|| {
        count.set(count.get() + 1);
        bucket.folder(&format!("run-{}", count.get()))
    })
    .await;
}
