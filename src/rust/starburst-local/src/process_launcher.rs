//! Workers as processes of this machine.
use crate::{
    private,
    process::{LocalFates, signal_child, signal_worker},
};
use async_trait::async_trait;
use parking_lot::Mutex;
use rustix::process::Signal;
use starburst_core::{
    clock::Clock,
    heartbeat::ProcessId,
    ids::{SessionId, WorkerId},
    launch::{Fate, Fates, LaunchError, LaunchSpec, Launcher, LogPart, LogSpan},
};
use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

/// How long a worker gets between being asked to stop and being made to.
const STOP_LIMIT: Duration = Duration::from_millis(1_500);
/// The most of a log that is read at once.
const LOG_MAX: u64 = 1 << 20;

/// How to start a worker.
#[derive(Debug, Clone)]
pub struct WorkerProgram {
    /// The `starburst-worker` binary.
    pub program: PathBuf,
    /// `R_HOME` of the R it is to run.
    pub r_home: PathBuf,
    /// The folder with the R side of the worker.
    pub scripts: PathBuf,
    /// Environment of the worker's R, such as `R_LIBS`.
    pub env: Vec<(String, String)>,
    /// The store, as the worker's command line names it.
    pub store: Vec<String>,
    /// The folder for logs.
    pub logs: PathBuf,
}

/// Starts worker processes that drain sessions of one store.
#[derive(Debug)]
pub struct ProcessLauncher {
    program: WorkerProgram,
    clock: Arc<dyn Clock>,
    children: Mutex<HashMap<WorkerId, Child>>,
    ended: Mutex<HashMap<WorkerId, String>>,
}

impl ProcessLauncher {
    /// A launcher of this program.
    pub fn new(program: WorkerProgram, clock: Arc<dyn Clock>) -> Self {
        Self { program, clock, children: Mutex::default(), ended: Mutex::default() }
    }

    fn command(&self, spec: &LaunchSpec, log: File) -> io::Result<Command> {
        let mut command = Command::new(&self.program.program);
        command
            .args(&self.program.store)
            .arg("--logs")
            .arg(&self.program.logs)
            .arg("--r-home")
            .arg(&self.program.r_home)
            .arg("--scripts")
            .arg(&self.program.scripts)
            .args(["--cpu", &spec.cpu.to_string()])
            .args(["--session", spec.session.as_str()])
            .args(["--worker", spec.worker.as_str()])
            .args(["--rank", &spec.rank.to_string()])
            .envs(self.program.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        if spec.detached {
            command.arg("--durable");
        } else {
            command.args(["--parent", &std::process::id().to_string()]);
        }
        Ok(command)
    }

    /// Signals a child of this launcher, or the process that a heartbeat names. `false` when
    /// neither is known, or the record is not to be trusted.
    fn signal(&self, worker: &WorkerId, process: Option<&ProcessId>, signal: Signal) -> bool {
        match (self.children.lock().get(worker), process) {
            (Some(child), _) => signal_child(child, signal),
            (None, Some(process)) => return signal_worker(worker, process, signal),
            (None, None) => return false,
        }
        true
    }

    /// Takes note of every child that has ended, so that none stays behind as a zombie.
    fn reap_all(&self) {
        let workers: Vec<WorkerId> = self.children.lock().keys().cloned().collect();
        for worker in workers {
            self.reap(&worker);
        }
    }

    /// The exit status of a child of ours that has ended.
    fn reap(&self, worker: &WorkerId) -> Option<Fate> {
        if let Some(how) = self.ended.lock().get(worker) {
            return Some(Fate::Gone(how.clone()));
        }
        let mut children = self.children.lock();
        let child = children.get_mut(worker)?;
        match child.try_wait() {
            Ok(Some(status)) => {
                let how = in_words(status);
                self.ended.lock().insert(worker.clone(), how.clone());
                children.remove(worker);
                Some(Fate::Gone(how))
            }
            Ok(None) => Some(Fate::Alive),
            Err(_) => None,
        }
    }
}

impl Drop for ProcessLauncher {
    fn drop(&mut self) {
        self.reap_all();
    }
}

/// Where a worker's log is.
pub fn log_path(logs: &Path, session: &SessionId, worker: &WorkerId) -> PathBuf {
    logs.join(session.as_str()).join(format!("{worker}.log"))
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "its process ended".to_owned(),
        (Some(code), _) => format!("its process ended with exit code {code}"),
        (None, Some(signal)) => format!("its process was ended by signal {signal}"),
        (None, None) => "its process ended".to_owned(),
    }
}

#[async_trait]
impl Fates for ProcessLauncher {
    async fn fate(&self, worker: &WorkerId, process: Option<&ProcessId>) -> Fate {
        self.reap_all();
        match self.reap(worker) {
            Some(fate) => fate,
            None => LocalFates.fate(worker, process).await,
        }
    }
}

#[async_trait]
impl Launcher for ProcessLauncher {
    async fn launch(&self, spec: &LaunchSpec) -> Result<(), LaunchError> {
        let failed = |what: &Path| {
            let what = what.display().to_string();
            move |e: io::Error| LaunchError::Failed { message: format!("{what}: {e}") }
        };
        let path = log_path(&self.program.logs, &spec.session, &spec.worker);
        if let Some(parent) = path.parent() {
            private::make_in(&self.program.logs, parent).map_err(failed(parent))?;
        }
        let mut command = private::append(&path)
            .and_then(|log| self.command(spec, log))
            .map_err(failed(&path))?;
        let child = command.spawn().map_err(failed(&self.program.program))?;
        self.children.lock().insert(spec.worker.clone(), child);
        Ok(())
    }

    async fn stop(&self, worker: &WorkerId, process: Option<&ProcessId>) {
        if !self.signal(worker, process, Signal::TERM) {
            return;
        }
        let start = self.clock.now();
        while self.fate(worker, process).await == Fate::Alive {
            if self.clock.now().since(start) >= STOP_LIMIT {
                self.signal(worker, process, Signal::KILL);
                break;
            }
            self.clock.sleep(Duration::from_millis(10)).await;
        }
        self.reap(worker);
    }

    async fn nudge(&self, worker: &WorkerId) {
        self.signal(worker, None, Signal::USR1);
    }

    async fn log(&self, session: &SessionId, worker: &WorkerId, part: LogPart) -> String {
        let path = log_path(&self.program.logs, session, worker);
        let read = tokio::task::spawn_blocking(move || {
            let len = std::fs::metadata(&path)?.len();
            let span = match part {
                LogPart::Task { span, .. } => span,
                LogPart::Tail(bytes) => LogSpan { from: len.saturating_sub(bytes), to: len },
            };
            read_log(&path, span)
        });
        read.await.ok().and_then(Result::ok).unwrap_or_default()
    }

    async fn forget_logs(&self, session: &SessionId) {
        let _ = std::fs::remove_dir_all(self.program.logs.join(session.as_str()));
    }
}

/// A part of a log as text that R can hold: no more than a megabyte, and no NUL.
///
/// # Errors
/// What the system said when the file cannot be read.
pub fn read_log(path: &Path, span: LogSpan) -> io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(span.from))?;
    let mut bytes = Vec::new();
    file.take(span.to.saturating_sub(span.from).min(LOG_MAX)).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).replace('\0', ""))
}
