//! Making sessions and attaching to them.
use crate::{
    error::{RError, Result},
    runtime,
};
use extendr_api::prelude::*;
use starburst_core::{
    client::{Client, Deps, SessionConfig},
    ids::SessionId,
    manifest::{ClientR, Lifetime},
    pace::Pace,
};
use starburst_local::{
    DirStore, Durability, ProcessLauncher, SystemClock, SystemIds, WorkerProgram,
};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// An attached session, as R holds it.
#[derive(Debug)]
pub(crate) struct Handle {
    client: Arc<Client>,
    pid: u32,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // A forked child collects its copy of the handle too; the loops are not its own.
        if self.pid == std::process::id() {
            self.client.stop();
        }
    }
}

pub(crate) type HandlePtr = ExternalPtr<Handle>;

/// The client behind a handle, if this process made it.
pub(crate) fn client(handle: &Robj) -> Result<Arc<Client>> {
    let handle: HandlePtr = handle.clone().try_into().map_err(|_| RError::Stale)?;
    let handle = handle.try_addr().map_err(|_| RError::Stale)?;
    if handle.pid == std::process::id() {
        Ok(Arc::clone(&handle.client))
    } else {
        Err(RError::Stale)
    }
}

/// A field of a list that R has checked.
fn field<T>(config: &List, name: &str) -> Result<T>
where
    T: TryFrom<Robj>,
{
    let found = config.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    found.and_then(|value| T::try_from(value).ok()).ok_or_else(|| {
        RError::Core(starburst_core::error::Error::Internal {
            detail: format!("the native configuration lacks `{name}`"),
        })
    })
}

fn seconds(config: &List, name: &str) -> Result<Duration> {
    let seconds: f64 = field(config, name)?;
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// Store, launcher, clock and randomness for this machine.
pub(crate) fn deps(config: &List) -> Result<Deps> {
    let directory: String = field(config, "directory")?;
    let durable: bool = field(config, "durable")?;
    let durability = if durable { Durability::Machine } else { Durability::Process };
    let (ids, clock) = (Arc::new(SystemIds), Arc::new(SystemClock::default()));
    // Absolute: R's working directory may change before the next worker starts.
    let root = std::path::absolute(&directory).unwrap_or_else(|_| PathBuf::from(&directory));
    let store = DirStore::open(root.clone(), ids.clone(), durability)
        .map_err(|error| RError::Store(error, directory))?;
    let names: Vec<String> = field(config, "env_names")?;
    let values: Vec<String> = field(config, "env_values")?;
    let program = WorkerProgram {
        program: field::<String>(config, "worker_program")?.into(),
        r_home: field::<String>(config, "r_home")?.into(),
        scripts: field::<String>(config, "scripts")?.into(),
        env: names.into_iter().zip(values).collect(),
    };
    let launcher = Arc::new(ProcessLauncher::new(root, program, clock.clone()));
    Ok(Deps { store: Arc::new(store), launcher, clock, ids })
}

fn session_config(config: &List) -> Result<SessionConfig> {
    let detached: bool = field(config, "detached")?;
    let timeout: f64 = field(config, "timeout")?;
    let number = |name| field::<f64>(config, name);
    let r = (number("r_major")? as u32, number("r_minor")? as u32);
    Ok(SessionConfig {
        lifetime: if detached { Lifetime::Detached } else { Lifetime::Owned },
        workers: number("workers")? as u32,
        cpu: number("cpu")?,
        memory_mib: number("memory_mib")? as u64,
        launch_type: field(config, "launch_type")?,
        task_timeout: Duration::try_from_secs_f64(timeout).ok(),
        idle_timeout: seconds(config, "session_timeout")?,
        absolute_timeout: seconds(config, "absolute_timeout")?,
        max_attempts: number("max_attempts")? as u32,
        pace: Pace::local(),
        client: ClientR { r, future: field(config, "future")? },
    })
}

fn hold(client: Arc<Client>) -> Robj {
    ExternalPtr::new(Handle { client, pid: std::process::id() }).into()
}

/// Makes a session.
#[extendr]
fn rs_session_create(config: List) -> Result<Robj> {
    let (deps, settings) = (deps(&config)?, session_config(&config)?);
    let client = runtime::wait(async { Client::create(deps, settings).await })??;
    Ok(hold(client))
}

/// Attaches to a session.
#[extendr]
fn rs_session_attach(config: List, id: &str) -> Result<Robj> {
    let (deps, id) = (deps(&config)?, SessionId::parse(id)?);
    let client = runtime::wait(async { Client::attach(deps, id).await })??;
    Ok(hold(client))
}

/// Whether a handle still leads anywhere.
#[extendr]
fn rs_session_is_live(handle: Robj) -> bool {
    client(&handle).is_ok()
}

/// The session's id.
#[extendr]
fn rs_session_id(handle: Robj) -> Result<String> {
    Ok(client(&handle)?.session().to_string())
}

/// Writes what was submitted, starts the workers it needs, and ends this client's background work. The
/// session goes on.
#[extendr]
fn rs_session_leave(handle: Robj) -> Result<()> {
    let client = client(&handle)?;
    Ok(runtime::wait(async { client.leave().await })??)
}

/// The classes of errors, for the test that compares them with what R documents.
#[extendr]
fn rs_error_kinds() -> Vec<String> {
    let kinds = starburst_core::error::ErrorKind::ALL;
    kinds.iter().map(|kind| kind.class_suffix().to_owned()).collect()
}

extendr_module! {
    mod session;
    fn rs_session_create;
    fn rs_session_attach;
    fn rs_session_is_live;
    fn rs_session_id;
    fn rs_session_leave;
    fn rs_error_kinds;
}
