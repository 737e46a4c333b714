//! Runs R: for its version, and to install packages.
use super::orders;
use crate::{args::Args, r_words};
use rustix::process::{Pid, Signal};
use starburst_core::environment::{lease::Progress, prepare::HostError};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{process::Command, sync::watch};

/// How often it is looked how far R is.
const LOOK: Duration = Duration::from_millis(200);
/// R says its version within this time.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How much of what R printed is shown when it ended without a word.
const SHOWN: usize = 2_000;

/// How to run R.
#[derive(Debug, Clone)]
pub(super) struct R {
    home: PathBuf,
    scripts: PathBuf,
    at_once: usize,
}

impl R {
    pub(super) fn new(args: &Args) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let at_once = cores.min(args.cpu.ceil() as usize).max(1);
        Self { home: args.r_home.clone(), scripts: args.scripts.clone(), at_once }
    }

    fn command(&self) -> Command {
        // Not the program behind it, as for tasks: R's own tools need what this script sets.
        let mut command = std::process::Command::new(self.home.join("bin/R"));
        command.args(["--vanilla", "--no-echo"]).stdin(Stdio::null());
        command.env_remove("R_HOME").env_remove("R_DEFAULT_PACKAGES");
        // The scripts look for words in what R and compilers say.
        command.env("LANGUAGE", "en").env("LC_MESSAGES", "C");
        crate::r_process::end_with_parent(&mut command);
        let mut command = Command::from(command);
        command.process_group(0).kill_on_drop(true);
        command
    }

    /// R's major and minor version, and its name for this machine.
    pub(super) async fn version(&self) -> Result<((u32, u32), String), HostError> {
        let ask = "cat(R.version$major, R.version$minor, R.version$platform, sep = '\\n')";
        let asked = self.command().args(["-e", ask]).output();
        let answer = match tokio::time::timeout(START_LIMIT, asked).await {
            Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).into_owned(),
            Ok(Err(error)) => return Err(HostError::Machine(format!("R cannot start: {error}"))),
            Err(_) => return Err(HostError::Machine("R did not say its version".into())),
        };
        let mut lines = answer.lines();
        let mut number = || {
            let text = lines.next()?;
            text.split('.').next()?.trim().parse::<u32>().ok()
        };
        let version = number().zip(number());
        version.zip(lines.next().map(|line| line.trim().to_owned())).ok_or_else(|| {
            HostError::Machine(format!("R answered `{}` when asked for its version", answer.trim()))
        })
    }

    /// Installs what the orders in this folder say.
    pub(super) async fn install(
        &self,
        folder: &Path,
        progress: &watch::Sender<Progress>,
    ) -> Result<(), HostError> {
        let cannot = |e: std::io::Error| HostError::Machine(format!("R cannot start: {e}"));
        let said = folder.join("install.log");
        let log = std::fs::File::create(&said).map_err(cannot)?;
        let temporary = folder.join("tmp");
        std::fs::create_dir_all(&temporary).map_err(cannot)?;
        let mut command = self.command();
        command
            .arg(format!("--file={}", self.scripts.join("install.R").display()))
            .arg("--args")
            .arg(folder)
            .arg(self.at_once.to_string())
            .env("TMPDIR", &temporary)
            .stdout(log.try_clone().map_err(cannot)?)
            .stderr(log);
        let mut child = command.spawn().map_err(cannot)?;
        let group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
        let status = loop {
            if let Ok(ended) = tokio::time::timeout(LOOK, child.wait()).await {
                break ended;
            }
            if let Some(now) = orders::progress(folder) {
                progress.send_if_modified(|seen| {
                    let changed = *seen != now;
                    *seen = now;
                    changed
                });
            }
        };
        // What it started may still run after a failure.
        drop(group);
        match (status, orders::failure(folder)) {
            (_, Some((true, message))) => Err(HostError::Package(message)),
            (_, Some((false, message))) => Err(HostError::Machine(message)),
            (Ok(status), None) if status.success() => Ok(()),
            (Ok(status), None) => {
                let text = std::fs::read(&said).unwrap_or_default();
                let from = text.len().saturating_sub(SHOWN);
                let last = String::from_utf8_lossy(text.get(from..).unwrap_or_default());
                let how = r_words::how_it_ended(status);
                Err(HostError::Machine(format!(
                    "installing packages failed: {how}; it printed:\n{}",
                    last.trim()
                )))
            }
            (Err(error), None) => Err(cannot(error)),
        }
    }
}

/// Processes that end when whoever waits for them gives up.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}
