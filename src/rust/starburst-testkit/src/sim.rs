//! The protocol in virtual time: the real client and worker loops over a store that fails, with workers
//! that crash, stand still and come back. What happened is read from the recorded writes.
use crate::{Fault, FaultStore, ManualClock, MemStore, Operation, SeededIds};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use starburst_core::{
    blob::{Packed, Payload},
    client::{Client, Deps, FetchedEnding, Known, NewTask, SessionConfig},
    clock::Clock,
    clock::Monotonic,
    heartbeat::ProcessId,
    ids::{SessionId, TaskId, WorkerId},
    key::Key,
    launch::{Fate, Fates, LaunchError, LaunchSpec, Launcher, LogSpan},
    manifest::{ClientR, Lifetime},
    pace::Pace,
    segment::{TaskHeader, TaskKind},
    store::{ETag, Entry, Object, Store, StoreError},
    worker::{
        self, WorkerConfig, WorkerDeps,
        evaluator::{Evaluator, Event, Job, Outcome},
    },
};
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

mod history;
pub use history::{History, Violation};

/// How rough a run is.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// One store call in so many is refused; 0 for none.
    pub refuse: u64,
    /// One write in so many gets no answer, done or not; 0 for none.
    pub lose_answer: u64,
    /// A worker crashes about every so many seconds; 0 for never.
    pub crash_s: u64,
    /// A worker stands still, and comes back, about every so many seconds; 0 for never.
    pub pause_s: u64,
    /// One task in so many kills its R; 0 for none.
    pub r_dies: u64,
}

/// What a run ended with.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// Tasks that ended with the right value.
    pub values: usize,
    /// Tasks that failed because their workers were lost.
    pub lost_workers: usize,
    /// Store calls made.
    pub calls: u64,
    /// A fingerprint of every write in order.
    pub fingerprint: u64,
    /// What broke the rules.
    pub violations: Vec<Violation>,
}

/// Runs one seed: submits `tasks` tasks to `workers` workers and waits for all of them.
pub fn run(seed: u64, tasks: usize, workers: u32, weather: Weather) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(World::run(seed, tasks, workers, weather))
}

type Shaky = Arc<FaultStore<History>>;

/// Everything that workers share.
#[derive(Debug)]
struct World {
    store: Shaky,
    dice: Arc<SeededIds>,
    start: Instant,
    weather: Weather,
    crew: Mutex<Vec<Hand>>,
    calm: watch::Sender<bool>,
}

#[derive(Debug)]
struct Hand {
    worker: WorkerId,
    /// Open: works. Shut: stands still.
    gate: Gate,
    task: JoinHandle<()>,
    crashed: bool,
}

impl World {
    async fn run(seed: u64, tasks: usize, workers: u32, weather: Weather) -> Report {
        let dice = Arc::new(SeededIds::new(seed));
        let start = Instant::now();
        let faults = Arc::new(SeededIds::new(seed ^ 0xfa17));
        let (calm, calm_seen) = watch::channel(false);
        let choose = move |operation: Operation, _: &Key| {
            if *calm_seen.borrow() {
                return None;
            }
            if weather.refuse > 0 && faults.one_in(weather.refuse) {
                return Some(Fault::Refuse);
            }
            let lose = operation == Operation::Write && weather.lose_answer > 0;
            let lost = if faults.one_in(2) { Fault::LoseAnswer } else { Fault::LoseRequest };
            (lose && faults.one_in(weather.lose_answer)).then_some(lost)
        };
        let history = History::new(MemStore::default(), start);
        let log = history.log();
        let store = Arc::new(FaultStore::new(history, choose));
        let crew = Mutex::default();
        let world = Arc::new(World { store, dice, start, weather, crew, calm });
        let trouble = tokio::spawn(Arc::clone(&world).make_trouble());
        let (values, lost_workers) = Arc::clone(&world).play(tasks, workers).await;
        trouble.abort();
        let calls = world.store.calls();
        let lease = Pace::remote().lease;
        Report {
            values,
            lost_workers,
            calls,
            fingerprint: log.fingerprint(),
            violations: log.check(lease),
        }
    }

    async fn play(self: Arc<Self>, tasks: usize, workers: u32) -> (usize, usize) {
        let deps = Deps {
            store: self.store.clone(),
            launcher: Arc::new(Crew(Arc::clone(&self))),
            clock: Arc::new(ManualClock::new(self.start, Duration::ZERO)),
            ids: self.dice.clone(),
        };
        let client = loop {
            // Creating may meet a fault too; nothing was acknowledged yet.
            if let Ok(client) = Client::create(deps.clone(), config(workers)).await {
                break client;
            }
        };
        let mut ids = Vec::new();
        for n in 0..tasks {
            ids.push(client.submit(task(n)).unwrap());
            if self.dice.one_in(20) {
                deps.clock.sleep(Duration::from_millis(self.dice.below(3_000))).await;
            }
        }
        // Half of the clients leave the writing to the background.
        while self.dice.one_in(2) && client.flush().await.is_err() {}
        let mut seen = 0;
        let mut waited = 0u32;
        while ids.iter().any(|id| !over(client.known(id).unwrap())) {
            seen = client.wait_change(seen, Duration::from_secs(30)).await;
            client.engage();
            waited += 1;
            // The storm ends; from then on everything must come to an end.
            if deps.clock.now().0 > Duration::from_secs(3_600) {
                self.calm.send_replace(true);
                self.open_all_gates();
            }
            assert!(waited < 200_000, "tasks never ended");
        }
        let mut counts = (0, 0);
        for (n, id) in ids.iter().enumerate() {
            match self.fetch(&client, id).await {
                FetchedEnding::Value(bytes) => {
                    assert_eq!(bytes.concat().unwrap(), payload(n));
                    counts.0 += 1;
                }
                FetchedEnding::Broken { .. } => counts.1 += 1,
                other @ (FetchedEnding::Error(_) | FetchedEnding::Cancelled) => panic!("{other:?}"),
            }
        }
        assert_eq!(client.summary().total(), tasks as u64);
        counts
    }

    async fn fetch(&self, client: &Client, id: &TaskId) -> FetchedEnding {
        loop {
            if let Ok(Some(fetched)) = client.fetch(id).await {
                return fetched.ending;
            }
        }
    }

    fn open_all_gates(&self) {
        for hand in self.crew.lock().iter().filter(|hand| !hand.crashed) {
            hand.gate.set(true);
        }
    }

    /// Crashes and pauses workers at random moments.
    async fn make_trouble(self: Arc<Self>) {
        let clock = ManualClock::new(self.start, Duration::ZERO);
        loop {
            clock.sleep(Duration::from_secs(1)).await;
            if *self.calm.borrow() {
                return;
            }
            let Weather { crash_s, pause_s, .. } = self.weather;
            if crash_s > 0 && self.dice.one_in(crash_s) {
                self.with_one(|hand| {
                    hand.crashed = true;
                    hand.gate.set(false);
                    hand.task.abort();
                });
            }
            if pause_s > 0 && self.dice.one_in(pause_s) {
                let nap = Duration::from_secs(self.dice.below(200));
                self.with_one(|hand| {
                    let (gate, start) = (hand.gate.clone(), self.start);
                    gate.set(false);
                    tokio::spawn(async move {
                        ManualClock::new(start, Duration::ZERO).sleep(nap).await;
                        gate.set(true);
                    });
                });
            }
        }
    }

    fn with_one(&self, act: impl FnOnce(&mut Hand)) {
        let mut crew = self.crew.lock();
        let standing: Vec<usize> = crew
            .iter()
            .enumerate()
            .filter(|(_, h)| !h.crashed && !h.task.is_finished() && h.gate.is_open())
            .map(|(n, _)| n)
            .collect();
        if let Some(n) = standing.get(self.dice.below(standing.len() as u64) as usize) {
            act(&mut crew[*n]);
        }
    }
}

fn over(known: Known) -> bool {
    match known {
        Known::Completed | Known::Failed | Known::Cancelled => true,
        Known::Pending | Known::Claimed => false,
    }
}

fn payload(n: usize) -> Bytes {
    format!("task {n}").into()
}

fn task(n: usize) -> NewTask {
    let header = TaskHeader { kind: TaskKind::Call, label: None, timeout: None };
    let packed = Packed { payload: Payload::Inline(payload(n)), blobs: Vec::new() };
    NewTask { header, packed, common: None }
}

fn config(workers: u32) -> SessionConfig {
    SessionConfig {
        lifetime: Lifetime::Detached,
        workers,
        cpu: 1.0,
        memory_mib: 1024,
        launch_type: "LOCAL".into(),
        task_timeout: None,
        idle_timeout: Duration::from_secs(600),
        absolute_timeout: Duration::from_secs(1_000_000),
        max_attempts: 3,
        pace: Pace::remote(),
        client: ClientR { r: (4, 2), future: "1.31.0".into() },
    }
}

/// Launches simulated workers.
#[derive(Debug)]
struct Crew(Arc<World>);

#[async_trait]
impl Fates for Crew {
    async fn fate(&self, _: &WorkerId, _: Option<&ProcessId>) -> Fate {
        Fate::Unknown
    }
}

#[async_trait]
impl Launcher for Crew {
    async fn launch(&self, spec: &LaunchSpec) -> Result<(), LaunchError> {
        let gate = Gate::default();
        let world = Arc::clone(&self.0);
        let worker = spec.worker.clone();
        let task = tokio::spawn(work(world, spec.clone(), gate.clone()));
        self.0.crew.lock().push(Hand { worker, gate, task, crashed: false });
        Ok(())
    }
    async fn stop(&self, worker: &WorkerId, _: Option<&ProcessId>) {
        for hand in self.0.crew.lock().iter().filter(|hand| hand.worker == *worker) {
            hand.task.abort();
        }
    }
    async fn log(&self, _: &SessionId, _: &WorkerId, _: Option<LogSpan>, _: u64) -> String {
        String::new()
    }
    async fn forget_logs(&self, _: &SessionId) {}
}

async fn work(world: Arc<World>, spec: LaunchSpec, gate: Gate) {
    // Every process has a wall clock of its own, up to a day off.
    let offset = Duration::from_secs(world.dice.below(2 * 86_400));
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(world.start, offset));
    let store: Arc<dyn Store> =
        Arc::new(Gated { inner: world.store.clone(), gate, start: world.start });
    let process = ProcessId { host: "sim".into(), pid: spec.rank, started: 0 };
    let mut evaluator = SimR {
        clock: Arc::clone(&clock),
        dice: world.dice.clone(),
        r_dies: world.weather.r_dies,
        jobs: VecDeque::new(),
    };
    loop {
        let deps = WorkerDeps {
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            ids: world.dice.clone(),
            fates: Arc::new(Crew(Arc::clone(&world))),
        };
        let config = WorkerConfig {
            session: spec.session.clone(),
            worker: spec.worker.clone(),
            rank: spec.rank,
            process: process.clone(),
            grace: Duration::from_secs(30),
        };
        let (_keep, stop) = watch::channel(None);
        if worker::run(deps, config, &mut evaluator, stop).await.is_ok() {
            return;
        }
    }
}

/// An R that answers each task with its payload, after a while.
#[derive(Debug)]
struct SimR {
    clock: Arc<dyn Clock>,
    dice: Arc<SeededIds>,
    r_dies: u64,
    jobs: VecDeque<(Job, Duration, Option<Monotonic>)>,
}

#[async_trait]
impl Evaluator for SimR {
    async fn submit(&mut self, job: Job) -> Result<(), String> {
        let takes = Duration::from_millis(1 << self.dice.below(15));
        self.jobs.push_back((job, takes, None));
        Ok(())
    }
    async fn event(&mut self) -> Event {
        let Some((job, takes, until)) = self.jobs.front_mut() else {
            return std::future::pending().await;
        };
        let now = self.clock.now();
        let until = *until.get_or_insert(Monotonic(now.0 + *takes));
        self.clock.sleep(until.since(now)).await;
        let (number, ran) = (job.number, *takes);
        if self.r_dies > 0 && self.dice.one_in(self.r_dies) {
            self.jobs.clear();
            return Event::Died { reason: "signal 11".into() };
        }
        let bytes = job.payload.concat().unwrap();
        self.jobs.pop_front();
        let packed = Packed { payload: Payload::Inline(bytes), blobs: Vec::new() };
        Event::Ended { number, outcome: Outcome::Value(packed), ran, log: None }
    }
    async fn kill(&mut self) {
        self.jobs.clear();
    }
}

/// Whether a process may go on. Looked at in turns: waking all who wait would be in no fixed order.
#[derive(Debug, Clone, Default)]
struct Gate(Arc<AtomicBool>);

impl Gate {
    fn set(&self, open: bool) {
        self.0.store(!open, Ordering::Relaxed);
    }
    fn is_open(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

/// The store as a process sees it that may stand still.
#[derive(Debug)]
struct Gated {
    inner: Shaky,
    gate: Gate,
    start: Instant,
}

impl Gated {
    async fn pass(&self) {
        while !self.gate.is_open() {
            ManualClock::new(self.start, Duration::ZERO).sleep(Duration::from_millis(100)).await;
        }
    }
}

#[async_trait]
impl Store for Gated {
    async fn get(&self, key: &Key) -> Result<Object, StoreError> {
        self.pass().await;
        self.inner.get(key).await
    }
    async fn get_if_changed(&self, key: &Key, seen: &ETag) -> Result<Option<Object>, StoreError> {
        self.pass().await;
        self.inner.get_if_changed(key, seen).await
    }
    async fn head(&self, key: &Key) -> Result<Option<ETag>, StoreError> {
        self.pass().await;
        self.inner.head(key).await
    }
    async fn create(&self, key: &Key, body: Bytes) -> Result<ETag, StoreError> {
        self.pass().await;
        self.inner.create(key, body).await
    }
    async fn replace(&self, key: &Key, body: Bytes, seen: &ETag) -> Result<ETag, StoreError> {
        self.pass().await;
        self.inner.replace(key, body, seen).await
    }
    async fn list(&self, prefix: &Key, after: Option<&Key>) -> Result<Vec<Entry>, StoreError> {
        self.pass().await;
        self.inner.list(prefix, after).await
    }
    async fn children(&self, prefix: &Key) -> Result<Vec<String>, StoreError> {
        self.pass().await;
        self.inner.children(prefix).await
    }
    async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.pass().await;
        self.inner.delete(key).await
    }
}
