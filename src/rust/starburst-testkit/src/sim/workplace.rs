//! What the simulation and the loads have in common: a session's configuration, its tasks, and workers that run the
//! real worker loop with an R that is simulated.
use crate::{ManualClock, SeededIds};
use async_trait::async_trait;
use bytes::Bytes;
use starburst_core::{
    blob::Payload,
    client::{NewTask, SessionConfig},
    compute::Compute,
    downloads::MemoryCache,
    heartbeat::ProcessId,
    ids::{SessionId, WorkerId},
    key::SessionKeys,
    launch::{Fate, Fates, LaunchError, LaunchSpec, Launcher, LogPart},
    manifest::{ClientR, Lifetime},
    pace::Pace,
    retry::{RetryPolicy, RetryStore},
    segment::{TaskHeader, TaskKind},
    store::Store,
    travel::Travel,
    uploads::Uploads,
    worker::{self, Told, WorkerConfig, WorkerDeps, evaluator::Evaluator},
};
use std::{fmt::Debug, sync::Arc, time::Duration};
use tokio::sync::watch;

/// Where workers are started.
pub(super) trait Workplace: Debug + Send + Sync + 'static {
    /// Starts a worker.
    ///
    /// # Errors
    /// Why it does not.
    fn start(self: &Arc<Self>, spec: &LaunchSpec) -> Result<(), LaunchError>;
    /// Stops one, where workers can be stopped.
    fn stop(&self, _: &WorkerId) {}
    /// What is known of one besides its heartbeat.
    fn fate(&self, _: &WorkerId) -> Fate {
        Fate::Unknown
    }
}

/// Launches simulated workers.
#[derive(Debug)]
pub(super) struct Crew<W>(pub(super) Arc<W>);

#[async_trait]
impl<W: Workplace> Fates for Crew<W> {
    async fn fate(&self, worker: &WorkerId, _: Option<&ProcessId>) -> Fate {
        self.0.fate(worker)
    }
}

#[async_trait]
impl<W: Workplace> Launcher for Crew<W> {
    async fn launch(&self, spec: &LaunchSpec) -> Result<(), LaunchError> {
        self.0.start(spec)
    }
    async fn stop(&self, worker: &WorkerId, _: Option<&ProcessId>) {
        self.0.stop(worker);
    }
    async fn log(&self, _: &SessionId, _: &WorkerId, _: LogPart) -> String {
        String::new()
    }
    async fn forget_logs(&self, _: &SessionId) {}
}

/// A worker's life, from its start until it leaves.
pub(super) async fn work(
    place: &Arc<impl Workplace>,
    spec: LaunchSpec,
    (store, uploads): (Arc<dyn Store>, Arc<Uploads>),
    clock: Arc<ManualClock>,
    ids: Arc<SeededIds>,
    evaluator: &mut dyn Evaluator,
) {
    let keys = SessionKeys::new(spec.session.clone());
    let deps = WorkerDeps {
        store,
        clock,
        ids,
        fates: Arc::new(Crew(Arc::clone(place))),
        uploads,
        cache: Arc::new(MemoryCache::new(1 << 20)),
    };
    let config = WorkerConfig {
        session: spec.session,
        worker: spec.worker,
        rank: spec.rank,
        process: ProcessId { host: "sim".into(), pid: spec.rank, started: 0 },
        grace: Duration::from_secs(30),
    };
    let (_keep, told) = watch::channel(Told::default());
    let Ok(manifest) = worker::admit(&*deps.store, &keys).await else {
        return;
    };
    let _ = worker::run(deps, config, manifest, evaluator, told).await;
}

/// A store as processes use it: what passes is tried again.
pub(super) fn with_retries(
    store: Arc<dyn Store>,
    clock: &Arc<ManualClock>,
    ids: &Arc<SeededIds>,
) -> Arc<dyn Store> {
    let (clock, ids) = (Arc::clone(clock), Arc::clone(ids));
    Arc::new(RetryStore::new(store, clock, ids, RetryPolicy::default()))
}

pub(super) fn task(payload: Bytes) -> NewTask {
    let header = TaskHeader { kind: TaskKind::Call, label: None, timeout: None };
    NewTask { header, payload: Payload::Inline(payload), common: None }
}

/// A detached session with the pace of S3.
pub(super) fn config(workers: u32, idle_timeout: Duration) -> SessionConfig {
    SessionConfig {
        lifetime: Lifetime::Detached,
        workers,
        cpu: 1.0,
        memory_mib: 1024,
        launch_type: "LOCAL".into(),
        compute: Compute::Local,
        budget: None,
        environment: None,
        task_timeout: None,
        travel: Travel::default(),
        idle_timeout,
        absolute_timeout: Duration::from_secs(100 * 86_400),
        max_attempts: 3,
        backup_tasks: false,
        pace: Pace::remote(),
        client: ClientR { r: (4, 2), future: "1.31.0".into() },
    }
}
