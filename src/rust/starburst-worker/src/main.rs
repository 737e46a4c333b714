//! The worker: drains one session, with one R process that evaluates its tasks.
#![allow(clippy::print_stderr)] // standard error is the worker's log

mod args;
mod environment;
mod frames;
mod lead;
mod r_pipes;
mod r_process;
mod r_words;
mod sending;
mod shown;

use args::Args;
use r_process::{RConfig, RProcess};
use shown::Shown;
use starburst_aws::account::Account;
use starburst_core::{
    error::Error,
    heartbeat::{Heartbeat, WorkerState},
    ids::WorkerId,
    key::SessionKeys,
    launch::Fates,
    manifest::Manifest,
    store::Store,
    update::Versioned,
    uploads::Uploads,
    worker::{self, Told, WorkerConfig, WorkerDeps, pulse},
};
use starburst_local::{Durability, LocalFates, log_path, this_process};
use starburst_place::Opened;
use std::{process::ExitCode, sync::Arc, time::Duration};
use tokio::sync::watch;

fn main() -> ExitCode {
    close_inherited();
    let args = match Args::parse(own_id) {
        Ok(args) => args,
        Err(message) => {
            eprintln!("starburst-worker: {message}");
            return ExitCode::from(2);
        }
    };
    // The R that starts a worker blocks signals on its background threads, and a child inherits that.
    let _ = nix::sys::signal::SigSet::all().thread_unblock();
    // A process session of its own: Ctrl-C and hang-ups in the user's terminal are not for the worker.
    let _ = rustix::process::setsid();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Each keeps memory of its own for what it has read or written.
        .max_blocking_threads(8)
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(work(args));
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(Error::Internal { detail: format!("no runtime: {error}") }),
    };
    match outcome {
        Ok(reason) => {
            eprintln!("starburst-worker: left: {reason}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("starburst-worker: {}", error.chain().join(": "));
            ExitCode::FAILURE
        }
    }
}

/// Closes the files of the process that started this one: R leaves its own open in the programs that it starts. Runs before
/// anything of this process is opened.
fn close_inherited() {
    let Ok(rows) = std::fs::read_dir("/dev/fd") else {
        return;
    };
    let numbers: Vec<i32> =
        rows.flatten().filter_map(|row| row.file_name().to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|number| *number > 2) {
        // The one that the folder was read with is closed already.
        let _ = nix::unistd::close(number);
    }
}

/// The id of a worker that was started as an ECS task.
fn own_id() -> Result<WorkerId, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| e.to_string())?.block_on(starburst_aws::ecs::identity::this_worker())
}

async fn work(args: Args) -> Result<String, Error> {
    let durability = if args.durable { Durability::Machine } else { Durability::Process };
    let opened = args.store.open(&args.access, durability).await;
    let opened = opened
        .map_err(|e| Error::Internal { detail: format!("cannot open {}: {e}", args.store) })?;
    let Opened { store, clock, ids } = opened.clone();
    let keys = SessionKeys::new(args.session.clone());
    let beat = pulse::first_beat(args.worker.clone(), this_process(), &*clock);
    let (tell, told) = watch::channel(Told::default());
    tokio::spawn(listen(args.parent, tell));

    let uploads = Uploads::new(Arc::clone(&store), keys.clone(), Arc::clone(&clock));
    let log = log_path(&args.logs, &args.session, &args.worker);
    if let Some(folder) = log.parent().filter(|_| args.on_ecs) {
        std::fs::create_dir_all(folder)
            .map_err(|e| Error::Internal { detail: format!("{}: {e}", folder.display()) })?;
    }
    let shown = args.on_ecs.then(|| Shown::new(log));
    let marks = shown.as_ref().and_then(Shown::marks);
    let config = RConfig::new(&args, marks).map_err(|message| Error::WorkersLost { message });
    let started = start(&args, &opened, &keys, config, &uploads, beat.clone(), told.clone()).await;
    let Start { manifest, mut r, kept: _kept } = match started {
        Ok(Ok(started)) => started,
        Ok(Err(reason)) => {
            say_left(&*store, &keys, beat, &reason).await;
            return Ok(reason);
        }
        Err(error) => {
            say_why(&*store, &keys, beat, &error).await;
            return Err(error);
        }
    };
    let cache = args.cache();
    let (over, is_over) = watch::channel(false);
    let mut fates: Arc<dyn Fates> = Arc::new(LocalFates);
    let mut leading = None;
    if args.on_ecs {
        let account =
            Account::open(args.access.clone(), Arc::clone(&clock), Arc::clone(&ids)).await;
        if let Some(launcher) = lead::launcher(&manifest.value, &account, &opened) {
            fates = launcher.clone();
            let session = manifest.value.clone();
            leading = Some(tokio::spawn(lead::stand_by(opened, launcher, session, is_over)));
        }
    }
    let config = WorkerConfig {
        session: args.session,
        worker: args.worker,
        rank: args.rank,
        process: beat.process,
        grace: args.grace,
    };
    let deps = WorkerDeps { store, clock, ids, fates, uploads, cache };
    let left = worker::run(deps, config, manifest, &mut r, told).await;
    over.send_replace(true);
    if let Some(leading) = leading {
        let _ = leading.await;
    }
    left
}

/// What a worker works with once it can.
struct Start {
    manifest: Versioned<Manifest>,
    r: RProcess,
    /// Keeps the packages that R uses.
    kept: environment::Ready,
}

/// Gets the packages that the session needs, starts R, lets it load what it needs, and checks that both can serve the
/// session. The reason to leave where the worker is told to meanwhile.
async fn start(
    args: &Args,
    opened: &Opened,
    keys: &SessionKeys,
    config: Result<RConfig, Error>,
    uploads: &Arc<Uploads>,
    beat: Heartbeat,
    told: watch::Receiver<Told>,
) -> Result<Result<Start, String>, Error> {
    let manifest = worker::admit(&*opened.store, keys).await?;
    let mut config = config?.with_travel(manifest.value.travel.clone());
    let made = environment::make_ready(args, opened, &manifest, beat, told).await?;
    let kept = match made {
        Ok(ready) => ready,
        Err(reason) => return Ok(Err(reason)),
    };
    config.libraries.clone_from(&kept.libraries);
    let mut r = RProcess::new(config, Arc::clone(uploads));
    let version = r.warm_up().await.map_err(|message| Error::WorkersLost { message })?;
    worker::admit_r(&manifest.value, &version)?;
    Ok(Ok(Start { manifest, r, kept }))
}

/// Says that it left because it was told to.
async fn say_left(store: &dyn Store, keys: &SessionKeys, mut beat: Heartbeat, reason: &str) {
    beat.beat += 1;
    beat.state = WorkerState::Left { reason: reason.to_owned(), fault: false };
    let _ = pulse::write_end(store, keys, &beat).await;
}

/// Leaves the reason where the client looks for it.
#[allow(clippy::wildcard_enum_match_arm)] // whatever it is, it is said
async fn say_why(store: &dyn Store, keys: &SessionKeys, mut beat: Heartbeat, error: &Error) {
    beat.beat += 1;
    beat.no_environment = matches!(error, Error::Environment { .. });
    beat.state = match error {
        Error::Environment { message } => WorkerState::Refused { message: message.clone() },
        Error::Refused { message } => WorkerState::Refused { message: message.clone() },
        other @ Error::Version { .. } => WorkerState::Refused { message: other.to_string() },
        other => WorkerState::Left { reason: other.chain().join(": "), fault: true },
    };
    let _ = pulse::write_end(store, keys, &beat).await;
}

/// Turns signals, and the end of the process that started this one, into the order to stop.
#[allow(clippy::disallowed_methods)] // the rim of the program, where real time comes in
async fn listen(parent: Option<i32>, tell: watch::Sender<Told>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut hangup), Ok(mut nudge)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
        signal(SignalKind::user_defined1()),
    ) else {
        return;
    };
    let stop = |reason: &str| tell.send_modify(|told| told.stop = Some(reason.to_owned()));
    let orphaned = || match parent {
        Some(parent) => {
            rustix::process::getppid().map(|p| p.as_raw_nonzero().get()) != Some(parent)
        }
        None => false,
    };
    loop {
        tokio::select! {
            _ = term.recv() => {
                stop("it was told to stop");
            }
            _ = nudge.recv() => tell.send_modify(|told| told.nudges += 1),
            // A terminal that closes is nothing to a worker.
            _ = hangup.recv() => {}
            () = tokio::time::sleep(Duration::from_millis(300)) => {
                if orphaned() {
                    stop("the R session that owns this plan is gone");
                }
            }
        }
    }
}
