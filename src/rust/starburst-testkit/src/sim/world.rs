//! One run: the processes, what befalls them, and what every client sees in the end.
use super::{
    Report,
    checks::{self, Law},
    launching::Launching,
    named,
    process::{Power, Reached, Switch},
    store::SimStore,
    views::Shown,
    weather::Weather,
    workplace::{self, Crew},
};
use crate::{ManualClock, SeededIds};
use parking_lot::Mutex;
use starburst_core::{
    client::{Client, Deps, SessionConfig},
    clock::Clock,
    ids::{Ids, TaskId},
    manifest::Lifetime,
    store::Store,
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinHandle, time::Instant};

/// What all processes share.
#[derive(Debug)]
pub(super) struct World {
    pub(super) store: Arc<SimStore>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) dice: Arc<SeededIds>,
    pub(super) weather: Weather,
    pub(super) workers: Mutex<Vec<Process>>,
    pub(super) clients: Mutex<Vec<Switch>>,
    /// Tasks that a client submitted, and whether a flush said that they are safe.
    pub(super) submitted: Mutex<BTreeMap<TaskId, bool>>,
    /// What was wrong with what clients showed.
    pub(super) alarms: Mutex<Vec<String>>,
    pub(super) launching: Launching,
    /// The session was deleted in the storm.
    pub(super) gone: AtomicBool,
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) name: String,
    pub(super) switch: Switch,
    pub(super) task: JoinHandle<()>,
}

/// A client, and what it has shown so far.
pub(super) type Watched = (Arc<Client>, Shown);

/// Runs one seed. Tells its story when asked to, or when a rule was broken.
pub(super) async fn run(seed: u64, weather: Weather, tell: bool) -> Report {
    let clock = Arc::new(ManualClock::new(Instant::now(), Duration::from_secs(1_000_000)));
    let world = Arc::new(World {
        store: Arc::new(SimStore::new(seed, weather, Arc::clone(&clock))),
        clock,
        dice: Arc::new(SeededIds::new(seed)),
        weather,
        workers: Mutex::default(),
        clients: Mutex::default(),
        submitted: Mutex::default(),
        alarms: Mutex::default(),
        launching: Launching::default(),
        gone: AtomicBool::new(false),
    });
    let mut violations = Vec::new();
    let (values, others) = world.play(&mut violations).await;
    let config = world.config();
    let law = Law { lease: config.pace.lease, max_attempts: config.max_attempts };
    violations.extend(checks::steps(&world.store.log, law));
    if weather.large > 0 {
        violations.extend(named::before_it_is_named(&world.store.log));
    }
    violations.append(&mut world.alarms.lock());
    let tell = tell || !violations.is_empty();
    Report {
        violations,
        values,
        others,
        requests: world.store.requests(),
        fingerprint: if tell { world.store.log.fingerprint() } else { 0 },
        story: if tell { world.store.log.story() } else { Vec::new() },
    }
}

impl World {
    pub(super) fn note(&self, text: String) {
        self.store.log.note(self.clock.now().0, text);
    }

    pub(super) fn one_in(&self, n: u64) -> bool {
        n > 0 && self.dice.one_in(n)
    }

    pub(super) async fn pause(&self, at_most_ms: u64) {
        self.clock.sleep(Duration::from_millis(self.dice.below(at_most_ms))).await;
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// The store as a process reaches it, with everything that is between them in earnest.
    pub(super) fn reached(&self, switch: &Switch, clock: &Arc<ManualClock>) -> Arc<dyn Store> {
        let reached = Reached {
            store: Arc::clone(&self.store),
            switch: switch.clone(),
            clock: Arc::clone(clock),
        };
        workplace::with_retries(Arc::new(reached), clock, &self.dice)
    }

    pub(super) fn deps(self: &Arc<Self>, switch: &Switch) -> Deps {
        Deps {
            store: self.reached(switch, &self.clock),
            launcher: Arc::new(Crew(Arc::clone(self))),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            ids: Arc::clone(&self.dice) as Arc<dyn Ids>,
        }
    }

    pub(super) fn config(&self) -> SessionConfig {
        let Weather { workers, backups, owned, .. } = self.weather;
        let config = workplace::config(workers, Duration::from_secs(600));
        let lifetime = if owned { Lifetime::Owned } else { Lifetime::Detached };
        SessionConfig { backup_tasks: backups, lifetime, pace: self.weather.pace(), ..config }
    }

    /// Looks at what a client shows, which must be right at any moment before a deletion.
    pub(super) fn see(&self, (client, shown): &mut Watched) {
        if self.store.log.is_torn() {
            return;
        }
        // Two workers of one name write their conditions under the same names, and a deletion takes them.
        let signals = self.weather.twice == 0 && !self.weather.deleted;
        let wrong = shown.look(client, &self.store.log, signals);
        let at = self.clock.now().0.as_secs_f64();
        let mut alarms = self.alarms.lock();
        if alarms.len() < 10 {
            alarms.extend(wrong.into_iter().map(|what| format!("{at:.3} s {what}")));
        }
    }

    async fn play(self: &Arc<Self>, violations: &mut Vec<String>) -> (usize, usize) {
        let bystander = self.bystander().await;
        let switch = Switch::default();
        let first = loop {
            // Making a session may fail too; nothing was acknowledged yet.
            if let Ok(client) = Client::create(self.deps(&switch), self.config()).await {
                break client;
            }
        };
        let session = first.session().clone();
        let trouble = tokio::spawn(Arc::clone(self).make_trouble());
        let delete = || tokio::spawn(Arc::clone(self).delete_in_storm(session.clone()));
        let losing = self.weather.hopeless.map(|how| tokio::spawn(Arc::clone(self).lose_hope(how)));
        let damaging = tokio::spawn(Arc::clone(self).damage_objects(session.clone()));
        let listing = tokio::spawn(Arc::clone(self).look_for_old(session.clone()));
        let deleting = self.weather.deleted.then(delete);
        let mut submitting = Vec::new();
        for n in 0..self.weather.clients {
            let client = (n == 0).then(|| (Arc::clone(&first), switch.clone()));
            let owns = client.is_some() && self.weather.owner_is_lost();
            let taking_part = Arc::clone(self).take_part(session.clone(), client);
            submitting.push(if owns {
                let dying = Arc::clone(self).owner_dies(Arc::clone(&first), switch.clone());
                tokio::spawn(async move {
                    let lives = async { tokio::join!(taking_part, std::future::pending::<()>()) };
                    tokio::select! { biased; () = dying => None, (survivor, ()) = lives => survivor }
                })
            } else {
                tokio::spawn(taking_part)
            });
        }
        let mut survivors = Vec::new();
        for client in submitting {
            survivors.extend(client.await.unwrap());
        }
        trouble.abort();
        listing.abort();
        damaging.abort();
        losing.inspect(JoinHandle::abort);
        self.calm_down();
        if let Some(deleting) = deleting {
            deleting.await.unwrap();
            self.after_deletion(&session, &survivors, bystander, violations).await;
            return (0, 0);
        }
        let (shut, idle) = self.ruins(&session).await;
        if !shut.is_empty() {
            self.launching.calm_down(None);
            self.after_ruin(&session, &mut survivors, &shut, violations).await;
            self.look_behind(&session, bystander, violations).await;
            return (0, 0);
        }
        let auditor = Client::attach(self.deps(&Switch::default()), session.clone()).await.unwrap();
        let mut auditor = (auditor, Shown::default());
        if !self.is_told(&mut auditor).await {
            violations.push("nobody says that no worker can be started".into());
        }
        if !self.all_end(&mut auditor, &idle).await {
            violations.push("not everything ended, long after the last failure".into());
            return (0, 0);
        }
        let seen = self.audit(&auditor.0, &idle, violations).await;
        for survivor in &mut survivors {
            survivor.0.refresh().await.unwrap();
            self.see(survivor);
            let mut view = self.view(&survivor.0).await;
            let mut same = seen.clone();
            for (id, ending) in &seen {
                let other = view.get(id).cloned().unwrap_or_default();
                if other != *ending && self.may_differ(id, ending, &other) {
                    view.remove(id);
                    same.remove(id);
                }
            }
            if view != same {
                violations.push("two clients see different endings".into());
            }
        }
        if self.weather.owner_is_lost() {
            self.without_owner(&auditor, &survivors, &session, bystander, violations).await;
        } else {
            // Whose session it is deletes it.
            let deleter = if self.weather.owned { &first } else { &auditor.0 };
            self.clean_up(deleter, &session, bystander, violations).await;
        }
        let values = seen.values().filter(|ending| ending.starts_with("value")).count();
        (values, seen.len() - values)
    }

    fn calm_down(&self) {
        self.store.calm_down();
        self.launching.calm_down(self.weather.hopeless.filter(|_| !self.weather.deleted));
        for process in self.workers.lock().iter() {
            process.switch.set(Power::Runs);
        }
        for switch in self.clients.lock().iter() {
            switch.set(Power::Runs);
        }
        self.note("calm: nothing fails from here on".into());
    }
}
