//! A session whose workers are real loops in virtual time, and a launcher that can be short of everything.
#![allow(dead_code)] // each test file uses its share
#![allow(clippy::unwrap_used)] // a test's helper fails its test
pub(crate) mod crew;
pub(crate) mod host;
pub(crate) mod late;

use crew::{Crew, Door};
use starburst_core::{
    blob::Payload,
    client::{Client, Deps, NewTask, SessionConfig},
    clock::Clock,
    compute::{Budget, Compute, EcsFleet},
    cost::{Ceiling, Price},
    ids::{Ids, TaskId},
    manifest::{ClientR, Lifetime},
    pace::Pace,
    segment::{TaskHeader, TaskKind},
    store::Store,
    travel::Travel,
};
use starburst_testkit::{ManualClock, MemStore, SeededIds};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

pub(crate) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// One store, one time, and one crew.
pub(crate) struct Lab {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) crew: Arc<Crew>,
}

impl Lab {
    /// Each task takes so long.
    pub(crate) fn new(task: Duration) -> Self {
        Self::on(Arc::new(MemStore::default()), task)
    }

    pub(crate) fn on(store: Arc<dyn Store>, task: Duration) -> Self {
        let clock = Arc::new(ManualClock::new(Instant::now(), seconds(1_000_000)));
        let ids: Arc<dyn Ids> = Arc::new(SeededIds::new(7));
        let crew = Crew::new(Arc::clone(&store), clock.clone(), Arc::clone(&ids), task);
        Self { clock, store, ids, crew }
    }

    /// What a client works with whose launches are told by this name.
    pub(crate) fn deps(&self, name: &'static str) -> Deps {
        Deps {
            store: Arc::clone(&self.store),
            launcher: Arc::new(Door { crew: Arc::clone(&self.crew), name }),
            clock: self.clock.clone(),
            ids: Arc::clone(&self.ids),
        }
    }

    pub(crate) async fn create(&self, config: SessionConfig) -> Arc<Client> {
        Client::create(self.deps("a"), config).await.unwrap()
    }

    /// Another client of the session, that wants it to get on.
    pub(crate) async fn attach(&self, name: &'static str, client: &Client) -> Arc<Client> {
        let session = client.session().clone();
        let other = Client::attach(self.deps(name), session).await.unwrap();
        other.engage();
        other
    }

    /// Looks every second until `done` says so; time is virtual.
    pub(crate) async fn until(&self, most: Duration, mut done: impl FnMut() -> bool) -> Duration {
        let begun = self.clock.now();
        while !done() {
            let passed = self.clock.now().since(begun);
            assert!(passed < most, "it did not come to that in {passed:?}");
            self.clock.sleep(seconds(1)).await;
        }
        self.clock.now().since(begun)
    }

    /// Looks every second for so long.
    pub(crate) async fn during(&self, time: Duration, mut look: impl FnMut(Duration)) {
        let begun = self.clock.now();
        while self.clock.now().since(begun) < time {
            look(self.clock.now().since(begun));
            self.clock.sleep(seconds(1)).await;
        }
    }
}

/// A detached session on ECS.
pub(crate) fn on_ecs(workers: u32) -> SessionConfig {
    SessionConfig {
        lifetime: Lifetime::Detached,
        workers,
        cpu: 1.0,
        memory_mib: 2_048,
        launch_type: "FARGATE".into(),
        compute: Compute::Ecs(Box::new(EcsFleet {
            region: "us-east-1".into(),
            cluster: "lab".into(),
            task_definition: "starburst-1:1".into(),
            subnets: vec!["subnet-1".into()],
            security_groups: vec!["sg-1".into()],
            provider: "FARGATE".into(),
            fallback: None,
            vcpu_each: 1.0,
            quota_name: "Fargate".into(),
            vcpu_quota: Some(4.0),
            store: "s3://bucket".into(),
            log_group: "starburst".into(),
            user: "ann".into(),
        })),
        budget: None,
        environment: None,
        task_timeout: None,
        travel: Travel::default(),
        idle_timeout: seconds(3_600),
        absolute_timeout: seconds(100_000),
        max_attempts: 3,
        backup_tasks: false,
        pace: Pace::remote(),
        client: ClientR { r: (4, 2), future: "1.31.0".into() },
    }
}

/// A worker costs so much an hour.
pub(crate) fn budget(usd_per_hour: f64, ceiling: Ceiling) -> Option<Budget> {
    let price = Price {
        usd_per_hour,
        minimum: seconds(60),
        as_of: "2026-11".into(),
        what: "1 vCPU, 2 GB on Fargate".into(),
    };
    Some(Budget { price, ceiling })
}

pub(crate) fn submit(client: &Client, tasks: usize) -> Vec<TaskId> {
    let task = |number: usize| NewTask {
        header: TaskHeader { kind: TaskKind::Call, label: None, timeout: None },
        payload: Payload::Inline(format!("task {number}").into_bytes().into()),
        common: None,
    };
    (0..tasks).map(|number| client.submit(task(number)).unwrap()).collect()
}

pub(crate) fn completed(client: &Client) -> u64 {
    client.summary().completed
}
