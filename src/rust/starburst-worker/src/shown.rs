//! R's output as the worker's own, where a log driver takes that: line by line, with a mark behind each task's.
use starburst_core::launch::LogSpan;
use std::{
    io::{self, Read, Seek, SeekFrom, Write},
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
    marks: Option<mpsc::Sender<LogSpan>>,
    thread: Option<JoinHandle<()>>,
}

impl Shown {
    pub(crate) fn new(log: PathBuf) -> Self {
        let (marks, marked) = mpsc::channel::<LogSpan>();
        let thread = std::thread::spawn(move || {
            let mut from = 0;
            loop {
                let next = marked.recv_timeout(EVERY);
                let to = next.as_ref().map_or(u64::MAX, |span| span.to);
                from = show(&log, from, to, &mut io::stdout().lock()).unwrap_or(from);
                match next {
                    Ok(span) => {
                        let _ = writeln!(io::stdout().lock(), "{}", span.mark());
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        Self { marks: Some(marks), thread: Some(thread) }
    }

    /// Where the marks of tasks go.
    pub(crate) fn marks(&self) -> Option<mpsc::Sender<LogSpan>> {
        self.marks.clone()
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.marks.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Shows the log from here to there, as far as it goes, and ends with a whole line when it ends with a task's output.
fn show(log: &Path, from: u64, to: u64, out: &mut impl Write) -> io::Result<u64> {
    let mut file = std::fs::File::open(log)?;
    file.seek(SeekFrom::Start(from))?;
    let mut text = Vec::new();
    let shown = file.take(to.saturating_sub(from)).read_to_end(&mut text)? as u64;
    out.write_all(&text)?;
    if to != u64::MAX && text.last().is_some_and(|last| *last != b'\n') {
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(from + shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_shown_up_to_the_end_of_a_task_and_on_from_there() {
        let log = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(log.path(), "one\nhalf").unwrap();
        let mut out = Vec::new();
        assert_eq!(show(log.path(), 0, 4, &mut out).unwrap(), 4);
        assert_eq!(show(log.path(), 4, 8, &mut out).unwrap(), 8);
        assert_eq!(show(log.path(), 8, u64::MAX, &mut out).unwrap(), 8);
        assert_eq!(out, b"one\nhalf\n");
    }
}
