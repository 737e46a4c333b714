//! What workers and requests cost, and what the user's ceilings on it allow. Sums only: the prices come from outside.
use crate::{clock::UnixMillis, ids::WorkerId, store::Requests};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// USD for a PUT, a COPY, a POST or a LIST on S3 Standard in us-east-1 (AWS, November 2026).
const USD_PER_WRITE: f64 = 0.005 / 1000.0;
/// USD for a GET, a HEAD and any other request but DELETE, which is free, likewise (AWS, November 2026).
const USD_PER_READ: f64 = 0.0004 / 1000.0;

/// What one worker costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// USD for an hour of one worker.
    pub usd_per_hour: f64,
    /// A worker is charged for at least so long: one minute on Fargate (AWS, November 2026).
    pub minimum: Duration,
    /// When this was the price, such as `2026-11`.
    pub as_of: String,
    /// What it is the price of, in words, and whether it is an estimate.
    pub what: String,
}

impl Price {
    /// USD for an hour; 0 where the price is not a price.
    fn hourly(&self) -> f64 {
        at_least_zero(self.usd_per_hour)
    }
}

/// What a worker costs that has been there for `time`, in USD: by the second, a begun one counted whole, and the
/// minimum from the start.
pub fn billed(time: Duration, price: &Price) -> f64 {
    let time = time.max(price.minimum);
    let begun = u64::from(time.subsec_nanos() > 0);
    time.as_secs().saturating_add(begun) as f64 * price.hourly() / 3600.0
}

/// What requests to S3 cost, in USD, at the prices of us-east-1 (AWS, November 2026).
pub fn s3_requests(requests: Requests) -> f64 {
    requests.writes as f64 * USD_PER_WRITE + requests.reads as f64 * USD_PER_READ
}

/// What a session has cost up to a moment, as whoever led wrote it down for those who come later.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// The moment.
    pub at: UnixMillis,
    /// The workers, in USD.
    pub workers_usd: f64,
    /// The requests to the store, of workers and clients.
    pub requests: Requests,
}

impl Tally {
    /// All of it, in USD.
    pub fn total_usd(&self) -> f64 {
        at_least_zero(self.workers_usd) + s3_requests(self.requests)
    }
}

/// From when to when a worker is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// When its charge began: on Fargate when it began to fetch its image.
    pub start: UnixMillis,
    /// When it ended; `None` while it is there.
    pub end: Option<UnixMillis>,
}

/// The workers of a session and what they cost. Each is charged once, however often it was seen.
#[derive(Debug, Clone, Default)]
pub struct Bill {
    workers: BTreeMap<WorkerId, (Span, Price)>,
    /// The requests of each worker.
    requests: BTreeMap<WorkerId, Requests>,
    /// What others knew of before, in USD, and in requests.
    carried: (f64, Requests),
}

impl Bill {
    /// Notes what was seen of a worker: its earliest start and its latest end count, and an end that was seen once
    /// is not unseen.
    pub fn note(&mut self, worker: &WorkerId, seen: Span, price: &Price) {
        let known = self.workers.entry(worker.clone()).or_insert_with(|| (seen, price.clone()));
        known.0.start = known.0.start.min(seen.start);
        known.0.end = known.0.end.max(seen.end);
    }

    /// Notes how many requests a worker had made when it said so last.
    pub fn note_requests(&mut self, worker: &WorkerId, requests: Requests) {
        self.requests.insert(worker.clone(), requests);
    }

    /// Takes over what another one's bill had come to: workers and requests that this one knows nothing of count from
    /// here on. `own` are the requests of this process.
    pub fn carry(&mut self, kept: &Tally, own: Requests) {
        let known = self.known_requests(own);
        self.carried = (
            at_least_zero(kept.workers_usd - self.of_workers_at(kept.at)),
            Requests {
                writes: kept.requests.writes.saturating_sub(known.writes),
                reads: kept.requests.reads.saturating_sub(known.reads),
            },
        );
    }

    fn known_requests(&self, own: Requests) -> Requests {
        self.requests.values().copied().sum::<Requests>() + own
    }

    /// What it comes to at this moment. `own` are the requests of this process.
    pub fn tally(&self, at: UnixMillis, own: Requests) -> Tally {
        let workers_usd = self.of_workers(at) + self.carried.0;
        Tally { at, workers_usd, requests: self.known_requests(own) + self.carried.1 }
    }

    /// Whether this worker was noted.
    pub fn has(&self, worker: &WorkerId) -> bool {
        self.workers.contains_key(worker)
    }

    /// What the workers cost up to `now`, in USD: those that ended as they ended, the others up to now.
    fn of_workers(&self, now: UnixMillis) -> f64 {
        let charge = |(span, price): &(Span, Price)| {
            billed(span.end.unwrap_or(now).since(span.start), price)
        };
        self.workers.values().map(charge).sum()
    }

    /// What they had cost at an earlier moment.
    fn of_workers_at(&self, then: UnixMillis) -> f64 {
        let charge = |(span, price): &(Span, Price)| {
            billed(span.end.unwrap_or(then).min(then).since(span.start), price)
        };
        self.workers.values().filter(|(span, _)| span.start <= then).map(charge).sum()
    }

    /// How many of the workers are there still.
    pub fn running(&self) -> u32 {
        let count = self.workers.values().filter(|(span, _)| span.end.is_none()).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// What an hour of the workers that are there costs, in USD.
    pub fn usd_per_hour(&self) -> f64 {
        let there = self.workers.values().filter(|(span, _)| span.end.is_none());
        // The sum of nothing is -0, which is shown as such.
        there.map(|(_, price)| price.hourly()).sum::<f64>() + 0.0
    }
}

/// The most a user wants to spend. `None`: no ceiling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// `max_hourly_cost`: USD an hour, for all workers together.
    pub max_hourly_usd: Option<f64>,
    /// `max_total_cost`: USD in all; the run stops when they are spent.
    pub max_total_usd: Option<f64>,
    /// `cost_alert_threshold`: USD from which on the user is warned.
    pub alert_usd: Option<f64>,
}

/// Workers would cost more an hour than the user allows.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "max_hourly_cost = {max_hourly_usd}: {} {} {} USD an hour; {}",
    workers(*.asked),
    if *.asked == 1 { "costs" } else { "cost" },
    usd(*.hourly_usd),
    fitting(*.fit, *.each_usd)
)]
pub struct TooExpensive {
    /// The ceiling, in USD an hour.
    pub max_hourly_usd: f64,
    /// How many workers there would have been.
    pub asked: u32,
    /// What they would have cost, in USD an hour.
    pub hourly_usd: f64,
    /// What one of them costs, in USD an hour.
    pub each_usd: f64,
    /// How many workers fit below the ceiling.
    pub fit: u32,
}

/// How many workers at this price fit below the ceiling; `None` when there is no ceiling, or they are free.
pub fn most_workers(ceiling: &Ceiling, price: &Price) -> Option<u32> {
    let max = at_least_zero(ceiling.max_hourly_usd?);
    let each = price.hourly();
    // A sum that is the ceiling but for rounding is not above it. The cast ends at 0 and at the largest number.
    (each > 0.0).then(|| (max / each * (1.0 + 1e-12)).floor() as u32)
}

/// Whether `asked` workers may be asked for at all: the question before a launch, which is refused when the answer
/// is no, so that nobody waits for workers that never come.
///
/// # Errors
/// [`TooExpensive`] when all of them together are above the ceiling.
pub fn may_ask(ceiling: &Ceiling, price: &Price, asked: u32) -> Result<(), TooExpensive> {
    match (ceiling.max_hourly_usd, most_workers(ceiling, price)) {
        (Some(max), Some(fit)) if fit < asked => Err(too_expensive(max, price, asked, fit)),
        _ => Ok(()),
    }
}

/// How many of `to_start` workers may start beside those that run: the question while a session goes on.
///
/// # Errors
/// [`TooExpensive`] when not even one worker fits below the ceiling. With the ceiling reached by those that run it
/// is 0, and no error: the next may start when one has ended.
pub fn may_start(
    ceiling: &Ceiling,
    price: &Price,
    running: u32,
    to_start: u32,
) -> Result<u32, TooExpensive> {
    match (ceiling.max_hourly_usd, most_workers(ceiling, price)) {
        (Some(max), Some(0)) if to_start > 0 => {
            Err(too_expensive(max, price, running.saturating_add(to_start), 0))
        }
        (_, Some(fit)) => Ok(to_start.min(fit.saturating_sub(running))),
        (_, None) => Ok(to_start),
    }
}

fn too_expensive(max: f64, price: &Price, asked: u32, fit: u32) -> TooExpensive {
    let each_usd = price.hourly();
    let hourly_usd = f64::from(asked) * each_usd;
    TooExpensive { max_hourly_usd: at_least_zero(max), asked, hourly_usd, each_usd, fit }
}

/// How what was spent stands to the user's ceilings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Below both.
    Fine,
    /// The user is to be warned, once.
    Alert,
    /// The run has to stop.
    Over,
}

/// Compares what was spent with the ceilings. What a ceiling names is the first sum that is too much.
pub fn check(ceiling: &Ceiling, spent_usd: f64) -> Verdict {
    let reached = |limit: Option<f64>| limit.is_some_and(|limit| spent_usd >= limit);
    if reached(ceiling.max_total_usd) {
        Verdict::Over
    } else if reached(ceiling.alert_usd) {
        Verdict::Alert
    } else {
        Verdict::Fine
    }
}

impl Ceiling {
    /// What a user is told at [`check`]'s verdict; `None` where all is fine. `requests_usd` is the part of it that
    /// was for requests to the store.
    pub fn words(&self, spent_usd: f64, requests_usd: f64) -> Option<String> {
        let spent = usd(spent_usd);
        let part = if requests_usd > 0.0 {
            format!(", {} of it for requests to S3", usd(requests_usd))
        } else {
            String::new()
        };
        match check(self, spent_usd) {
            Verdict::Fine => None,
            Verdict::Alert => Some(format!(
                "cost_alert_threshold = {}: {spent} USD are spent{part}",
                self.alert_usd.unwrap_or(0.0)
            )),
            Verdict::Over => Some(format!(
                "max_total_cost = {}: {spent} USD are spent{part}, so the workers stop; results so far are kept, and a \
                 new session with a higher ceiling can do the rest",
                self.max_total_usd.unwrap_or(0.0)
            )),
        }
    }
}

fn workers(count: u32) -> String {
    if count == 1 { "1 worker".to_owned() } else { format!("{count} workers") }
}

fn fitting(fit: u32, each_usd: f64) -> String {
    if fit == 0 {
        return format!("not one would fit, at {} USD each", usd(each_usd));
    }
    format!("{fit} would fit")
}

/// USD as a person reads it: cents, and below ten cents as many digits as tell something.
pub fn usd(sum: f64) -> String {
    let sum = at_least_zero(sum);
    if sum == 0.0 || sum >= 0.1 {
        return format!("{sum:.2}");
    }
    // One ten-thousandth is the least that is shown: below it stands what it is not.
    if sum < 0.0001 { "less than 0.0001".to_owned() } else { format!("{sum:.4}") }
}

/// Also 0 for what is not a number.
fn at_least_zero(value: f64) -> f64 {
    value.max(0.0)
}

#[cfg(test)]
#[path = "cost_tests.rs"]
mod tests;
