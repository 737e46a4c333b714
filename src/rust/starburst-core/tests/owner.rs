//! The workers of a `plan()` session leave when its owner is gone, and those of a detached session do not.
#![allow(clippy::unwrap_used)] // a test's helper fails its test
use async_trait::async_trait;
use starburst_core::{
    client::{Client, Deps, SessionConfig},
    clock::Clock,
    downloads::MemoryCache,
    heartbeat::ProcessId,
    ids::{Ids, WorkerId},
    key::SessionKeys,
    manifest::{ClientR, Lifetime},
    pace::Pace,
    store::Store,
    travel::Travel,
    uploads::Uploads,
    worker::{
        self, Told, WorkerConfig, WorkerDeps,
        evaluator::{Evaluator, Event, Job},
    },
};
use starburst_testkit::{FakeLauncher, ManualClock, MemStore, SeededIds};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};

/// Never has anything to say.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl Evaluator for Silent {
    async fn submit(&mut self, _: Job) -> Result<(), String> {
        Ok(())
    }
    async fn event(&mut self) -> Event {
        std::future::pending().await
    }
    async fn kill(&mut self) {}
}

/// How long a worker stays once the client of its session has gone without a word, after `minutes` together.
async fn stays(lifetime: Lifetime, pace: Pace, minutes: u64, seed: u64) -> (Duration, String) {
    let clock = Arc::new(ManualClock::new(Instant::now(), Duration::from_secs(1_000_000)));
    let store: Arc<dyn Store> = Arc::new(MemStore::default());
    let ids: Arc<dyn Ids> = Arc::new(SeededIds::new(seed));
    let deps = Deps {
        store: Arc::clone(&store),
        launcher: Arc::new(FakeLauncher::new(|_| Ok(()))),
        clock: clock.clone(),
        ids: Arc::clone(&ids),
    };
    let config = SessionConfig {
        lifetime,
        workers: 1,
        cpu: 1.0,
        memory_mib: 1024,
        launch_type: "LOCAL".into(),
        compute: starburst_core::compute::Compute::Local,
        budget: None,
        environment: None,
        task_timeout: None,
        travel: Travel::default(),
        idle_timeout: Duration::from_secs(3_600),
        absolute_timeout: Duration::from_secs(100_000),
        max_attempts: 3,
        backup_tasks: false,
        pace,
        client: ClientR { r: (4, 2), future: "1.31.0".into() },
    };
    let client = Client::create(deps, config).await.unwrap();
    let keys = SessionKeys::new(client.session().clone());
    let worker_deps = WorkerDeps {
        store: Arc::clone(&store),
        clock: clock.clone(),
        ids,
        fates: Arc::new(FakeLauncher::new(|_| Ok(()))),
        uploads: Uploads::new(Arc::clone(&store), keys.clone(), clock.clone()),
        cache: Arc::new(MemoryCache::new(0)),
    };
    let worker_config = WorkerConfig {
        session: client.session().clone(),
        worker: WorkerId::parse("w").unwrap(),
        rank: 0,
        process: ProcessId { host: "h".into(), pid: 1, started: 0 },
        grace: Duration::from_secs(1),
    };
    let manifest = worker::admit(&*store, &keys).await.unwrap();
    let working = tokio::spawn(async move {
        let (_keep, told) = watch::channel(Told::default());
        worker::run(worker_deps, worker_config, manifest, &mut Silent, told).await
    });
    clock.sleep(Duration::from_secs(60 * minutes + seed)).await;
    assert!(!working.is_finished());
    let gone = clock.now();
    client.stop();
    let reason = working.await.unwrap().unwrap();
    (clock.now().since(gone), reason)
}

#[tokio::test(start_paused = true)]
async fn the_workers_of_a_plan_leave_within_60_to_90_seconds_of_its_owners_death() {
    for seed in 0..40 {
        let (stayed, reason) = stays(Lifetime::Owned, Pace::remote(), 5, seed).await;
        assert!(reason.contains("owns this plan is gone"), "{reason}");
        let seconds = stayed.as_secs();
        assert!((60..=90).contains(&seconds), "seed {seed}: {seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn the_workers_of_a_detached_session_stay_for_its_idle_time() {
    let (stayed, reason) = stays(Lifetime::Detached, Pace::remote(), 5, 1).await;
    assert!(stayed > Duration::from_secs(3_000), "{stayed:?}");
    assert!(reason.contains("nothing to do"), "{reason}");
}
