//! Deleting a session: what goes last, who is waited for, and that nothing comes back.
use super::bench::{Actor, Bench, Diary, Flag, config, guards, left_of, seconds, small};
use starburst_core::{
    client, client::Client, clock::UnixMillis, ids::SessionId, key::SessionKeys, mutation::Rule,
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
