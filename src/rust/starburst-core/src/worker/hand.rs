//! Working through claimed tasks: feed R, collect how they end, commit, and let go when told to.
use super::{
    Worker,
    evaluator::{Common, Evaluator, Event, Job, Outcome},
    queue::{Hand, Known, Settlement},
};
use crate::{
    blob::Payload,
    clock::Monotonic,
    downloads::Material,
    envelope::{self, Kind},
    error::Error,
    ids::PartId,
    launch::LogSpan,
    ledger::{Broken, Claim, FailureText},
    manifest::Lifetime,
    mutation::{Rule, is_broken},
    results::ResultRef,
    segment::Part,
    signal::Signal,
    store::StoreError,
};
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// R is fed ahead with so much work, in milliseconds, so that it does not wait between short tasks.
const AHEAD_MS: f64 = 20.0;

/// A task in R, or on its way there.
#[derive(Debug)]
struct Running {
    job: u64,
    claim: Claim,
    /// Near-live conditions it has signalled.
    signals: u64,
}

/// A task that ended and is not committed yet.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) claim: Claim,
    pub(super) how: How,
    pub(super) ran: Duration,
    pub(super) log: Option<LogSpan>,
    pub(super) signals: u64,
    /// Where its result is, once it is stored: a commit that failed is tried again, and its results are not.
    pub(super) stored: Option<ResultRef>,
}

#[derive(Debug)]
pub(super) enum How {
    Value(Payload),
    Error(Payload, Option<FailureText>),
    Broken(Broken, String),
}

/// The state of one hand while it is worked on.
#[derive(Debug)]
pub(super) struct Desk {
    part: Arc<Part>,
    waiting: VecDeque<Claim>,
    running: VecDeque<Running>,
    /// When the first of `running` began.
    began: Monotonic,
    pub(super) finished: Vec<Finished>,
    strikes: Vec<(Claim, String)>,
    released: Vec<Claim>,
    signals: Vec<Signal>,
    committed: Monotonic,
    checked: Monotonic,
    /// When what still runs is given back, once the worker was told to leave.
    leave_at: Option<Monotonic>,
}

impl Worker {
    /// Works until nothing of the part is in hand and no more could be claimed.
    pub(super) async fn work(
        &mut self,
        hand: Hand,
        evaluator: &mut dyn Evaluator,
    ) -> Result<(), Error> {
        let now = self.deps.clock.now();
        let mut desk = Desk {
            part: hand.part,
            waiting: hand.claims.into(),
            running: VecDeque::new(),
            began: now,
            finished: Vec::new(),
            strikes: Vec::new(),
            released: Vec::new(),
            signals: Vec::new(),
            committed: now,
            checked: now,
            leave_at: None,
        };
        let mut failing: Option<Monotonic> = None;
        loop {
            match self.step(&mut desk, evaluator).await {
                Ok(true) => {
                    failing = None;
                    self.tell_of_uploads();
                }
                Ok(false) => {
                    self.out_of_trouble();
                    let manifest = self.manifest();
                    if manifest.lifetime == Lifetime::Owned && manifest.pace.looks_are_free() {
                        // Its client deletes what it has read.
                        self.deps.uploads.forget_stored();
                    }
                    return Ok(());
                }
                // The ledger went with its session: what is in hand is nobody's any more.
                Err(Error::Store(StoreError::NotFound { .. })) => {
                    self.kill(evaluator).await;
                    self.queue.give_up(desk.id());
                    return Ok(());
                }
                // What is in hand is worth waiting for: the store may come back.
                Err(error @ Error::Store(_)) => {
                    let now = self.deps.clock.now();
                    let since = now.since(*failing.get_or_insert(now));
                    if !self.waits_out(&error, since) {
                        evaluator.kill().await;
                        return Err(error);
                    }
                    self.deps.clock.sleep(self.manifest().pace.poll_max).await;
                }
                Err(other) => {
                    evaluator.kill().await;
                    return Err(other);
                }
            }
        }
    }

    /// Goes on with what is in hand. `false` when that is nothing.
    async fn step(
        &mut self,
        desk: &mut Desk,
        evaluator: &mut dyn Evaluator,
    ) -> Result<bool, Error> {
        let fed = self.feed(desk, evaluator).await;
        if desk.running.is_empty() {
            // With something at work the rest can wait: the store may come back meanwhile.
            fed?;
            let leaving = self.told_to_leave().is_some();
            return self.commit(desk, !leaving).await;
        }
        if self.claims_ahead(desk) {
            return self.commit(desk, true).await;
        }
        let tick = self.manifest().pace.commit;
        tokio::select! {
            biased;
            event = evaluator.event() => self.take(desk, event)?,
            () = self.shared.woken.notified() => {}
            () = self.deps.clock.sleep(tick) => {}
        }
        self.attend(desk, evaluator).await?;
        Ok(true)
    }

    /// Says in the heartbeat that chunks of a result, which is still coming, are not taken.
    fn tell_of_uploads(&self) {
        let trouble = self.deps.uploads.trouble();
        let mut beat = self.shared.beat.lock();
        if trouble.is_some() || beat.trouble.is_some() {
            beat.trouble = trouble;
        }
    }

    /// Kills R; the next task starts another.
    async fn kill(&mut self, evaluator: &mut dyn Evaluator) {
        evaluator.kill().await;
        self.r_starts = true;
    }

    /// Gives R the next tasks, a little ahead.
    async fn feed(&mut self, desk: &mut Desk, evaluator: &mut dyn Evaluator) -> Result<(), Error> {
        let depth = self.mean_ms.map_or(1, |mean| (AHEAD_MS / mean.max(0.1)) as usize + 1);
        // Many tiny tasks are handed over together, not one for each that ends.
        if desk.running.len() * 2 > depth {
            return Ok(());
        }
        while desk.running.len() < depth {
            let Some(claim) = desk.waiting.pop_front() else {
                return Ok(());
            };
            self.next_job += 1;
            let job = self.job(&desk.part, claim.place)?;
            if desk.running.is_empty() {
                desk.began = self.deps.clock.now();
            }
            if let Err(reason) = evaluator.submit(job).await {
                // No R, no worker: it gives everything back and goes.
                self.broken = Some(reason);
                desk.released.push(claim);
                desk.released.extend(desk.waiting.drain(..));
                return Ok(());
            }
            desk.running.push_back(Running { job: self.next_job, claim, signals: 0 });
        }
        Ok(())
    }

    fn job(&self, part: &Part, place: usize) -> Result<Job, Error> {
        let internal = || Error::Internal { detail: format!("no task at place {place}") };
        let header = part.tasks.get(place).ok_or_else(internal)?;
        let payload = part.payloads.get(place).ok_or_else(internal)?;
        let material = |payload: &Payload| Material::of(payload, &self.downloads);
        let common = part
            .common
            .as_ref()
            .map(|common| Common { id: part.id.segment(), material: material(common) });
        Ok(Job { number: self.next_job, kind: header.kind, payload: material(payload), common })
    }

    /// Takes in what R reports.
    ///
    /// # Errors
    /// Why a task could not be given to R, when the store is to blame: it may be back later.
    fn take(&mut self, desk: &mut Desk, event: Event) -> Result<(), Error> {
        match event {
            Event::Began => {
                desk.began = self.deps.clock.now();
                self.r_starts = false;
            }
            Event::Signal { number, condition } => {
                if let Some(running) = desk.running.iter_mut().find(|r| r.job == number) {
                    running.signals += 1;
                    let place = u32::try_from(running.claim.place).unwrap_or(u32::MAX);
                    let attempt = running.claim.attempt;
                    desk.signals.push(Signal { place, attempt, condition });
                }
            }
            Event::Ended { number, outcome, ran, log } => {
                if desk.running.front().is_none_or(|r| r.job != number) {
                    return Ok(());
                }
                let Some(Running { claim, signals, .. }) = desk.running.pop_front() else {
                    return Ok(());
                };
                desk.began = self.deps.clock.now();
                self.r_starts = matches!(outcome, Outcome::Unreadable(_));
                if matches!(outcome, Outcome::Unreadable(_)) {
                    // R lost its place in the pipe and is gone, with all it had been given.
                    while let Some(behind) = desk.running.pop_back() {
                        desk.waiting.push_front(behind.claim);
                    }
                }
                let how = match outcome {
                    Outcome::Value(payload) => How::Value(payload),
                    Outcome::Error(payload, failure) => How::Error(payload, failure),
                    Outcome::Unreadable(message) => How::Broken(Broken::Unreadable, message),
                };
                let ms = ran.as_secs_f64() * 1e3;
                self.mean_ms = Some(self.mean_ms.map_or(ms, |mean| mean * 0.8 + ms * 0.2));
                let mut beat = self.shared.beat.lock();
                beat.finished += 1;
                // Many tiny tasks add up to more than no time.
                self.busy += ran;
                beat.busy_ms = u64::try_from(self.busy.as_millis()).unwrap_or(u64::MAX);
                desk.finished.push(Finished { claim, how, ran, log, signals, stored: None });
            }
            Event::Left => {
                self.r_starts = true;
                while let Some(behind) = desk.running.pop_back() {
                    desk.waiting.push_front(behind.claim);
                }
            }
            Event::Died { reason } => {
                self.r_starts = true;
                let mut lost = desk.running.drain(..).map(|r| r.claim);
                if let Some(running) = lost.next() {
                    desk.strikes.push((running, reason));
                }
                let behind: Vec<Claim> = lost.collect();
                for claim in behind.into_iter().rev() {
                    desk.waiting.push_front(claim);
                }
            }
            Event::Unfed { number, error } => {
                self.r_starts = true;
                let lasting = matches!(
                    &error,
                    Error::Damaged { .. }
                        | Error::Version { .. }
                        | Error::Store(StoreError::NotFound { .. })
                );
                // What runs, or waits behind it, begins anew with the next R, at no cost.
                while let Some(running) = desk.running.pop_back() {
                    if running.job == number && lasting {
                        let words = error.chain().join(": ");
                        desk.finish_broken(running.claim, Broken::Unreadable, words);
                    } else {
                        desk.waiting.push_front(running.claim);
                    }
                }
                if !lasting {
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// What is due while R computes: time limits, cancellations, commits, leaving.
    async fn attend(
        &mut self,
        desk: &mut Desk,
        evaluator: &mut dyn Evaluator,
    ) -> Result<(), Error> {
        let (now, pace) = (self.deps.clock.now(), self.manifest().pace);
        let ran = now.since(desk.began);
        if let Some(claim) = desk.running.front().map(|r| r.claim)
            && let Some(limit) = desk.part.tasks.get(claim.place).and_then(|t| t.timeout)
            && ran >= limit
            // The limit is the task's, not that of an R that has yet to start.
            && !self.r_starts
        {
            let message = format!("it ran longer than its limit of {} s", limit.as_secs_f64());
            desk.requeue_all_but_first();
            self.kill(evaluator).await;
            desk.finish_broken(claim, Broken::Timeout, message);
        }
        if self.told_to_leave().is_some() {
            desk.released.extend(desk.waiting.drain(..));
            let at = *desk.leave_at.get_or_insert(Monotonic(now.0 + self.grace));
            if now >= at && !desk.running.is_empty() {
                self.kill(evaluator).await;
                desk.released.extend(desk.running.drain(..).map(|r| r.claim));
            }
        } else if ran > pace.claim * 2 && !desk.waiting.is_empty() && !self.r_starts {
            // The running task is a long one: others may have time for those behind it. An R that starts says nothing of
            // the task's length.
            desk.released.extend(desk.waiting.drain(..));
        }
        let due = now.since(desk.checked) >= pace.cancel_check && ran >= pace.cancel_check;
        // Whoever cancels a task disturbs the heartbeat of the worker that holds it.
        if self.shared.take_disturbed() || due {
            desk.checked = now;
            self.drop_lost_claims(desk, evaluator).await?;
        }
        let unsaid = desk.finished.len() + desk.strikes.len() + desk.released.len();
        // With nothing left at work the next step commits, and claims in the same write.
        let due = now.since(desk.committed) >= pace.commit && !desk.running.is_empty();
        if due && unsaid + desk.signals.len() > 0 {
            self.commit(desk, false).await?;
        }
        Ok(())
    }

    /// Whether it is time to claim what comes next: R has all that is in hand, is done with it within a moment, as far as is
    /// known, and would have to wait for the write. With long tasks that is not worth a write of its own.
    fn claims_ahead(&self, desk: &Desk) -> bool {
        let Some(mean) = self.mean_ms.map(|ms| Duration::from_secs_f64(ms / 1e3)) else {
            return false;
        };
        let pace = self.manifest().pace;
        let ran = self.deps.clock.now().since(desk.began);
        let soon = mean * desk.running.len() as u32 <= ran + pace.commit && mean <= pace.claim;
        let more = desk.waiting.is_empty() && self.queue.waits_in(desk.id());
        // Behind a task that turned out to be long nothing is claimed: others may have time for it.
        let short = ran <= pace.claim * 2;
        soon && more && short && self.told_to_leave().is_none()
    }

    /// Stops what was cancelled or taken over.
    async fn drop_lost_claims(
        &mut self,
        desk: &mut Desk,
        evaluator: &mut dyn Evaluator,
    ) -> Result<(), Error> {
        // An earlier commit may have met the change already, so what is known counts, new or not.
        self.refresh(desk.id()).await?;
        let ledger = self.queue.parts.get(&desk.id()).and_then(Known::ledger);
        let held = |claim: &Claim| ledger.is_some_and(|l| l.value.holds(&self.me, *claim));
        desk.waiting.retain(held);
        if desk.running.iter().all(|r| held(&r.claim)) {
            return Ok(());
        }
        let keep: Vec<Claim> = desk.running.drain(..).map(|r| r.claim).filter(held).collect();
        self.kill(evaluator).await;
        for claim in keep.into_iter().rev() {
            desk.waiting.push_front(claim);
        }
        Ok(())
    }

    /// Commits what is finished, and claims more when asked to. `false` when nothing is in hand after it.
    async fn commit(&mut self, desk: &mut Desk, claim_more: bool) -> Result<bool, Error> {
        let unsaid = desk.finished.len() + desk.strikes.len() + desk.released.len();
        if unsaid == 0 && !self.queue.parts.contains_key(&desk.id()) {
            // Everything of it has ended, and that is known.
            return Ok(!desk.waiting.is_empty() || !desk.running.is_empty());
        }
        if !is_broken(Rule::SignalsFirst) {
            self.write_signals(desk).await?;
        }
        let part = Arc::clone(&desk.part);
        let ended = self.store_results(desk).await?;
        let claim = if claim_more && desk.strikes.is_empty() {
            self.claim_size(part.id, part.tasks.len())
        } else {
            0
        };
        let in_hand = desk.running.iter().map(|r| r.claim).chain(desk.waiting.iter().copied());
        let settlement = Settlement {
            ended,
            strikes: desk.strikes.clone(),
            released: desk.released.clone(),
            in_hand: in_hand.map(|c| c.place).collect(),
            claim,
            back_up: None,
        };
        let claims = self.settle(&part, &settlement).await?;
        if is_broken(Rule::SignalsFirst) {
            self.write_signals(desk).await?;
        }
        desk.finished.clear();
        desk.strikes.clear();
        desk.released.clear();
        desk.committed = self.deps.clock.now();
        desk.waiting.extend(claims);
        let ledger = self.queue.parts.get(&desk.id()).and_then(Known::ledger);
        desk.waiting.retain(|claim| ledger.is_some_and(|l| l.value.holds(&self.me, *claim)));
        Ok(!desk.waiting.is_empty() || !desk.running.is_empty())
    }

    /// Writes near-live conditions, before anything says that their tasks ended.
    async fn write_signals(&mut self, desk: &mut Desk) -> Result<(), Error> {
        if !desk.signals.is_empty() {
            let key = self.keys.signal(desk.id(), &self.me, self.signals);
            let body = envelope::encode(Kind::Signals, &key, &desk.signals)?;
            match self.deps.store.create(&key, body).await {
                // The name is ours alone. Without an answer the batch is written again next time.
                Ok(_) | Err(StoreError::AlreadyExists { .. }) => {}
                Err(other) => return Err(other.into()),
            }
            self.signals += 1;
            desk.signals.clear();
        }
        Ok(())
    }
}

impl Desk {
    pub(super) fn id(&self) -> PartId {
        self.part.id
    }

    fn finish_broken(&mut self, claim: Claim, broken: Broken, message: String) {
        let how = How::Broken(broken, message);
        let (ran, log, stored) = (Duration::ZERO, None, None);
        self.finished.push(Finished { claim, how, ran, log, signals: 0, stored });
    }

    /// Puts back what R had not begun; forgets the task it was at.
    fn requeue_all_but_first(&mut self) {
        self.running.pop_front();
        while let Some(Running { claim, .. }) = self.running.pop_back() {
            self.waiting.push_front(claim);
        }
    }
}
