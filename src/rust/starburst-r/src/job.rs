//! Work that takes minutes: it runs in the background and tells how far it is, and R looks at it.
use crate::{
    error::{RError, Result},
    runtime,
};
use extendr_api::prelude::*;
use parking_lot::Mutex;
use starburst_aws::install::Said;
use starburst_core::error::Error;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{sync::Notify, task::AbortHandle};

/// What a job ends with, by name: it is made into an R list on R's thread.
pub(crate) type Answer = Vec<(&'static str, Cell)>;

/// One value of an answer.
#[derive(Debug)]
pub(crate) enum Cell {
    /// A string.
    Text(String),
    /// Strings, `NA` where there is none.
    Texts(Vec<Option<String>>),
    /// A number.
    Number(f64),
    /// Truth values, `NA` where nothing is known.
    Flags(Vec<Option<bool>>),
}

impl From<Cell> for Robj {
    fn from(cell: Cell) -> Self {
        match cell {
            Cell::Text(text) => text.into(),
            Cell::Texts(texts) => texts.into_iter().collect_robj(),
            Cell::Number(number) => number.into(),
            Cell::Flags(flags) => {
                let flags = flags.into_iter().map(|flag| flag.map_or_else(Rbool::na, Rbool::from));
                flags.collect_robj()
            }
        }
    }
}

#[derive(Debug, Default)]
struct State {
    said: Vec<Said>,
    ended: Option<std::result::Result<Answer, Error>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

/// A job as R holds it. Letting go of it ends our part; what AWS was asked to do goes on.
#[derive(Debug)]
pub(crate) struct Job {
    shared: Arc<Shared>,
    work: AbortHandle,
    pid: u32,
}

impl Job {
    fn end(&self) {
        // A forked child has a copy of the job, and none of the threads it runs on.
        if self.pid == std::process::id() {
            self.work.abort();
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.end();
    }
}

/// Where a job tells how far it is.
#[derive(Debug, Clone)]
pub(crate) struct Teller(Arc<Shared>);

impl Teller {
    pub(crate) fn tell(&self, said: Said) {
        self.0.state.lock().said.push(said);
        self.0.changed.notify_one();
    }
}

/// Starts a job.
pub(crate) fn start<F, W>(work: W) -> Result<Robj>
where
    W: FnOnce(Teller) -> F,
    F: Future<Output = std::result::Result<Answer, Error>> + Send + 'static,
{
    let shared = Arc::new(Shared::default());
    let (work, end) = (work(Teller(Arc::clone(&shared))), Arc::clone(&shared));
    let task = runtime::runtime()?.spawn(async move {
        let outcome = work.await;
        end.state.lock().ended = Some(outcome);
        end.changed.notify_one();
    });
    Ok(ExternalPtr::new(Job { shared, work: task.abort_handle(), pid: std::process::id() }).into())
}

/// What a job said since the last look, waiting at most `ms` for something; and its answer once it has ended.
#[extendr]
fn rs_job_next(job: Robj, ms: f64) -> Result<List> {
    let job: ExternalPtr<Job> = job.try_into().map_err(|_| RError::Stale)?;
    let shared = Arc::clone(&job.try_addr().map_err(|_| RError::Stale)?.shared);
    let quiet = {
        let state = shared.state.lock();
        state.said.is_empty() && state.ended.is_none()
    };
    if quiet {
        let most = Duration::from_millis(ms as u64);
        // Nothing said in time is an answer too.
        let _ =
            runtime::wait(async { tokio::time::timeout(most, shared.changed.notified()).await })?;
    }
    let (said, ended) = {
        let mut state = shared.state.lock();
        (std::mem::take(&mut state.said), state.ended.take())
    };
    let steps: Vec<Option<String>> = said
        .iter()
        .map(|said| match said {
            Said::Step(text) => Some(text.clone()),
            Said::Count(_) => None,
        })
        .collect();
    let counts: Vec<f64> = said
        .iter()
        .map(|said| match said {
            Said::Step(_) => 0.0,
            Said::Count(count) => *count as f64,
        })
        .collect();
    let answer: Robj = match ended {
        None => ().into(),
        Some(answer) => {
            let (names, values): (Vec<&str>, Vec<Robj>) =
                answer?.into_iter().map(|(name, cell)| (name, Robj::from(cell))).unzip();
            List::from_names_and_values(names, values)
                .map_err(|error| RError::Value(error.to_string()))?
                .into()
        }
    };
    Ok(list!(steps = steps, counts = counts, answer = answer))
}

/// Ends our part of a job.
#[extendr]
fn rs_job_drop(job: Robj) {
    if let Ok(job) = ExternalPtr::<Job>::try_from(job)
        && let Ok(job) = job.try_addr()
    {
        job.end();
    }
}

extendr_module! {
    mod job;
    fn rs_job_next;
    fn rs_job_drop;
}
