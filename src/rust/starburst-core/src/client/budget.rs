//! The budget: what the workers have cost so far, and the end of a session that has cost what it may.
use super::{
    Client,
    fleet::{Fleet, Lost},
};
use crate::{
    clock::UnixMillis,
    compute::{Budget, Compute},
    cost::{self, Span, Tally, Verdict},
    error::Error,
    heartbeat::Heartbeat,
    lead::Lead,
    patrol,
    store::Requests,
    update,
};

/// What a session has cost, in US dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spent {
    /// All of it, up to now.
    pub total_usd: f64,
    /// The part of it that was for requests to the store.
    pub requests_usd: f64,
    /// An hour of those that are there.
    pub hourly_usd: f64,
}

impl Client {
    /// Whether there is a sum at which the session ends, so that its workers are watched also while they do nothing.
    pub(super) fn has_an_end_by_cost(&self) -> bool {
        let manifest = &self.manifest.lock().value;
        manifest.budget.as_ref().is_some_and(|budget| budget.ceiling.max_total_usd.is_some())
    }

    /// Adds up what the workers cost, and closes the session when that is what it may cost.
    pub(super) async fn keep_budget(&self, dead: &[Lost]) -> Result<(), Error> {
        let Some(budget) = self.manifest().budget else {
            return Ok(());
        };
        let spent = self.add_up(&budget, dead).await?;
        let message = budget.ceiling.words(spent.total_usd, spent.requests_usd).unwrap_or_default();
        match cost::check(&budget.ceiling, spent.total_usd) {
            Verdict::Fine => return Ok(()),
            Verdict::Alert => {
                self.fleet.lock().alert.get_or_insert(Some(message));
                return Ok(());
            }
            Verdict::Over => {}
        }
        self.change_manifest(|manifest| manifest.closed_because(&message)).await?;
        // Only now: whoever submits meanwhile is told the reason, which the manifest has.
        self.buffer.lock().close();
        self.stop_workers().await;
        Err(Error::Cost { message })
    }

    /// That the session has cost what its user wants to be told of; said once.
    pub fn take_alert(&self) -> Option<String> {
        self.fleet.lock().alert.as_mut()?.take()
    }

    async fn add_up(&self, budget: &Budget, dead: &[Lost]) -> Result<Spent, Error> {
        let now = self.deps.clock.wall();
        let mut patrol = self.patrol.lock().await;
        for worker in patrol.workers() {
            let over = dead.iter().find(|(gone, ..)| *gone == worker);
            let known = self.fleet.lock().bill.has(&worker);
            // When it began does not change: only what is over is read again.
            if known && over.is_none() {
                continue;
            }
            if let Some(beat) = patrol.read(&*self.deps.store, &self.keys, &worker).await? {
                let end = over.map(|_| last_sign(&beat));
                let span = Span { start: beat.started_at, end };
                let mut fleet = self.fleet.lock();
                fleet.bill.note(&worker, span, &budget.price);
                fleet.bill.note_requests(&worker, beat.requests);
            }
        }
        for (worker, _, beat) in dead {
            let mut fleet = self.fleet.lock();
            if beat.is_none() && fleet.bill.has(worker) {
                // It never said anything: from its start until somebody noticed.
                let span = Span { start: now, end: Some(now) };
                fleet.bill.note(worker, span, &budget.price);
            }
        }
        let mut fleet = self.fleet.lock();
        if let Some(kept) = fleet.inherited.take() {
            fleet.bill.carry(&kept, self.own_requests());
        }
        Ok(self.spent_by(&fleet, now))
    }

    fn spent_by(&self, fleet: &Fleet, now: UnixMillis) -> Spent {
        let tally = fleet.bill.tally(now, self.own_requests());
        Spent {
            total_usd: tally.total_usd(),
            requests_usd: cost::s3_requests(tally.requests),
            hourly_usd: fleet.bill.usd_per_hour(),
        }
    }

    /// The requests of this process, where no worker counts them as its own.
    fn own_requests(&self) -> Requests {
        if self.inside_worker { Requests::default() } else { self.deps.store.requests() }
    }

    /// What is to be written to the lead: the bill of whoever leads.
    pub(super) fn tally_to_keep(&self) -> Option<Tally> {
        self.manifest.lock().value.budget.as_ref()?;
        let (now, own) = (self.deps.clock.wall(), self.own_requests());
        let fleet = self.fleet.lock();
        (fleet.led && fleet.inherited.is_none()).then(|| fleet.bill.tally(now, own))
    }

    /// Brings the bill up to date before the lead is laid down: nobody may look at the workers for long.
    pub(super) async fn settle_bill(&self) {
        let leads = self.shares_the_lead() && self.fleet.lock().led;
        let Some(budget) = self.manifest().budget.filter(|_| leads) else {
            return;
        };
        // What cannot be looked at now stays as it was seen last.
        if let Ok((_, dead)) = self.muster().await {
            let _ = self.add_up(&budget, &dead).await;
        }
    }

    /// What the session has cost so far, by the records of its workers as [`workers`](Client::workers) returned them,
    /// and by what was written down before. `None` where the price of a worker is not known.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn spent(
        &self,
        workers: &[(Heartbeat, patrol::Verdict)],
    ) -> Result<Option<Spent>, Error> {
        let manifest = self.manifest();
        if manifest.budget.is_none() && manifest.compute != Compute::Local {
            return Ok(None);
        }
        let kept = if self.shares_the_lead() && !self.fleet.lock().led {
            let lead = update::read::<Lead>(&*self.deps.store, &self.keys.lead()).await?;
            lead.and_then(|lead| lead.value.spent)
        } else {
            None
        };
        let mut fleet = self.fleet.lock();
        for (beat, verdict) in workers {
            if let Some(budget) = &manifest.budget {
                let over = matches!(verdict, patrol::Verdict::Dead(_));
                let span = Span { start: beat.started_at, end: over.then(|| last_sign(beat)) };
                fleet.bill.note(&beat.worker, span, &budget.price);
            }
            fleet.bill.note_requests(&beat.worker, beat.requests);
        }
        if let Some(kept) = kept {
            fleet.bill.carry(&kept, self.own_requests());
        }
        Ok(Some(self.spent_by(&fleet, self.deps.clock.wall())))
    }
}

/// When a worker that is gone was last there.
fn last_sign(beat: &Heartbeat) -> UnixMillis {
    beat.at.max(beat.started_at)
}
