//! One store, one time, and workers that a test hires one by one.
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use starburst_core::{
    blob::{BlobHash, ChunkSink, Packer, Payload},
    client::{Client, Deps, NewTask, SessionConfig},
    clock::{Clock, Monotonic},
    compute::Compute,
    downloads::MemoryCache,
    envelope::Unsealed,
    error::Error,
    heartbeat::ProcessId,
    ids::{Ids, SessionId, WorkerId},
    key::SessionKeys,
    launch::{Fate, Fates, LaunchError, LaunchSpec, Launcher, LogPart},
    manifest::{ClientR, Lifetime},
    mutation::{self, Rule},
    pace::Pace,
    segment::{TaskHeader, TaskKind},
    store::Store,
    travel::Travel,
    uploads::Uploads,
    worker::{
        self, Told, WorkerConfig, WorkerDeps,
        evaluator::{Evaluator, Event, Job, Outcome},
    },
};
use starburst_testkit::{ManualClock, MemStore, SeededIds};
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

/// Runs a scenario as the code is, and with one rule broken: it says whether the rule was kept, and must see both.
pub(crate) fn guards(rule: Rule, scenario: impl AsyncFn() -> bool) {
    assert!(kept(None, &scenario), "{rule:?} is not kept");
    assert!(!kept(Some(rule), &scenario), "with {rule:?} broken nobody notices");
}

/// Mends what was broken, also when the scenario panics: the next test may run on this thread.
struct Mended;

impl Drop for Mended {
    fn drop(&mut self) {
        mutation::break_rule(None);
    }
}

fn kept(broken: Option<Rule>, scenario: &impl AsyncFn() -> bool) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let _mended = Mended;
    mutation::break_rule(broken);
    runtime.block_on(scenario())
}

pub(crate) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// What is broken, or down, until a test says otherwise.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flag(Arc<AtomicBool>);

impl Flag {
    pub(crate) fn set(&self, on: bool) {
        self.0.store(on, Ordering::Relaxed);
    }
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

pub(crate) struct Bench {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ids: Arc<dyn Ids>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::on(Arc::new(MemStore::default()))
    }

    pub(crate) fn on(store: Arc<dyn Store>) -> Self {
        let clock = Arc::new(ManualClock::new(Instant::now(), seconds(1_000_000)));
        Self { clock, store, ids: Arc::new(SeededIds::new(3)) }
    }

    pub(crate) fn deps(&self) -> Deps {
        Deps {
            store: Arc::clone(&self.store),
            launcher: Arc::new(NoLauncher),
            clock: self.clock.clone(),
            ids: Arc::clone(&self.ids),
        }
    }

    pub(crate) async fn create(&self, config: SessionConfig) -> Arc<Client> {
        Client::create(self.deps(), config).await.unwrap()
    }

    /// Hires a worker whose R does with each task as it is told.
    pub(crate) fn hire(&self, session: &SessionId, r: Actor) -> Hired {
        let keys = SessionKeys::new(session.clone());
        let deps = WorkerDeps {
            store: Arc::clone(&self.store),
            clock: self.clock.clone(),
            ids: Arc::clone(&self.ids),
            fates: Arc::new(NoLauncher),
            uploads: Uploads::new(Arc::clone(&self.store), keys.clone(), self.clock.clone()),
            cache: Arc::new(MemoryCache::new(0)),
        };
        let config = WorkerConfig {
            session: session.clone(),
            worker: WorkerId::fresh(&*self.ids),
            rank: 0,
            process: ProcessId { host: "h".into(), pid: 1, started: 0 },
            grace: seconds(1),
        };
        let (tell, told) = watch::channel(Told::default());
        let mut r = Stage {
            clock: self.clock.clone(),
            uploads: Arc::clone(&deps.uploads),
            r,
            jobs: VecDeque::new(),
            signalled: 0,
            done: 0,
        };
        let work = tokio::spawn(async move {
            let manifest = worker::admit(&*deps.store, &keys).await?;
            worker::run(deps, config, manifest, &mut r, told).await
        });
        Hired { work, tell }
    }

    /// Looks every half second until `done` says so, or for `most`. Returns whether it came to that.
    pub(crate) async fn until(&self, most: Duration, mut done: impl AsyncFnMut() -> bool) -> bool {
        let begun = self.clock.now();
        loop {
            if done().await {
                return true;
            }
            if self.clock.now().since(begun) >= most {
                return false;
            }
            self.sleep(Duration::from_millis(500)).await;
        }
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        self.clock.sleep(time).await;
    }
}

/// A worker at work.
pub(crate) struct Hired {
    pub(crate) work: JoinHandle<Result<String, Error>>,
    tell: watch::Sender<Told>,
}

type Answer = dyn FnMut(&Arc<Uploads>, Bytes) -> Outcome + Send;

impl Hired {
    /// Makes the worker look at its claims.
    pub(crate) fn nudge(&self) {
        self.tell.send_modify(|told| told.nudges += 1);
    }
}

/// What an R does with a task.
pub(crate) struct Actor {
    /// How long each task takes; the last of these for all that follow.
    pub(crate) takes: Vec<Duration>,
    pub(crate) signals: usize,
    pub(crate) answer: Box<Answer>,
}

impl Actor {
    /// Answers each task with its payload after so long.
    pub(crate) fn echo(takes: Duration) -> Self {
        Self::new(takes, |_, bytes| Outcome::Value(Payload::Inline(bytes)))
    }
    pub(crate) fn new(
        takes: Duration,
        answer: impl FnMut(&Arc<Uploads>, Bytes) -> Outcome + Send + 'static,
    ) -> Self {
        Self { takes: vec![takes], signals: 0, answer: Box::new(answer) }
    }
    /// Answers tasks with their payloads after so many seconds each.
    pub(crate) fn lasting<const N: usize>(takes: [u64; N]) -> Self {
        Self { takes: takes.map(seconds).to_vec(), ..Self::echo(seconds(0)) }
    }
}

struct Stage {
    clock: Arc<ManualClock>,
    uploads: Arc<Uploads>,
    r: Actor,
    jobs: VecDeque<(Job, Option<Monotonic>)>,
    signalled: usize,
    done: usize,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").finish_non_exhaustive()
    }
}

#[async_trait]
impl Evaluator for Stage {
    async fn submit(&mut self, job: Job) -> Result<(), String> {
        self.jobs.push_back((job, None));
        Ok(())
    }
    async fn event(&mut self) -> Event {
        let Some((job, until)) = self.jobs.front_mut() else {
            return std::future::pending().await;
        };
        let now = self.clock.now();
        let takes = self.r.takes.get(self.done).or(self.r.takes.last()).copied().unwrap();
        let until = *until.get_or_insert(Monotonic(now.0 + takes));
        self.clock.sleep(until.since(now)).await;
        let number = job.number;
        if self.signalled < self.r.signals {
            self.signalled += 1;
            return Event::Signal { number, condition: "a word".into() };
        }
        self.signalled = 0;
        let bytes = job.payload.concat().await.unwrap();
        self.jobs.pop_front();
        self.done += 1;
        let outcome = (self.r.answer)(&self.uploads, bytes);
        Event::Ended { number, outcome, ran: takes, log: None }
    }
    async fn kill(&mut self) {
        self.jobs.clear();
        self.signalled = 0;
    }
}

/// Starts nobody, reaches nobody, and knows nothing.
#[derive(Debug)]
struct NoLauncher;

#[async_trait]
impl Fates for NoLauncher {
    async fn fate(&self, _: &WorkerId, _: Option<&ProcessId>) -> Fate {
        Fate::Unknown
    }
}

#[async_trait]
impl Launcher for NoLauncher {
    async fn launch(&self, _: &LaunchSpec) -> Result<(), LaunchError> {
        Ok(())
    }
    async fn stop(&self, _: &WorkerId, _: Option<&ProcessId>) {}
    async fn log(&self, _: &SessionId, _: &WorkerId, _: LogPart) -> String {
        String::new()
    }
    async fn forget_logs(&self, _: &SessionId) {}
}

/// A detached session with the pace of S3.
pub(crate) fn config() -> SessionConfig {
    SessionConfig {
        lifetime: Lifetime::Detached,
        workers: 1,
        cpu: 1.0,
        memory_mib: 1_024,
        launch_type: "LOCAL".into(),
        compute: Compute::Local,
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

pub(crate) fn task(payload: Payload) -> NewTask {
    let header = TaskHeader { kind: TaskKind::Call, label: None, timeout: None };
    NewTask { header, payload, common: None }
}

pub(crate) fn small() -> NewTask {
    task(Payload::Inline("small".into()))
}

/// Bytes that do not compress.
pub(crate) fn noise(len: usize) -> Bytes {
    let ids = SeededIds::new(11);
    let mut out: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| ids.random().to_le_bytes()).collect();
    out.truncate(len);
    out.into()
}

#[derive(Debug)]
struct Sink<'a>(&'a Arc<Uploads>);

impl ChunkSink for Sink<'_> {
    fn has(&self, hash: &BlobHash) -> bool {
        self.0.has(hash)
    }
    fn take(&mut self, hash: BlobHash, chunk: Unsealed) -> Result<(), Error> {
        assert!(self.0.try_take(hash, chunk).is_ok());
        Ok(())
    }
}

/// A payload whose chunks are on their way.
pub(crate) fn pack(uploads: &Arc<Uploads>, bytes: &[u8]) -> Payload {
    let mut sink = Sink(uploads);
    let mut packer = Packer::into(&mut sink);
    packer.write(bytes).unwrap();
    packer.finish().unwrap()
}

/// Every key below a session, as a listing shows them.
pub(crate) async fn left_of(store: &dyn Store, session: &SessionId) -> Vec<String> {
    let all = SessionKeys::new(session.clone()).all();
    let listed = store.list(&all, None).await.unwrap();
    listed.into_iter().map(|entry| entry.key.to_string()).collect()
}

/// What happened in a test, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    pub(crate) fn note(&self, what: impl Into<String>) {
        self.0.lock().push(what.into());
    }
    /// The place of the first entry with these words.
    pub(crate) fn first(&self, words: &str) -> Option<usize> {
        self.0.lock().iter().position(|what| what.contains(words))
    }
}
