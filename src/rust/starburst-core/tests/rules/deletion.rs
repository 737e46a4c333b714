//! Deleting a session: what goes last, who is waited for, and that nothing comes back.
use super::bench::{Actor, Bench, Diary, Flag, config, guards, left_of, seconds, small};
use parking_lot::Mutex;
use starburst_core::{
    client,
    client::Client,
    clock::UnixMillis,
    ids::{SessionId, TaskId},
    key::SessionKeys,
    mutation::Rule,
    store::Store,
};
use starburst_testkit::{Fault, FaultStore, MemStore, Operation};
use std::{sync::Arc, time::Duration};

#[test]
fn the_manifest_goes_last_so_that_half_a_deletion_can_be_completed() {
    guards(Rule::ManifestLast, async || {
        let down = Flag::default();
        let stuck = down.clone();
        let store = FaultStore::new(MemStore::default(), move |operation, key| {
            let hit = operation == Operation::Delete && key.as_str().contains("/segments/");
            (hit && stuck.is_set()).then_some(Fault::Refuse)
        });
        let bench = Bench::on(Arc::new(store));
        let client = bench.create(config()).await;
        client.submit(small()).unwrap();
        client.flush().await.unwrap();
        let session = client.session().clone();
        down.set(true);
        assert!(client.delete().await.is_err());
        assert!(!left_of(&*bench.store, &session).await.is_empty());
        down.set(false);
        // Whoever finds it attaches and deletes it.
        let Ok(other) = Client::attach(bench.deps(), session.clone()).await else {
            return false;
        };
        other.delete().await.unwrap();
        left_of(&*bench.store, &session).await.is_empty()
    });
}

#[test]
fn a_session_is_deleted_once_its_workers_have_left() {
    guards(Rule::DeleteWaits, async || {
        let diary = Diary::default();
        let notes = diary.clone();
        let store = FaultStore::new(MemStore::default(), move |operation, key| {
            match operation {
                Operation::Delete => notes.note(format!("deletes {key}")),
                Operation::Write if key.last() == "end" => notes.note("the worker has left"),
                Operation::Read | Operation::Write | Operation::List => {}
            }
            None
        });
        let bench = Bench::on(Arc::new(store));
        let client = bench.create(config()).await;
        client.submit(small()).unwrap();
        client.flush().await.unwrap();
        let worker = bench.hire(client.session(), Actor::echo(seconds(10_000)));
        bench.sleep(seconds(100)).await;
        client.delete().await.unwrap();
        bench.until(seconds(300), async || worker.work.is_finished()).await;
        match (diary.first("the worker has left"), diary.first("deletes")) {
            (Some(left), Some(deleted)) => left < deleted,
            (None, _) | (_, None) => false,
        }
    });
}

/// Deletes all of a session behind the back of a worker whose task has so long to go, and at times makes it look at its
/// claims then. Returns what is there long after.
async fn deleted_under_a_worker(task: Duration, nudge: bool) -> Vec<String> {
    let bench = Bench::new();
    let client = bench.create(config()).await;
    client.submit(small()).unwrap();
    client.flush().await.unwrap();
    let session = client.session().clone();
    let worker = bench.hire(&session, Actor::echo(seconds(40) + task));
    // It has beaten once, and beats again in half a minute.
    bench.sleep(seconds(40)).await;
    client.stop();
    delete_all(&*bench.store, &session).await;
    if nudge {
        worker.nudge();
    }
    assert!(bench.until(seconds(1_000), async || worker.work.is_finished()).await);
    left_of(&*bench.store, &session).await
}

async fn delete_all(store: &dyn Store, session: &SessionId) {
    let all = SessionKeys::new(session.clone()).all();
    for entry in store.list(&all, None).await.unwrap() {
        store.delete(&entry.key).await.unwrap();
    }
}

#[test]
fn no_heartbeat_is_written_into_a_deleted_session() {
    guards(Rule::NoLateBeat, async || deleted_under_a_worker(seconds(500), false).await.is_empty());
}

#[test]
fn nothing_is_said_at_the_end_into_a_deleted_session() {
    guards(Rule::NoLateEnd, async || deleted_under_a_worker(seconds(500), false).await.is_empty());
}

#[test]
fn no_ledger_is_begun_anew_in_a_deleted_session() {
    guards(Rule::NoLateLedger, async || deleted_under_a_worker(seconds(2), false).await.is_empty());
}

#[test]
fn a_ledger_that_is_gone_when_a_worker_looks_at_its_claims_is_not_begun_anew() {
    guards(Rule::GoneIsGone, async || deleted_under_a_worker(seconds(500), true).await.is_empty());
}

/// Which calls for a ledger are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    None,
    Writes,
    /// Writes, and from the second read on reads too.
    AfterARead,
    All,
}

/// A worker that has yet to say how a task ended learns that the tasks of its part are over, and forgets the part. Before it
/// has said it the session is deleted.
async fn deleted_after_all_was_over() -> Vec<String> {
    let refused = Arc::new(Mutex::new(Refused::None));
    let now = Arc::clone(&refused);
    let store = FaultStore::new(MemStore::default(), move |operation, key| {
        let mut now = now.lock();
        let hit = match (*now, operation) {
            (_, _) if key.last() != "ledger" => false,
            (Refused::All, _) => true,
            (Refused::Writes | Refused::AfterARead, Operation::Write) => true,
            (Refused::AfterARead, Operation::Read) => {
                *now = Refused::All;
                false
            }
            (Refused::None | Refused::Writes | Refused::AfterARead, _) => false,
        };
        hit.then_some(Fault::Refuse)
    });
    let bench = Bench::on(Arc::new(store));
    let client = bench.create(config()).await;
    let ids: Vec<TaskId> = (0..4).map(|_| client.submit(small()).unwrap()).collect();
    client.flush().await.unwrap();
    let session = client.session().clone();
    // The second and third task are claimed together.
    let worker = bench.hire(&session, Actor::lasting([1, 1, 300]));
    bench.sleep(Duration::from_millis(1_500)).await;
    *refused.lock() = Refused::Writes;
    bench.sleep(seconds(3)).await;
    *refused.lock() = Refused::None;
    assert_eq!(client.cancel(&ids).await.unwrap(), 3);
    client.stop();
    *refused.lock() = Refused::AfterARead;
    worker.nudge();
    assert!(bench.until(seconds(60), async || *refused.lock() == Refused::All).await);
    *refused.lock() = Refused::None;
    delete_all(&*bench.store, &session).await;
    assert!(bench.until(seconds(1_000), async || worker.work.is_finished()).await);
    left_of(&*bench.store, &session).await
}

#[test]
fn a_ledger_whose_tasks_were_over_and_that_is_gone_is_not_begun_anew() {
    guards(Rule::NoLateLedger, async || {
        // A first heartbeat is written without a look at the session: a sweep finds it.
        !deleted_after_all_was_over().await.iter().any(|key| key.ends_with("/ledger"))
    });
}

#[test]
fn a_session_with_a_damaged_heartbeat_can_be_deleted() {
    guards(Rule::BeatsReplaced, async || {
        let bench = Bench::new();
        let client = bench.create(config()).await;
        client.submit(small()).unwrap();
        client.flush().await.unwrap();
        let _worker = bench.hire(client.session(), Actor::echo(seconds(500)));
        bench.sleep(seconds(40)).await;
        let rows = client.workers().await.unwrap();
        let beat = SessionKeys::new(client.session().clone()).beat(&rows[0].0.worker);
        let etag = bench.store.head(&beat).await.unwrap().unwrap();
        bench.store.replace(&beat, "damaged".into(), &etag).await.unwrap();
        client.delete().await.is_ok() && left_of(&*bench.store, client.session()).await.is_empty()
    });
}

#[test]
fn a_sweep_leaves_sessions_that_have_a_manifest() {
    guards(Rule::SweepAsks, async || {
        let bench = Bench::new();
        let client = bench.create(config()).await;
        client.submit(small()).unwrap();
        client.flush().await.unwrap();
        let before = left_of(&*bench.store, client.session()).await;
        let swept = client::sweep(&*bench.store, UnixMillis(u64::MAX)).await.unwrap();
        swept.is_empty() && left_of(&*bench.store, client.session()).await == before
    });
}
