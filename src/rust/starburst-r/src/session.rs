//! Making sessions and attaching to them.
use crate::{
    account, aws, environment,
    error::{RError, Result},
    runtime,
};
use extendr_api::prelude::*;
use starburst_aws::account::Access;
use starburst_core::{
    client::{Client, Deps, SessionConfig},
    compute::Compute,
    ids::SessionId,
    key::SessionKeys,
    manifest::{ClientR, Lifetime},
    pace::Pace,
    travel::Travel,
    worker,
};
use starburst_local::{Durability, ProcessLauncher, WorkerProgram};
use starburst_place::{Opened, Place};
use std::{path::Path, sync::Arc, time::Duration};

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
pub(crate) fn field<T>(config: &List, name: &str) -> Result<T>
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

/// Two character vectors of the same length, element by element.
pub(crate) fn pairs(config: &List, names: &str, values: &str) -> Result<Vec<(String, String)>> {
    let names: Vec<String> = field(config, names)?;
    let values: Vec<String> = field(config, values)?;
    Ok(names.into_iter().zip(values).collect())
}

fn seconds(config: &List, name: &str) -> Result<Duration> {
    let seconds: f64 = field(config, name)?;
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// Where the store is, and what the environment does not say about getting there.
pub(crate) fn place(config: &List) -> Result<(Place, Access)> {
    let name: String = field(config, "store")?;
    let place = Place::parse(&name).map_err(|error| RError::Place(error.into()))?;
    let region: Nullable<String> = field(config, "region")?;
    let profile = account::text(config, "profile");
    Ok((place, Access { region: region.into_option(), profile, ..Access::default() }))
}

/// Store, launcher, clock and randomness.
pub(crate) fn deps(config: &List) -> Result<Deps> {
    let (place, access) = place(config)?;
    let durable: bool = field(config, "durable")?;
    let durability = if durable { Durability::Machine } else { Durability::Process };
    let opened = runtime::wait(async { place.open(&access, durability).await })?;
    let Opened { store, clock, ids } = opened.map_err(RError::Place)?;
    let mut named = vec!["--store".to_owned(), place.to_string()];
    if let Some(region) = access.region {
        named.extend(["--region".to_owned(), region]);
    }
    let logs: String = field(config, "logs")?;
    let program = WorkerProgram {
        program: field::<String>(config, "worker_program")?.into(),
        r_home: field::<String>(config, "r_home")?.into(),
        scripts: field::<String>(config, "scripts")?.into(),
        env: pairs(config, "env_names", "env_values")?,
        store: named,
        logs: place.logs(Path::new(&logs)),
    };
    let launcher = Arc::new(ProcessLauncher::new(program, Arc::clone(&clock)));
    Ok(Deps { store, launcher, clock, ids })
}

/// How often things are looked at: as the place asks for, unless the user chose a lease.
fn pace(config: &List) -> Result<Pace> {
    let pace = place(config)?.0.pace();
    let lease: f64 = field(config, "lease")?;
    Ok(if lease > 0.0 { pace.with_lease(seconds(config, "lease")?) } else { pace })
}

/// What the workers' R takes over. R has checked how large it is.
fn travel(config: &List) -> Result<Travel> {
    let state: Raw = field(config, "travel_state")?;
    let variables = pairs(config, "travel_names", "travel_values")?;
    Ok(Travel { state: state.as_slice().to_vec().into(), variables })
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
        compute: Compute::Local,
        budget: None,
        environment: None,
        task_timeout: Duration::try_from_secs_f64(timeout).ok(),
        idle_timeout: seconds(config, "idle_timeout")?,
        absolute_timeout: seconds(config, "absolute_timeout")?,
        max_attempts: number("max_attempts")? as u32,
        backup_tasks: field(config, "backup_tasks")?,
        pace: pace(config)?,
        client: ClientR { r, future: field(config, "future")? },
        travel: travel(config)?,
    })
}

fn hold(client: Arc<Client>) -> Robj {
    ExternalPtr::new(Handle { client, pid: std::process::id() }).into()
}

/// Whether a session on AWS may be made: whether its workers have a size that fits, and are not too dear.
#[extendr]
fn rs_session_check(config: List) -> Result<()> {
    match aws::aws(&config) {
        Some(of_aws) => aws::check(&config, &of_aws, &deps(&config)?),
        None => Ok(()),
    }
}

/// Makes a session: its handle, and what its user is told before anything starts.
#[extendr]
fn rs_session_create(config: List) -> Result<List> {
    let (mut deps, mut settings) = (deps(&config)?, session_config(&config)?);
    let mut message: Option<String> = None;
    if let Some(of_aws) = aws::aws(&config) {
        let prepared = aws::prepare(&config, &of_aws, &deps)?;
        deps = aws::with_ecs(&config, deps, prepared.fleet.clone())?;
        settings.compute = Compute::Ecs(Box::new(prepared.fleet));
        settings.budget = prepared.budget;
        message = Some(prepared.message);
    }
    settings.environment = environment::published(&config, &deps)?;
    let client = runtime::wait(async { Client::create(deps, settings).await })??;
    Ok(list!(handle = hold(client), message = message))
}

/// Attaches to a session.
#[extendr]
fn rs_session_attach(config: List, id: &str) -> Result<Robj> {
    let (mut deps, id) = (deps(&config)?, SessionId::parse(id)?);
    let keys = SessionKeys::new(id.clone());
    let manifest = runtime::wait(async { worker::admit(&*deps.store, &keys).await })??;
    if let Compute::Ecs(fleet) = manifest.value.compute {
        deps = aws::with_ecs(&config, deps, *fleet)?;
    }
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
    fn rs_session_check;
    fn rs_session_create;
    fn rs_session_attach;
    fn rs_session_is_live;
    fn rs_session_id;
    fn rs_session_leave;
    fn rs_error_kinds;
}
