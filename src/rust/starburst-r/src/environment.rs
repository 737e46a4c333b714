//! Environments: making one known, how far it is, forgetting and deleting it.
use crate::{
    convert,
    error::{RError, Result, text_or_null},
    runtime,
    session::{client, deps, field},
};
use bytes::Bytes;
use extendr_api::prelude::*;
use starburst_core::{
    blob::BlobHash,
    client::Deps,
    environment::{Library, Need, Needs, Repository, Source, look, publish::publish},
    error::Error,
    ids::EnvironmentId,
    key::EnvironmentKeys,
};
use std::{collections::HashMap, io::Read};

/// The source archive of a package is no longer, in bytes.
const LONGEST: u64 = 256 << 20;

/// What R found out, and where the source archives of local packages are.
struct Found {
    needs: Needs,
    archives: HashMap<BlobHash, String>,
}

fn wrong(message: String) -> RError {
    RError::Core(Error::Environment { message })
}

fn read_archive(path: &str) -> std::result::Result<Bytes, Error> {
    let cannot = |why: String| Error::Environment {
        message: format!("the source archive `{path}` cannot be read: {why}"),
    };
    let file = std::fs::File::open(path).map_err(|e| cannot(e.to_string()))?;
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|e| cannot(e.to_string()))?;
    if bytes.len() as u64 > LONGEST {
        return Err(cannot(format!("it is larger than {} MB", LONGEST >> 20)));
    }
    Ok(bytes.into())
}

/// What a configuration says of the environment; none when it says nothing.
fn found(config: &List) -> Result<Option<Found>> {
    let given: Robj = field(config, "environment")?;
    if given.is_null() {
        return Ok(None);
    }
    let given: List = given.try_into().map_err(|_| wrong("the needs are no list".into()))?;
    let column = |name: &str| field::<Vec<String>>(&given, name);
    let (package, version, source) = (column("package")?, column("version")?, column("source")?);
    let (repository, remote, commit) =
        (column("repository")?, column("remote")?, column("commit")?);
    let (subdirectory, archive, dependencies) =
        (column("subdirectory")?, column("archive")?, column("dependencies")?);
    let mut archives = HashMap::new();
    let mut packages = Vec::with_capacity(package.len());
    let at = |column: &[String], row: usize| column.get(row).cloned().unwrap_or_default();
    for (row, package) in package.iter().enumerate() {
        let name = at(&source, row);
        let source = Source::parse(&name)
            .ok_or_else(|| wrong(format!("package `{package}` has the unknown source `{name}`")))?;
        let path = at(&archive, row);
        let hash = if source == Source::Local {
            let hash = BlobHash::of(&read_archive(&path)?);
            archives.insert(hash, path);
            Some(hash)
        } else {
            None
        };
        let names = at(&dependencies, row);
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        packages.push(Need {
            package: package.clone(),
            version: at(&version, row),
            source,
            repository: at(&repository, row),
            remote: at(&remote, row),
            commit: at(&commit, row),
            subdirectory: at(&subdirectory, row),
            archive: hash,
            dependencies: names.map(ToOwned::to_owned).collect(),
        });
    }
    let named = column("repository_names")?.into_iter().zip(column("repository_addresses")?);
    let repositories = named.map(|(name, address)| Repository { name, address }).collect();
    Ok(Some(Found { needs: Needs::new(packages, repositories)?, archives }))
}

/// Makes the environment of a configuration known to workers.
pub(crate) fn published(config: &List, deps: &Deps) -> Result<Option<EnvironmentId>> {
    let Some(Found { needs, archives }) = found(config)? else {
        return Ok(None);
    };
    let archive = |hash: &BlobHash| {
        let path = archives.get(hash).map(String::as_str).unwrap_or_default();
        let bytes = read_archive(path)?;
        // It may have been written anew meanwhile.
        if BlobHash::of(&bytes) == *hash {
            Ok(bytes)
        } else {
            let message = format!("the source archive `{path}` changes while it is read");
            Err(Error::Environment { message })
        }
    };
    let id = runtime::wait(async { publish(&*deps.store, &*deps.clock, &needs, archive).await })??;
    Ok(Some(id))
}

/// How far the environment of a session is, in words, and what its user was not told yet. With `look` the store is asked.
#[extendr]
fn rs_environment(handle: Robj, look: bool) -> Result<List> {
    let client = client(&handle)?;
    if look {
        runtime::wait(async { client.look_at_environment().await })??;
    }
    let progress = client.environment_progress().map(|now| {
        let behind =
            if now.package.is_empty() { String::new() } else { format!(": {}", now.package) };
        match (now.doing.as_str(), now.total) {
            ("", _) => "Preparing the packages of workers".to_owned(),
            (doing, 0) => format!("{doing} the packages of workers"),
            (doing, total) => format!("{doing} {} of {total} packages{behind}", now.done),
        }
    });
    Ok(list!(progress = progress, warnings = client.take_environment_warnings()))
}

/// Forgets that the environment of a configuration is installed, or could not be. Returns its name, and whether there was
/// anything to forget.
#[extendr]
fn rs_rebuild_environment(config: List) -> Result<List> {
    let deps = deps(&config)?;
    let id = published(&config, &deps)?;
    let forgotten = match &id {
        Some(id) => {
            let keys = EnvironmentKeys::new(id.clone());
            runtime::wait(async { look::forget(&*deps.store, &keys).await })??
        }
        None => false,
    };
    Ok(list!(id = text_or_null(id.map(|id| id.to_string())), forgotten = forgotten))
}

/// The environments of a store, and when each was last asked for, in seconds since the epoch.
#[extendr]
fn rs_environments(config: List) -> Result<List> {
    let deps = deps(&config)?;
    let uses = runtime::wait(async { look::uses(&*deps.store).await })??;
    let (ids, used): (Vec<String>, Vec<f64>) =
        uses.into_iter().map(|(id, at)| (id.to_string(), convert::seconds(at))).unzip();
    Ok(list!(id = ids, used_at = used))
}

/// What is installed in a store: sizes in bytes, times in seconds.
#[extendr]
fn rs_libraries(config: List) -> Result<List> {
    let deps = deps(&config)?;
    let built = runtime::wait(async { look::built(&*deps.store).await })??;
    let number = |of: &dyn Fn(&Library) -> f64| {
        built.iter().map(|(.., library)| of(library)).collect::<Vec<f64>>()
    };
    let ids: Vec<String> = built.iter().map(|(id, ..)| id.to_string()).collect();
    let platforms: Vec<String> =
        built.iter().map(|(_, platform, _)| platform.to_string()).collect();
    Ok(list!(
        id = ids,
        platform = platforms,
        packages = number(&|library| library.packages.len() as f64),
        installed = number(&|library| library.fresh as f64),
        packed = number(&|library| library.packed as f64),
        unpacked = number(&|library| library.unpacked as f64),
        took = number(&|library| library.took_ms as f64 / 1e3),
        built_at = number(&|library| convert::seconds(library.built_at))
    ))
}

/// Deletes an environment.
#[extendr]
fn rs_delete_environment(config: List, id: &str) -> Result<()> {
    let (deps, keys) = (deps(&config)?, EnvironmentKeys::new(EnvironmentId::parse(id)?));
    Ok(runtime::wait(async { look::delete(&*deps.store, &keys).await })??)
}

extendr_module! {
    mod environment;
    fn rs_environment;
    fn rs_rebuild_environment;
    fn rs_environments;
    fn rs_libraries;
    fn rs_delete_environment;
}
