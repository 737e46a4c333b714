//! Sessions over the memory store: who may serve them, what listing and deleting leave.

#![allow(clippy::unwrap_used, clippy::panic)] // a test's helper fails its test

use bytes::Bytes;
use starburst_core::{
    blob::Payload,
    client::{self, Client, Deps, FetchedEnding, NewTask, SessionConfig},
    clock::UnixMillis,
    envelope::{self, Kind},
    error::Error,
    ids::{Nonce, PartId, TaskId, WorkerId},
    key::{Key, SessionKeys},
    ledger::{Broken, Ended, Ending, Ledger},
    manifest::{ClientR, Lifetime, Manifest},
    pace::Pace,
    results::ResultRef,
    segment::{Segment, TaskHeader, TaskKind},
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
    assert_eq!(listed.iter().map(|row| row.tasks.unwrap().pending).collect::<Vec<_>>(), [3, 3]);
    one.delete().await.unwrap();
    let ours = SessionKeys::new(one.session().clone()).all().to_string() + "/";
    assert!(store.keys().iter().all(|key| !key.as_str().starts_with(&ours)));
    let left = client::list_sessions(&deps).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].session, *two.session());
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
    let (living, now) = (store.keys(), deps.clock.wall());
    assert_eq!(client::leftovers(&*store, now).await.unwrap(), []);
    let late = SessionKeys::new(one.session().clone()).segment(7);
    store.create(&late, "late".into()).await.unwrap();
    assert_eq!(client::leftovers(&*store, now).await.unwrap(), [one.session().clone()]);
    assert_eq!(client::sweep(&*store, now).await.unwrap(), [one.session().clone()]);
    assert_eq!(store.keys(), living);
    assert_eq!(client::sweep(&*store, now).await.unwrap(), []);
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

/// Writes an object anew, as somebody who does not keep to the protocol.
async fn put(store: &MemStore, key: &Key, body: Bytes) {
    store.delete(key).await.unwrap();
    store.create(key, body).await.unwrap();
}

async fn three_segments(deps: &Deps) -> Arc<Client> {
    let client = Client::create(deps.clone(), config()).await.unwrap();
    for _ in 0..3 {
        client.submit(task()).unwrap();
        client.flush().await.unwrap();
    }
    client
}

/// The ledger of a part with one task, which a worker has ended with a value.
async fn end_task(store: &MemStore, keys: &SessionKeys, segment: u64) {
    let (key, part) = (keys.segment(segment), PartId::new(segment, 0));
    let index = Segment::decode_index(&key, &store.get(&key).await.unwrap().body).unwrap();
    let mut ledger = Ledger::new(index.write, 1);
    let worker = WorkerId::parse("w").unwrap();
    let claim = ledger.claim(&worker, 1, &[])[0];
    let ended = Ended {
        ending: Ending::Value(ResultRef::Here(format!("value {segment}").into())),
        worker: Some(worker.clone()),
        attempt: 1,
        at: UnixMillis(1),
        ran_ms: 0,
        signals: 0,
        log: None,
        failure: None,
    };
    assert!(ledger.end(&worker, claim, ended));
    put(store, &keys.ledger(part), ledger.sealed(&keys.ledger(part)).unwrap()).await;
}

fn damage_of(error: &Error) -> (&str, &str) {
    let Error::Damaged { key, detail } = error else {
        panic!("{error}");
    };
    (key, detail)
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_is_gone_is_named_and_never_taken_for_none() {
    for (gone, word) in
        [(0, "later ones are there"), (1, "later ones are there"), (2, "what became")]
    {
        let store = Arc::new(MemStore::default());
        let deps = deps(&store);
        let client = three_segments(&deps).await;
        let keys = SessionKeys::new(client.session().clone());
        end_task(&store, &keys, 2).await;
        client.stop();
        store.delete(&keys.segment(gone)).await.unwrap();
        let error = Client::attach(deps.clone(), client.session().clone()).await.unwrap_err();
        let (key, detail) = damage_of(&error);
        assert_eq!(key, keys.segment(gone).to_string());
        assert!(detail.contains(word), "{detail}");
        let row = client::list_sessions(&deps).await.unwrap().remove(0);
        assert_eq!(row.state_word(deps.clock.wall()), "damaged");
        client::delete_session(&deps, client.session()).await.unwrap();
        assert_eq!(store.keys(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_task_never_gets_the_value_of_one_whose_segment_is_gone() {
    let store = Arc::new(MemStore::default());
    let deps = deps(&store);
    let client = Client::create(deps.clone(), config()).await.unwrap();
    client.submit(task()).unwrap();
    client.flush().await.unwrap();
    let keys = SessionKeys::new(client.session().clone());
    end_task(&store, &keys, 0).await;
    let old = store.get(&keys.ledger(PartId::new(0, 0))).await.unwrap().body;
    // The bucket's age rule takes everything but the manifest, and a client that knows nothing of it submits anew.
    store.delete(&keys.segment(0)).await.unwrap();
    store.delete(&keys.ledger(PartId::new(0, 0))).await.unwrap();
    let fresh = Client::attach(deps.clone(), client.session().clone()).await.unwrap();
    let id = fresh.submit(task()).unwrap();
    fresh.flush().await.unwrap();
    put(&store, &keys.ledger(PartId::new(0, 0)), old).await;
    fresh.refresh().await.unwrap();
    let fetched = fresh.fetch(&id).await.unwrap().unwrap();
    let FetchedEnding::Broken { broken: Broken::Unreadable, message } = fetched.ending else {
        panic!("{:?}", fetched.ending);
    };
    assert!(message.contains("another segment of this number"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn an_older_state_that_is_put_back_is_damage() {
    let store = Arc::new(MemStore::default());
    let deps = deps(&store);
    let client = Client::create(deps.clone(), config()).await.unwrap();
    let ids: Vec<_> = (0..2).map(|_| client.submit(task()).unwrap()).collect();
    client.flush().await.unwrap();
    let keys = SessionKeys::new(client.session().clone());
    let key = keys.ledger(PartId::new(0, 0));
    client.cancel(&ids[..1]).await.unwrap();
    let old = store.get(&key).await.unwrap().body;
    client.cancel(&ids[1..]).await.unwrap();
    put(&store, &key, old).await;
    let error = client.retry(&ids).await.unwrap_err();
    assert!(damage_of(&error).1.contains("state 1 was put back in the place of its state 2"));
    client.refresh().await.unwrap();
    // Both were cancelled, and that stays known.
    assert_eq!(client.summary().cancelled, 2);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_ledger_costs_its_own_tasks_only() {
    let store = Arc::new(MemStore::default());
    let deps = deps(&store);
    let client = three_segments(&deps).await;
    let keys = SessionKeys::new(client.session().clone());
    for segment in 0..3 {
        end_task(&store, &keys, segment).await;
    }
    put(&store, &keys.ledger(PartId::new(1, 0)), "nonsense".into()).await;
    let fresh = Client::attach(deps.clone(), client.session().clone()).await.unwrap();
    let ids: Vec<TaskId> = fresh.rows().into_iter().map(|row| row.id).collect();
    let fetched = fresh.fetch_each(&ids).await.unwrap();
    let words = fetched.into_iter().map(|row| match row.unwrap().ending {
        FetchedEnding::Broken { broken: Broken::Unreadable, message } => message,
        FetchedEnding::Value(_) => "value".to_owned(),
        FetchedEnding::Broken { .. } | FetchedEnding::Error(_) | FetchedEnding::Cancelled => {
            "another ending".to_owned()
        }
    });
    let words: Vec<String> = words.collect();
    assert_eq!((words[0].as_str(), words[2].as_str()), ("value", "value"));
    assert!(words[1].contains(&keys.ledger(PartId::new(1, 0)).to_string()), "{}", words[1]);
    assert_eq!(fresh.failures(9).len(), 1);
    let row = client::list_sessions(&deps).await.unwrap().remove(0);
    assert_eq!(row.state_word(deps.clock.wall()), "damaged");
    assert!(matches!(row.problem, Some(client::Problem::Damaged(_))));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_cannot_be_read_is_listed_and_can_be_deleted_and_hides_no_other() {
    let store = Arc::new(MemStore::default());
    let deps = deps(&store);
    let good = Client::create(deps.clone(), config()).await.unwrap();
    let states = [
        ("nonsense", "damaged"),
        ("a newer layout", "other version"),
        ("another protocol", "other version"),
        ("a copy", "damaged"),
    ];
    let mut bad = Vec::new();
    for (how, _) in states {
        let client = Client::create(deps.clone(), config()).await.unwrap();
        client.stop();
        let key = SessionKeys::new(client.session().clone()).manifest();
        let mut body = store.get(&key).await.unwrap().body.to_vec();
        match how {
            "nonsense" => body.truncate(60),
            "a newer layout" => body[4] = 99,
            "another protocol" => {
                let manifest = Manifest { protocol: 99, ..client.manifest() };
                body = envelope::encode(Kind::Manifest, &key, &manifest).unwrap().to_vec();
            }
            _ => {
                let other = SessionKeys::new(good.session().clone()).manifest();
                body = store.get(&other).await.unwrap().body.to_vec();
            }
        }
        put(&store, &key, body.into()).await;
        bad.push(client.session().clone());
    }
    let rows = client::list_sessions(&deps).await.unwrap();
    assert_eq!(rows.len(), 5);
    for row in rows {
        let expected = bad.iter().position(|session| *session == row.session);
        let expected = expected.map_or("open", |at| states[at].1);
        assert_eq!(row.state_word(deps.clock.wall()), expected, "{row:?}");
    }
    for session in &bad {
        client::delete_session(&deps, session).await.unwrap();
    }
    let rows = client::list_sessions(&deps).await.unwrap();
    assert_eq!(rows.iter().map(|row| &row.session).collect::<Vec<_>>(), [good.session()]);
}

#[tokio::test(start_paused = true)]
async fn the_last_strike_leaves_a_task_to_the_other_worker_at_it() {
    let (one, two) = (WorkerId::parse("one").unwrap(), WorkerId::parse("two").unwrap());
    let mut ledger = Ledger::new(Nonce(1), 1);
    let claim = ledger.claim(&one, 1, &[])[0];
    assert!(ledger.back_up(&two, claim));
    assert!(ledger.strike(&one, 0, "gone", 1, UnixMillis(0)));
    assert!(ledger.holds(&two, claim) && !ledger.holds(&one, claim));
    assert!(ledger.strike(&two, 0, "gone too", 1, UnixMillis(0)));
    assert_eq!(ledger.counts().failed, 1);
}
