//! Simulated workers: the real worker loop, started by a launcher that at times starts one twice.
use super::{
    evaluator::SimR,
    process::{Power, Switch},
    world::{Process, World},
};
use async_trait::async_trait;
use starburst_core::{
    clock::{Clock, UnixMillis},
    downloads::MemoryCache,
    heartbeat::ProcessId,
    ids::{SessionId, WorkerId},
    key::SessionKeys,
    launch::{Fate, Fates, LaunchError, LaunchSpec, Launcher, LogPart},
    uploads::Uploads,
    worker::{self, Told, WorkerConfig, WorkerDeps},
};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::sync::watch;

/// Launches simulated workers, at times twice.
#[derive(Debug)]
pub(super) struct Crew(pub(super) Arc<World>);

#[async_trait]
impl Fates for Crew {
    async fn fate(&self, _: &WorkerId, _: Option<&ProcessId>) -> Fate {
        Fate::Unknown
    }
}

#[async_trait]
impl Launcher for Crew {
    async fn launch(&self, spec: &LaunchSpec) -> Result<(), LaunchError> {
        let world = &self.0;
        let twice = world.weather.twice > 0 && world.dice.one_in(world.weather.twice);
        for copy in 0..=u32::from(twice) {
            let switch = Switch::default();
            let task = tokio::spawn(work(Arc::clone(world), spec.clone(), switch.clone()));
            let name = format!("{}{}", spec.worker, if copy > 0 { " (again)" } else { "" });
            world.note(format!("worker {name} starts"));
            world.workers.lock().push(Process { name, switch, task });
        }
        Ok(())
    }
    async fn stop(&self, worker: &WorkerId, _: Option<&ProcessId>) {
        for process in self.0.workers.lock().iter() {
            if process.name.starts_with(worker.as_str()) {
                process.task.abort();
                process.switch.set(Power::Dead);
            }
        }
    }
    async fn log(&self, _: &SessionId, _: &WorkerId, _: LogPart) -> String {
        String::new()
    }
    async fn forget_logs(&self, _: &SessionId) {}
}

async fn work(world: Arc<World>, spec: LaunchSpec, switch: Switch) {
    // Every process has a wall clock of its own, up to a day off in either direction.
    let wall = Duration::from_secs(1_000_000 - 86_400 + world.dice.below(2 * 86_400));
    let clock = Arc::new(world.clock.with_wall(UnixMillis(0).plus(wall)));
    let store = world.reached(&switch, &clock);
    let mut evaluator = SimR {
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        dice: Arc::clone(&world.dice),
        switch,
        r_dies: world.weather.r_dies,
        jobs: VecDeque::new(),
    };
    let session = SessionKeys::new(spec.session.clone());
    let uploads = Uploads::new(Arc::clone(&store), session, clock.clone());
    let deps = WorkerDeps {
        store,
        clock,
        ids: Arc::clone(&world.dice) as Arc<dyn starburst_core::ids::Ids>,
        fates: Arc::new(Crew(Arc::clone(&world))),
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
    let keys = SessionKeys::new(config.session.clone());
    let Ok(manifest) = worker::admit(&*deps.store, &keys).await else {
        return;
    };
    let _ = worker::run(deps, config, manifest, &mut evaluator, told).await;
}
