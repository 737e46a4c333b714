//! Workers as ECS tasks, against the stand-in: started, watched and stopped.
#![allow(clippy::unwrap_used, clippy::panic)] // a test's helper fails its test
mod common;

use common::lab::{Lab, STAYS, names, settings, slow, specs, worker_task};
use starburst_aws::ecs::{
    task_definition::{self, WorkerTask},
    tasks,
};
use starburst_core::{
    compute::EcsFleet,
    ids::{SessionId, WorkerId},
    launch::{Fate, Fates as _, LaunchError, Launched, Launcher as _},
};
use starburst_testkit::aws::{FARGATE_ON_DEMAND, Fault, NO_CAPACITY, Rule, Settings};
use std::{collections::BTreeSet, time::Duration};

/// The workers, where all were started.
fn all(launched: Launched) -> Vec<WorkerId> {
    assert!(launched.refused.is_none(), "{:?}", launched.refused);
    launched.workers
}

#[tokio::test]
async fn the_same_worker_is_registered_once() {
    let lab = Lab::new(settings("true")).await;
    let ensure =
        async |worker: &WorkerTask| task_definition::ensure(&lab.account, worker).await.unwrap();
    let first = ensure(&worker_task()).await;
    assert_eq!(
        (first.clone(), lab.count("RegisterTaskDefinition")),
        (lab.fleet.task_definition.clone(), 1)
    );
    assert!(first.ends_with(":1") && first.contains("/starburst-"), "{first}");
    let larger = WorkerTask { ephemeral_gib: 100, ..worker_task() };
    let on_instances = WorkerTask { fargate: false, ..worker_task() };
    for other in [larger, on_instances] {
        assert_ne!(ensure(&other).await, first);
    }
    assert_eq!(lab.count("RegisterTaskDefinition"), 3);
}

#[tokio::test]
async fn twenty_five_workers_are_three_calls_and_each_is_its_task() {
    let lab = Lab::new(settings("echo \"$@\"; echo $ECS_CONTAINER_METADATA_URI_V4")).await;
    let launcher = lab.launcher();
    let workers = all(launcher.launch_all(&specs("s", 25)).await);
    assert_eq!((lab.count("RunTask"), lab.tasks()), (3, 25));
    assert_eq!(workers.iter().collect::<BTreeSet<_>>().len(), 25);
    let mut groups = Vec::new();
    for worker in &workers {
        assert_eq!(worker.as_str().len(), 32);
        lab.gone(&launcher, worker).await;
        let said = lab.server.output(worker.as_str());
        assert!(said[1].ends_with(worker.as_str()), "{said:?}");
        let (before, group) = said[0].split_once(" --ranks ").unwrap();
        groups.push(group.to_owned());
        let (before, rank) = before.rsplit_once(" --rank ").unwrap();
        assert!(["0", "10", "20"].contains(&rank), "{rank}");
        assert_eq!(before, "--on-ecs --store s3://bucket --region us-east-1 --session s");
    }
    let of = |size: &str| groups.iter().filter(|group| *group == size).count();
    assert_eq!((of("10 --cpu 1"), of("5 --cpu 1")), (20, 5));
    let task = &tasks::describe(&lab.account, "lab", &names(&workers[..1])).await.unwrap()[0];
    assert_eq!((task.started_by(), task.capacity_provider_name()), (Some("s"), Some("FARGATE")));
}

#[tokio::test]
async fn two_sessions_in_one_cluster_are_told_apart() {
    let lab = Lab::new(slow()).await;
    let launcher = lab.launcher();
    let mut mine = all(launcher.launch_all(&specs("mine", 3)).await);
    all(launcher.launch_all(&specs("other", 4)).await);
    let session = SessionId::parse("mine").unwrap();
    // By a process that started none of them.
    let mut found = lab.launcher().workers_of(&session).await.unwrap();
    mine.sort();
    found.sort();
    assert_eq!(found, mine);
    let nobody = SessionId::parse("nobody").unwrap();
    assert!(launcher.workers_of(&nobody).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_worker_lives_until_it_ends_and_then_says_how() {
    let script = format!(
        "case \"$*\" in *'--rank 0 '*) exit 0;; *'--rank 1 '*) exit 3;; *'--rank 2 '*) kill -9 $$;; \
         *) {STAYS};; esac"
    );
    let lab = Lab::new(settings(&script)).await;
    let launcher = lab.launcher();
    let specs = specs("s", 4);
    let mut workers = Vec::new();
    for spec in &specs {
        workers.extend(all(launcher.launch_all(std::slice::from_ref(spec)).await));
    }
    assert_eq!(launcher.fate(&workers[0], None).await, Fate::Alive);
    for (worker, expected) in workers.iter().zip([
        "its container ended",
        "its container ended with exit code 3",
        "it was killed (exit code 137), most often for using more memory than it has; use a larger `memory`",
    ]) {
        assert_eq!(lab.gone(&launcher, worker).await, expected);
    }
    lab.is_up(&workers[3]).await;
    lab.later().await;
    assert_eq!(launcher.fate(&workers[3], None).await, Fate::Alive);
    launcher.stop(&workers[3], None).await;
    assert_eq!(lab.gone(&launcher, &workers[3]).await, "it was stopped: its session ended");
    // What has ended is stopped in vain.
    launcher.stop(&workers[3], None).await;
    assert_eq!(launcher.fate(&WorkerId::parse("never").unwrap(), None).await, Fate::Unknown);
}

#[tokio::test]
async fn what_kept_a_worker_from_its_work_is_said_with_what_to_do() {
    let lab = Lab::new(settings(STAYS)).await;
    let launcher = lab.launcher();
    for (fault, expected) in [
        (
            Fault::PullFailure,
            [
                "its image cannot be pulled: CannotPull",
                "registry/worker:1: not found; check `image =`",
            ],
        ),
        (
            Fault::EniFailure,
            ["its network could not be set up: ", "check that the subnets have free addresses"],
        ),
        (
            Fault::NetworkFailure,
            ["its network could not be set up: ", "and a route to the internet"],
        ),
        (
            Fault::RoleFailure,
            [
                "ECS may not use the execution role, or",
                "run starburst_setup() again, or ask your administrator",
            ],
        ),
        (
            Fault::OutOfMemory { after: Duration::from_millis(50) },
            ["it used more memory than it has", "use a larger `memory`"],
        ),
    ] {
        lab.server.add_rule(Rule::once("RunTask", fault));
        let workers = all(launcher.launch_all(&specs("s", 1)).await);
        let why = lab.gone(&launcher, &workers[0]).await;
        assert!(why.starts_with(expected[0]) && why.contains(expected[1]), "{why}");
    }
    let secrets = vec![("TOKEN".into(), "arn:of:nothing".into())];
    let secretive = WorkerTask { secrets, ..worker_task() };
    let task_definition = task_definition::ensure(&lab.account, &secretive).await.unwrap();
    let launcher = lab.launcher_of(EcsFleet { task_definition, ..lab.fleet.clone() });
    let workers = all(launcher.launch_all(&specs("s", 1)).await);
    let why = lab.gone(&launcher, &workers[0]).await;
    assert!(
        why.starts_with("ECS may not read a secret") && why.contains("arn:of:nothing"),
        "{why}"
    );
    let spot = lab.on("FARGATE_SPOT", None);
    let workers = all(spot.launch_all(&specs("s", 1)).await);
    lab.is_up(&workers[0]).await;
    assert_eq!(lab.server.interrupt_spot(), 1);
    assert_eq!(lab.gone(&spot, &workers[0]).await, "AWS took its Spot capacity back");
}

#[tokio::test]
async fn workers_are_asked_about_in_hundreds_and_not_too_often() {
    let lab = Lab::new(slow()).await;
    let launcher = lab.launcher();
    let workers = all(launcher.launch_all(&specs("s", 230)).await);
    let other = lab.launcher();
    assert_eq!(other.workers_of(&SessionId::parse("s").unwrap()).await.unwrap().len(), 230);
    for asking in [&launcher, &other] {
        lab.later().await;
        lab.server.reset_counts();
        for _ in 0..2 {
            for worker in &workers {
                assert_eq!(asking.fate(worker, None).await, Fate::Alive);
            }
        }
        assert_eq!(lab.count("DescribeTasks"), 3);
    }
    lab.server.reset_counts();
    assert_eq!((launcher.limits().await.used_by_others, lab.count("DescribeTasks")), (230.0, 3));
}

#[tokio::test]
async fn a_quota_is_used_up_and_becomes_free_again() {
    let lab = Lab::new(Settings { stop_timeout: Some(Duration::ZERO), ..settings(STAYS) }).await;
    lab.server.set_quota(FARGATE_ON_DEMAND, Some(4.0));
    let launcher = lab.launcher();
    let launched = launcher.launch_all(&specs("s", 25)).await;
    assert_eq!((launched.workers.len(), lab.count("RunTask")), (4, 1));
    let refused = launched.refused.unwrap();
    assert!(matches!(refused, LaunchError::Refused { .. }));
    let words = refused.to_string();
    assert!(
        words.starts_with("no room to start a worker: the account's vCPU quota is used up"),
        "{words}"
    );
    let limits = launcher.limits().await;
    assert_eq!((limits.vcpu, limits.used_by_others), (Some(4_000.0), 4.0));
    launcher.stop(&launched.workers[0], None).await;
    lab.gone(&launcher, &launched.workers[0]).await;
    assert_eq!(launcher.limits().await.used_by_others, 3.0);
    assert_eq!(launcher.launch_all(&specs("s", 2)).await.workers.len(), 1);
}

#[tokio::test]
async fn spot_falls_back_to_on_demand_where_there_is_no_spare_capacity() {
    let lab = Lab::new(slow()).await;
    let refused = Fault::Refused { reason: NO_CAPACITY.into() };
    // Two of three find room.
    let spot = Rule { provider: Some("FARGATE_SPOT".into()), skip: 2, ..Rule::always(refused) };
    lab.server.add_rule(spot);
    let workers = all(lab.on("FARGATE_SPOT", Some("FARGATE")).launch_all(&specs("s", 3)).await);
    let there = tasks::describe(&lab.account, "lab", &names(&workers)).await.unwrap();
    assert_eq!((tasks::vcpu(&there, "FARGATE_SPOT"), tasks::vcpu(&there, "FARGATE")), (2.0, 1.0));
    let launched = lab.on("FARGATE_SPOT", None).launch_all(&specs("s", 3)).await;
    assert!(launched.workers.is_empty());
    assert_eq!(
        launched.refused.unwrap().to_string(),
        format!(
            "no room to start a worker: AWS has no capacity for FARGATE_SPOT in this region now ({NO_CAPACITY}); \
             it is tried again"
        )
    );
}
