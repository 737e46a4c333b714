//! The evaluator seam: an R process that evaluates one task after the other.
use crate::{
    blob::Payload, downloads::Material, error::Error, launch::LogSpan, ledger::FailureText,
    segment::TaskKind,
};
use async_trait::async_trait;
use bytes::Bytes;
use std::time::Duration;

/// One task, on its way to R.
#[derive(Debug, Clone)]
pub struct Job {
    /// Counts the jobs of this worker; never used twice.
    pub number: u64,
    /// How it is evaluated.
    pub kind: TaskKind,
    /// What it evaluates.
    pub payload: Material,
    /// What it shares with the other tasks of its segment.
    pub common: Option<Common>,
}

/// What the tasks of a segment share.
#[derive(Debug, Clone)]
pub struct Common {
    /// The segment's number: R keeps the last one it was given.
    pub id: u64,
    /// The bytes.
    pub material: Material,
}

/// How a job ended in R.
#[derive(Debug)]
pub enum Outcome {
    /// Its code returned.
    Value(Payload),
    /// Its code failed; the bytes are the condition, and here it is as text.
    Error(Payload, Option<FailureText>),
    /// R could not read it.
    Unreadable(String),
}

/// What the evaluator reports.
#[derive(Debug)]
pub enum Event {
    /// The first job begins now: an evaluator that had to be started is ready.
    Began,
    /// The running job signalled a near-live condition.
    Signal {
        /// The job.
        number: u64,
        /// The condition, serialized.
        condition: Bytes,
    },
    /// A job ended; the next one, if there is any, is running now.
    Ended {
        /// The job.
        number: u64,
        /// How.
        outcome: Outcome,
        /// How long it ran.
        ran: Duration,
        /// What it printed.
        log: Option<LogSpan>,
    },
    /// A job's bytes could not be had. R is gone, and every job it had with it.
    Unfed {
        /// The job.
        number: u64,
        /// Why.
        error: Error,
    },
    /// R ended in order after its last answer, since the task left it in a state that it cannot put back. The jobs it still
    /// had did not begin.
    Left,
    /// R is gone, and every job it had with it.
    Died {
        /// Why, in words.
        reason: String,
    },
}

/// Evaluates jobs in the order in which it was given them.
#[async_trait]
pub trait Evaluator: Send + std::fmt::Debug {
    /// Hands over a job. Starts an evaluator where there is none.
    ///
    /// # Errors
    /// Why no evaluator can be started, in words. One that dies later says so by [`Event::Died`].
    async fn submit(&mut self, job: Job) -> Result<(), String>;

    /// Waits for the next event. Nothing is lost when the wait is abandoned.
    async fn event(&mut self) -> Event;

    /// Kills what runs and forgets every job. What they still report is dropped.
    async fn kill(&mut self);
}
