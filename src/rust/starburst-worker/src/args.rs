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
    /// The folder for unpacked environments.
    pub(crate) libraries: Option<PathBuf>,
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
    /// Whether it runs as an ECS task: it then finds its id there, and shows R's output as its own.
    pub(crate) on_ecs: bool,
}

/// Seconds that a running task gets on ECS: a task's time to stop is 120 s, and what is given back has to be written.
const ECS_GRACE: f64 = 90.0;
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

    /// `own_id` is asked for the id of a worker that finds it out for itself.
    pub(crate) fn parse(own_id: impl FnOnce() -> Result<WorkerId, String>) -> Result<Self, String> {
        Self::from(lexopt::Parser::from_env(), own_id)
    }

    fn from(
        mut parser: lexopt::Parser,
        own_id: impl FnOnce() -> Result<WorkerId, String>,
    ) -> Result<Self, String> {
        use lexopt::prelude::*;
        let (mut store, mut logs, mut r_home, mut scripts, mut session, mut worker) =
            (None, None, None, None, None, None);
        let mut access = Access::default();
        let (mut cache, mut cache_bytes, mut libraries) = (None, None, None);
        let (mut cpu, mut rank, mut parent, mut durable, mut grace) = (1.0, 0, None, false, None);
        let (mut ranks, mut on_ecs) = (1, false);
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
                Long("libraries") => libraries = Some(path(&mut parser)?),
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
                Long("ranks") => ranks = parser.value().and_then(|v| v.parse()).map_err(text)?,
                Long("on-ecs") => on_ecs = true,
                Long("durable") => durable = true,
                Long("parent") => {
                    parent = Some(parser.value().and_then(|v| v.parse()).map_err(text)?);
                }
                Long("grace") => {
                    grace = Some(parser.value().and_then(|v| v.parse()).map_err(text)?)
                }
                Long(_) | Short(_) | Value(_) => return Err(text(arg.unexpected())),
            }
        }
        let missing = |name: &str| format!("--{name} is missing");
        let grace = grace.unwrap_or(if on_ecs { ECS_GRACE } else { 1.0 });
        let grace = Duration::try_from_secs_f64(grace).map_err(|e| e.to_string())?;
        let store = store.ok_or_else(|| missing("store"))?;
        let session = session.ok_or_else(|| missing("session"))?;
        let worker: WorkerId = match worker {
            Some(worker) => worker,
            None if on_ecs => own_id()?,
            None => return Err(missing("worker")),
        };
        if on_ecs {
            // All that were started together were told the same rank.
            rank += spread(&worker) % ranks.max(1);
        }
        // What is not said is as in an image.
        logs = logs.or_else(|| Some(std::env::temp_dir().join("starburst-logs")));
        r_home = r_home.or_else(home_of_r);
        scripts = scripts.or_else(scripts_beside_the_program);
        Ok(Self {
            store,
            access,
            cache,
            cache_bytes,
            libraries,
            logs: logs.ok_or_else(|| missing("logs"))?,
            r_home: r_home.ok_or("there is no R on the path, and --r-home is missing")?,
            scripts: scripts.ok_or(
                "there is no folder `worker` beside the program's, and --scripts is missing",
            )?,
            session,
            worker,
            cpu,
            rank,
            parent,
            durable,
            grace,
            on_ecs,
        })
    }
}

/// A number that differs between workers.
fn spread(worker: &WorkerId) -> u32 {
    let mix = |sum: u32, byte: u8| sum.wrapping_mul(31).wrapping_add(u32::from(byte));
    worker.as_str().bytes().fold(0, mix)
}

/// `R_HOME` of the R on the path.
fn home_of_r() -> Option<PathBuf> {
    let asked = std::process::Command::new("R").arg("RHOME").output().ok()?;
    let home = PathBuf::from(String::from_utf8(asked.stdout).ok()?.trim());
    Some(home).filter(|home| home.is_dir())
}

/// The R side of the worker, where it is installed: `worker/` next to the program's `bin/`.
fn scripts_beside_the_program() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    Some(program.parent()?.parent()?.join("worker")).filter(|scripts| scripts.is_dir())
}

fn path(parser: &mut lexopt::Parser) -> Result<PathBuf, String> {
    parser.value().map(|v: OsString| v.into()).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_odd_is_named() {
        let nobody = || Err("no task".to_owned());
        let parse =
            |args: &[&str]| Args::from(lexopt::Parser::from_args(args), nobody).unwrap_err();
        assert_eq!(parse(&[]), "--store is missing");
        assert_eq!(parse(&["--nonsense"]), "invalid option '--nonsense'");
        assert!(parse(&["--session", "A/B"]).contains("`A/B` is not a session id"));
        assert_eq!(parse(&["--store", "/s", "--session", "s"]), "--worker is missing");
        assert_eq!(parse(&["--store", "/s", "--session", "s", "--on-ecs"]), "no task");
    }
}
