//! The client: submits tasks to a session, watches them end, fetches results, keeps the workers going.
//!
//! 1. [`Client::submit`] puts a task into a buffer; the flush loop appends it to the log ([`submit`]).
//! 2. The watch loop reads the ledgers that changed into the board ([`watch`], [`board`]).
//! 3. The fleet loop starts workers while there is work and room ([`wave`]), if this client is the one to do it
//!    ([`lead`]), takes back what dead ones held ([`fleet`], [`muster`]), and ends what costs too much ([`budget`]). It also looks how
//!    far the packages are that the workers need ([`environment`]).
//! 4. [`Client::fetch`] reads a result ([`fetch`]), once [`Client::open_among`] says that none is missing ([`task_set`]);
//!    [`manage`] changes and deletes sessions.
mod ahead;
mod batches;
mod board;
mod budget;
mod environment;
mod fetch;
mod fleet;
mod lead;
mod list;
mod manage;
mod muster;
mod read;
mod submit;
mod task_set;
mod watch;
mod wave;

pub use board::{Known, Row, Summary};
pub use budget::Spent;
pub use fetch::{Failed, Fetched, FetchedEnding};
pub use list::{Problem, SessionRow, list_sessions, state_word};
pub use manage::{delete_session, leftovers, sweep};
pub use submit::NewTask;
pub use task_set::TaskSet;

use crate::{
    clock::{Clock, Monotonic, UnixMillis},
    compute::{Budget, Compute},
    downloads::{Downloads, MemoryCache},
    envelope::{self, Kind},
    error::Error,
    ids::{ClientId, EnvironmentId, Ids, Nonce, SessionId, TaskId},
    key::SessionKeys,
    launch::{LaunchError, Launcher},
    lead::Leadership,
    manifest::{self, ClientR, Lifetime, Manifest, PROTOCOL_VERSION, SessionState},
    pace::Pace,
    patrol::Patrol,
    store::{Store, StoreError},
    travel::Travel,
    update::Versioned,
    uploads::Uploads,
    worker::{self, pulse},
};
use ahead::Ahead;
use batches::Batches;
use board::Board;
use bytes::Bytes;
use fleet::Fleet;
use futures_util::FutureExt;
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use submit::{Buffer, Unsettled};
use tokio::sync::{Notify, watch as channel};

/// How long a store may not answer before those who wait are told.
const MAY_PASS: Duration = Duration::from_secs(15);
/// How long there may be no room for a single worker before those who wait are told: AWS is often short of capacity
/// for less.
const ROOM_MAY_COME: Duration = Duration::from_secs(60);
/// Sealed chunks that a client keeps: results are mostly read once.
const CACHE_BYTES: usize = 32 << 20;

/// What a client works with.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Where sessions are.
    pub store: Arc<dyn Store>,
    /// What starts workers.
    pub launcher: Arc<dyn Launcher>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub ids: Arc<dyn Ids>,
}

/// What a new session is to be.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// Who keeps it alive.
    pub lifetime: Lifetime,
    /// Workers wanted at most.
    pub workers: u32,
    /// Virtual CPUs of each worker.
    pub cpu: f64,
    /// Memory of each worker in MiB.
    pub memory_mib: u64,
    /// `LOCAL`, `FARGATE` or `EC2`.
    pub launch_type: String,
    /// How to start workers there.
    pub compute: Compute,
    /// What workers cost, and may cost.
    pub budget: Option<Budget>,
    /// The packages that workers make ready before they start.
    pub environment: Option<EnvironmentId>,
    /// The longest one task may run.
    pub task_timeout: Option<Duration>,
    /// Idle workers of a detached session leave after this.
    pub idle_timeout: Duration,
    /// Workers stop this long after the session was made.
    pub absolute_timeout: Duration,
    /// Attempts a task gets.
    pub max_attempts: u32,
    /// Whether idle workers join tasks that take long.
    pub backup_tasks: bool,
    /// How often things are looked at.
    pub pace: Pace,
    /// What makes the payloads.
    pub client: ClientR,
    /// What a worker's R begins with.
    pub travel: Travel,
}

/// One attached client of one session.
#[derive(Debug)]
pub struct Client {
    deps: Deps,
    keys: SessionKeys,
    id: ClientId,
    /// It is part of a worker, and shares its store.
    inside_worker: bool,
    manifest: Mutex<Versioned<Manifest>>,
    uploads: Arc<Uploads>,
    batches: Arc<Batches>,
    ahead: Mutex<Ahead>,
    read: Mutex<read::Read>,
    buffer: Mutex<Buffer>,
    board: Mutex<Board>,
    fleet: Mutex<Fleet>,
    environment: Mutex<environment::View>,
    patrol: tokio::sync::Mutex<Patrol>,
    walking: tokio::sync::Mutex<()>,
    leadership: tokio::sync::Mutex<Leadership>,
    /// Looks are made one at a time: the loop's and those asked for.
    looking: tokio::sync::Mutex<watch::Look>,
    /// Near-live conditions nobody has taken yet.
    signals: Mutex<Vec<(TaskId, Bytes)>>,
    /// Segments are written one after the other; this is the one on its way.
    writing: tokio::sync::Mutex<Option<Unsettled>>,
    /// Counts changes of the board.
    changes: channel::Sender<u64>,
    /// There is a task to write.
    arrived: Notify,
    /// Somebody waits for what is not written yet: gather no longer.
    flush_now: Notify,
    /// Wakes the watch and fleet loops.
    look_now: Notify,
    fleet_now: Notify,
    stopped: channel::Sender<bool>,
    trouble: Mutex<Trouble>,
}

/// What keeps the session from getting on.
#[derive(Debug, Default)]
struct Trouble {
    flush: Failing,
    watch: Failing,
    fleet: Failing,
    /// Writing the owner's heartbeat.
    owner: Failing,
    /// A loop that ended by a mistake of ours: the session does not get on any more.
    crashed: Option<Arc<Error>>,
}

/// The failures of one loop since its last success.
#[derive(Debug, Default)]
struct Failing {
    error: Option<Arc<Error>>,
    since: Option<Monotonic>,
}

impl Failing {
    fn note(&mut self, error: Option<Error>, now: Monotonic) {
        match error {
            Some(error) => {
                self.error = Some(Arc::new(error));
                self.since.get_or_insert(now);
            }
            None => *self = Self::default(),
        }
    }

    /// What is worth stopping for: a store that does not answer may answer the next time, and room for workers may
    /// come. They are tried again in any case.
    fn lasting(&self, now: Monotonic) -> Option<Arc<Error>> {
        let error = self.error.as_ref()?;
        let patience = if matches!(
            **error,
            Error::Store(
                StoreError::Unavailable { .. }
                    | StoreError::Unanswered { .. }
                    | StoreError::SlowDown { .. }
            )
        ) {
            MAY_PASS
        } else if matches!(**error, Error::Launch(LaunchError::Refused { .. })) {
            ROOM_MAY_COME
        } else {
            Duration::ZERO
        };
        let lasted = self.since.is_some_and(|since| now.since(since) >= patience);
        lasted.then(|| Arc::clone(error))
    }
}

impl Client {
    /// Makes a session and attaches to it.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn create(deps: Deps, config: SessionConfig) -> Result<Arc<Self>, Error> {
        let id = ClientId::fresh(&*deps.ids);
        let session = SessionId::fresh(&*deps.ids);
        // The first answer of a store brings its time, by which the deadline is set.
        let key = SessionKeys::new(session.clone()).manifest();
        deps.store.head(&key).await?;
        let now = deps.clock.wall();
        let manifest = Manifest {
            write: Nonce::fresh(&*deps.ids),
            protocol: PROTOCOL_VERSION,
            session,
            creator: id.clone(),
            created_at: now,
            lifetime: config.lifetime,
            state: SessionState::Open,
            workers: config.workers,
            cpu: config.cpu,
            memory_mib: config.memory_mib,
            launch_type: config.launch_type,
            compute: config.compute,
            budget: config.budget,
            environment: config.environment,
            deleting: false,
            closed_because: None,
            task_timeout: config.task_timeout.map(|limit| limit.min(manifest::LONGEST)),
            idle_timeout: config.idle_timeout.min(manifest::LONGEST),
            deadline: now.plus(config.absolute_timeout),
            reopened: 0,
            max_attempts: config.max_attempts,
            backup_tasks: config.backup_tasks,
            pace: config.pace,
            client: config.client,
            travel: config.travel,
        };
        manifest.check(&key)?;
        let body = envelope::encode(Kind::Manifest, &key, &manifest)?;
        // The id is fresh: an object that is there is ours.
        let etag = pulse::overwrite(&*deps.store, &key, body, None).await?;
        Ok(Self::start(deps, id, false, Versioned { value: manifest, etag: Some(etag) }))
    }

    /// Attaches to a session that exists.
    ///
    /// # Errors
    /// No such session, another version, or a failure of the store.
    pub async fn attach(deps: Deps, session: SessionId) -> Result<Arc<Self>, Error> {
        let id = ClientId::fresh(&*deps.ids);
        Self::attach_as(deps, session, id, false).await
    }

    /// Attaches to a session that exists, from inside a worker, by this id.
    ///
    /// # Errors
    /// As [`attach`](Client::attach).
    pub async fn attach_inside_worker(
        deps: Deps,
        session: SessionId,
        id: ClientId,
    ) -> Result<Arc<Self>, Error> {
        Self::attach_as(deps, session, id, true).await
    }

    async fn attach_as(
        deps: Deps,
        session: SessionId,
        id: ClientId,
        inside_worker: bool,
    ) -> Result<Arc<Self>, Error> {
        let keys = SessionKeys::new(session);
        let manifest = worker::admit(&*deps.store, &keys).await?;
        if !inside_worker && !manifest.value.deleting {
            list::check_segments(&*deps.store, &keys).await?;
        }
        let client = Self::start(deps, id, inside_worker, manifest);
        // Left early, by a failure or by whoever abandons the wait, it must not go on in the background.
        let guard = StopOnDrop(Some(Arc::clone(&client)));
        client.refresh().await?;
        guard.disarm();
        Ok(client)
    }

    fn start(
        deps: Deps,
        id: ClientId,
        inside_worker: bool,
        manifest: Versioned<Manifest>,
    ) -> Arc<Self> {
        let keys = SessionKeys::new(manifest.value.session.clone());
        let store = || Arc::clone(&deps.store);
        let cache = Arc::new(MemoryCache::new(CACHE_BYTES));
        let downloads = Downloads::new(store(), keys.clone(), cache);
        let client = Arc::new(Self {
            uploads: Uploads::new(store(), keys.clone(), Arc::clone(&deps.clock)),
            batches: Batches::new(store(), keys.clone(), downloads),
            ahead: Mutex::default(),
            read: Mutex::default(),
            deps,
            keys,
            id,
            inside_worker,
            manifest: Mutex::new(manifest),
            buffer: Mutex::default(),
            board: Mutex::default(),
            fleet: Mutex::default(),
            environment: Mutex::default(),
            patrol: tokio::sync::Mutex::default(),
            walking: tokio::sync::Mutex::default(),
            leadership: tokio::sync::Mutex::default(),
            looking: tokio::sync::Mutex::default(),
            signals: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
            changes: channel::channel(0).0,
            arrived: Notify::new(),
            flush_now: Notify::new(),
            look_now: Notify::new(),
            fleet_now: Notify::new(),
            stopped: channel::channel(false).0,
            trouble: Mutex::default(),
        });
        tokio::spawn(Arc::clone(&client).run_until_stopped(Loop::Flush));
        tokio::spawn(Arc::clone(&client).run_until_stopped(Loop::Watch));
        tokio::spawn(Arc::clone(&client).run_until_stopped(Loop::Fleet));
        let owns = client.manifest().creator == client.id;
        if owns && client.manifest().lifetime == Lifetime::Owned {
            tokio::spawn(Arc::clone(&client).run_until_stopped(Loop::Owner));
        }
        client
    }

    async fn run_until_stopped(self: Arc<Self>, which: Loop) {
        let mut stopped = self.stopped.subscribe();
        let running = async {
            match which {
                Loop::Flush => self.flush_loop().await,
                Loop::Watch => self.watch_loop().await,
                Loop::Fleet => self.fleet_loop().await,
                Loop::Owner => self.owner_loop().await,
            }
        };
        let ended = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return,
            ended = std::panic::AssertUnwindSafe(running).catch_unwind() => ended,
        };
        let why = match ended {
            Ok(()) => "it ended".to_owned(),
            Err(panic) => panic_text(&*panic),
        };
        let detail = format!("a background loop of this session stopped: {why}");
        self.trouble.lock().crashed = Some(Arc::new(Error::Internal { detail }));
        self.bump();
    }

    /// Ends this client's loops. The session and its workers go on.
    pub fn stop(&self) {
        self.stopped.send_replace(true);
        self.uploads.stop();
        self.ahead.lock().clear();
        self.bump();
    }

    /// The time, as the session's deadline is meant.
    pub fn now(&self) -> UnixMillis {
        self.deps.clock.wall()
    }

    /// The session's configuration as it was read last.
    pub fn manifest(&self) -> Manifest {
        self.manifest.lock().value.clone()
    }

    /// This client's id.
    pub fn id(&self) -> &ClientId {
        &self.id
    }

    /// The session's id.
    pub fn session(&self) -> &SessionId {
        self.keys.session()
    }

    /// Where chunks of payloads go.
    pub fn uploads(&self) -> Arc<Uploads> {
        Arc::clone(&self.uploads)
    }

    /// Waits until something changed on the board after `seen`, or for `most`. Returns the new count.
    pub async fn wait_change(&self, seen: u64, most: Duration) -> u64 {
        self.flush_now.notify_one();
        let mut changes = self.changes.subscribe();
        tokio::select! {
            biased;
            _ = changes.wait_for(|count| *count != seen) => {}
            () = self.deps.clock.sleep(most) => {}
        }
        *self.changes.borrow()
    }

    /// How often the board changed.
    pub fn changes(&self) -> u64 {
        *self.changes.borrow()
    }

    fn bump(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn pace(&self) -> Pace {
        self.manifest.lock().value.pace
    }

    /// What keeps the session from getting on, if anything does.
    pub fn trouble(&self) -> Option<Arc<Error>> {
        let (trouble, now) = (self.trouble.lock(), self.deps.clock.now());
        let parts = [&trouble.fleet, &trouble.watch, &trouble.flush, &trouble.owner];
        trouble.crashed.clone().or_else(|| parts.into_iter().find_map(|part| part.lasting(now)))
    }

    /// When the session's workers stop.
    pub fn deadline(&self) -> UnixMillis {
        self.manifest.lock().value.deadline
    }

    async fn owner_loop(&self) {
        let (mut beat, mut etag) = (0, None);
        loop {
            beat += 1;
            let owner = crate::heartbeat::OwnerBeat { beat };
            let key = self.keys.owner();
            if let Ok(body) = envelope::encode(Kind::Heartbeat, &key, &owner) {
                let written = pulse::overwrite(&*self.deps.store, &key, body, etag.take()).await;
                let (now, failed) = (self.deps.clock.now(), written.is_err());
                match written {
                    Ok(version) => {
                        etag = Some(version);
                        self.trouble.lock().owner.note(None, now);
                    }
                    Err(error) => self.trouble.lock().owner.note(Some(error), now),
                }
                if failed {
                    self.bump();
                }
            }
            // Seen by every look of a worker, unless it is late.
            self.deps.clock.sleep(self.pace().owner * 2 / 3).await;
        }
    }
}

/// The message of a panic.
fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".into())
}

struct StopOnDrop(Option<Arc<Client>>);

impl StopOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(client) = &self.0 {
            client.stop();
        }
    }
}

enum Loop {
    Flush,
    Watch,
    Fleet,
    Owner,
}
