//! The fleet on ECS: as many workers as there is room for and never more, and what a user is told when there is none.
#![allow(clippy::unwrap_used)] // a test's helper fails its test
mod common;

use common::{Lab, completed, on_ecs, seconds, submit};
use starburst_core::{clock::Clock, error::ErrorKind, launch::LaunchError};
use std::{sync::Arc, time::Duration};

const PATROL: Duration = Duration::from_secs(15);

fn no_capacity() -> LaunchError {
    LaunchError::Refused { message: "AWS has no capacity for FARGATE in this region now".into() }
}

#[tokio::test(start_paused = true)]
async fn a_quota_of_4_keeps_4_of_10_workers_going_until_all_is_done() {
    let lab = Lab::new(seconds(20));
    lab.crew.set_quota(4.0);
    lab.crew.set_stay(seconds(70));
    let client = lab.create(on_ecs(10)).await;
    submit(&client, 100);
    let (mut short, mut fewest) = (Duration::ZERO, 4);
    lab.until(seconds(5_000), || {
        let (alive, left) = (lab.crew.alive(), 100 - completed(&client));
        assert!(alive <= 4, "{alive} at a time");
        if alive < 4 && left >= 4 {
            short += seconds(1);
            fewest = fewest.min(alive);
            assert!(short <= PATROL + seconds(1), "{alive} for {short:?}");
        } else {
            short = Duration::ZERO;
        }
        assert!(client.trouble().is_none());
        left == 0
    })
    .await;
    // Some were replaced, or nothing was tested.
    assert!(lab.crew.launches("a").len() > 8 && fewest < 4);
}

#[tokio::test(start_paused = true)]
async fn two_minutes_without_capacity_are_told_after_one_and_pass() {
    let lab = Lab::new(seconds(20));
    let clock = Arc::clone(&lab.clock);
    let begun = clock.now();
    lab.crew.refuse(move |_| (clock.now().since(begun) < seconds(120)).then(no_capacity));
    let client = lab.create(on_ecs(4)).await;
    submit(&client, 40);
    let mut told = None;
    lab.during(seconds(119), |passed| {
        if let Some(trouble) = client.trouble() {
            assert_eq!(trouble.kind(), ErrorKind::Capacity);
            assert!(trouble.chain().join(": ").contains("no capacity for FARGATE"));
            told.get_or_insert(passed);
        } else {
            assert!(told.is_none());
        }
    })
    .await;
    let told = told.unwrap();
    assert!(told >= seconds(60) && told <= seconds(60) + PATROL, "{told:?}");
    // A try a round, and no more.
    assert!((8..=10).contains(&lab.crew.refusals()), "{}", lab.crew.refusals());
    lab.until(PATROL * 2, || lab.crew.alive() == 4).await;
    assert!(client.trouble().is_none());
    lab.until(seconds(1_000), || completed(&client) == 40).await;
}

#[tokio::test(start_paused = true)]
async fn who_wants_to_go_on_waits_anew_for_capacity() {
    let lab = Lab::new(seconds(20));
    lab.crew.refuse(|_| Some(no_capacity()));
    let client = lab.create(on_ecs(4)).await;
    submit(&client, 4);
    for _ in 0..3 {
        lab.during(seconds(59), |_| assert!(client.trouble().is_none())).await;
        lab.until(PATROL + seconds(2), || client.trouble().is_some()).await;
        client.engage();
    }
    lab.crew.refuse_nothing();
    lab.until(seconds(200), || completed(&client) == 4).await;
}

#[tokio::test(start_paused = true)]
async fn as_long_as_one_worker_gets_on_it_is_no_trouble_that_others_find_no_room() {
    let lab = Lab::new(seconds(20));
    lab.crew.refuse(|alive| (alive > 0).then(no_capacity));
    let client = lab.create(on_ecs(4)).await;
    submit(&client, 30);
    lab.until(seconds(2_000), || {
        assert!(client.trouble().is_none());
        completed(&client) == 30
    })
    .await;
    assert_eq!(lab.crew.launches("a").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_quota_below_one_worker_is_told_at_once_with_what_to_do() {
    let lab = Lab::new(seconds(20));
    lab.crew.set_quota(0.5);
    let client = lab.create(on_ecs(4)).await;
    submit(&client, 4);
    lab.until(seconds(2), || client.trouble().is_some()).await;
    let trouble = client.trouble().unwrap();
    assert_eq!(trouble.kind(), ErrorKind::Quota);
    assert_eq!(
        trouble.to_string(),
        "the Fargate quota is 0.5 vCPU, 0 in use by others, and one worker needs 1 vCPU: none can start. \
         With cpu = 0.25: 2 at a time. \
         Request 10 vCPU? starburst_request_quota_increase(vcpus = 10, launch_type = \"FARGATE\")"
    );
    assert!(lab.crew.launches("a").is_empty());
    lab.crew.set_quota(4.0);
    lab.until(seconds(200), || completed(&client) == 4).await;
    assert!(client.trouble().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_allowed_is_told_at_once_and_goes_on_when_it_is() {
    let lab = Lab::new(seconds(20));
    for kind in [ErrorKind::Permission, ErrorKind::Unauthenticated] {
        lab.crew.refuse(move |_| {
            let (message, source) =
                ("not allowed: ECS RunTask".into(), "ask for ecs:RunTask".into());
            Some(LaunchError::Denied { kind, message, source })
        });
        let client = lab.create(on_ecs(2)).await;
        submit(&client, 4);
        lab.until(seconds(2), || client.trouble().is_some()).await;
        let trouble = client.trouble().unwrap();
        assert_eq!(trouble.kind(), kind);
        assert_eq!(
            trouble.chain(),
            ["cannot start a worker: not allowed: ECS RunTask", "ask for ecs:RunTask"]
        );
        lab.crew.refuse_nothing();
        lab.until(seconds(200), || completed(&client) == 4).await;
        assert!(client.trouble().is_none());
    }
}
