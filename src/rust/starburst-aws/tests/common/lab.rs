//! A cluster in the stand-in for ECS, whose workers are shell scripts.
use super::{
    account::{QuickClock, account},
    within_bounds,
};
use starburst_aws::{
    account::Account,
    ecs::{
        EcsLauncher,
        prepare::{Site, Spot, Wanted},
        task_definition::{self, WorkerTask},
    },
};
use starburst_core::{
    clock::Clock as _,
    compute::EcsFleet,
    cost::Ceiling,
    ids::{SessionId, WorkerId},
    launch::{Fate, Fates as _, LaunchSpec},
};
use starburst_local::SystemIds;
use starburst_testkit::aws::{AwsServer, Settings};
use std::{sync::Arc, time::Duration};

/// Lives until it is told to stop.
pub(crate) const STAYS: &str = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done";

pub(crate) struct Lab {
    pub(crate) server: AwsServer,
    pub(crate) account: Account,
    pub(crate) clock: Arc<QuickClock>,
    pub(crate) fleet: EcsFleet,
}

/// A worker is this script; its arguments are those of a worker.
pub(crate) fn settings(script: &str) -> Settings {
    Settings {
        clusters: vec!["lab".into()],
        program: ["/bin/sh", "-c", script, "worker"].map(str::to_owned).to_vec(),
        start_delay: Duration::from_millis(20),
        ..Settings::default()
    }
}

/// Tasks that nothing comes of while a test looks.
pub(crate) fn slow() -> Settings {
    Settings { start_delay: Duration::from_secs(3_600), limits: false, ..settings("true") }
}

pub(crate) fn worker_task() -> WorkerTask {
    WorkerTask {
        fargate: true,
        cpu: 1.0,
        memory_mib: 2_048,
        arm: false,
        image: "registry/worker:1".into(),
        execution_role: "arn:aws:iam::123456789012:role/starburst-execution".into(),
        task_role: "arn:aws:iam::123456789012:role/starburst-task".into(),
        log_group: "starburst".into(),
        region: "us-east-1".into(),
        ephemeral_gib: 20,
        stack: "starburst".into(),
        secrets: Vec::new(),
    }
}

pub(crate) fn site() -> Site {
    let task = worker_task();
    Site {
        stack: task.stack,
        region: task.region,
        cluster: "lab".into(),
        subnets: vec!["subnet-1".into(), "subnet-2".into()],
        security_group: "sg-1".into(),
        execution_role: task.execution_role,
        task_role: task.task_role,
        log_group: task.log_group,
    }
}

pub(crate) fn wanted(workers: u32) -> Wanted {
    Wanted {
        workers,
        cpu: 1.0,
        memory_mib: 2_048,
        instance_type: None,
        spot: Spot::No,
        arm: false,
        image: "registry/worker:1".into(),
        auto_quota_request: false,
        ceiling: Ceiling::default(),
        store: "s3://bucket".into(),
        secrets: Vec::new(),
        user: "ann".into(),
    }
}

impl Lab {
    pub(crate) async fn new(settings: Settings) -> Self {
        let server = AwsServer::start(settings).await.unwrap();
        let (account, clock) = account(&server.endpoint());
        let task_definition = task_definition::ensure(&account, &worker_task()).await.unwrap();
        let site = site();
        let fleet = EcsFleet {
            region: site.region,
            cluster: site.cluster,
            task_definition,
            subnets: site.subnets,
            security_groups: vec![site.security_group],
            provider: "FARGATE".into(),
            fallback: None,
            vcpu_each: 1.0,
            quota_name: "Fargate".into(),
            vcpu_quota: Some(4_000.0),
            store: "s3://bucket".into(),
            log_group: site.log_group,
            user: "ann".into(),
        };
        Self { server, account, clock, fleet }
    }

    pub(crate) fn launcher(&self) -> EcsLauncher {
        self.launcher_of(self.fleet.clone())
    }

    pub(crate) fn on(&self, provider: &str, fallback: Option<&str>) -> EcsLauncher {
        let fallback = fallback.map(str::to_owned);
        self.launcher_of(EcsFleet { provider: provider.into(), fallback, ..self.fleet.clone() })
    }

    pub(crate) fn launcher_of(&self, fleet: EcsFleet) -> EcsLauncher {
        EcsLauncher::new(self.account.clone(), fleet, self.clock.clone(), Arc::new(SystemIds))
    }

    /// What was seen of tasks is old from here on.
    pub(crate) async fn later(&self) {
        self.clock.sleep(Duration::from_secs(11)).await;
    }

    /// Why a worker is gone, once it is.
    pub(crate) async fn gone(&self, launcher: &EcsLauncher, worker: &WorkerId) -> String {
        within_bounds(async || {
            self.later().await;
            match launcher.fate(worker, None).await {
                Fate::Gone(why) => Some(why),
                Fate::Alive => None,
                Fate::Unknown => panic!("it is not known"),
            }
        })
        .await
    }

    /// Waits for a worker's first line.
    pub(crate) async fn is_up(&self, worker: &WorkerId) {
        let up = || self.server.output(worker.as_str()).iter().any(|line| line == "up");
        within_bounds(async || up().then_some(())).await;
    }

    /// Requests for an operation so far.
    pub(crate) fn count(&self, operation: &str) -> u64 {
        self.server.counts().get(operation).copied().unwrap_or(0)
    }

    /// Tasks of any state.
    pub(crate) fn tasks(&self) -> usize {
        self.server.statuses().values().sum()
    }
}

pub(crate) fn specs(session: &str, count: u32) -> Vec<LaunchSpec> {
    let spec = |rank| LaunchSpec {
        session: SessionId::parse(session).unwrap(),
        worker: WorkerId::parse(&format!("asked{rank}")).unwrap(),
        rank,
        cpu: 1.0,
        detached: true,
    };
    (0..count).map(spec).collect()
}

/// The tasks that these workers are.
pub(crate) fn names(workers: &[WorkerId]) -> Vec<String> {
    workers.iter().map(ToString::to_string).collect()
}
