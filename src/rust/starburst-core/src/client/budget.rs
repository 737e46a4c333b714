//! The budget: what the workers have cost so far, and the end of a session that has cost what it may.
use super::{Client, fleet::Lost};
use crate::{
    compute::Budget,
    cost::{self, Span, Verdict},
    error::Error,
    heartbeat::Heartbeat,
    patrol,
};

/// What a session has cost, in US dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spent {
    /// All its workers, up to now.
    pub total_usd: f64,
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
        let message = budget.ceiling.words(spent.total_usd).unwrap_or_default();
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
                self.fleet.lock().bill.note(&worker, span, &budget.price);
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
        let fleet = self.fleet.lock();
        Ok(Spent { total_usd: fleet.bill.total(now), hourly_usd: fleet.bill.usd_per_hour() })
    }

    /// What the session has cost so far, by the records of its workers as [`workers`](Client::workers) returned them;
    /// `None` where nothing costs anything.
    pub fn spent(&self, workers: &[(Heartbeat, patrol::Verdict)]) -> Option<Spent> {
        let budget = self.manifest().budget?;
        let now = self.deps.clock.wall();
        let mut fleet = self.fleet.lock();
        for (beat, verdict) in workers {
            let over = matches!(verdict, patrol::Verdict::Dead(_));
            let span = Span { start: beat.started_at, end: over.then(|| last_sign(beat)) };
            fleet.bill.note(&beat.worker, span, &budget.price);
        }
        Some(Spent { total_usd: fleet.bill.total(now), hourly_usd: fleet.bill.usd_per_hour() })
    }
}

/// When a worker that is gone was last there.
fn last_sign(beat: &Heartbeat) -> crate::clock::UnixMillis {
    beat.at.max(beat.started_at)
}
