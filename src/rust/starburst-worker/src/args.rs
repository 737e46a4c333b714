//! The command line. It is written by the launcher, so it is strict and has no defaults worth knowing.
use starburst_aws::account::Access;
use starburst_core::{
    downloads::{ChunkCache, MemoryCache},
    ids::{SessionId, WorkerId},
};
use starburst_local::DiskCache;
use starburst_place::Place;
use std::{ffi::OsString, path::PathBuf, sync::Arc, time::Duration};

/// What the launcher says.
#[derive(Debug, Clone)]
pub(crate) struct Args {
    /// Where the store is.
    pub(crate) store: Place,
    /// How to get there, where the environment does not say.
    pub(crate) access: Access,
    /// The folder for logs.
    pub(crate) logs: PathBuf,
    /// The folder for chunks that tasks share, and how many bytes it may hold.
    pub(crate) cache: Option<PathBuf>,
    pub(crate) cache_bytes: Option<u64>,
    /// `R_HOME`.
    pub(crate) r_home: PathBuf,
    /// Folder of the R side.
    pub(crate) scripts: PathBuf,
    /// Virtual CPUs a task is told it has.
    pub(crate) cpu: f64,
    pub(crate) session: SessionId,
    pub(crate) worker: WorkerId,
    pub(crate) rank: u32,
    /// The process to end with; none for a worker that outlives it.
    pub(crate) parent: Option<i32>,
    /// Whether what it writes must survive a crash of the machine.
    pub(crate) durable: bool,
    /// How long a running task gets once the worker is told to stop.
    pub(crate) grace: Duration,
}

/// Sealed chunks that are kept in memory where the store is on this machine anyway.
const IN_MEMORY: usize = 64 << 20;
/// Sealed chunks that are kept on disk where the store is far away, for all workers of this user together.
const ON_DISK: u64 = 8 << 30;

impl Args {
    /// What keeps chunks for tasks that share data.
    pub(crate) fn cache(&self) -> Arc<dyn ChunkCache> {
        match self.store {
            Place::Directory(_) => Arc::new(MemoryCache::new(IN_MEMORY)),
            Place::S3(_) => {
                let directory = self.cache.clone().unwrap_or_else(DiskCache::default_directory);
                Arc::new(DiskCache::new(directory, self.cache_bytes.unwrap_or(ON_DISK)))
            }
        }
    }

    pub(crate) fn parse() -> Result<Self, String> {
        Self::from(lexopt::Parser::from_env())
    }

    fn from(mut parser: lexopt::Parser) -> Result<Self, String> {
        use lexopt::prelude::*;
        let (mut store, mut logs, mut r_home, mut scripts, mut session, mut worker) =
            (None, None, None, None, None, None);
        let mut access = Access::default();
        let (mut cache, mut cache_bytes) = (None, None);
        let (mut cpu, mut rank, mut parent, mut durable, mut grace) = (1.0, 0, None, false, 1.0);
        let text = |e: lexopt::Error| e.to_string();
        while let Some(arg) = parser.next().map_err(text)? {
            match arg {
                Long("version") => return Err(env!("CARGO_PKG_VERSION").to_owned()),
                Long("store") => {
                    let name = parser.value().and_then(|v| v.string()).map_err(text)?;
                    store = Some(Place::parse(&name).map_err(|e| e.to_string())?);
                }
                Long("region") => {
                    access.region = Some(parser.value().and_then(|v| v.string()).map_err(text)?);
                }
                Long("cache") => cache = Some(path(&mut parser)?),
                Long("cache-bytes") => {
                    cache_bytes = Some(parser.value().and_then(|v| v.parse()).map_err(text)?);
                }
                Long("logs") => logs = Some(path(&mut parser)?),
                Long("r-home") => r_home = Some(path(&mut parser)?),
                Long("scripts") => scripts = Some(path(&mut parser)?),
                Long("session") => {
                    let id = parser.value().and_then(|v| v.string()).map_err(text)?;
                    session = Some(SessionId::parse(&id).map_err(|e| e.to_string())?);
                }
                Long("worker") => {
                    let id = parser.value().and_then(|v| v.string()).map_err(text)?;
                    worker = Some(WorkerId::parse(&id).map_err(|e| e.to_string())?);
                }
                Long("cpu") => cpu = parser.value().and_then(|v| v.parse()).map_err(text)?,
                Long("rank") => rank = parser.value().and_then(|v| v.parse()).map_err(text)?,
                Long("durable") => durable = true,
                Long("parent") => {
                    parent = Some(parser.value().and_then(|v| v.parse()).map_err(text)?);
                }
                Long("grace") => grace = parser.value().and_then(|v| v.parse()).map_err(text)?,
                Long(_) | Short(_) | Value(_) => return Err(text(arg.unexpected())),
            }
        }
        let missing = |name: &str| format!("--{name} is missing");
        let grace = Duration::try_from_secs_f64(grace).map_err(|e| e.to_string())?;
        Ok(Self {
            store: store.ok_or_else(|| missing("store"))?,
            access,
            cache,
            cache_bytes,
            logs: logs.ok_or_else(|| missing("logs"))?,
            r_home: r_home.ok_or_else(|| missing("r-home"))?,
            scripts: scripts.ok_or_else(|| missing("scripts"))?,
            session: session.ok_or_else(|| missing("session"))?,
            worker: worker.ok_or_else(|| missing("worker"))?,
            cpu,
            rank,
            parent,
            durable,
            grace,
        })
    }
}

fn path(parser: &mut lexopt::Parser) -> Result<PathBuf, String> {
    parser.value().map(|v: OsString| v.into()).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_odd_is_named() {
        let parse = |args: &[&str]| Args::from(lexopt::Parser::from_args(args)).unwrap_err();
        assert_eq!(parse(&[]), "--store is missing");
        assert_eq!(parse(&["--nonsense"]), "invalid option '--nonsense'");
        assert!(parse(&["--session", "A/B"]).contains("`A/B` is not a session id"));
    }
}
