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
    blob::{Material, Packed},
    client::{Fetched, FetchedEnding, NewTask},
    ids::TaskId,
    ledger::Broken,
    segment::{TaskHeader, TaskKind},
};
use std::{sync::Arc, time::Duration};

/// What the elements of a map share, packed once.
#[derive(Debug)]
struct Shared(Arc<Packed>);

fn header(client: &starburst_core::client::Client, kind: TaskKind, label: Option<String>) -> TaskHeader {
    TaskHeader { kind, label, timeout: client.manifest().task_timeout }
}

/// Submits one task; returns its id.
#[extendr]
fn rs_submit(handle: Robj, payload: Robj, is_future: bool, label: Nullable<String>) -> Result<String> {
    let client = client(&handle)?;
    let packed = value::pack(&payload, client.known_blobs())?;
    let kind = if is_future { TaskKind::Future } else { TaskKind::Call };
    let header = header(&client, kind, label.into_option());
    // A submission wakes the loops, which needs the runtime they run on.
    let _entered = runtime::runtime()?.enter();
    Ok(client.submit(NewTask { header, packed, common: None })?.to_string())
}

/// Packs what the elements of a map share.
#[extendr]
fn rs_share(handle: Robj, shared: Robj) -> Result<Robj> {
    let packed = value::pack(&shared, client(&handle)?.known_blobs())?;
    Ok(ExternalPtr::new(Shared(Arc::new(packed))).into())
}

/// Submits elements of a map; returns their ids.
#[extendr]
fn rs_submit_elements(handle: Robj, shared: Robj, payloads: List) -> Result<Vec<String>> {
    let client = client(&handle)?;
    let shared: ExternalPtr<Shared> = shared.try_into().map_err(|_| RError::Stale)?;
    let shared = Arc::clone(&shared.try_addr().map_err(|_| RError::Stale)?.0);
    let _entered = runtime::runtime()?.enter();
    let mut ids = Vec::with_capacity(payloads.len());
    for payload in payloads.values() {
        let packed = value::pack(&payload, client.known_blobs())?;
        let header = header(&client, TaskKind::Element, None);
        let common = Some(Arc::clone(&shared));
        ids.push(client.submit(NewTask { header, packed, common })?.to_string());
    }
    Ok(ids)
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

fn parse(ids: &[String]) -> Result<Vec<TaskId>> {
    Ok(ids.iter().map(|id| TaskId::parse(id)).collect::<std::result::Result<_, _>>()?)
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

/// How many of these tasks have not ended.
#[extendr]
fn rs_count_open(handle: Robj, ids: Vec<String>) -> Result<f64> {
    let client = client(&handle)?;
    let mut open = 0.0;
    for id in parse(&ids)? {
        let word = convert::word(client.known(&id)?);
        open += f64::from(u8::from(matches!(word, "pending" | "claimed")));
    }
    Ok(open)
}

/// What an ended task left; `NULL` while it has not ended.
#[extendr]
fn rs_fetch(handle: Robj, id: &str) -> Result<Robj> {
    let (client, id) = (client(&handle)?, TaskId::parse(id)?);
    match runtime::wait(async { client.fetch(&id).await })?? {
        Some(fetched) => as_list(&fetched),
        None => Ok(().into()),
    }
}

fn as_list(fetched: &Fetched) -> Result<Robj> {
    let none = || -> Robj { ().into() };
    let (ending, value, message) = match &fetched.ending {
        FetchedEnding::Value(material) => ("value", value::unpack(material)?, none()),
        FetchedEnding::Error(material) => ("error", value::unpack(material)?, none()),
        FetchedEnding::Broken { broken, message } => {
            let word = match broken {
                Broken::WorkerLost => "worker_lost",
                Broken::Timeout => "timeout",
                Broken::Unreadable => "unreadable",
            };
            (word, none(), message.into_robj())
        }
        FetchedEnding::Cancelled => ("cancelled", none(), none()),
    };
    let worker = fetched.worker.as_ref().map(ToString::to_string);
    let log: Vec<f64> =
        fetched.log.map(|span| vec![span.from as f64, span.to as f64]).unwrap_or_default();
    Ok(list!(
        ending = ending,
        value = value,
        message = message,
        worker = worker,
        attempt = f64::from(fetched.attempt),
        seconds = fetched.ran_ms as f64 / 1e3,
        log = log
    )
    .into())
}

/// Near-live conditions that arrived: the ids of their tasks, and the conditions.
#[extendr]
fn rs_signals(handle: Robj) -> Result<List> {
    let (mut ids, mut conditions) = (Vec::new(), Vec::new());
    for (id, bytes) in client(&handle)?.take_signals() {
        ids.push(id.to_string());
        conditions.push(value::unpack(&Material::from_bytes(bytes))?);
    }
    Ok(list!(ids = ids, conditions = List::from_values(conditions)))
}

extendr_module! {
    mod task;
    fn rs_submit;
    fn rs_share;
    fn rs_submit_elements;
    fn rs_flush;
    fn rs_wait;
    fn rs_check;
    fn rs_known;
    fn rs_count_open;
    fn rs_fetch;
    fn rs_signals;
}
