//! The fleet: starts workers while there is work for them, and notices when they do not stay.
use super::{Client, muster::START_LIMIT, watch::Depth};
use crate::{
    clock::Monotonic,
    compute::Compute,
    cost::{Bill, Span, Tally},
    error::Error,
    heartbeat::{Heartbeat, WorkerState},
    ids::{PartId, SessionId, WorkerId},
    launch::{LaunchError, LaunchSpec, LogPart},
    manifest::{Lifetime, SessionState},
    mutation::{Rule, is_broken},
    patrol::{Ground, Judges, Verdict},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Workers that may die one after the other without having finished anything, before it is reported.
const DEATHS: u32 = 3;
/// How much of a dead worker's log is shown.
const LOG_TAIL: u64 = 2_000;

/// Workers this client started.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    /// Something wants to get on: a submission, or somebody who waits.
    engaged: bool,
    pub(super) started: BTreeMap<WorkerId, Monotonic>,
    ranks: u32,
    /// Deaths since the last time a worker finished something.
    deaths: u32,
    /// When the first of them was seen, if no living worker has said anything since.
    pub(super) unheard_since: Option<Monotonic>,
    /// The last of them, and why.
    last_death: Option<(WorkerId, String)>,
    finished: u64,
    /// A new number of workers; the manifest's when absent.
    wanted: Option<u32>,
    /// Dead workers whose tasks were taken back.
    settled: BTreeSet<WorkerId>,
    /// No worker was there at the last look, so nothing is spent while no task is open.
    deserted: bool,
    /// It led at the last look, and knows what was started by whoever led before.
    pub(super) led: bool,
    /// What the workers have cost.
    pub(super) bill: Bill,
    /// What it had come to when the lead was taken, until the workers that are known were looked at.
    pub(super) inherited: Option<Tally>,
    /// What is to be said of the cost, or that it was said.
    pub(super) alert: Option<Option<String>>,
}

/// A worker that is gone, why, and what it said of itself last.
pub(super) type Lost = (WorkerId, String, Option<Heartbeat>);

impl Fleet {
    pub(super) fn engage(&mut self) {
        self.engaged = true;
    }
}

impl Client {
    pub(super) fn workers_wanted(&self) -> u32 {
        let wanted = self.fleet.lock().wanted;
        wanted.unwrap_or_else(|| self.manifest.lock().value.workers)
    }

    /// Lets workers be started for tasks that are there already.
    pub fn engage(&self) {
        // What stopped the fleet, or the writing, before is not what stops it now.
        {
            let mut trouble = self.trouble.lock();
            trouble.fleet = super::Failing::default();
            trouble.flush = super::Failing::default();
        }
        self.flush_now.notify_one();
        self.fleet.lock().engage();
        self.fleet_now.notify_one();
    }

    /// Workers that this client started and has not seen dead.
    pub(super) fn started_workers(&self) -> BTreeSet<WorkerId> {
        self.fleet.lock().started.keys().cloned().collect()
    }

    /// Changes the number of workers wanted, as far as this client starts them.
    pub fn scale(&self, workers: u32) {
        self.fleet.lock().wanted = Some(workers);
        self.engage();
    }

    pub(super) async fn fleet_loop(&self) {
        loop {
            // What stopped the fleet is said until somebody wants to go on.
            if self.fleet.lock().engaged {
                let walked = self.walk().await;
                let failed = walked.is_err();
                self.trouble.lock().fleet.note(walked.err(), self.deps.clock.now());
                if failed {
                    self.bump();
                }
            }
            tokio::select! {
                biased;
                () = self.fleet_now.notified() => {}
                () = self.deps.clock.sleep(self.pace().patrol) => {}
            }
        }
    }

    /// One round: who lives, what to take back, whom to start.
    async fn walk(&self) -> Result<(), Error> {
        // Two at once would both start the workers that are missing.
        let _walking = self.walking.lock().await;
        let open = self.board.lock().open_tasks();
        // Whoever started them: workers with nothing to do cost as much as others.
        let spending = self.has_an_end_by_cost() && !self.fleet.lock().deserted;
        if open == 0 && !spending {
            return Ok(());
        }
        self.look_at_environment().await?;
        self.read_manifest().await?;
        let live = self.manifest.lock().value.is_live(self.deps.clock.wall());
        let (mut alive, mut dead) = self.muster().await?;
        self.fleet.lock().deserted = alive == 0;
        self.take_back(&dead).await?;
        let trouble = self.hear_of_trouble().await;
        if !live {
            return self.over(alive);
        }
        self.judge_deaths(alive, &dead).await?;
        if !self.leads().await? {
            self.fleet.lock().led = false;
            return trouble;
        }
        if self.take_over().await? {
            (alive, dead) = self.muster().await?;
            self.fleet.lock().deserted = alive == 0;
        }
        self.keep_budget(&dead).await?;
        let start = self.wave(alive, open).await?;
        match self.start_workers(start).await {
            // Those that are there get on meanwhile.
            Err(Error::Launch(LaunchError::Refused { .. }))
                if alive > 0 || is_broken(Rule::RefusalTold) =>
            {
                trouble
            }
            Ok(()) => trouble,
            Err(other) => Err(other),
        }
    }

    /// Learns, when it has just taken the lead, which workers are on their way: they have not said anything yet, and
    /// whoever started them is not here. `true` when there are any.
    async fn take_over(&self) -> Result<bool, Error> {
        if !self.shares_the_lead() || self.fleet.lock().led {
            return Ok(false);
        }
        let there = self.deps.launcher.workers_of(self.session()).await?;
        let (now, wall) = (self.deps.clock.now(), self.deps.clock.wall());
        let budget = self.manifest().budget;
        let kept = self.leadership.lock().await.kept();
        let mut fleet = self.fleet.lock();
        (fleet.led, fleet.inherited) = (true, kept);
        let before = fleet.started.len();
        for worker in there {
            if let Some(budget) = &budget {
                let span = Span { start: wall, end: None };
                fleet.bill.note(&worker, span, &budget.price);
            }
            fleet.started.entry(worker).or_insert(now);
        }
        Ok(fleet.started.len() > before)
    }

    /// A session that is closed or out of time, with tasks left: nobody will end them.
    fn over(&self, alive: u64) -> Result<(), Error> {
        // A session that was stopped for a reason is over at once for those who wait.
        if alive > 0 && self.manifest.lock().value.closed_because.is_none() {
            return Ok(());
        }
        self.fleet.lock().engaged = false;
        let session = self.session().clone();
        // The lock is not held while the reason is looked up.
        let state = self.manifest.lock().value.state;
        match state {
            SessionState::Closed => Err(self.why_closed(session)),
            SessionState::Open => Err(Error::Expired { session }),
        }
    }

    /// Why nothing more is taken or done: a ceiling on cost, or a user's wish.
    pub(super) fn why_closed(&self, session: SessionId) -> Error {
        match self.manifest.lock().value.closed_because.clone() {
            Some(message) => Error::Cost { message },
            None => Error::Closed { session },
        }
    }

    /// Takes back what the dead held, once for each of them.
    async fn take_back(&self, dead: &[Lost]) -> Result<(), Error> {
        let gone: BTreeSet<WorkerId> = dead.iter().map(|(worker, ..)| worker.clone()).collect();
        {
            let mut fleet = self.fleet.lock();
            fleet.settled.retain(|worker| gone.contains(worker));
            if fleet.settled.len() == gone.len() {
                return Ok(());
            }
        }
        self.look(Depth::Claims).await?;
        let ledgers: Vec<_> = {
            let board = self.board.lock();
            let held = |id: PartId| Some((id, Arc::clone(board.part(id)?.ledger.as_ref()?)));
            board.open_parts().into_iter().filter_map(held).collect()
        };
        let manifest = Arc::new(self.manifest());
        let mut patrol = self.patrol.lock().await;
        // Judged anew, after their claims were read: reading may have taken long, and they may have come back.
        let (store, clock, lease) = (&*self.deps.store, &*self.deps.clock, self.pace().lease);
        patrol.look(store, &self.keys, clock, lease).await?;
        for (id, ledger) in ledgers {
            if !ledger.value.holders().any(|holder| gone.contains(holder)) {
                continue;
            }
            let ground = Ground {
                store: &*self.deps.store,
                keys: &self.keys,
                manifest: &manifest,
                clock: &*self.deps.clock,
                ids: &*self.deps.ids,
                fates: &*self.deps.launcher,
                me: None,
            };
            if patrol.reclaim(&ground, id, &ledger).await?.is_some() {
                self.look_now.notify_one();
            }
        }
        self.fleet.lock().settled = gone;
        Ok(())
    }

    /// A worker that refuses the session, or dies before it did anything, will do so again.
    async fn judge_deaths(&self, alive: u64, dead: &[Lost]) -> Result<(), Error> {
        // What ended counts as progress, whoever said so.
        let finished = self.board.lock().ended_tasks();
        let now = self.deps.clock.now();
        let patience = match self.manifest.lock().value.compute {
            // Others may wait for an instance meanwhile.
            Compute::Ecs(_) => START_LIMIT * 4,
            Compute::Local => START_LIMIT,
        };
        let mut refused = None;
        let last = {
            let mut fleet = self.fleet.lock();
            if finished > fleet.finished {
                fleet.finished = finished;
                fleet.deaths = 0;
                fleet.unheard_since = None;
            }
            for (worker, why, beat) in dead {
                if fleet.started.remove(worker).is_none() {
                    continue;
                }
                if let Some(beat) = beat
                    && let WorkerState::Refused { message } = &beat.state
                {
                    refused = Some((message.clone(), beat.no_environment));
                }
                if beat.as_ref().is_none_or(died_young) {
                    fleet.deaths += 1;
                    fleet.unheard_since.get_or_insert(now);
                    fleet.last_death = Some((worker.clone(), why.clone()));
                }
            }
            if let Some((message, no_environment)) = refused {
                fleet.engaged = false;
                fleet.deaths = 0;
                return Err(if no_environment {
                    Error::Environment { message }
                } else {
                    Error::Refused { message }
                });
            }
            // As long as anybody lives, somebody gets on. But those that are always on their way and never come do not.
            let unheard = fleet.unheard_since.is_some_and(|at| now.since(at) >= patience);
            if fleet.deaths < DEATHS || alive > 0 && !unheard {
                return Ok(());
            }
            // Said once; whoever waits on goes on with a fresh count.
            fleet.deaths = 0;
            fleet.unheard_since = None;
            fleet.engaged = false;
            fleet.last_death.take()
        };
        let Some((worker, why)) = last else {
            return Ok(());
        };
        let log = self.deps.launcher.log(self.session(), &worker, LogPart::Tail(LOG_TAIL)).await;
        let log = log.trim();
        let message = if log.is_empty() { why } else { format!("{why}; its last words:\n{log}") };
        Err(Error::WorkersLost { message })
    }

    async fn start_workers(&self, count: u32) -> Result<(), Error> {
        let manifest = self.manifest();
        let first = {
            let mut fleet = self.fleet.lock();
            fleet.ranks += count;
            fleet.ranks - count
        };
        let spec = |place| LaunchSpec {
            session: manifest.session.clone(),
            worker: WorkerId::fresh(&*self.deps.ids),
            rank: first + place,
            cpu: manifest.cpu,
            detached: manifest.lifetime == Lifetime::Detached,
        };
        let specs: Vec<LaunchSpec> = (0..count).map(spec).collect();
        let now = self.deps.clock.now();
        {
            // Known before they start: one that is quick may be seen before this call is over.
            let mut fleet = self.fleet.lock();
            fleet.started.extend(specs.iter().map(|spec| (spec.worker.clone(), now)));
        }
        let launched = self.deps.launcher.launch_all(&specs).await;
        {
            let mut fleet = self.fleet.lock();
            for spec in &specs {
                fleet.started.remove(&spec.worker);
            }
            if let Some(budget) = &manifest.budget {
                // Charged from here on: the image is fetched before a worker can say anything.
                let span = Span { start: self.deps.clock.wall(), end: None };
                for worker in &launched.workers {
                    fleet.bill.note(worker, span, &budget.price);
                }
            }
            fleet.deserted &= launched.workers.is_empty();
            fleet.started.extend(launched.workers.into_iter().map(|worker| (worker, now)));
        }
        match launched.refused {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    /// The last heartbeats of all workers of the session, and whether each can still be alive.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn workers(&self) -> Result<Vec<(Heartbeat, Verdict)>, Error> {
        let mut patrol = self.patrol.lock().await;
        let (store, clock, pace) = (&*self.deps.store, &*self.deps.clock, self.pace());
        patrol.look(store, &self.keys, clock, pace.lease).await?;
        let judges = Judges { fates: &*self.deps.launcher, clock, pace: &pace };
        let mut rows = Vec::new();
        for worker in patrol.workers() {
            let verdict = patrol.judge(store, &self.keys, &worker, &judges).await?;
            if let Some(beat) = patrol.read(store, &self.keys, &worker).await? {
                rows.push((beat, verdict));
            }
        }
        Ok(rows)
    }

    /// Writes what was submitted and starts the workers it needs: what a client does before it goes.
    ///
    /// # Errors
    /// What keeps it from that.
    pub async fn leave(&self) -> Result<(), Error> {
        if *self.stopped.borrow() {
            return Ok(());
        }
        self.flush().await?;
        let open = self.manifest.lock().value.state == SessionState::Open;
        if open && self.fleet.lock().engaged {
            self.walk().await?;
        }
        self.lay_down_lead().await;
        self.stop();
        Ok(())
    }

    /// A part of a worker's log, or its end.
    pub async fn log(&self, worker: &WorkerId, part: LogPart) -> String {
        self.deps.launcher.log(self.session(), worker, part).await
    }

    /// Stops every worker of this session that the launcher can reach.
    pub async fn stop_workers(&self) {
        let mut known: BTreeMap<WorkerId, Option<crate::heartbeat::ProcessId>> =
            self.fleet.lock().started.keys().map(|worker| (worker.clone(), None)).collect();
        if let Ok(rows) = self.workers().await {
            for (beat, verdict) in rows {
                match verdict {
                    Verdict::Alive => known.insert(beat.worker, Some(beat.process)),
                    Verdict::Dead(_) => known.remove(&beat.worker),
                };
            }
        }
        let stops = known.iter().map(|(w, process)| self.deps.launcher.stop(w, process.as_ref()));
        futures_util::future::join_all(stops).await;
    }
}

/// Whether a worker that is gone went without having finished anything, and not because it was told to.
fn died_young(beat: &Heartbeat) -> bool {
    let ordered = matches!(beat.state, WorkerState::Left { fault: false, .. });
    beat.finished == 0 && !ordered
}
