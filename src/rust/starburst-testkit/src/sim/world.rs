//! One run: the processes, what befalls them, and what every client sees in the end.
use super::{
    Report, checks,
    process::{Power, Reached, Switch},
    store::SimStore,
    weather::Weather,
    workplace::{self, Crew},
};
use crate::{ManualClock, SeededIds};
use bytes::Bytes;
use parking_lot::Mutex;
use starburst_core::{
    client::{self, Client, Deps, FetchedEnding, Known, SessionConfig},
    clock::Clock,
    ids::{SessionId, TaskId},
    key::SessionKeys,
    pace::Pace,
    store::Store,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{task::JoinHandle, time::Instant};

/// How long the storm lasts at most.
const STORM: Duration = Duration::from_secs(900);
/// How long everything may take once nothing fails any more.
const CALM: Duration = Duration::from_secs(4 * 3_600);

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
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) name: String,
    pub(super) switch: Switch,
    pub(super) task: JoinHandle<()>,
}

/// Runs one seed.
pub(super) async fn run(seed: u64, weather: Weather) -> Report {
    let clock = Arc::new(ManualClock::new(Instant::now(), Duration::from_secs(1_000_000)));
    let world = Arc::new(World {
        store: Arc::new(SimStore::new(seed, weather, Arc::clone(&clock))),
        clock,
        dice: Arc::new(SeededIds::new(seed)),
        weather,
        workers: Mutex::default(),
        clients: Mutex::default(),
        submitted: Mutex::default(),
    });
    let mut violations = Vec::new();
    let (values, others) = world.play(&mut violations).await;
    violations.extend(checks::steps(&world.store.log, Pace::remote().lease));
    Report {
        violations,
        values,
        others,
        requests: world.store.requests(),
        fingerprint: world.store.log.fingerprint(),
        story: world.store.log.story(),
    }
}

impl World {
    pub(super) fn note(&self, text: String) {
        self.store.log.note(self.clock.now().0, text);
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

    fn deps(self: &Arc<Self>, switch: &Switch) -> Deps {
        Deps {
            store: self.reached(switch, &self.clock),
            launcher: Arc::new(Crew(Arc::clone(self))),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            ids: Arc::clone(&self.dice) as Arc<dyn starburst_core::ids::Ids>,
        }
    }

    async fn play(self: &Arc<Self>, violations: &mut Vec<String>) -> (usize, usize) {
        let bystander = self.bystander().await;
        let switch = Switch::default();
        let first = loop {
            // Making a session may fail too; nothing was acknowledged yet.
            let deps = self.deps(&switch);
            if let Ok(client) = Client::create(deps, config(self.weather)).await {
                break client;
            }
        };
        let session = first.session().clone();
        let trouble = tokio::spawn(Arc::clone(self).make_trouble());
        let mut submitting = Vec::new();
        for n in 0..self.weather.clients {
            let client = (n == 0).then(|| (Arc::clone(&first), switch.clone()));
            submitting.push(tokio::spawn(Arc::clone(self).submit(session.clone(), client)));
        }
        let mut survivors = vec![first];
        for client in submitting {
            survivors.extend(client.await.unwrap());
        }
        trouble.abort();
        self.store.calm_down();
        for process in self.workers.lock().iter() {
            process.switch.set(Power::Runs);
        }
        for switch in self.clients.lock().iter() {
            switch.set(Power::Runs);
        }
        self.note("calm: nothing fails from here on".into());
        let auditor = Client::attach(self.deps(&Switch::default()), session.clone()).await.unwrap();
        if !self.all_end(&auditor).await {
            violations.push("not everything ended, long after the last failure".into());
            return (0, 0);
        }
        let seen = self.audit(&auditor, violations).await;
        for client in &survivors {
            client.refresh().await.unwrap();
            if self.view(client).await != seen {
                violations.push("two clients see different endings".into());
            }
        }
        self.clean_up(&auditor, &session, bystander, violations).await;
        let values = seen.values().filter(|ending| ending.starts_with("value")).count();
        (values, seen.len() - values)
    }

    /// A session of somebody else in the same store, which nobody may touch.
    async fn bystander(self: &Arc<Self>) -> Vec<(String, Bytes)> {
        let client = loop {
            if let Ok(client) =
                Client::create(self.deps(&Switch::default()), config(Weather::FAIR)).await
            {
                break client;
            }
        };
        client.stop();
        let (segment, body) = (SessionKeys::new(client.session().clone()).segment(0), "somebody's");
        let _ = self.store.objects.create(&segment, body.into()).await;
        self.objects(client.session()).await
    }

    async fn objects(&self, session: &SessionId) -> Vec<(String, Bytes)> {
        let keys = SessionKeys::new(session.clone());
        let mut objects = Vec::new();
        for entry in self.store.objects.list(&keys.all(), None).await.unwrap() {
            let object = self.store.objects.get(&entry.key).await.unwrap();
            objects.push((entry.key.to_string(), object.body));
        }
        objects
    }

    /// One client's part in the storm. Returns the client if it survives.
    async fn submit(
        self: Arc<Self>,
        session: SessionId,
        first: Option<(Arc<Client>, Switch)>,
    ) -> Option<Arc<Client>> {
        let mortal = first.is_none();
        let (client, switch) = match first {
            Some(first) => first,
            None => loop {
                self.pause(20_000).await;
                let switch = Switch::default();
                let deps = self.deps(&switch);
                if let Ok(client) = Client::attach(deps, session.clone()).await {
                    break (client, switch);
                }
            },
        };
        self.clients.lock().push(switch.clone());
        let one_in = |n: u64| n > 0 && self.dice.one_in(n);
        // The first client stays: somebody must see how it ends.
        let mortal = mortal && one_in(self.weather.client_dies);
        let dies_after = self.dice.below(u64::from(self.weather.tasks) + 1);
        let mut mine = Vec::new();
        for n in 0..u64::from(self.weather.tasks) {
            if mortal && n == dies_after {
                self.note(format!("client {} is killed", client.id()));
                switch.set(Power::Dead);
                client.stop();
                return None;
            }
            let id = client.submit(workplace::task(format!("{}-{n}", client.id()).into())).unwrap();
            self.submitted.lock().insert(id.clone(), false);
            mine.push(id);
            if one_in(4) {
                self.pause(3_000).await;
            }
            if one_in(5) && client.flush().await.is_ok() {
                self.safe(&mine);
            }
            if one_in(self.weather.cancel) {
                let victim = mine[self.dice.below(mine.len() as u64) as usize].clone();
                let _ = client.cancel(&[victim]).await;
            }
        }
        while client.flush().await.is_err() {}
        self.safe(&mine);
        let until = self.clock.now().0 + STORM;
        while self.clock.now().0 < until && !self.over(&client, &mine) {
            client.wait_change(client.changes(), Duration::from_secs(20)).await;
            client.engage();
            if one_in(self.weather.cancel * 4) {
                let _ = client.retry(&mine).await;
            }
        }
        Some(client)
    }

    fn safe(&self, ids: &[TaskId]) {
        let mut submitted = self.submitted.lock();
        for id in ids {
            submitted.insert(id.clone(), true);
        }
    }

    fn over(&self, client: &Client, ids: &[TaskId]) -> bool {
        ids.iter().all(|id| match client.known(id) {
            Ok(Known::Completed | Known::Failed | Known::Cancelled) => true,
            Ok(Known::Pending | Known::Claimed) | Err(_) => false,
        })
    }

    async fn pause(&self, at_most_ms: u64) {
        self.clock.sleep(Duration::from_millis(self.dice.below(at_most_ms))).await;
    }

    /// Crashes, stops and cuts off processes at random moments.
    async fn make_trouble(self: Arc<Self>) {
        let Weather { crash_s, pause_s, cut_s, .. } = self.weather;
        loop {
            self.clock.sleep(Duration::from_secs(1)).await;
            if crash_s > 0 && self.dice.one_in(crash_s) {
                self.befall(false, |process| {
                    process.switch.set(Power::Dead);
                    process.task.abort();
                    "is killed".into()
                });
            }
            for (every, power, what) in
                [(pause_s, Power::StandsStill, "stands still"), (cut_s, Power::Cut, "is cut off")]
            {
                if every > 0 && self.dice.one_in(every) {
                    let time = Duration::from_secs(self.dice.below(250));
                    self.befall(true, |process| {
                        let (switch, clock) = (process.switch.clone(), Arc::clone(&self.clock));
                        switch.set(power);
                        tokio::spawn(async move {
                            clock.sleep(time).await;
                            switch.set(Power::Runs);
                        });
                        format!("{what} for {} s", time.as_secs())
                    });
                }
            }
        }
    }

    /// Does something to a worker that runs, or also to a client.
    fn befall(&self, clients_too: bool, act: impl FnOnce(&Process) -> String) {
        let workers = self.workers.lock();
        let clients = self.clients.lock();
        let standing: Vec<&Process> = workers
            .iter()
            .filter(|p| p.switch.get() == Power::Runs && !p.task.is_finished())
            .collect();
        let extra = if clients_too { clients.len() } else { 0 };
        if standing.len() + extra == 0 {
            return;
        }
        let n = self.dice.below((standing.len() + extra) as u64) as usize;
        if let Some(process) = standing.get(n) {
            let what = act(process);
            self.note(format!("worker {} {what}", process.name));
        } else if let Some(switch) = clients.get(n.wrapping_sub(standing.len())) {
            let name = "a client".to_owned();
            let task = tokio::spawn(async {});
            let what = act(&Process { name, switch: switch.clone(), task });
            self.note(format!("a client {what}"));
        }
    }

    /// Whether everything comes to an end once nothing fails.
    async fn all_end(&self, auditor: &Client) -> bool {
        let until = self.clock.now().0 + CALM;
        while self.clock.now().0 < until {
            auditor.engage();
            if auditor.refresh().await.is_ok() {
                let summary = auditor.summary();
                if summary.pending + summary.running == 0 {
                    return true;
                }
            }
            auditor.wait_change(auditor.changes(), Duration::from_secs(30)).await;
        }
        false
    }

    /// How every task of the session ended, as one client sees it.
    async fn view(&self, client: &Client) -> BTreeMap<TaskId, String> {
        let mut view = BTreeMap::new();
        for row in client.rows() {
            let ending = match client.fetch(&row.id).await {
                Ok(Some(fetched)) => match fetched.ending {
                    FetchedEnding::Value(bytes) => {
                        let bytes = bytes.concat().await.unwrap();
                        format!("value {}", String::from_utf8_lossy(&bytes))
                    }
                    FetchedEnding::Broken { message, .. } => format!("broken: {message}"),
                    FetchedEnding::Cancelled => "cancelled".into(),
                    FetchedEnding::Error(_) => "error".into(),
                },
                Ok(None) => "has not ended".into(),
                Err(error) => format!("cannot be read: {error}"),
            };
            if view.insert(row.id.clone(), ending).is_some() {
                view.insert(row.id, "is there twice".into());
            }
        }
        view
    }

    async fn audit(
        &self,
        auditor: &Client,
        violations: &mut Vec<String>,
    ) -> BTreeMap<TaskId, String> {
        let seen = self.view(auditor).await;
        let submitted = self.submitted.lock();
        for (id, _) in submitted.iter().filter(|(_, safe)| **safe) {
            if !seen.contains_key(id) {
                violations.push(format!("task {id} was acknowledged and is lost"));
            }
        }
        let calm = self.weather.r_dies + self.weather.crash_s + self.weather.cut_s == 0
            && self.weather.pause_s + self.weather.cancel == 0;
        for (id, ending) in &seen {
            if !submitted.contains_key(id) {
                violations.push(format!("task {id} was never submitted"));
            }
            let allowed = *ending == format!("value {id}")
                || (!calm && (ending.starts_with("broken: lost") || ending == "cancelled"));
            if !allowed {
                violations.push(format!("task {id}: {ending}"));
            }
        }
        let ids: BTreeSet<String> = seen.keys().map(ToString::to_string).collect();
        if auditor.rows().len() != ids.len() {
            violations.push("a task is there twice".into());
        }
        seen
    }

    /// Deletes the session; nothing of it may be left or come back, and nobody else's may go.
    async fn clean_up(
        &self,
        auditor: &Client,
        session: &SessionId,
        bystander: Vec<(String, Bytes)>,
        violations: &mut Vec<String>,
    ) {
        // A request that was given up is gone for good by now: no network keeps one for so long.
        self.clock.sleep(Duration::from_secs(60)).await;
        auditor.delete().await.unwrap();
        self.clock.sleep(Duration::from_secs(600)).await;
        // What a write that was late, or a worker that stood still, has left is found by a sweep.
        client::sweep(&*self.store, self.clock.wall()).await.unwrap();
        let left = self.objects(session).await;
        if let Some((key, _)) = left.first() {
            violations.push(format!("{key} outlived its session, with {} more", left.len() - 1));
        }
        for (key, body) in bystander {
            let key = starburst_core::key::Key::from_listing(&key).unwrap();
            let now = self.store.objects.get(&key).await;
            if now.map(|object| object.body).ok() != Some(body) {
                violations.push(format!("{key} of another session was touched"));
            }
        }
    }
}

fn config(weather: Weather) -> SessionConfig {
    let config = workplace::config(weather.workers, Duration::from_secs(600));
    SessionConfig { backup_tasks: weather.backups, ..config }
}
