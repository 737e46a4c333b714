//! The background threads: made on first use, and made anew in a forked child, which has none.
use crate::error::{RError, Result};
use nix::sys::signal::{SigSet, Signal};
use parking_lot::Mutex;
use std::{
    ffi::{CStr, c_char},
    future::Future,
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Runtime};

unsafe extern "C" {
    fn starburst_interrupted(message: *mut c_char) -> i32;
}

/// How often Ctrl-C is looked for while a call waits.
const INTERRUPT_CHECK: Duration = Duration::from_millis(50);

static CURRENT: Mutex<Option<(u32, &'static Runtime)>> = Mutex::new(None);

/// This process's runtime. It is never dropped: its threads end with the process.
pub(crate) fn runtime() -> Result<&'static Runtime> {
    let mut current = CURRENT.lock();
    let pid = std::process::id();
    if let Some((owner, runtime)) = *current
        && owner == pid
    {
        return Ok(runtime);
    }
    let made = Builder::new_multi_thread()
        .worker_threads(2)
        // Each keeps memory of its own for what it has read or written.
        .max_blocking_threads(8)
        .enable_all()
        .thread_name("starburst")
        .on_thread_start(leave_signals_to_r)
        .build();
    let made = made.map_err(|error| {
        RError::Core(starburst_core::error::Error::Internal {
            detail: format!("cannot start background threads: {error}"),
        })
    })?;
    let runtime: &'static Runtime = Box::leak(Box::new(made));
    *current = Some((pid, runtime));
    Ok(runtime)
}

/// R's signal handlers must not run on our threads.
fn leave_signals_to_r() {
    let mut signals = SigSet::all();
    for own in [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGFPE, Signal::SIGILL, Signal::SIGABRT] {
        signals.remove(own);
    }
    let _ = signals.thread_block();
}

/// Looks for Ctrl-C, and for a time limit that R code set with `setTimeLimit()`.
fn check_interrupt() -> Result<()> {
    let mut message = [0 as c_char; 1024];
    // SAFETY: this is the thread R called; the shim catches R's jumps and ends the message with a zero.
    match unsafe { starburst_interrupted(message.as_mut_ptr()) } {
        0 => Ok(()),
        1 => {
            let text = unsafe { CStr::from_ptr(message.as_ptr()) };
            Err(RError::Raised(text.to_string_lossy().into_owned()))
        }
        _ => Err(RError::Interrupted),
    }
}

/// Looks for Ctrl-C in work that never waits. A look evaluates R code, so it is not made each time.
#[derive(Debug)]
pub(crate) struct Looks(Instant);

#[allow(clippy::disallowed_methods)] // the rim of the program, where real time comes in
impl Looks {
    /// The first is due in a while.
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    /// Looks when it is time.
    pub(crate) fn look(&mut self) -> Result<()> {
        if self.0.elapsed() < INTERRUPT_CHECK {
            return Ok(());
        }
        let looked = check_interrupt();
        self.0 = Instant::now();
        looked
    }
}

/// Waits for something, and looks for Ctrl-C meanwhile. The wait is abandoned when it comes.
///
/// The looks are made between waits, not inside one: they run R code, whose garbage collector may run
/// finalizers of ours that wait themselves.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> Result<T> {
    let runtime = runtime()?;
    let mut future = std::pin::pin!(future);
    loop {
        let slice = async { tokio::time::timeout(INTERRUPT_CHECK, future.as_mut()).await };
        match runtime.block_on(slice) {
            Ok(done) => return Ok(done),
            Err(_) => check_interrupt()?,
        }
    }
}
