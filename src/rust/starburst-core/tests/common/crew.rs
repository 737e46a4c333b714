//! Workers that run in this process, and doors through which clients start them.
use super::seconds;
use async_trait::async_trait;
use parking_lot::Mutex;
use starburst_core::{
    blob::Payload,
    clock::{Clock, Monotonic},
    downloads::MemoryCache,
    heartbeat::ProcessId,
    ids::{Ids, SessionId, WorkerId},
    key::SessionKeys,
    launch::{Fate, Fates, LaunchError, LaunchSpec, Launcher, LogPart},
    store::Store,
    uploads::Uploads,
    waves::Limits,
    worker::{
        self, Told, WorkerConfig, WorkerDeps,
        evaluator::{Evaluator, Event, Job, Outcome},
    },
};
use starburst_testkit::ManualClock;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;

type Refuse = dyn Fn(usize) -> Option<LaunchError> + Send + Sync;

/// All workers, whoever started them.
pub(crate) struct Crew {
    store: Arc<dyn Store>,
    clock: Arc<ManualClock>,
    ids: Arc<dyn Ids>,
    task: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    members: BTreeMap<WorkerId, Member>,
    launches: Vec<(&'static str, Monotonic)>,
    vcpu: Option<f64>,
    stays: Option<Duration>,
    refuse: Option<Arc<Refuse>>,
    refusals: usize,
}

struct Member {
    session: SessionId,
    tell: watch::Sender<Told>,
    /// What it said when it left.
    left: Option<String>,
}

impl std::fmt::Debug for Crew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crew").finish_non_exhaustive()
    }
}

impl Crew {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Arc<ManualClock>,
        ids: Arc<dyn Ids>,
        task: Duration,
    ) -> Arc<Self> {
        Arc::new(Self { store, clock, ids, task, state: Mutex::default() })
    }

    /// The account's quota, of which the workers use one vCPU each.
    pub(crate) fn set_quota(&self, vcpu: f64) {
        self.state.lock().vcpu = Some(vcpu);
    }

    /// Workers are told to leave when they have been there so long, as Spot capacity is taken back.
    pub(crate) fn set_stay(&self, stays: Duration) {
        self.state.lock().stays = Some(stays);
    }

    /// Says for each launch, by how many workers are there, why it is refused.
    pub(crate) fn refuse(
        &self,
        why: impl Fn(usize) -> Option<LaunchError> + Send + Sync + 'static,
    ) {
        self.state.lock().refuse = Some(Arc::new(why));
    }

    pub(crate) fn refuse_nothing(&self) {
        self.state.lock().refuse = None;
    }

    /// Launches that were refused.
    pub(crate) fn refusals(&self) -> usize {
        self.state.lock().refusals
    }

    /// Workers that are there.
    pub(crate) fn alive(&self) -> usize {
        self.state.lock().members.values().filter(|member| member.left.is_none()).count()
    }

    /// What those said who left.
    pub(crate) fn farewells(&self) -> Vec<String> {
        self.state.lock().members.values().filter_map(|member| member.left.clone()).collect()
    }

    /// When this client started workers.
    pub(crate) fn launches(&self, name: &str) -> Vec<Monotonic> {
        let state = self.state.lock();
        state.launches.iter().filter(|(who, _)| *who == name).map(|(_, at)| *at).collect()
    }

    fn start(self: &Arc<Self>, name: &'static str, spec: &LaunchSpec) -> Result<(), LaunchError> {
        let alive = self.alive();
        let (tell, told) = watch::channel(Told::default());
        let stays = {
            let mut state = self.state.lock();
            if let Some(error) = state.refuse.as_ref().and_then(|why| why(alive)) {
                state.refusals += 1;
                return Err(error);
            }
            state.launches.push((name, self.clock.now()));
            let member = Member { session: spec.session.clone(), tell, left: None };
            state.members.insert(spec.worker.clone(), member);
            state.stays
        };
        let (crew, spec) = (Arc::clone(self), spec.clone());
        tokio::spawn(async move {
            let worker = spec.worker.clone();
            if let Some(stays) = stays {
                let crew = Arc::clone(&crew);
                let worker = worker.clone();
                tokio::spawn(async move {
                    crew.clock.sleep(stays).await;
                    crew.tell(&worker, "its capacity was taken back");
                });
            }
            let left = crew.work(spec, told).await;
            crew.state.lock().members.get_mut(&worker).unwrap().left = Some(left);
        });
        Ok(())
    }

    /// All that are there are told to leave.
    pub(crate) fn take_back(&self) {
        let all: Vec<WorkerId> = self.state.lock().members.keys().cloned().collect();
        for worker in all {
            self.tell(&worker, "its capacity was taken back");
        }
    }

    fn tell(&self, worker: &WorkerId, why: &str) {
        if let Some(member) = self.state.lock().members.get(worker) {
            member.tell.send_modify(|told| told.stop = Some(why.to_owned()));
        }
    }

    async fn work(&self, spec: LaunchSpec, told: watch::Receiver<Told>) -> String {
        let keys = SessionKeys::new(spec.session.clone());
        let deps = WorkerDeps {
            store: Arc::clone(&self.store),
            clock: self.clock.clone(),
            ids: Arc::clone(&self.ids),
            fates: Arc::new(NoFates),
            uploads: Uploads::new(Arc::clone(&self.store), keys.clone(), self.clock.clone()),
            cache: Arc::new(MemoryCache::new(0)),
        };
        let config = WorkerConfig {
            session: spec.session,
            worker: spec.worker,
            rank: spec.rank,
            process: ProcessId { host: "h".into(), pid: 1, started: 0 },
            grace: seconds(1),
        };
        let manifest = worker::admit(&*self.store, &keys).await.unwrap();
        let mut r = Echo { clock: self.clock.clone(), takes: self.task, jobs: VecDeque::new() };
        match worker::run(deps, config, manifest, &mut r, told).await {
            Ok(reason) => reason,
            Err(error) => error.chain().join(": "),
        }
    }
}

#[derive(Debug)]
struct NoFates;

#[async_trait]
impl Fates for NoFates {
    async fn fate(&self, _: &WorkerId, _: Option<&ProcessId>) -> Fate {
        Fate::Unknown
    }
}

/// An R that answers each task with its payload after a while.
#[derive(Debug)]
struct Echo {
    clock: Arc<ManualClock>,
    takes: Duration,
    jobs: VecDeque<(Job, Option<Monotonic>)>,
}

#[async_trait]
impl Evaluator for Echo {
    async fn submit(&mut self, job: Job) -> Result<(), String> {
        self.jobs.push_back((job, None));
        Ok(())
    }
    async fn event(&mut self) -> Event {
        let Some((job, until)) = self.jobs.front_mut() else {
            return std::future::pending().await;
        };
        let now = self.clock.now();
        // Abandoned and asked again, it goes on where it was.
        let until = *until.get_or_insert(Monotonic(now.0 + self.takes));
        self.clock.sleep(until.since(now)).await;
        let (number, bytes) = (job.number, job.payload.concat().await.unwrap());
        self.jobs.pop_front();
        let outcome = Outcome::Value(Payload::Inline(bytes));
        Event::Ended { number, outcome, ran: self.takes, log: None }
    }
    async fn kill(&mut self) {
        self.jobs.clear();
    }
}

/// One client's way to the crew.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) crew: Arc<Crew>,
    pub(crate) name: &'static str,
}

#[async_trait]
impl Fates for Door {
    async fn fate(&self, worker: &WorkerId, _: Option<&ProcessId>) -> Fate {
        match self.crew.state.lock().members.get(worker) {
            Some(Member { left: Some(why), .. }) => Fate::Gone(why.clone()),
            Some(Member { left: None, .. }) => Fate::Alive,
            None => Fate::Unknown,
        }
    }
}

#[async_trait]
impl Launcher for Door {
    async fn launch(&self, spec: &LaunchSpec) -> Result<(), LaunchError> {
        self.crew.start(self.name, spec)
    }
    async fn workers_of(&self, session: &SessionId) -> Result<Vec<WorkerId>, LaunchError> {
        let state = self.crew.state.lock();
        let there = |(_, member): &(&WorkerId, &Member)| {
            member.session == *session && member.left.is_none()
        };
        Ok(state.members.iter().filter(there).map(|(worker, _)| worker.clone()).collect())
    }
    async fn limits(&self) -> Limits {
        let vcpu = self.crew.state.lock().vcpu;
        Limits { vcpu, used_by_others: self.crew.alive() as f64, most_workers: None }
    }
    async fn stop(&self, worker: &WorkerId, _: Option<&ProcessId>) {
        self.crew.tell(worker, "it was told to stop");
    }
    async fn log(&self, _: &SessionId, _: &WorkerId, _: LogPart) -> String {
        String::new()
    }
    async fn forget_logs(&self, _: &SessionId) {}
}
