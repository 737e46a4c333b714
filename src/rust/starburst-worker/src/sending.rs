//! Where results go while they come out of R: waits for the store when it cannot keep up.
use crate::r_pipes::Heard;
use starburst_core::{
    blob::{BlobHash, ChunkSink},
    envelope::Unsealed,
    error::Error,
    spare::Spare,
    uploads::Uploads,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, sync::mpsc};

/// How long the store may fail before the result is given up.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long one wait for room is.
const WAIT: Duration = Duration::from_secs(1);

/// A sink for the thread that reads R's answers.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) runtime: Handle,
    /// Where the answers go: closed once nobody wants them any more.
    pub(crate) saying: mpsc::Sender<Heard>,
}

#[allow(clippy::disallowed_methods)] // the rim of the program, where real time comes in
impl ChunkSink for Sending {
    fn has(&self, hash: &BlobHash) -> bool {
        self.uploads.has(hash)
    }
    fn spare(&self) -> Arc<Spare> {
        Arc::clone(self.uploads.spare())
    }
    fn take(&mut self, hash: BlobHash, mut chunk: Unsealed) -> Result<(), Error> {
        let mut failing: Option<Instant> = None;
        loop {
            if self.saying.is_closed() {
                return Err(Error::Internal { detail: "nobody waits for this result".into() });
            }
            match self.uploads.try_take(hash, chunk) {
                Ok(()) => return Ok(()),
                Err(back) => chunk = back,
            }
            // The time limit is made inside the runtime, which this thread is not in.
            let room = async { tokio::time::timeout(WAIT, self.uploads.room()).await };
            match self.runtime.block_on(room) {
                Ok(Ok(())) => failing = None,
                // The store may come back, and the result is worth it; the worker's own loop decides when to leave.
                Ok(Err(error)) if error.may_pass() => {}
                Ok(Err(error)) => {
                    if failing.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                        return Err(error);
                    }
                }
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use starburst_core::{
        blob::Packer,
        ids::SessionId,
        key::{Key, SessionKeys},
        store::Store,
    };
    use starburst_local::SystemClock;
    use starburst_testkit::{Fault, FaultStore, MemStore, Operation, SeededIds};
    use std::sync::atomic::{AtomicU64, Ordering};

    fn sending(runtime: &tokio::runtime::Runtime, faults: u64) -> (Sending, mpsc::Receiver<Heard>) {
        let left = AtomicU64::new(faults);
        let choose = move |operation: Operation, _: &Key| {
            let fails = operation == Operation::Write
                && left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                    .is_ok();
            fails.then_some(Fault::Refuse)
        };
        let store: Arc<dyn Store> = Arc::new(FaultStore::new(MemStore::default(), choose));
        let keys = SessionKeys::new(SessionId::parse("s").unwrap());
        let _entered = runtime.enter();
        let uploads = Uploads::new(store, keys, Arc::new(SystemClock::default()));
        let (saying, said) = mpsc::channel(1);
        (Sending { uploads, runtime: runtime.handle().clone(), saying }, said)
    }

    fn noise(len: usize) -> Vec<u8> {
        use starburst_core::ids::Ids;
        let ids = SeededIds::new(1);
        (0..len / 8).flat_map(|_| ids.random().to_le_bytes()).collect()
    }

    #[test]
    fn a_result_that_the_store_cannot_keep_up_with_is_sent_all_the_same() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (mut sink, _said) = sending(&runtime, 150);
        let mut packer = Packer::into(&mut sink);
        packer.write(&noise(150 << 20)).unwrap();
        let payload = packer.finish().unwrap();
        while runtime.block_on(sink.uploads.stored(payload.chunks())).is_err() {}
    }

    #[test]
    fn a_result_that_nobody_waits_for_is_sent_no_further() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (mut sink, said) = sending(&runtime, 0);
        drop(said);
        let mut packer = Packer::into(&mut sink);
        assert!(packer.write(&noise(20 << 20)).is_err());
    }
}
