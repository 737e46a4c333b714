//! An R that answers each task with its payload, after a while, fails, signals, or dies of it.
use super::{
    large,
    process::{Power, Switch},
    weather::Weather,
};
use crate::SeededIds;
use async_trait::async_trait;
use bytes::Bytes;
use starburst_core::{
    blob::Payload,
    clock::{Clock, Monotonic},
    downloads::Material,
    error::Error,
    uploads::Uploads,
    worker::evaluator::{Evaluator, Event, Job, Outcome},
};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::task::JoinHandle;

#[derive(Debug)]
pub(super) struct SimR {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) dice: Arc<SeededIds>,
    pub(super) switch: Switch,
    pub(super) weather: Weather,
    pub(super) uploads: Arc<Uploads>,
    pub(super) acts: VecDeque<Act>,
}

/// One task in R's hands.
#[derive(Debug)]
pub(super) struct Act {
    number: u64,
    words: Words,
    takes: Duration,
    until: Option<Monotonic>,
    /// Conditions that it has yet to signal.
    signals: u64,
}

/// What a task is, once all of it is there.
#[derive(Debug)]
enum Words {
    Here(Bytes),
    /// Chunks on their way: an event that is abandoned does not abandon them.
    Coming(JoinHandle<Result<Bytes, Error>>),
}

impl SimR {
    fn one_in(&self, n: u64) -> bool {
        n > 0 && self.dice.one_in(n)
    }

    fn clear(&mut self) {
        for act in self.acts.drain(..) {
            if let Words::Coming(coming) = act.words {
                coming.abort();
            }
        }
    }

    fn outcome(&self, words: &str) -> Outcome {
        let fails = self.one_in(self.weather.fails);
        let large = self.weather.large;
        let payload: Payload = large::payload(words.as_bytes(), large, &self.dice, &self.uploads);
        if fails { Outcome::Error(payload, None) } else { Outcome::Value(payload) }
    }
}

#[async_trait]
impl Evaluator for SimR {
    async fn submit(&mut self, job: Job) -> Result<(), String> {
        let takes = Duration::from_millis(1 << self.dice.below(16));
        let signals = if self.one_in(self.weather.signals) { 1 + self.dice.below(2) } else { 0 };
        let words = match job.payload {
            Material::Here(bytes) => Words::Here(bytes),
            stored @ Material::Stored(_) => {
                Words::Coming(tokio::spawn(async move { stored.concat().await }))
            }
        };
        self.acts.push_back(Act { number: job.number, words, takes, until: None, signals });
        Ok(())
    }

    async fn event(&mut self) -> Event {
        if self.switch.get() == Power::Dead {
            return std::future::pending().await;
        }
        let Some(act) = self.acts.front_mut() else {
            return std::future::pending().await;
        };
        let number = act.number;
        let words = match &mut act.words {
            Words::Here(bytes) => bytes.clone(),
            Words::Coming(coming) => match coming.await {
                Ok(Ok(bytes)) => bytes,
                Ok(Err(error)) => {
                    self.clear();
                    return Event::Unfed { number, error };
                }
                Err(_) => return std::future::pending().await,
            },
        };
        act.words = Words::Here(words.clone());
        let now = self.clock.now();
        let until = *act.until.get_or_insert(Monotonic(now.0 + act.takes));
        self.clock.sleep(until.since(now)).await;
        if act.signals > 0 {
            act.signals -= 1;
            return Event::Signal { number, condition: "a condition".into() };
        }
        let ran = act.takes;
        if self.one_in(self.weather.r_dies) {
            self.clear();
            return Event::Died { reason: "signal 11".into() };
        }
        self.acts.pop_front();
        let outcome = self.outcome(&large::words(&words));
        Event::Ended { number, outcome, ran, log: None }
    }

    async fn kill(&mut self) {
        self.clear();
    }
}
