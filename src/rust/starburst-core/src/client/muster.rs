//! The muster: which workers of the session live, which are gone, and what the living cannot do.
use super::{Client, fleet::Lost, watch::Depth};
use crate::{
    clock::Monotonic,
    compute::Compute,
    error::{Error, ErrorKind},
    ids::WorkerId,
    launch::Fate,
    mutation::{Rule, is_broken},
    patrol::{Judges, Patrol, Verdict},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A worker that was started and has not said anything for so long is given up.
pub(super) const START_LIMIT: Duration = Duration::from_secs(300);

impl Client {
    /// Counts the living, started ones that have not spoken included, and lists the dead.
    pub(super) async fn muster(&self) -> Result<(u64, Vec<Lost>), Error> {
        let mut patrol = self.patrol.lock().await;
        let (store, clock, pace) = (&*self.deps.store, &*self.deps.clock, self.pace());
        patrol.look(store, &self.keys, clock, pace.lease).await?;
        let judges = Judges { fates: &*self.deps.launcher, clock, pace: &pace };
        let (mut alive, mut dead) = (0, Vec::new());
        for worker in patrol.workers() {
            match patrol.judge(store, &self.keys, &worker, &judges).await? {
                Verdict::Alive => alive += 1,
                Verdict::Dead(why) => {
                    let last = patrol.read(store, &self.keys, &worker).await?;
                    dead.push((worker, why, last));
                }
            }
        }
        if alive > 0 {
            self.fleet.lock().unheard_since = None;
        }
        let started = self.fleet.lock().started.clone();
        let unheard = self.unheard_holders(&patrol, &started).await?;
        for worker in &unheard {
            match patrol.judge(store, &self.keys, worker, &judges).await? {
                Verdict::Alive => alive += 1,
                Verdict::Dead(why) => dead.push((worker.clone(), why, None)),
            }
        }
        for (worker, since) in &started {
            if patrol.knows(worker) || unheard.contains(worker) {
                continue;
            }
            match self.on_its_way(worker, *since).await {
                Ok(()) => alive += 1,
                Err(why) => dead.push((worker.clone(), why, None)),
            }
        }
        Ok((alive, dead))
    }

    /// Workers that hold tasks and have not beaten. Where first heartbeats come late they may be gone before it, and are in no
    /// listing; and whoever started them may be gone, too.
    async fn unheard_holders(
        &self,
        patrol: &Patrol,
        started: &BTreeMap<WorkerId, Monotonic>,
    ) -> Result<BTreeSet<WorkerId>, Error> {
        let (now, pace) = (self.deps.clock.now(), self.pace());
        let silent = |since: &Monotonic| now.since(*since) >= pace.heartbeat * 3 / 2;
        let any_silent = started.iter().any(|(w, since)| !patrol.knows(w) && silent(since));
        if any_silent {
            self.look(Depth::Claims).await?;
        }
        let mut holders = self.board.lock().holders();
        holders.retain(|worker| {
            let ours = started.contains_key(worker);
            // Each worker beats at its start where looks are free.
            let counts = if ours { any_silent } else { !pace.looks_are_free() };
            counts && !patrol.knows(worker)
        });
        Ok(holders)
    }

    /// Whether a worker that was started then, and has said nothing, may still come; or why not.
    async fn on_its_way(&self, worker: &WorkerId, since: Monotonic) -> Result<(), String> {
        let fate = self.deps.launcher.fate(worker, None).await;
        let limit = match (&fate, &self.manifest.lock().value.compute) {
            // ECS knows that it is on its way: an instance for it may have to be started first.
            (Fate::Alive, Compute::Ecs(_)) => START_LIMIT * 4,
            (Fate::Alive | Fate::Unknown | Fate::Gone(_), _) => START_LIMIT,
        };
        let late = self.deps.clock.now().since(since) >= limit && !is_broken(Rule::SilenceEnds);
        match fate {
            Fate::Gone(why) => Err(why),
            Fate::Alive | Fate::Unknown if late => Err("it never said anything".into()),
            Fate::Alive | Fate::Unknown => Ok(()),
        }
    }

    /// Tells what keeps workers from writing results, where looking at their heartbeats is free.
    pub(super) async fn hear_of_trouble(&self) -> Result<(), Error> {
        let pace = self.pace();
        if !pace.looks_are_free() {
            return Ok(());
        }
        let mut patrol = self.patrol.lock().await;
        let judges = Judges { fates: &*self.deps.launcher, clock: &*self.deps.clock, pace: &pace };
        for worker in patrol.workers() {
            let Some(beat) = patrol.read(&*self.deps.store, &self.keys, &worker).await? else {
                continue;
            };
            let Some(trouble) = beat.trouble else {
                continue;
            };
            let verdict = patrol.judge(&*self.deps.store, &self.keys, &worker, &judges).await?;
            if verdict == Verdict::Alive {
                let kind =
                    if trouble.denied { ErrorKind::Permission } else { ErrorKind::Unavailable };
                let message = format!("workers cannot write results: {}", trouble.message);
                let source = message.clone().into();
                return Err(Error::Service { kind, message, subject: None, source });
            }
        }
        Ok(())
    }
}
