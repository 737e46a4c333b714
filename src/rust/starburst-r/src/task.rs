//! Submitting tasks, waiting for them, and taking what they left.
use crate::{
    convert,
    error::{RError, Result},
    runtime,
    session::client,
    value,
};
use extendr_api::prelude::*;
use starburst_core::{
    blob::Payload,
    client::{Fetched, FetchedEnding, Known, NewTask, TaskSet},
    downloads::Material,
    error::Error,
    ids::TaskId,
    ledger::Broken,
    segment::{TaskHeader, TaskKind},
    store::StoreError,
};
use std::{sync::Arc, time::Duration};

/// What tasks share, packed once.
#[derive(Debug)]
struct Shared(Arc<Payload>);

/// A set of tasks, as R holds it.
#[derive(Debug)]
struct Tasks(TaskSet);

fn of(tasks: &Robj) -> Result<ExternalPtr<Tasks>> {
    let tasks: ExternalPtr<Tasks> = tasks.clone().try_into().map_err(|_| RError::Stale)?;
    tasks.try_addr().map_err(|_| RError::Stale)?;
    Ok(tasks)
}

fn header(
    client: &starburst_core::client::Client,
    kind: TaskKind,
    label: Option<String>,
) -> TaskHeader {
    TaskHeader { kind, label, timeout: client.manifest().task_timeout }
}

impl Shared {
    /// What R holds of it.
    fn of(held: Robj) -> Result<Arc<Payload>> {
        let shared: ExternalPtr<Shared> = held.try_into().map_err(|_| RError::Stale)?;
        Ok(Arc::clone(&shared.try_addr().map_err(|_| RError::Stale)?.0))
    }
}

/// Submits one task; returns its id.
#[extendr]
fn rs_submit(
    handle: Robj,
    payload: Robj,
    is_future: bool,
    label: Nullable<String>,
    shared: Robj,
) -> Result<String> {
    let client = client(&handle)?;
    let common = if shared.is_null() { None } else { Some(Shared::of(shared)?) };
    let payload = value::pack(&payload, &client.uploads())?;
    let kind = if is_future { TaskKind::Future } else { TaskKind::Call };
    let header = header(&client, kind, label.into_option());
    // A submission wakes the loops, which needs the runtime they run on.
    let _entered = runtime::runtime()?.enter();
    Ok(client.submit(NewTask { header, payload, common })?.to_string())
}

/// Packs what tasks share.
#[extendr]
fn rs_share(handle: Robj, shared: Robj) -> Result<Robj> {
    let payload = value::pack(&shared, &client(&handle)?.uploads())?;
    Ok(ExternalPtr::new(Shared(Arc::new(payload))).into())
}

/// Submits elements of a map; returns them as a set of tasks. `labels` has one text an element, empty where it has no name,
/// or none at all.
#[extendr]
fn rs_submit_elements(
    handle: Robj,
    shared: Robj,
    payloads: List,
    labels: Vec<String>,
) -> Result<Robj> {
    let client = client(&handle)?;
    let shared = Shared::of(shared)?;
    let _entered = runtime::runtime()?.enter();
    let payloads = value::pack_each(&payloads, &client.uploads())?;
    let header = header(&client, TaskKind::Element, None);
    let mut tasks = TaskSet::default();
    let mut labels = labels.into_iter();
    for payload in payloads {
        let (mut header, common) = (header.clone(), Some(Arc::clone(&shared)));
        header.label = labels.next().filter(|label| !label.is_empty());
        tasks.push(&client.submit(NewTask { header, payload, common })?);
    }
    Ok(ExternalPtr::new(Tasks(tasks)).into())
}

/// Some tasks as a set, in this order.
#[extendr]
fn rs_tasks_of(ids: Vec<String>) -> Result<Robj> {
    let mut tasks = TaskSet::default();
    parse(&ids)?.iter().for_each(|id| tasks.push(id));
    Ok(ExternalPtr::new(Tasks(tasks)).into())
}

/// The ids of some tasks of a set: those at `from` to `to`, counted from 1.
#[extendr]
fn rs_task_ids(tasks: Robj, from: f64, to: f64) -> Result<Vec<String>> {
    let ids = of(&tasks)?.0.ids((from - 1.0).max(0.0) as u64..to.max(0.0) as u64);
    Ok(ids.iter().map(ToString::to_string).collect())
}

/// How many tasks a set has.
#[extendr]
fn rs_task_count(tasks: Robj) -> Result<f64> {
    Ok(of(&tasks)?.0.len() as f64)
}

/// How many tasks of a set have not ended: a look into memory.
#[extendr]
fn rs_open_among(handle: Robj, tasks: Robj) -> Result<f64> {
    Ok(client(&handle)?.open_among(&of(&tasks)?.0)? as f64)
}

/// How many tasks of a set have ended from place `from` on, counted from 0, up to the first that has not; no more than
/// `most`: a look into memory.
#[extendr]
fn rs_ended_from(handle: Robj, tasks: Robj, from: f64, most: f64) -> Result<f64> {
    let (from, most) = (from.max(0.0) as u64, most.max(0.0) as u64);
    Ok(client(&handle)?.ended_from(&of(&tasks)?.0, from, most)? as f64)
}

/// Waits until everything submitted is in the store.
#[extendr]
fn rs_flush(handle: Robj) -> Result<()> {
    let client = client(&handle)?;
    Ok(runtime::wait(async { client.flush().await })??)
}

/// Waits until something changed since `seen`, at most `ms`; returns the count of changes.
#[extendr]
fn rs_wait(handle: Robj, seen: f64, ms: f64) -> Result<f64> {
    let client = client(&handle)?;
    let most = Duration::from_millis(ms as u64);
    Ok(runtime::wait(async { client.wait_change(seen as u64, most).await })? as f64)
}

/// What keeps the session from getting on, as an error; nothing when it gets on.
#[extendr]
fn rs_check(handle: Robj) -> Result<()> {
    match client(&handle)?.trouble() {
        Some(error) => Err(RError::Shared(error)),
        None => Ok(()),
    }
}

/// A task by what the user gave as its id. Text that no task has as its id names no task.
///
/// # Errors
/// [`Error::NoTask`].
pub(crate) fn parse_one(id: &str) -> Result<TaskId> {
    TaskId::parse(id).map_err(|_| Error::NoTask { task: id.chars().take(64).collect() }.into())
}

/// Several of them.
///
/// # Errors
/// [`Error::NoTask`], for the first that names none.
pub(crate) fn parse(ids: &[String]) -> Result<Vec<TaskId>> {
    ids.iter().map(|id| parse_one(id)).collect()
}

/// Where tasks stand: a look into memory.
#[extendr]
fn rs_known(handle: Robj, ids: Vec<String>) -> Result<Vec<String>> {
    let client = client(&handle)?;
    let mut words = Vec::with_capacity(ids.len());
    for id in parse(&ids)? {
        words.push(convert::word(client.known(&id)?).to_owned());
    }
    Ok(words)
}

/// Whether a task has ended (1), whether near-live conditions wait (2), and whether the session cannot get
/// on (4), added up. What a future is asked many times a second: a look into memory.
#[extendr]
fn rs_peek(handle: Robj, id: &str) -> Result<i32> {
    let client = client(&handle)?;
    let ended = match client.known(&parse_one(id)?)? {
        Known::Pending | Known::Claimed => 0,
        Known::Completed | Known::Failed | Known::Cancelled => 1,
    };
    let signals = if client.has_signals() { 2 } else { 0 };
    let trouble = if ended == 0 && client.trouble().is_some() { 4 } else { 0 };
    Ok(ended + signals + trouble)
}

/// What ended tasks left, one list a column. A task that has not ended has the ending `"open"`.
#[extendr]
fn rs_fetch(handle: Robj, ids: Vec<String>) -> Result<List> {
    let (client, ids) = (client(&handle)?, parse(&ids)?);
    let fetched = runtime::wait(async { client.fetch_each(&ids).await })??;
    let mut rows = Rows::default();
    for row in fetched {
        rows.add(row);
    }
    rows.into_list()
}

/// What [`rs_fetch`] returns, column by column.
#[derive(Default)]
struct Rows {
    ending: Vec<&'static str>,
    materials: Vec<Option<Material>>,
    message: Vec<Option<String>>,
    worker: Vec<Option<String>>,
    attempt: Vec<f64>,
    seconds: Vec<f64>,
}

impl Rows {
    fn add(&mut self, fetched: Option<Fetched>) {
        let (mut material, mut message) = (None, None);
        let (mut worker, mut attempt, mut ran_ms) = (None, 0, 0);
        let ending = match fetched {
            None => "open",
            Some(row) => {
                (worker, attempt, ran_ms) = (row.worker, row.attempt, row.ran_ms);
                match row.ending {
                    FetchedEnding::Value(there) => {
                        material = Some(there);
                        "value"
                    }
                    FetchedEnding::Error(there) => {
                        material = Some(there);
                        "error"
                    }
                    FetchedEnding::Broken { broken, message: why } => {
                        message = Some(why);
                        match broken {
                            Broken::WorkerLost => "worker_lost",
                            Broken::Timeout => "timeout",
                            Broken::Unreadable => "unreadable",
                        }
                    }
                    FetchedEnding::Cancelled => "cancelled",
                }
            }
        };
        self.ending.push(ending);
        self.materials.push(material);
        self.message.push(message);
        self.worker.push(worker.map(|w| w.to_string()));
        self.attempt.push(f64::from(attempt));
        self.seconds.push(ran_ms as f64 / 1e3);
    }

    /// Reads the values. One that is damaged or gone costs its task, and no others.
    fn values(&mut self) -> Result<List> {
        match value::unpack_each(&self.materials) {
            Err(RError::Core(error)) if is_lost(&error) => {}
            read => return read,
        }
        let mut values = Vec::with_capacity(self.materials.len());
        for (i, material) in self.materials.iter().enumerate() {
            let read = material.clone().map(value::unpack).transpose();
            values.push(match read {
                Ok(value) => value.unwrap_or_default(),
                Err(RError::Core(error)) if is_lost(&error) => {
                    self.ending[i] = "unreadable";
                    let why = error.chain().join(": ");
                    self.message[i] = Some(format!("its result is lost: {why}"));
                    Robj::default()
                }
                Err(other) => return Err(other),
            });
        }
        Ok(List::from_values(values))
    }

    fn into_list(mut self) -> Result<List> {
        let values = self.values()?;
        Ok(list!(
            ending = self.ending,
            value = values,
            message = self.message,
            worker = self.worker,
            attempt = self.attempt,
            seconds = self.seconds,
        ))
    }
}

/// Whether what is stored will not be had, whenever it is asked for.
fn is_lost(error: &Error) -> bool {
    matches!(
        error,
        Error::Damaged { .. } | Error::Version { .. } | Error::Store(StoreError::NotFound { .. })
    )
}

/// Says that nobody asks for what these tasks left any more. `TRUE` when what is shared must be packed anew.
#[extendr]
fn rs_forget(handle: Robj, ids: Vec<String>) -> Result<bool> {
    let (client, ids) = (client(&handle)?, parse(&ids)?);
    Ok(runtime::wait(async { client.forget_results(ids).await })??)
}

/// Near-live conditions that arrived: the ids of their tasks, and the conditions.
#[extendr]
fn rs_signals(handle: Robj) -> Result<List> {
    let (mut ids, mut conditions) = (Vec::new(), Vec::new());
    for (id, bytes) in client(&handle)?.take_signals() {
        // One that this R cannot read is no reason to lose the others.
        if let Ok(condition) = value::unpack(Material::Here(bytes)) {
            ids.push(id.to_string());
            conditions.push(condition);
        }
    }
    Ok(list!(ids = ids, conditions = List::from_values(conditions)))
}

extendr_module! {
    mod task;
    fn rs_submit;
    fn rs_share;
    fn rs_submit_elements;
    fn rs_tasks_of;
    fn rs_task_ids;
    fn rs_task_count;
    fn rs_open_among;
    fn rs_ended_from;
    fn rs_flush;
    fn rs_wait;
    fn rs_check;
    fn rs_known;
    fn rs_peek;
    fn rs_fetch;
    fn rs_forget;
    fn rs_signals;
}
