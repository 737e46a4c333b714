//! The worker: claims tasks of one session, has them evaluated, commits how they ended, and leaves.
//!
//! 1. Look for segments; claim a few tasks of one by compare-and-swap on its ledger ([`queue`]).
//! 2. Hand them to R one after the other; commit what ended while R goes on ([`hand`], [`placing`]).
//! 3. Beat every few seconds, and learn from the manifest whether to go on ([`pulse`]).
//! 4. With nothing to claim: look after the other workers, and wait ([`idle`]).

mod backup;
pub mod evaluator;
mod hand;
mod idle;
mod known;
mod placing;
pub mod pulse;
mod queue;
pub mod starting;
mod unread;

use crate::{
    clock::{Clock, Monotonic},
    downloads::{ChunkCache, Downloads},
    error::Error,
    heartbeat::{ProcessId, Trouble, WorkerState},
    ids::{Ids, SessionId, WorkerId},
    key::SessionKeys,
    launch::Fates,
    manifest::{self, ClientR, Manifest, PROTOCOL_VERSION},
    pace::Backoff,
    patrol::Patrol,
    store::Store,
    update::Versioned,
    uploads::Uploads,
};
use evaluator::Evaluator;
use parking_lot::Mutex;
use pulse::{Orders, Pulse, Shared};
use queue::Queue;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// So many workers may look as often as one does.
const CROWD: u32 = 50;
/// Between the looks of any two idle workers, on average, where looks are billed: 0.07 USD an hour for all of them together
/// (S3, us-east-1, November 2026).
const LOOKS_APART: Duration = Duration::from_millis(20);
/// How long a store may fail before the worker gives up.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a worker works with.
#[derive(Debug)]
pub struct WorkerDeps {
    /// Where the session is.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub ids: Arc<dyn Ids>,
    /// What is known of other workers besides their heartbeats.
    pub fates: Arc<dyn Fates>,
    /// Where the evaluator sends large results.
    pub uploads: Arc<Uploads>,
    /// Keeps chunks for tasks that share data.
    pub cache: Arc<dyn ChunkCache>,
}

/// Who a worker is.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// The session it drains.
    pub session: SessionId,
    /// Its id.
    pub worker: WorkerId,
    /// Its place among the workers; spreads their first claims.
    pub rank: u32,
    /// Its process.
    pub process: ProcessId,
    /// How long it may go on with a running task when told to leave.
    pub grace: Duration,
}

/// A worker at work.
#[derive(Debug)]
pub(crate) struct Worker {
    deps: WorkerDeps,
    keys: SessionKeys,
    me: WorkerId,
    grace: Duration,
    shared: Arc<Shared>,
    orders: watch::Receiver<Orders>,
    downloads: Arc<Downloads>,
    queue: Queue,
    patrol: Patrol,
    next_job: u64,
    signals: u64,
    mean_ms: Option<f64>,
    /// How long it evaluated in all.
    busy: Duration,
    held: backup::Held,
    /// R is being started: its first task has not begun.
    r_starts: bool,
    /// Why no R can be started any more.
    broken: Option<String>,
}

/// Reads the session's manifest and checks that this code can serve it.
///
/// # Errors
/// No such session, a failure of the store, or [`Error::Refused`].
pub async fn admit(store: &dyn Store, keys: &SessionKeys) -> Result<Versioned<Manifest>, Error> {
    let found = pulse::read_manifest(store, keys).await?;
    let manifest = &found.value;
    if manifest.protocol != PROTOCOL_VERSION {
        let remedy = if manifest.starts_from_image() {
            "use the same version of starburst for both: `starburst_image_build()` builds the image of yours"
        } else {
            "use the same version of starburst for both"
        };
        let message = format!(
            "the session speaks protocol {} and this starburst speaks {PROTOCOL_VERSION}; {remedy}",
            manifest.protocol
        );
        return Err(Error::Refused { message });
    }
    Ok(found)
}

/// Checks that a worker with this R can read what the session's client wrote.
///
/// # Errors
/// [`Error::Refused`].
pub fn admit_r(manifest: &Manifest, worker_r: &ClientR) -> Result<(), Error> {
    match manifest::refusal(&manifest.client, worker_r, manifest.starts_from_image()) {
        Some(message) => Err(Error::Refused { message }),
        None => Ok(()),
    }
}

/// What the launcher tells a worker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// To leave, and why.
    pub stop: Option<String>,
    /// How often it was told to look at its claims.
    pub nudges: u64,
}

/// Drains a session until it is told to leave; returns why it left. `told` is what the launcher says.
///
/// The caller has read the `manifest` by [`admit`], and has checked by [`admit_r`] that its R can serve the session.
///
/// # Errors
/// A failure of the store that does not pass.
pub async fn run(
    deps: WorkerDeps,
    config: WorkerConfig,
    manifest: Versioned<Manifest>,
    evaluator: &mut dyn Evaluator,
    told: watch::Receiver<Told>,
) -> Result<String, Error> {
    let keys = SessionKeys::new(config.session.clone());
    let beat = pulse::first_beat(config.worker.clone(), config.process.clone(), &*deps.clock);
    let shared = Arc::new(Shared {
        beat: Mutex::new(beat),
        manifest: Mutex::new(Arc::new(manifest.value.clone())),
        disturbed: AtomicBool::new(false),
        woken: Notify::new(),
    });
    shared.set_state(WorkerState::Idle);
    let (store, clock) = (Arc::clone(&deps.store), Arc::clone(&deps.clock));
    let mut pulse = Pulse::new(store, clock, keys.clone(), Arc::clone(&shared), &manifest);
    // Where requests are billed, the first heartbeat comes when it is due: most workers find work at once, and their
    // claims show that they are there.
    if manifest.value.pace.looks_are_free() {
        pulse.beat().await?;
    }
    let (send, orders) = watch::channel(Orders::Work);
    let send = Arc::new(send);
    let beating = tokio::spawn(pulse.run(Arc::clone(&send), Arc::clone(&deps.ids)));
    let relaying = tokio::spawn(relay(told, send, Arc::clone(&shared)));

    let mut worker = Worker {
        downloads: Downloads::new(Arc::clone(&deps.store), keys.clone(), Arc::clone(&deps.cache)),
        queue: Queue::new(config.rank),
        deps,
        me: config.worker,
        grace: config.grace,
        orders,
        patrol: Patrol::default(),
        next_job: 0,
        signals: 0,
        mean_ms: None,
        busy: Duration::ZERO,
        held: backup::Held::new(),
        r_starts: false,
        broken: None,
        shared,
        keys,
    };
    let left = worker.drain(evaluator).await;
    beating.abort();
    relaying.abort();
    evaluator.kill().await;
    let reason = match &left {
        Ok(reason) => reason.clone(),
        Err(error) => error.chain().join(": "),
    };
    let damage = worker.queue.damage().is_some();
    let fault = left.is_err() || damage || worker.broken.is_some();
    worker.say_goodbye(reason, fault).await;
    left
}

async fn relay(
    mut told: watch::Receiver<Told>,
    orders: Arc<watch::Sender<Orders>>,
    shared: Arc<Shared>,
) {
    let mut nudges = 0;
    loop {
        let now = told.borrow_and_update().clone();
        if now.nudges != nudges {
            nudges = now.nudges;
            shared.disturbed.store(true, Ordering::Relaxed);
            shared.woken.notify_one();
        }
        if let Some(reason) = now.stop {
            let _ = orders.send(Orders::Leave(reason));
            shared.woken.notify_one();
            return;
        }
        if told.changed().await.is_err() {
            return;
        }
    }
}

impl Worker {
    fn manifest(&self) -> Arc<Manifest> {
        self.shared.manifest()
    }

    fn told_to_leave(&self) -> Option<String> {
        match &*self.orders.borrow() {
            Orders::Work => self.broken.clone(),
            Orders::Leave(reason) => Some(reason.clone()),
        }
    }

    async fn drain(&mut self, evaluator: &mut dyn Evaluator) -> Result<String, Error> {
        let mut backoff = self.backoff();
        let mut idle_since = self.deps.clock.now();
        let mut failing: Option<Monotonic> = None;
        // A new worker looks for work at once.
        let mut rested = 1;
        loop {
            if let Some(reason) = self.told_to_leave() {
                return Ok(reason);
            }
            match self.one_round(evaluator, rested).await {
                Ok(true) => {
                    failing = None;
                    self.out_of_trouble();
                    rested = 0;
                    backoff = self.backoff();
                    idle_since = self.deps.clock.now();
                    continue;
                }
                Ok(false) => {
                    failing = None;
                    self.out_of_trouble();
                }
                Err(error) => {
                    let now = self.deps.clock.now();
                    let since = *failing.get_or_insert(now);
                    if !self.waits_out(&error, now.since(since)) {
                        return Err(error);
                    }
                }
            }
            self.shared.set_state(WorkerState::Idle);
            if let Some(reason) = self.reason_to_go(idle_since) {
                return Ok(reason);
            }
            let wait = backoff.step(self.deps.ids.random());
            let mut orders = self.orders.clone();
            tokio::select! {
                biased;
                _ = orders.wait_for(|o| *o != Orders::Work) => {}
                () = self.deps.clock.sleep(wait) => {}
            }
            rested += 1;
        }
    }

    /// Whether to go on after failing for so long. Says so in the heartbeat when the store takes nothing.
    fn waits_out(&self, error: &Error, failing: Duration) -> bool {
        if let Error::Store(error) = error {
            self.shared.beat.lock().trouble = Trouble::of(error);
        }
        match self.manifest().outage_limit(self.deps.clock.wall()) {
            Some(limit) if error.may_pass() => failing <= limit,
            Some(_) | None => failing <= PATIENCE,
        }
    }

    fn out_of_trouble(&self) {
        self.shared.beat.lock().trouble = None;
    }

    /// How long to rest with nothing to do. Where tasks are long, new ones can wait a little longer to be found; and where
    /// workers are many, they would ask too much of the store together. Few may look often: the next tasks come soon, or
    /// the worker is paid for while it looks.
    fn backoff(&self) -> Backoff {
        let (pace, workers) = (self.manifest().pace, self.manifest().workers);
        let share = Duration::from_secs_f64(self.mean_ms.unwrap_or(0.0) / 10e3);
        let crowd = pace.poll_min * (workers / CROWD);
        let first = share.max(crowd).clamp(pace.poll_min, pace.poll_max);
        let most = if pace.looks_are_free() {
            pace.poll_max
        } else {
            (pace.poll_max / 10).max(LOOKS_APART * workers).min(pace.poll_max)
        };
        Backoff::looking(first, most)
    }

    /// Claims and works once. With every round in which it has `rested` it looks a little further for what to do.
    /// `false` when there is nothing.
    async fn one_round(
        &mut self,
        evaluator: &mut dyn Evaluator,
        rested: u32,
    ) -> Result<bool, Error> {
        let mut hand = self.next_hand(rested > 0).await?;
        if hand.is_none() && rested > 0 {
            let reopened = self.manifest().reopened;
            self.queue.discover(&*self.deps.store, &self.keys, reopened).await?;
            hand = self.next_hand(true).await?;
        }
        if hand.is_none() && rested > 1 {
            self.look_around().await?;
            hand = self.next_hand(true).await?;
            if hand.is_none() {
                hand = self.back_up().await?;
            }
        }
        let Some(hand) = hand else {
            return Ok(false);
        };
        self.shared.set_state(WorkerState::Busy);
        self.work(hand, evaluator).await?;
        Ok(true)
    }

    fn reason_to_go(&self, idle_since: Monotonic) -> Option<String> {
        if let Some(damage) = self.queue.damage() {
            return Some(damage);
        }
        let manifest = self.manifest();
        let idle = self.deps.clock.now().since(idle_since);
        let may_go = idle >= manifest.idle_timeout;
        may_go.then(|| "nothing to do for the session's idle time".to_owned())
    }

    async fn say_goodbye(&mut self, reason: String, fault: bool) {
        let beat = {
            let mut beat = self.shared.beat.lock();
            beat.beat += 1;
            beat.at = self.deps.clock.wall();
            beat.requests = self.deps.store.requests();
            beat.state = WorkerState::Left { reason, fault };
            beat.clone()
        };
        // A heartbeat that stands still says the same, only later.
        let _ = pulse::write_end(&*self.deps.store, &self.keys, &beat).await;
    }
}
