//! Faults that the simulation found once, each in a test of its own.
use super::bench::{Actor, Bench, Flag, config, seconds, small};
use starburst_core::{
    client::{Client, Known, SessionConfig},
    ids::{PartId, TaskId},
    key::SessionKeys,
    ledger::{Ledger, TaskState},
    manifest::Lifetime,
    update,
};
use starburst_testkit::{Fault, FaultStore, MemStore, Operation};
use std::sync::Arc;

async fn all_completed(bench: &Bench, client: &Client, ids: &[TaskId]) -> bool {
    let completed = async || ids.iter().all(|id| client.known(id).unwrap() == Known::Completed);
    bench.until(seconds(3_000), completed).await
}

/// A worker that claims where others may come too begins a ledger by a write of its own. When the answer is lost it finds
/// its claim in the ledger later.
#[tokio::test(start_paused = true)]
async fn a_first_claim_whose_answer_was_lost_is_taken_up_again() {
    let lost = Flag::default();
    let loses = lost.clone();
    let store = FaultStore::new(MemStore::default(), move |operation, key| {
        let hit = operation == Operation::Write && key.last() == "ledger" && loses.is_set();
        loses.set(loses.is_set() && !hit);
        hit.then_some(Fault::LoseAnswer)
    });
    let bench = Bench::on(Arc::new(store));
    let owned = SessionConfig { lifetime: Lifetime::Owned, workers: 4, ..config() };
    let client = bench.create(owned).await;
    let ids: Vec<TaskId> = (0..4).map(|_| client.submit(small()).unwrap()).collect();
    client.flush().await.unwrap();
    lost.set(true);
    let _worker = bench.hire(client.session(), Actor::echo(seconds(1)));
    assert!(all_completed(&bench, &client, &ids).await);
    assert!(!lost.is_set());
}

/// Cancelling one task shows how the others of its part ended, with what they signalled before.
#[tokio::test(start_paused = true)]
async fn cancelling_shows_no_end_before_the_conditions_that_came_before_it() {
    let blind = Flag::default();
    let lists = blind.clone();
    let store = FaultStore::new(MemStore::default(), move |operation, _| {
        (operation == Operation::List && lists.is_set()).then_some(Fault::Refuse)
    });
    let bench = Bench::on(Arc::new(store));
    let client = bench.create(config()).await;
    let ids: Vec<TaskId> = (0..2).map(|_| client.submit(small()).unwrap()).collect();
    client.flush().await.unwrap();
    // The client sees nothing until it cancels.
    blind.set(true);
    let r = Actor { signals: 1, ..Actor::echo(seconds(20)) };
    let _worker = bench.hire(client.session(), r);
    let key = SessionKeys::new(client.session().clone()).ledger(PartId(0));
    let ended = async || {
        let ledger = update::read::<Ledger>(&*bench.store, &key).await.unwrap();
        ledger.is_some_and(|ledger| ledger.value.counts().completed == 1)
    };
    assert!(bench.until(seconds(60), ended).await);
    blind.set(false);
    client.cancel(&ids[1..]).await.unwrap();
    assert_eq!(client.known(&ids[0]).unwrap(), Known::Completed);
    assert_eq!(client.take_signals().len(), 1);
}

/// A worker that cannot read the first segment looks for others before it leaves.
#[tokio::test(start_paused = true)]
async fn a_first_segment_that_is_damaged_costs_no_other() {
    let bench = Bench::new();
    let client = bench.create(config()).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(client.submit(small()).unwrap());
        client.flush().await.unwrap();
    }
    let key = SessionKeys::new(client.session().clone()).segment(0);
    let etag = bench.store.head(&key).await.unwrap().unwrap();
    bench.store.replace(&key, "damaged".into(), &etag).await.unwrap();
    let _worker = bench.hire(client.session(), Actor::echo(seconds(1)));
    assert!(all_completed(&bench, &client, &ids[1..]).await);
}

/// Behind a task that turned out to be long nothing is kept, so that others can take it.
#[tokio::test(start_paused = true)]
async fn what_waits_behind_a_long_task_is_left_to_others() {
    let bench = Bench::new();
    let client = bench.create(config()).await;
    for _ in 0..4 {
        client.submit(small()).unwrap();
    }
    client.flush().await.unwrap();
    // Tasks took a moment on average, until this one.
    let _worker = bench.hire(client.session(), Actor::lasting([1, 1, 300, 1]));
    let key = SessionKeys::new(client.session().clone()).ledger(PartId(0));
    bench.sleep(seconds(200)).await;
    let ledger = update::read::<Ledger>(&*bench.store, &key).await.unwrap().unwrap().value;
    assert_eq!(ledger.counts().completed, 2);
    let attempts = |task: &TaskState| match task {
        TaskState::Pending(history) | TaskState::Claimed { history, .. } => history.attempt,
        TaskState::Ended(_) | TaskState::Cancelled(_) => 0,
    };
    assert!(attempts(&ledger.tasks[3]) <= 2, "{:?}", ledger.tasks[3]);
}
