//! A session that has cost what it may closes itself, whoever watches it, and keeps what it has got.
#![allow(clippy::unwrap_used, clippy::panic)] // a test's helper fails its test
mod common;

use common::{Lab, budget, completed, on_ecs, seconds, submit};
use parking_lot::Mutex;
use starburst_core::{
    client::{Client, FetchedEnding, Known, SessionConfig, list_sessions},
    clock::Clock,
    cost::Ceiling,
    error::{Error, ErrorKind},
    ids::TaskId,
    key::SessionKeys,
    manifest::{Lifetime, SessionState},
};
use std::{sync::Arc, time::Duration};

const PATROL: Duration = Duration::from_secs(15);
/// A cent a second for each worker.
const PRICE: f64 = 36.0;

fn at_most(total_usd: f64, workers: u32) -> SessionConfig {
    let ceiling = Ceiling { max_total_usd: Some(total_usd), ..Ceiling::default() };
    SessionConfig { budget: budget(PRICE, ceiling), ..on_ecs(workers) }
}

fn cost(error: &Error) -> String {
    assert_eq!(error.kind(), ErrorKind::Cost, "{error}");
    let words = error.to_string();
    assert!(words.starts_with("max_total_cost = 5: 5."), "{words}");
    assert!(words.contains("results so far are kept"), "{words}");
    words
}

/// What is done is there, and the rest is not lost.
async fn check_results(client: &Client, tasks: &[TaskId]) {
    let mut read = 0;
    for (number, id) in tasks.iter().enumerate() {
        match client.known(id).unwrap() {
            Known::Completed => {
                let fetched = client.fetch(id).await.unwrap().unwrap();
                let FetchedEnding::Value(value) = fetched.ending else { panic!("no value") };
                assert_eq!(value.concat().await.unwrap(), format!("task {number}").into_bytes());
                read += 1;
            }
            Known::Pending => {}
            Known::Claimed | Known::Failed | Known::Cancelled => {
                panic!("{id} is neither done nor open")
            }
        }
    }
    assert!(read > 10 && read < tasks.len(), "{read}");
}

#[tokio::test(start_paused = true)]
async fn a_run_stops_by_itself_when_its_money_is_spent() {
    let lab = Lab::new(seconds(20));
    let a = lab.create(at_most(5.0, 2)).await;
    let b = lab.attach("b", &a).await;
    let tasks = submit(&a, 100);
    let begun = lab.clock.now();
    lab.until(seconds(600), || a.trouble().is_some()).await;
    // 2 workers, a cent a second each.
    let passed = lab.clock.now().since(begun);
    assert!(passed >= seconds(240) && passed <= seconds(250) + PATROL, "{passed:?}");
    let words = cost(&a.trouble().unwrap());
    lab.until(PATROL * 2, || b.trouble().is_some()).await;
    assert_eq!(cost(&b.trouble().unwrap()), words);
    lab.until(seconds(30), || lab.crew.alive() == 0).await;
    let farewells = lab.crew.farewells();
    assert!(farewells.iter().all(|why| why.contains("told to stop") || *why == words));
    // It stays so.
    lab.during(seconds(300), |_| {
        assert!(a.trouble().is_some() && b.trouble().is_some() && lab.crew.alive() == 0);
    })
    .await;
    assert_eq!(a.manifest().state, SessionState::Closed);
    check_results(&a, &tasks).await;
    let spent = b.spent(&b.workers().await.unwrap()).await.unwrap().unwrap();
    assert!(spent.total_usd >= 5.0 && spent.total_usd < 5.5, "{spent:?}");
    assert_eq!(spent.hourly_usd, 0.0);
    // Those who come later are told why, too.
    let task = submit_one(&a).unwrap_err();
    assert_eq!(cost(&task), words);
    let late = lab.attach("late", &a).await;
    lab.until(seconds(5), || late.trouble().is_some()).await;
    assert_eq!(cost(&late.trouble().unwrap()), words);
    check_results(&late, &tasks).await;
}

#[tokio::test(start_paused = true)]
async fn a_sum_to_be_told_of_is_told_once_and_stops_nothing() {
    let lab = Lab::new(seconds(20));
    let mut config = at_most(1_000.0, 2);
    config.budget.as_mut().unwrap().ceiling.alert_usd = Some(2.0);
    let a = lab.create(config).await;
    submit(&a, 50);
    let begun = lab.clock.now();
    let told = Mutex::new(None);
    lab.until(seconds(300), || {
        *told.lock() = a.take_alert();
        told.lock().is_some()
    })
    .await;
    // 2 workers, a cent a second each.
    let passed = lab.clock.now().since(begun);
    assert!(passed >= seconds(90) && passed <= seconds(100) + PATROL * 2, "{passed:?}");
    assert!(told.lock().as_ref().unwrap().contains("cost_alert_threshold"));
    lab.during(seconds(120), |_| assert!(a.take_alert().is_none() && a.trouble().is_none())).await;
}

#[tokio::test(start_paused = true)]
async fn a_listing_and_a_client_that_comes_late_know_what_was_spent() {
    let lab = Lab::new(seconds(20));
    let a = lab.create(at_most(1_000.0, 2)).await;
    let listed = async || list_sessions(&lab.deps("list")).await.unwrap()[0].cost_usd;
    assert_eq!(listed().await, Some(0.0));
    submit(&a, 20);
    lab.until(seconds(600), || completed(&a) == 20).await;
    // While it goes on the listing is behind by a quarter of a lease and a patrol at most: a cent a second each.
    let now = spent(&a).await;
    let seen = listed().await.unwrap();
    assert!(seen > now - 1.0 && seen <= now, "{seen} {now}");
    lab.crew.take_back();
    lab.until(seconds(60), || lab.crew.alive() == 0).await;
    a.leave().await.unwrap();
    let seen = listed().await.unwrap();
    assert!(seen > 3.0 && (seen - spent(&a).await).abs() < 0.01, "{seen}");
    // Also without the records of the workers, such as of some that never said anything.
    let keys = SessionKeys::new(a.session().clone());
    for entry in lab.store.list(&keys.workers(), None).await.unwrap() {
        lab.store.delete(&entry.key).await.unwrap();
    }
    let late = lab.attach("late", &a).await;
    assert!((spent(&late).await - seen).abs() < 1e-9);
    // And whoever leads next goes on from there.
    submit(&late, 20);
    lab.until(seconds(600), || completed(&late) == 40).await;
    late.leave().await.unwrap();
    let in_the_end = listed().await.unwrap();
    assert!(in_the_end > seen + 3.0 && in_the_end < 2.0 * seen + 1.0, "{in_the_end} {seen}");
}

#[tokio::test(start_paused = true)]
async fn what_a_listing_cannot_know_is_not_a_number() {
    let lab = Lab::new(seconds(20));
    for config in [on_ecs(1), SessionConfig { lifetime: Lifetime::Owned, ..at_most(5.0, 1) }] {
        let client = lab.create(config).await;
        let rows = list_sessions(&lab.deps("list")).await.unwrap();
        let row = rows.iter().find(|row| row.session == *client.session()).unwrap();
        assert_eq!(row.cost_usd, None);
    }
}

/// What a client says that its session has cost.
async fn spent(client: &Client) -> f64 {
    let workers = client.workers().await.unwrap();
    client.spent(&workers).await.unwrap().unwrap().total_usd
}

fn submit_one(client: &Client) -> Result<TaskId, Error> {
    use starburst_core::{
        blob::Payload,
        client::NewTask,
        segment::{TaskHeader, TaskKind},
    };
    let header = TaskHeader { kind: TaskKind::Call, label: None, timeout: None };
    client.submit(NewTask { header, payload: Payload::Inline("x".into()), common: None })
}

/// What a worker does that stands by for the lead.
fn lead_inside(lab: &Lab, client: Arc<Client>) {
    let clock = Arc::clone(&lab.clock);
    tokio::spawn(async move {
        loop {
            client.engage();
            clock.sleep(PATROL).await;
        }
    });
}

#[tokio::test(start_paused = true)]
async fn with_no_client_attached_whoever_leads_ends_it() {
    let lab = Lab::new(seconds(20));
    let a = lab.create(at_most(5.0, 2)).await;
    let tasks = submit(&a, 100);
    a.leave().await.unwrap();
    let inside = lab.attach("inside", &a).await;
    lead_inside(&lab, Arc::clone(&inside));
    let passed = lab.until(seconds(600), || inside.trouble().is_some()).await;
    assert!(passed <= seconds(250) + PATROL * 2, "{passed:?}");
    lab.until(seconds(30), || lab.crew.alive() == 0).await;
    let late = lab.attach("late", &a).await;
    lab.until(seconds(5), || late.trouble().is_some()).await;
    cost(&late.trouble().unwrap());
    check_results(&late, &tasks).await;
}

#[tokio::test(start_paused = true)]
async fn workers_with_nothing_to_do_are_paid_for_too() {
    let lab = Lab::new(seconds(20));
    let a = lab.create(at_most(5.0, 2)).await;
    submit(&a, 4);
    lab.until(seconds(200), || completed(&a) == 4).await;
    // Another than the one that started them.
    a.leave().await.unwrap();
    let b = lab.attach("b", &a).await;
    lab.until(seconds(250) + PATROL, || b.manifest().state == SessionState::Closed).await;
    lab.until(seconds(30), || lab.crew.alive() == 0).await;
    cost(&b.trouble().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_ceiling_on_the_hour_holds_the_number_of_workers() {
    let lab = Lab::new(seconds(20));
    let ceiling = Ceiling { max_hourly_usd: Some(3.5), ..Ceiling::default() };
    lab.crew.set_stay(seconds(70));
    let a = lab.create(SessionConfig { budget: budget(1.0, ceiling), ..on_ecs(10) }).await;
    submit(&a, 60);
    let mut most = 0;
    lab.until(seconds(2_000), || {
        most = most.max(lab.crew.alive());
        assert!(a.trouble().is_none());
        completed(&a) == 60
    })
    .await;
    assert_eq!(most, 3);
    assert!(lab.crew.launches("a").len() > 6);
}
