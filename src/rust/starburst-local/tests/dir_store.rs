//! The directory store keeps the contract, within a process and between processes.
#![allow(clippy::unwrap_used)] // a test's helper fails its test
use starburst_core::{
    envelope::{Kind, Unsealed},
    ids::{PartId, SessionId, WorkerId},
    key::SessionKeys,
    store::{Store, StoreError},
    uploads::Uploads,
};
use starburst_local::{DirStore, Durability, SystemClock, SystemIds};
use starburst_testkit::store_contract;
use std::{path::Path, process::Command, sync::Arc};

fn open(root: &Path) -> DirStore {
    DirStore::open(root.to_owned(), Arc::new(SystemIds), Durability::Process).unwrap()
}

fn keys() -> SessionKeys {
    SessionKeys::new(SessionId::parse("s").unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_keeps_the_contract() {
    for durability in [Durability::Process, Durability::Machine] {
        let roots = tempfile::tempdir().unwrap();
        let count = std::cell::Cell::new(0);
        store_contract::all(|| {
            count.set(count.get() + 1);
            let root = roots.path().join(count.get().to_string());
            Arc::new(DirStore::open(root, Arc::new(SystemIds), durability).unwrap())
        })
        .await;
    }
}

#[tokio::test]
async fn chunks_are_compressed_where_half_of_them_goes() {
    let dir = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(open(dir.path()));
    let uploads = Uploads::new(Arc::clone(&store), keys(), Arc::new(SystemClock::default()));
    let mut body = vec![0; 100_000];
    blake3::Hasher::new().finalize_xof().fill(&mut body);
    let mut stored = Vec::new();
    for zeros in [4, 8] {
        body.chunks_mut(10).for_each(|ten| ten[..zeros].fill(0));
        let mut chunk = Unsealed::new(Kind::Blob, &body);
        let name = chunk.name();
        uploads.try_take(name, chunk).unwrap();
        uploads.stored(&[name]).await.unwrap();
        stored.push(store.get(&keys().blob(&name)).await.unwrap().body.len());
    }
    assert!(stored[0] > body.len() && stored[1] < body.len() / 2, "{stored:?}");
}

/// Not a test by itself: [`racing_processes_lose_no_update`] runs it in processes of their own.
#[tokio::test]
async fn one_racing_process() {
    let Ok(root) = std::env::var("STARBURST_RACE") else {
        return;
    };
    let store = open(Path::new(&root));
    let key = keys().ledger(PartId(0));
    let mut won = 0;
    while won < 300 {
        let object = store.get(&key).await.unwrap();
        let n: u64 = std::str::from_utf8(&object.body).unwrap().parse().unwrap();
        match store.replace(&key, (n + 1).to_string().into(), &object.etag).await {
            Ok(_) => won += 1,
            Err(StoreError::VersionMismatch { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn racing_processes_lose_no_update() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    store.create(&keys().ledger(PartId(0)), "0".into()).await.unwrap();
    let race = || {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "one_racing_process"])
            .env("STARBURST_RACE", root.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    for mut process in [race(), race(), race(), race()] {
        assert!(process.wait().unwrap().success());
    }
    assert_eq!(store.get(&keys().ledger(PartId(0))).await.unwrap().body, "1200");
}

#[tokio::test]
async fn a_writer_killed_at_any_moment_leaves_the_old_object_or_the_new_one() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    store.create(&keys().ledger(PartId(0)), "0".into()).await.unwrap();
    for round in 0..20u32 {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "one_racing_process"])
            .env("STARBURST_RACE", root.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let before = count(&store).await;
        // Killed somewhere after its first write, at a point that differs from round to round.
        while count(&store).await < before + 1 + u64::from(round) {
            tokio::task::yield_now().await;
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        let n = count(&store).await;
        let seen = store.get(&keys().ledger(PartId(0))).await.unwrap().etag;
        // And its lock is free.
        store.replace(&keys().ledger(PartId(0)), n.to_string().into(), &seen).await.unwrap();
    }
}

async fn count(store: &DirStore) -> u64 {
    let object = store.get(&keys().ledger(PartId(0))).await.unwrap();
    std::str::from_utf8(&object.body).unwrap().parse().unwrap()
}

#[tokio::test]
async fn deleting_everything_leaves_no_name_behind() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let worker = WorkerId::parse("w").unwrap();
    store.create(&keys().signal(PartId(0), &worker, 1), "x".into()).await.unwrap();
    store.delete(&keys().signal(PartId(0), &worker, 1)).await.unwrap();
    assert!(!root.path().join("sessions").exists());
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_read_as_it_is_and_named_by_its_reader() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    std::fs::create_dir_all(root.path().join("sessions/s")).unwrap();
    std::fs::write(root.path().join("sessions/s/manifest"), b"").unwrap();
    let object = store.get(&keys().manifest()).await.unwrap();
    assert!(object.body.is_empty());
    let created = store.create(&keys().manifest(), "x".into()).await;
    assert!(matches!(created, Err(StoreError::AlreadyExists { .. })));
}
