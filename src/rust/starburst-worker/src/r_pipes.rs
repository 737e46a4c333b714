//! The threads at R's pipes: one writes jobs, one reads what R says.
use crate::{
    frames::{self, Mark, Said, WriteError},
    sending::Sending,
};
use starburst_core::{uploads::Uploads, worker::evaluator::Job};
use std::{
    io::{self, BufReader, BufWriter, PipeReader, PipeWriter, Write},
    path::PathBuf,
    sync::{Arc, mpsc::Receiver},
    thread,
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, sync::mpsc};

/// What waits in the memory of a pipe's end.
const BUFFER: usize = 1 << 16;
/// Answers that are handed over together at the most.
const TOGETHER: usize = 64;
/// So long R is left alone while it gives more than one answer in that time.
const PAUSE: Duration = Duration::from_millis(1);

/// What a pipe holds where the system lets it: the most that Linux gives to anybody. Whoever moves a large value wakes the
/// other side less often.
#[cfg(target_os = "linux")]
const WIDE: usize = 1 << 20;

/// What R said in one go, or that it cannot be understood. Never an empty list.
pub(crate) type Heard = io::Result<Vec<Said>>;

/// Lets a pipe hold more.
#[cfg(target_os = "linux")]
pub(crate) fn widen(pipe: &impl std::os::fd::AsFd) {
    // A user who has many pipes gets no wider ones, and has to do with this one.
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, WIDE);
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn widen(_: &impl std::os::fd::AsFd) {}

/// Writes jobs until nobody has any more, or R takes none.
pub(crate) fn write_jobs(to_r: PipeWriter, queue: Receiver<Job>, saying: &mpsc::Sender<Heard>) {
    // A weak one: the channel closes when R's end does, whatever this thread waits for.
    let (runtime, unfed) = (Handle::current(), saying.downgrade());
    thread::spawn(move || {
        let (mut to, mut common) = (BufWriter::with_capacity(BUFFER, to_r), None);
        while let Ok(first) = queue.recv() {
            let jobs: Vec<Job> = std::iter::once(first).chain(queue.try_iter()).collect();
            for jobs in jobs.chunk_by(frames::go_together) {
                // What has to be fetched does not keep R from what is here.
                if !jobs.iter().all(is_here) && to.flush().is_err() {
                    return;
                }
                match frames::write_jobs(&mut to, jobs, &mut common, &runtime) {
                    Ok(()) => {}
                    Err(WriteError::Pipe) => return,
                    Err(WriteError::Unfed { number, error }) => {
                        if let Some(saying) = unfed.upgrade() {
                            let _ = saying.blocking_send(Ok(vec![Said::Unfed { number, error }]));
                        }
                        return;
                    }
                }
            }
            if to.flush().is_err() {
                return;
            }
        }
    });
}

fn is_here(job: &Job) -> bool {
    job.payload.is_here() && job.common.as_ref().is_none_or(|common| common.material.is_here())
}

/// Reads what the R with this mark says until it closes its end, or nobody listens. `log` is where R prints.
pub(crate) fn read_answers(
    from_r: PipeReader,
    mark: Mark,
    uploads: &Arc<Uploads>,
    saying: mpsc::Sender<Heard>,
    log: PathBuf,
) {
    let (uploads, runtime) = (Arc::clone(uploads), Handle::current());
    let mut sink = Sending { uploads, runtime, saying: saying.clone() };
    thread::spawn(move || {
        let mut from = BufReader::with_capacity(BUFFER, from_r);
        let mut pauses = Pauses::new(log);
        loop {
            let (mut heard, mut end) = (Vec::new(), None);
            while end.is_none() {
                match frames::read_frame(&mut from, &mark, &mut sink) {
                    Ok(Some(said)) => heard.push(said),
                    Ok(None) => end = Some(Ok(())),
                    Err(error) => end = Some(Err(error)),
                }
                // The time of what comes next begins when R is ready.
                let alone = matches!(heard.last(), Some(Said::Ready { .. }));
                if alone || heard.len() >= TOGETHER || !frames::is_whole(from.buffer(), &mark) {
                    break;
                }
            }
            let (answers, bytes) = (heard.len(), heard.iter().map(Said::written).sum());
            if answers > 0 && saying.blocking_send(Ok(heard)).is_err() {
                return;
            }
            match end {
                None => {
                    let more = frames::is_whole(from.buffer(), &mark);
                    pauses.after(answers, bytes, more);
                }
                Some(Ok(())) => return,
                Some(Err(error)) => {
                    let _ = saying.blocking_send(Err(error));
                    return;
                }
            }
        }
    });
}

/// Leaves R alone for a moment where its tasks are tiny: then one look finds the answers of many, and neither side
/// wakes the other for each. Not while it prints: what it printed is told apart by when it answers; and not while so much
/// comes that its pipe would be full.
#[derive(Debug)]
struct Pauses {
    log: PathBuf,
    printed: u64,
    since: Instant,
}

#[allow(clippy::disallowed_methods)] // the rim of the program, where real time comes in
impl Pauses {
    fn new(log: PathBuf) -> Self {
        let mut new = Self { log, printed: 0, since: Instant::now() };
        new.printed = new.log_len();
        new
    }

    fn log_len(&self) -> u64 {
        std::fs::metadata(&self.log).map_or(0, |m| m.len())
    }

    /// So many answers were read since the last call, of so many bytes, and `more` of them are here already.
    fn after(&mut self, answers: usize, bytes: usize, more: bool) {
        let (now, printed) = (Instant::now(), self.log_len());
        let many = u32::try_from(answers).unwrap_or(u32::MAX);
        let quick = now.duration_since(self.since) < PAUSE * many;
        let quiet = printed == self.printed;
        (self.since, self.printed) = (now, printed);
        if !more && quick && quiet && bytes <= BUFFER / 4 {
            thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use starburst_core::{ids::SessionId, key::SessionKeys, worker::evaluator::Outcome};
    use starburst_local::SystemClock;
    use starburst_testkit::MemStore;

    const OURS: Mark = [7; 16];

    fn frame(what: i32, number: i32, body: &[u8]) -> Vec<u8> {
        let header = [what, number, body.len() as i32].map(i32::to_ne_bytes).concat();
        [OURS.to_vec(), header, body.to_vec(), OURS.to_vec()].concat()
    }

    fn numbers(heard: &[Said]) -> Vec<u64> {
        let number = |said: &Said| match said {
            Said::Ended { number, outcome: Outcome::Value(_) } => *number,
            Said::Ended { .. }
            | Said::Ready { .. }
            | Said::Signal { .. }
            | Said::Unfed { .. }
            | Said::Left => panic!("{said:?}"),
        };
        heard.iter().map(number).collect()
    }

    /// The reader at one end of a pipe, and R's end of it.
    async fn reader() -> (PipeWriter, mpsc::Receiver<Heard>) {
        let (from_r, by_r) = io::pipe().unwrap();
        let keys = SessionKeys::new(SessionId::parse("s").unwrap());
        let store = Arc::new(MemStore::default());
        let uploads = Uploads::new(store, keys, Arc::new(SystemClock::default()));
        let (saying, said) = mpsc::channel(4);
        read_answers(from_r, OURS, &uploads, saying, "/nowhere".into());
        (by_r, said)
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_r_reads_and_writes_waits_in_a_wide_pipe() {
        let (from, to) = io::pipe().unwrap();
        widen(&to);
        assert_eq!(rustix::pipe::fcntl_getpipe_size(&from).unwrap(), WIDE);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_answer_does_not_wait_for_one_that_has_only_begun() {
        let (mut by_r, mut said) = reader().await;
        let second = frame(1, 2, b"second");
        let (begun, rest) = second.split_at(31);
        by_r.write_all(&[&frame(1, 1, b"first"), begun].concat()).unwrap();
        assert_eq!(numbers(&said.recv().await.unwrap().unwrap()), [1]);
        by_r.write_all(&[rest, &frame(1, 3, b"third")].concat()).unwrap();
        assert_eq!(numbers(&said.recv().await.unwrap().unwrap()), [2, 3]);
        drop(by_r);
        assert!(said.recv().await.is_none());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_said_before_nonsense_is_heard() {
        let (mut by_r, mut said) = reader().await;
        by_r.write_all(&[frame(1, 1, b"first"), frame(99, 2, b"")].concat()).unwrap();
        assert_eq!(numbers(&said.recv().await.unwrap().unwrap()), [1]);
        assert!(said.recv().await.unwrap().is_err());
        assert!(said.recv().await.is_none());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn thousands_of_answers_come_in_order_and_many_at_once() {
        let (mut by_r, mut said) = reader().await;
        let writing = thread::spawn(move || {
            for number in 0..5_000 {
                by_r.write_all(&frame(1, number, b"value")).unwrap();
            }
        });
        let (mut next, mut times) = (0, 0);
        while let Some(heard) = said.recv().await {
            let heard = numbers(&heard.unwrap());
            assert_eq!(heard, (next..next + heard.len() as u64).collect::<Vec<_>>());
            (next, times) = (next + heard.len() as u64, times + 1);
        }
        writing.join().unwrap();
        assert_eq!(next, 5_000);
        assert!(times < 2_500, "{times}");
    }
}
