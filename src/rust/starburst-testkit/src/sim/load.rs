//! How much work costs: the real client and worker loops, with any number of workers and tasks, in virtual time on a
//! store with S3's latency, limits and prices.
use super::{
    meter::{MeteredStore, Requests},
    workplace::{self, Crew, Workplace},
};
use crate::{ManualClock, SeededIds};
use async_trait::async_trait;
use parking_lot::Mutex;
use starburst_core::{
    blob::Payload,
    client::{Client, Deps, NewTask},
    clock::{Clock, Monotonic},
    ids::WorkerId,
    key::SessionKeys,
    launch::{LaunchError, LaunchSpec},
    store::Store,
    uploads::Uploads,
    worker::evaluator::{Evaluator, Event, Job, Outcome},
};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// Longer than any load takes: workers that wait stay.
const IDLE_TIMEOUT: Duration = Duration::from_secs(100_000);

/// How long tasks take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    /// All the same.
    Each(Duration),
    /// Half of this at least; one in a hundred takes twenty times as long or more (Pareto, shape 1.5).
    HeavyTail(Duration),
}

/// A load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Workers, all started at once.
    pub workers: u32,
    /// Tasks.
    pub tasks: u32,
    /// The time between two submissions; none when all are submitted at once.
    pub apart: Duration,
    /// How long they take.
    pub length: Length,
    /// How long the workers are watched when there are no tasks.
    pub idle: Duration,
    /// A round trip to the store, in milliseconds.
    pub round_trip_ms: u64,
}

/// What it cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    /// From the first submission until the client knew that everything had ended.
    pub took: Duration,
    /// What that would be if nothing but the tasks took time.
    pub ideal: Duration,
    /// What it would be if each worker that is free took the next task at once: nobody who does not know how long
    /// tasks take can do better.
    pub perfect_queue: Duration,
    /// Until everything was in the store.
    pub submitted: Duration,
    /// From a worker's start to its first task: the median.
    pub to_first_task: Duration,
    /// The share of the workers' time in which they did not compute.
    pub idle: f64,
    /// Requests of everybody.
    pub requests: Requests,
}

#[derive(Debug)]
struct Site {
    store: Arc<MeteredStore>,
    clock: Arc<ManualClock>,
    dice: Arc<SeededIds>,
    first_tasks: Mutex<Vec<Duration>>,
}

/// Carries a load.
pub fn carry(load: Load) -> Cost {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(carry_here(load))
}

async fn carry_here(load: Load) -> Cost {
    let clock = Arc::new(ManualClock::new(Instant::now(), Duration::from_secs(1_000_000)));
    let site = Arc::new(Site {
        store: Arc::new(MeteredStore::new(1, load.round_trip_ms, Arc::clone(&clock))),
        clock: Arc::clone(&clock),
        dice: Arc::new(SeededIds::new(2)),
        first_tasks: Mutex::default(),
    });
    let deps = Deps {
        store: site.store(),
        launcher: Arc::new(Crew(Arc::clone(&site))),
        clock: clock.clone(),
        ids: site.dice.clone(),
    };
    let client = Client::create(deps, workplace::config(load.workers, IDLE_TIMEOUT)).await.unwrap();
    if load.tasks == 0 {
        return idle(&site, &client, load).await;
    }
    let began = clock.now();
    let lengths: Vec<Duration> = (0..load.tasks).map(|_| site.draw(load.length)).collect();
    for length in &lengths {
        client.submit(task(*length)).unwrap();
        if !load.apart.is_zero() {
            clock.sleep(load.apart).await;
        }
    }
    client.flush().await.unwrap();
    let submitted = clock.now().since(began);
    loop {
        let summary = client.summary();
        if summary.pending + summary.running == 0 {
            break;
        }
        client.wait_change(client.changes(), Duration::from_secs(30)).await;
    }
    let took = clock.now().since(began);
    let requests = site.store.requests();
    assert_eq!(client.summary().completed, u64::from(load.tasks));
    let mut first = site.first_tasks.lock().clone();
    first.sort_unstable();
    let time = took.as_secs_f64() * f64::from(load.workers);
    let work: Duration = lengths.iter().sum();
    let longest = lengths.iter().max().copied().unwrap_or_default();
    Cost {
        took,
        ideal: (work / load.workers).max(longest),
        perfect_queue: perfect_queue(&lengths, load.workers),
        submitted,
        to_first_task: first.get(first.len() / 2).copied().unwrap_or_default(),
        idle: 1.0 - work.as_secs_f64() / time,
        requests,
    }
}

/// When the last task ends if the worker that is free first takes the next one.
fn perfect_queue(lengths: &[Duration], workers: u32) -> Duration {
    let mut free: BinaryHeap<Reverse<Duration>> =
        (0..workers).map(|_| Reverse(Duration::ZERO)).collect();
    let mut last = Duration::ZERO;
    for length in lengths {
        let Some(Reverse(at)) = free.pop() else { break };
        last = last.max(at + *length);
        free.push(Reverse(at + *length));
    }
    last
}

/// Workers with nothing to do; the client is gone.
async fn idle(site: &Arc<Site>, client: &Arc<Client>, load: Load) -> Cost {
    let manifest = client.manifest();
    client.stop();
    for rank in 0..load.workers {
        let worker = WorkerId::fresh(&*site.dice);
        let session = manifest.session.clone();
        let spec = LaunchSpec { session, worker, rank, cpu: 1.0, detached: true };
        site.start(&spec).unwrap();
    }
    site.clock.sleep(load.idle).await;
    Cost {
        took: load.idle,
        ideal: Duration::ZERO,
        perfect_queue: Duration::ZERO,
        submitted: Duration::ZERO,
        to_first_task: Duration::ZERO,
        idle: 1.0,
        requests: site.store.requests(),
    }
}

impl Site {
    fn store(&self) -> Arc<dyn Store> {
        workplace::with_retries(self.store.clone(), &self.clock, &self.dice)
    }

    fn draw(&self, length: Length) -> Duration {
        match length {
            Length::Each(length) => length,
            Length::HeavyTail(scale) => {
                let uniform = (self.dice.below(1 << 20) + 1) as f64 / f64::from(1 << 20);
                scale.mul_f64(0.5 * uniform.powf(-1.0 / 1.5).min(200.0))
            }
        }
    }
}

fn task(length: Duration) -> NewTask {
    let millis = u32::try_from(length.as_millis()).unwrap_or(u32::MAX);
    workplace::task(millis.to_le_bytes().to_vec().into())
}

impl Workplace for Site {
    fn start(self: &Arc<Self>, spec: &LaunchSpec) -> Result<(), LaunchError> {
        tokio::spawn(work(Arc::clone(self), spec.clone()));
        Ok(())
    }
}

async fn work(site: Arc<Site>, spec: LaunchSpec) {
    let began = site.clock.now();
    let mut evaluator =
        Timer { site: Arc::clone(&site), began: Some(began), jobs: VecDeque::new(), free: began };
    let (store, clock, ids) = (site.store(), site.clock.clone(), site.dice.clone());
    let keys = SessionKeys::new(spec.session.clone());
    let uploads = Uploads::new(Arc::clone(&store), keys, clock.clone());
    workplace::work(&site, spec, (store, uploads), clock, ids, &mut evaluator).await;
}

/// An R in which each task takes the time that its payload says.
#[derive(Debug)]
struct Timer {
    site: Arc<Site>,
    /// When the worker started, until it has its first task.
    began: Option<Monotonic>,
    /// Number, length, and end of each task that it was given. It computes whether or not anybody looks.
    jobs: VecDeque<(u64, Duration, Monotonic)>,
    /// When it is done with all of them.
    free: Monotonic,
}

#[async_trait]
impl Evaluator for Timer {
    async fn submit(&mut self, job: Job) -> Result<(), String> {
        if let Some(began) = self.began.take() {
            self.site.first_tasks.lock().push(self.site.clock.now().since(began));
        }
        let bytes = job.payload.concat().await.unwrap();
        let millis = u32::from_le_bytes(bytes[..4].try_into().unwrap());
        let ran = Duration::from_millis(millis.into());
        self.free = Monotonic(self.free.max(self.site.clock.now()).0 + ran);
        self.jobs.push_back((job.number, ran, self.free));
        Ok(())
    }
    async fn event(&mut self) -> Event {
        let Some((number, ran, until)) = self.jobs.front().copied() else {
            return std::future::pending().await;
        };
        let now = self.site.clock.now();
        if until > now {
            self.site.clock.sleep(until.since(now)).await;
        }
        self.jobs.pop_front();
        let done = Payload::Inline("done".into());
        Event::Ended { number, outcome: Outcome::Value(done), ran, log: None }
    }
    async fn kill(&mut self) {
        self.jobs.clear();
        self.free = self.site.clock.now();
    }
}
