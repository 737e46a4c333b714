//! Sessions over the memory store: who may serve them, what listing and deleting leave.

#![allow(clippy::unwrap_used)] // a test's helper fails its test

use starburst_core::{
    blob::Payload,
    client::{self, Client, Deps, NewTask, SessionConfig},
    error::Error,
    key::SessionKeys,
    manifest::{ClientR, Lifetime, Manifest},
    pace::Pace,
    segment::{TaskHeader, TaskKind},
    store::Store,
    travel::Travel,
    update, worker,
};
use starburst_testkit::{FakeLauncher, ManualClock, MemStore, SeededIds};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

fn deps(store: &Arc<MemStore>) -> Deps {
    Deps {
        store: Arc::clone(store) as Arc<dyn Store>,
        launcher: Arc::new(FakeLauncher::new(|_| Ok(()))),
        clock: Arc::new(ManualClock::new(Instant::now(), Duration::ZERO)),
        ids: Arc::new(SeededIds::new(1)),
    }
}

fn config() -> SessionConfig {
    SessionConfig {
        lifetime: Lifetime::Detached,
        workers: 1,
        cpu: 1.0,
        memory_mib: 1024,
        launch_type: "LOCAL".into(),
        compute: starburst_core::compute::Compute::Local,
        budget: None,
        environment: None,
        task_timeout: None,
        travel: Travel::default(),
        idle_timeout: Duration::from_secs(600),
        absolute_timeout: Duration::from_secs(6_000),
        max_attempts: 3,
        backup_tasks: false,
        pace: Pace::remote(),
        client: ClientR { r: (4, 2), future: "1.31.0".into() },
    }
}

fn task() -> NewTask {
    let header = TaskHeader { kind: TaskKind::Call, label: None, timeout: None };
    let payload = Payload::Inline("x".into());
    NewTask { header, payload, common: None }
}

#[tokio::test(start_paused = true)]
async fn a_session_of_another_protocol_is_refused_in_words() {
    let store = Arc::new(MemStore::default());
    let deps = deps(&store);
    let client = Client::create(deps.clone(), config()).await.unwrap();
    let keys = SessionKeys::new(client.session().clone());
    let newer = |manifest: &mut Manifest| {
        manifest.protocol = 99;
        Some(())
    };
    let key = keys.manifest();
    update::update(&*store, &*deps.ids, &key, None, || None, newer).await.unwrap();
    let error = worker::admit(&*store, &keys).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }));
    assert!(error.to_string().contains("speaks protocol 99"), "{error}");
    assert!(Client::attach(deps, client.session().clone()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn deleting_a_session_deletes_all_of_it_and_nothing_else() {
    let store = Arc::new(MemStore::default());
    let deps = deps(&store);
    let one = Client::create(deps.clone(), config()).await.unwrap();
    let two = Client::create(deps.clone(), config()).await.unwrap();
    for client in [&one, &two] {
        for _ in 0..3 {
            client.submit(task()).unwrap();
        }
        client.flush().await.unwrap();
    }
    let listed = client::list_sessions(&deps).await.unwrap();
    assert_eq!(listed.iter().map(|row| row.tasks.pending).collect::<Vec<_>>(), [3, 3]);
    one.delete().await.unwrap();
    let ours = SessionKeys::new(one.session().clone()).all().to_string() + "/";
    assert!(store.keys().iter().all(|key| !key.as_str().starts_with(&ours)));
    let left = client::list_sessions(&deps).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].manifest.session, *two.session());
}

#[tokio::test(start_paused = true)]
async fn what_is_written_into_a_deleted_session_is_swept_and_nothing_else() {
    let store = Arc::new(MemStore::default());
    let deps = deps(&store);
    let one = Client::create(deps.clone(), config()).await.unwrap();
    let two = Client::create(deps.clone(), config()).await.unwrap();
    two.submit(task()).unwrap();
    two.flush().await.unwrap();
    one.delete().await.unwrap();
    let living = store.keys();
    assert_eq!(client::leftovers(&*store).await.unwrap(), []);
    let late = SessionKeys::new(one.session().clone()).segment(7);
    store.create(&late, "late".into()).await.unwrap();
    assert_eq!(client::leftovers(&*store).await.unwrap(), [one.session().clone()]);
    assert_eq!(client::sweep(&*store).await.unwrap(), [one.session().clone()]);
    assert_eq!(store.keys(), living);
    assert_eq!(client::sweep(&*store).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_closed_session_takes_no_task_and_a_stopped_client_does_not_wait() {
    let store = Arc::new(MemStore::default());
    let client = Client::create(deps(&store), config()).await.unwrap();
    client.close().await.unwrap();
    assert!(matches!(client.submit(task()), Err(Error::Closed { .. })));
    let other = Client::create(deps(&store), config()).await.unwrap();
    other.submit(task()).unwrap();
    other.stop();
    assert!(matches!(other.flush().await, Err(Error::Closed { .. })));
}
