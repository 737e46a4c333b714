//! Status, lists, and what changes or ends a session.
use crate::{
    convert,
    error::Result,
    runtime,
    session::{client, deps},
    task::{parse, parse_one},
};
use extendr_api::prelude::*;
use starburst_core::{
    client::{self, Client, Failed, Problem, Summary},
    heartbeat::WorkerState,
    ids::{SessionId, WorkerId},
    key,
    launch::LogPart,
    ledger::Broken,
    patrol::Verdict,
};
use std::{sync::Arc, time::Duration};

/// The session's tasks by state, its workers, and its own state.
#[extendr]
fn rs_status(handle: Robj, refresh: bool) -> Result<List> {
    let client = client(&handle)?;
    let (workers, spent) = runtime::wait(async {
        if refresh {
            client.refresh().await?;
        }
        let workers = client.workers().await?;
        let spent = client.spent(&workers).await?;
        Ok::<_, starburst_core::error::Error>((workers, spent))
    })??;
    let (mut ids, mut states, mut finished, mut busy) = (vec![], vec![], vec![], vec![]);
    for (beat, verdict) in workers {
        let state = match (verdict, &beat.state) {
            (Verdict::Dead(why), _) => format!("gone: {why}"),
            (Verdict::Alive, WorkerState::Starting) => "starting".into(),
            (Verdict::Alive, WorkerState::Idle) => "idle".into(),
            (Verdict::Alive, WorkerState::Busy) => "busy".into(),
            (Verdict::Alive, WorkerState::Left { reason, .. }) => format!("gone: {reason}"),
            (Verdict::Alive, WorkerState::Refused { message }) => format!("refused: {message}"),
        };
        ids.push(beat.worker.to_string());
        states.push(state);
        finished.push(beat.finished as f64);
        busy.push(beat.busy_ms as f64 / 1e3);
    }
    let manifest = client.manifest();
    Ok(list!(
        counts = convert::counts(&client.summary()),
        workers = list!(worker = ids, state = states, finished = finished, busy_seconds = busy),
        state = client::state_word(&manifest, client.now()),
        launch_type = manifest.launch_type.clone(),
        workers_wanted = f64::from(manifest.workers),
        created_at = convert::seconds(manifest.created_at),
        deadline = convert::seconds(manifest.deadline),
        cost = spent.map(|spent| spent.total_usd),
        cost_of_requests = spent.map(|spent| spent.requests_usd),
        cost_per_hour = spent.map(|spent| spent.hourly_usd)
    ))
}

/// What is to be said of the session's cost; `NA` when that is nothing, or was said.
#[extendr]
fn rs_cost_alert(handle: Robj) -> Result<Option<String>> {
    Ok(client(&handle)?.take_alert())
}

/// What one worker of the session costs, in USD an hour; 0 where nothing is charged, or the price is not known.
#[extendr]
fn rs_price(handle: Robj) -> Result<f64> {
    let budget = client(&handle)?.manifest().budget;
    Ok(budget.map_or(0.0, |budget| budget.price.usd_per_hour))
}

/// Tasks by state, from memory.
#[extendr]
fn rs_counts(handle: Robj) -> Result<List> {
    Ok(convert::counts(&client(&handle)?.summary()))
}

/// `"open"`, `"expired"` or `"closed"`, as far as this client knows.
#[extendr]
fn rs_state(handle: Robj) -> Result<String> {
    let client = client(&handle)?;
    Ok(client::state_word(&client.manifest(), client.now()).into())
}

/// When the session was made, in seconds since 1970.
#[extendr]
fn rs_created_at(handle: Robj) -> Result<f64> {
    Ok(convert::seconds(client(&handle)?.manifest().created_at))
}

/// Every task in the order of submission.
#[extendr]
fn rs_tasks(handle: Robj) -> Result<List> {
    let rows = client(&handle)?.rows();
    let ids: Vec<String> = rows.iter().map(|row| row.id.to_string()).collect();
    let states: Vec<&str> = rows.iter().map(|row| convert::word(row.known)).collect();
    let labels: Vec<Option<String>> = rows.iter().map(|row| row.label.clone()).collect();
    Ok(list!(id = ids, state = states, label = labels))
}

/// Brings what this client knows up to date.
#[extendr]
fn rs_refresh(handle: Robj) -> Result<()> {
    let client = client(&handle)?;
    Ok(runtime::wait(async { client.refresh().await })??)
}

/// Lets workers be started for the tasks that are there.
#[extendr]
fn rs_engage(handle: Robj) -> Result<()> {
    client(&handle)?.engage();
    Ok(())
}

/// Changes the number of workers wanted.
#[extendr]
fn rs_scale(handle: Robj, workers: f64) -> Result<()> {
    client(&handle)?.scale(workers as u32);
    Ok(())
}

async fn change(client: &Arc<Client>, ids: &[String], retry: bool) -> Result<f64> {
    let ids = parse(ids)?;
    let count = if retry { client.retry(&ids).await? } else { client.cancel(&ids).await? };
    Ok(count as f64)
}

/// Withdraws tasks that have not ended; returns how many.
#[extendr]
fn rs_cancel(handle: Robj, ids: Vec<String>) -> Result<f64> {
    let client = client(&handle)?;
    runtime::wait(change(&client, &ids, false))?
}

/// Lets failed and cancelled tasks run again; returns how many.
#[extendr]
fn rs_retry(handle: Robj, ids: Vec<String>) -> Result<f64> {
    let client = client(&handle)?;
    runtime::wait(change(&client, &ids, true))?
}

/// Moves the deadline; returns it in seconds since the epoch.
#[extendr]
fn rs_extend(handle: Robj, seconds: f64) -> Result<f64> {
    let client = client(&handle)?;
    let by = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    Ok(convert::seconds(runtime::wait(async { client.extend(by).await })??))
}

/// Takes no more tasks, and stops the workers if asked to.
#[extendr]
fn rs_close(handle: Robj, stop_workers: bool) -> Result<()> {
    let client = client(&handle)?;
    runtime::wait(async {
        client.close().await?;
        if stop_workers {
            client.stop_workers().await;
        }
        Ok::<(), starburst_core::error::Error>(())
    })??;
    Ok(())
}

/// Deletes the session.
#[extendr]
fn rs_delete(handle: Robj) -> Result<()> {
    let client = client(&handle)?;
    Ok(runtime::wait(async { client.delete().await })??)
}

/// What an ended task printed.
#[extendr]
fn rs_printed(handle: Robj, id: &str) -> Result<String> {
    let (client, id) = (client(&handle)?, parse_one(id)?);
    Ok(runtime::wait(async { client.printed(&id).await })??)
}

/// The last bytes of a worker's log.
#[extendr]
fn rs_worker_log(handle: Robj, worker: &str, bytes: f64) -> Result<String> {
    let (client, worker) = (client(&handle)?, WorkerId::parse(worker)?);
    runtime::wait(async { client.log(&worker, LogPart::Tail(bytes as u64)).await })
}

/// All sessions of a store.
#[extendr]
fn rs_sessions(config: List) -> Result<List> {
    let deps = deps(&config)?;
    let rows = runtime::wait(async { client::list_sessions(&deps).await })??;
    let now = deps.clock.wall();
    let manifest = |row: &client::SessionRow| row.manifest.clone();
    let count = |f: &dyn Fn(&Summary) -> u64| -> Vec<Option<f64>> {
        rows.iter().map(|row| row.tasks.as_ref().map(|tasks| f(tasks) as f64)).collect()
    };
    let problem = |row: &client::SessionRow| match &row.problem {
        Some(Problem::Damaged(why) | Problem::Version(why)) => Some(why.clone()),
        None => None,
    };
    let created = |row: &client::SessionRow| manifest(row).map(|m| convert::seconds(m.created_at));
    let environment = |row: &client::SessionRow| manifest(row)?.environment.map(|e| e.to_string());
    Ok(list!(
        session_id = rows.iter().map(|row| row.session.to_string()).collect::<Vec<String>>(),
        created_at = rows.iter().map(created).collect::<Vec<Option<f64>>>(),
        last_activity = rows
            .iter()
            .map(|row| row.last_activity.map(convert::seconds))
            .collect::<Vec<Option<f64>>>(),
        total_tasks = count(&Summary::total),
        pending = count(&|tasks| tasks.pending),
        running = count(&|tasks| tasks.running),
        completed = count(&|tasks| tasks.completed),
        failed = count(&|tasks| tasks.failed),
        cancelled = count(&|tasks| tasks.cancelled),
        state = rows.iter().map(|row| row.state_word(now)).collect::<Vec<&str>>(),
        cost = rows.iter().map(|row| row.cost_usd).collect::<Vec<Option<f64>>>(),
        problem = rows.iter().map(problem).collect::<Vec<Option<String>>>(),
        environment = rows.iter().map(environment).collect::<Vec<Option<String>>>()
    ))
}

/// Deletes a session by its id, also one that no client can attach to.
#[extendr]
fn rs_delete_session(config: List, id: &str) -> Result<()> {
    let (deps, id) = (deps(&config)?, SessionId::parse(id)?);
    Ok(runtime::wait(async { client::delete_session(&deps, &id).await })??)
}

/// The last tasks that failed, at most so many, in text: nothing that they left is read.
#[extendr]
fn rs_failures(handle: Robj, most: f64) -> Result<List> {
    let failed = client(&handle)?.failures(most as usize);
    let ending = |row: &Failed| match row.broken {
        None => "error",
        Some(Broken::WorkerLost) => "worker_lost",
        Some(Broken::Timeout) => "timeout",
        Some(Broken::Unreadable) => "unreadable",
    };
    Ok(list!(
        task_id = failed.iter().map(|row| row.id.to_string()).collect::<Vec<String>>(),
        label = failed.iter().map(|row| row.label.clone()).collect::<Vec<Option<String>>>(),
        ending = failed.iter().map(ending).collect::<Vec<&str>>(),
        class = failed.iter().map(|row| row.class.clone()).collect::<Vec<Option<String>>>(),
        message = failed.iter().map(|row| row.message.clone()).collect::<Vec<String>>(),
        attempts = failed.iter().map(|row| f64::from(row.attempt)).collect::<Vec<f64>>(),
        worker = failed
            .iter()
            .map(|row| row.worker.as_ref().map(ToString::to_string))
            .collect::<Vec<Option<String>>>()
    ))
}

/// Deletes what is left of sessions that are gone, or only looks for it; returns their ids.
#[extendr]
fn rs_sweep(config: List, look_only: bool) -> Result<Vec<String>> {
    let deps = deps(&config)?;
    let gone = runtime::wait(async {
        // The first answer of a store brings its time.
        deps.store.children(&key::sessions()).await?;
        let now = deps.clock.wall();
        if look_only {
            client::leftovers(&*deps.store, now).await
        } else {
            client::sweep(&*deps.store, now).await
        }
    })??;
    Ok(gone.iter().map(ToString::to_string).collect())
}

extendr_module! {
    mod manage;
    fn rs_status;
    fn rs_cost_alert;
    fn rs_price;
    fn rs_counts;
    fn rs_created_at;
    fn rs_state;
    fn rs_tasks;
    fn rs_refresh;
    fn rs_engage;
    fn rs_scale;
    fn rs_cancel;
    fn rs_retry;
    fn rs_extend;
    fn rs_close;
    fn rs_delete;
    fn rs_printed;
    fn rs_worker_log;
    fn rs_sessions;
    fn rs_delete_session;
    fn rs_failures;
    fn rs_sweep;
}
