//! R's output as the worker's own, where a log driver takes that.
use std::{
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::mpsc::{self, RecvTimeoutError},
    thread::JoinHandle,
    time::Duration,
};

/// New output is looked for this often.
const EVERY: Duration = Duration::from_millis(200);

/// What is written to a log is shown until this is dropped, and what is there by then is shown before that is over.
#[derive(Debug)]
pub(crate) struct Shown {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Shown {
    pub(crate) fn new(log: PathBuf) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut from = 0;
            loop {
                let over = stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout);
                from = show(&log, from).unwrap_or(from);
                if over {
                    return;
                }
            }
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn show(log: &Path, from: u64) -> std::io::Result<u64> {
    let mut file = std::fs::File::open(log)?;
    file.seek(SeekFrom::Start(from))?;
    let mut out = std::io::stdout().lock();
    let copied = std::io::copy(&mut file, &mut out)?;
    out.flush()?;
    Ok(from + copied)
}
