//! One persistent R process: started directly, warmed once, killed and replaced when it must be.
use crate::{
    args::Args,
    frames::{Mark, Said},
    r_pipes::{self, Heard},
    r_words,
};
use async_trait::async_trait;
use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal};
use starburst_core::{
    ids::Ids,
    launch::LogSpan,
    manifest::ClientR,
    travel::Travel,
    uploads::Uploads,
    worker::evaluator::{Evaluator, Event, Job, Outcome},
};
use starburst_local::{PrivateFolder, SystemIds, log_path, private, read_log};
use std::{
    collections::VecDeque,
    io::{self, Write},
    os::fd::OwnedFd,
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    process::{Child, Command},
    sync::mpsc,
};

/// How long R may take to become ready.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long what R had written is waited for once it has ended.
const LAST_WORDS: Duration = Duration::from_millis(1_000);
/// How often R may have said something before any of it is taken; beyond that R waits.
const SAID_AHEAD: usize = 64;
/// How many bytes of the beginning and of the end of its output are shown with the reason of a death.
const SHOWN: u64 = 600;

/// How to start R.
#[derive(Debug, Clone)]
pub(crate) struct RConfig {
    program: PathBuf,
    home: PathBuf,
    script: PathBuf,
    cpu: f64,
    log: PathBuf,
    /// Where to say that a task's output is over, if that is shown elsewhere.
    marks: Option<std::sync::mpsc::Sender<LogSpan>>,
    worker: String,
    /// R's temporary folder; nobody else can have made it or look into it.
    temporary: Arc<PrivateFolder>,
    travel: Travel,
    /// `R_LIBS`, where it is not this process's.
    pub(crate) libraries: Option<String>,
}

impl RConfig {
    pub(crate) fn new(
        args: &Args,
        marks: Option<std::sync::mpsc::Sender<LogSpan>>,
    ) -> Result<Self, String> {
        let direct = args.r_home.join("bin/exec/R");
        let program = if direct.exists() { direct } else { args.r_home.join("bin/R") };
        if !program.exists() {
            return Err(format!("there is no R in {}", args.r_home.display()));
        }
        let temporary = PrivateFolder::new("starburst-worker-").map_err(|e| {
            format!("no temporary folder in {}: {e}", std::env::temp_dir().display())
        })?;
        Ok(Self {
            program,
            home: args.r_home.clone(),
            script: args.scripts.join("worker.R"),
            cpu: args.cpu,
            log: log_path(&args.logs, &args.session, &args.worker),
            marks,
            worker: args.worker.to_string(),
            temporary: Arc::new(temporary),
            travel: Travel::default(),
            libraries: None,
        })
    }

    /// The same R with what the session brought for it.
    pub(crate) fn with_travel(self, travel: Travel) -> Self {
        Self { travel, ..self }
    }

    fn log_len(&self) -> u64 {
        std::fs::metadata(&self.log).map_or(0, |m| m.len())
    }
}

/// An R process, or the place for one.
#[derive(Debug)]
pub(crate) struct RProcess {
    config: RConfig,
    uploads: Arc<Uploads>,
    live: Option<Live>,
    /// Jobs R has, with the time and the log's length when each began.
    jobs: VecDeque<u64>,
    began: Began,
}

#[derive(Debug, Clone, Copy)]
struct Began {
    at: Instant,
    log: u64,
}

#[derive(Debug)]
struct Live {
    child: Child,
    /// Its process group; the child itself forgets its number once it has ended.
    group: Option<Pid>,
    /// Until when what it had written is waited for, once it has ended.
    last_words: Option<Instant>,
    jobs: std::sync::mpsc::Sender<Job>,
    said: mpsc::Receiver<Heard>,
    /// What was said and is not reported yet.
    heard: VecDeque<Said>,
    /// How long each job ran that ended among them.
    each: Duration,
    /// What was printed while they ran: told with the first of them.
    printed: Option<LogSpan>,
}

impl Drop for RProcess {
    fn drop(&mut self) {
        self.end();
    }
}

#[allow(clippy::disallowed_methods)] // the rim of the program, where real time comes in
impl RProcess {
    pub(crate) fn new(config: RConfig, uploads: Arc<Uploads>) -> Self {
        let began = Began { at: Instant::now(), log: 0 };
        Self { config, uploads, live: None, jobs: VecDeque::new(), began }
    }

    /// Starts R and waits until it has loaded what it needs; returns its versions.
    pub(crate) async fn warm_up(&mut self) -> Result<ClientR, String> {
        let live = self.start()?;
        let said = tokio::time::timeout(START_LIMIT, live.said.recv()).await;
        let problem = match said {
            Ok(Some(Ok(mut heard))) => match heard.pop() {
                Some(Said::Ready { r, future }) => return Ok(ClientR { r, future }),
                Some(_) | None => "R did not begin with its version".to_owned(),
            },
            Ok(Some(Err(error))) => error.to_string(),
            Ok(None) => match live.child.wait().await {
                Ok(status) => r_words::how_it_ended(status),
                Err(error) => error.to_string(),
            },
            Err(_) => format!("R was not ready after {} s", START_LIMIT.as_secs()),
        };
        self.end();
        Err(with_output(format!("R cannot start: {problem}"), &self.printed(0)))
    }

    fn start(&mut self) -> Result<&mut Live, String> {
        self.end();
        let log = self.config.log_len();
        let live =
            spawn(&self.config, &self.uploads).map_err(|e| format!("R cannot start: {e}"))?;
        self.began = Began { at: Instant::now(), log };
        Ok(self.live.insert(live))
    }

    /// Kills R with everything it started.
    fn end(&mut self) {
        self.jobs.clear();
        if let Some(mut live) = self.live.take() {
            kill_group(live.group);
            let _ = live.child.start_kill();
            // Reaped in the background; a process that was killed does not take long.
            tokio::spawn(async move { live.child.wait().await });
        }
    }

    /// What was printed since `from`: its beginning and its end when it is long.
    fn printed(&self, from: u64) -> String {
        let to = self.config.log_len();
        let read = |from, to| read_log(&self.config.log, LogSpan { from, to }).unwrap_or_default();
        if to.saturating_sub(from) <= 2 * SHOWN {
            return read(from, to).trim().to_owned();
        }
        let (head, tail) = (read(from, from + SHOWN), read(to - SHOWN, to));
        format!("{}\n[...]\n{}", head.trim(), tail.trim())
    }

    /// Takes in what R said in one go. Jobs that end together have run equally long, as far as can be told.
    fn hear(&mut self, said: Vec<Said>) {
        let ended = said.iter().filter(|said| matches!(said, Said::Ended { .. })).count();
        let to = self.config.log_len();
        let Some(live) = &mut self.live else {
            return;
        };
        live.heard.extend(said);
        if let Some(ended) = u32::try_from(ended).ok().filter(|ended| *ended > 0) {
            live.each = self.began.at.elapsed() / ended;
            let span = LogSpan { from: self.began.log, to };
            live.printed = (span.to > span.from).then_some(span);
            self.began = Began { at: Instant::now(), log: to };
        }
    }

    /// What is to be reported next of what was heard.
    fn next_heard(&mut self) -> Option<Event> {
        let said = self.live.as_mut()?.heard.pop_front()?;
        Some(self.event_of(said))
    }

    /// R has ended: takes what it had still written, or says why it ended.
    async fn last_words(&mut self, status: io::Result<std::process::ExitStatus>) -> Event {
        let reason = match status {
            Ok(status) => r_words::how_it_ended(status),
            Err(error) => format!("R is gone: {error}"),
        };
        if let Some(live) = &mut self.live {
            // What R started may hold the pipe open.
            kill_group(live.group);
            // The wait may be abandoned and taken up again: its end is fixed the first time.
            let until = *live.last_words.get_or_insert_with(|| Instant::now() + LAST_WORDS);
            let last = tokio::time::timeout_at(until.into(), live.said.recv()).await;
            if let Ok(Some(Ok(said))) = last {
                self.hear(said);
                if let Some(event) = self.next_heard() {
                    return event;
                }
            }
        }
        let reason = with_output(reason, &self.printed(self.began.log));
        self.end();
        Event::Died { reason }
    }

    fn nonsense(&mut self, what: &str) -> Event {
        self.end();
        Event::Died { reason: format!("R answered nonsense: {what}") }
    }

    fn event_of(&mut self, said: Said) -> Event {
        match said {
            // A replacement that is warm now: the first job begins.
            Said::Ready { .. } => {
                // What is in the log by now may be the job's already.
                self.began.at = Instant::now();
                Event::Began
            }
            Said::Signal { number, condition } => {
                Event::Signal { number, condition: condition.into() }
            }
            Said::Unfed { number, error } => {
                self.end();
                Event::Unfed { number, error }
            }
            Said::Left => {
                self.end();
                Event::Left
            }
            Said::Ended { number, outcome } => {
                self.jobs.pop_front();
                let (ran, log) = match &mut self.live {
                    Some(live) => (live.each, live.printed.take()),
                    None => (Duration::ZERO, None),
                };
                if matches!(outcome, Outcome::Unreadable(_)) {
                    // It lost its place in the pipe and is leaving: the next job goes to another.
                    self.end();
                }
                if let (Some(marks), Some(span)) = (&self.config.marks, log) {
                    // Whoever shows the output ends with the worker.
                    let _ = marks.send(span);
                }
                Event::Ended { number, outcome, ran, log }
            }
        }
    }
}

#[async_trait]
#[allow(clippy::disallowed_methods)] // the rim of the program, where real time comes in
impl Evaluator for RProcess {
    async fn submit(&mut self, job: Job) -> Result<(), String> {
        if self.live.is_none() {
            self.start()?;
        }
        if self.jobs.is_empty() {
            self.began = Began { at: Instant::now(), log: self.config.log_len() };
        }
        self.jobs.push_back(job.number);
        if let Some(live) = &self.live {
            // A writer that is gone has met the end of R, which is reported as an event.
            let _ = live.jobs.send(job);
        }
        Ok(())
    }

    async fn event(&mut self) -> Event {
        if let Some(event) = self.next_heard() {
            return event;
        }
        let Some(live) = &mut self.live else {
            return Event::Died { reason: "R is gone".into() };
        };
        let said = tokio::select! {
            biased;
            said = live.said.recv() => said,
            status = live.child.wait() => return self.last_words(status).await,
        };
        match said {
            Some(Ok(said)) => {
                self.hear(said);
                match self.next_heard() {
                    Some(event) => event,
                    None => self.nonsense("nothing"),
                }
            }
            Some(Err(error)) => self.nonsense(&error.to_string()),
            None => {
                // R closed its end: it has ended, or is about to.
                let until = *live.last_words.get_or_insert_with(|| Instant::now() + LAST_WORDS);
                let waited = tokio::time::timeout_at(until.into(), live.child.wait()).await;
                let status = waited.unwrap_or_else(|_| Err(io::Error::other("it went silent")));
                self.last_words(status).await
            }
        }
    }

    async fn kill(&mut self) {
        self.end();
    }
}

fn with_output(reason: String, output: &str) -> String {
    if output.is_empty() { reason } else { format!("{reason}; it printed:\n{output}") }
}

fn kill_group(group: Option<Pid>) {
    if let Some(group) = group {
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
}

fn spawn(config: &RConfig, uploads: &Arc<Uploads>) -> io::Result<Live> {
    let (for_r, to_r) = io::pipe()?;
    let (from_r, by_r) = io::pipe()?;
    let mark = new_mark();
    r_pipes::widen(&to_r);
    r_pipes::widen(&from_r);
    let folder = config.temporary.path();
    let state = folder.join("travel");
    private::write(&state, &config.travel.state)?;
    let log = private::append(&config.log)?;
    let libraries = std::env::var("LD_LIBRARY_PATH").unwrap_or_default();
    let lib = config.home.join("lib");
    let mut command = std::process::Command::new(&config.program);
    command
        .args(["--vanilla", "--no-echo"])
        .arg(format!("--file={}", config.script.display()))
        .arg("--args")
        .arg(config.cpu.to_string())
        .arg(&state)
        .envs(config.travel.variables.iter().map(|(name, value)| (name, value)))
        .env("R_HOME", &config.home)
        // Tells code, ours among it, where it runs.
        .env("STARBURST_WORKER", &config.worker)
        .env("LD_LIBRARY_PATH", format!("{}:{libraries}", lib.display()))
        .env("TMPDIR", folder)
        // What plan the user's own sessions start with is nothing to a worker.
        .env_remove("R_FUTURE_PLAN")
        .env_remove("R_DEFAULT_PACKAGES")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    if let Some(folders) = &config.libraries {
        command.env("R_LIBS", folders);
    }
    let mapping = |parent_fd: OwnedFd, child_fd| FdMapping { parent_fd, child_fd };
    command
        .fd_mappings(vec![mapping(for_r.into(), 3), mapping(by_r.into(), 4)])
        .map_err(io::Error::other)?;
    end_with_parent(&mut command);
    let mut command = Command::from(command);
    let child = command.process_group(0).kill_on_drop(true).spawn()?;
    // The command holds the child's ends of the pipes; with them open R's end would not be seen.
    drop(command);

    let (jobs, queue) = std::sync::mpsc::channel::<Job>();
    let (saying, said) = mpsc::channel(SAID_AHEAD);
    // The pipe has room for it.
    (&to_r).write_all(&mark)?;
    r_pipes::write_jobs(to_r, queue, &saying);
    r_pipes::read_answers(from_r, mark, uploads, saying, config.log.clone());
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let (heard, each, printed) = (VecDeque::new(), Duration::ZERO, None);
    Ok(Live { child, group, last_words: None, jobs, said, heard, each, printed })
}

fn new_mark() -> Mark {
    let random = [SystemIds.random(), SystemIds.random()].map(u64::to_ne_bytes);
    let mut mark = Mark::default();
    mark.copy_from_slice(random.as_flattened());
    mark
}

/// Makes the system kill R when this worker dies, even by SIGKILL.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
pub(crate) fn end_with_parent(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: the closure runs between fork and exec and makes one system call, which is safe there.
    unsafe {
        command.pre_exec(|| {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
                .map_err(io::Error::from)
        });
    }
}

/// Elsewhere R ends when it next looks at its pipe.
#[cfg(not(target_os = "linux"))]
pub(crate) fn end_with_parent(_: &mut std::process::Command) {}
