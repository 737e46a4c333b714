//! An R that answers each task with its payload, after a while, or dies of it.
use super::process::{Power, Switch};
use crate::SeededIds;
use async_trait::async_trait;
use starburst_core::{
    blob::Payload,
    clock::{Clock, Monotonic},
    worker::evaluator::{Evaluator, Event, Job, Outcome},
};
use std::{collections::VecDeque, sync::Arc, time::Duration};

#[derive(Debug)]
pub(super) struct SimR {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) dice: Arc<SeededIds>,
    pub(super) switch: Switch,
    pub(super) r_dies: u64,
    pub(super) jobs: VecDeque<(Job, Duration, Option<Monotonic>)>,
}

#[async_trait]
impl Evaluator for SimR {
    async fn submit(&mut self, job: Job) -> Result<(), String> {
        let takes = Duration::from_millis(1 << self.dice.below(16));
        self.jobs.push_back((job, takes, None));
        Ok(())
    }
    async fn event(&mut self) -> Event {
        if self.switch.get() == Power::Dead {
            return std::future::pending().await;
        }
        let Some((job, takes, until)) = self.jobs.front_mut() else {
            return std::future::pending().await;
        };
        let now = self.clock.now();
        let until = *until.get_or_insert(Monotonic(now.0 + *takes));
        self.clock.sleep(until.since(now)).await;
        let (number, ran) = (job.number, *takes);
        if self.r_dies > 0 && self.dice.one_in(self.r_dies) {
            self.jobs.clear();
            return Event::Died { reason: "signal 11".into() };
        }
        let bytes = job.payload.concat().await.unwrap();
        self.jobs.pop_front();
        let outcome = Outcome::Value(Payload::Inline(bytes));
        Event::Ended { number, outcome, ran, log: None }
    }
    async fn kill(&mut self) {
        self.jobs.clear();
    }
}
