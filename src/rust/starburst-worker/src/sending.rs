//! Where results go while they come out of R: waits for the store when it cannot keep up.
use bytes::Bytes;
use starburst_core::{
    blob::{BlobHash, ChunkSink},
    error::Error,
    uploads::Uploads,
};
use std::{sync::Arc, time::Duration};
use tokio::runtime::Handle;

/// How often in a row the store may fail before the result is given up; each time it was tried for a while.
const FAILURES: u32 = 20;
/// How long one wait for room is.
const WAIT: Duration = Duration::from_secs(1);

/// A sink for the thread that reads R's answers.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) runtime: Handle,
}

impl ChunkSink for Sending {
    fn has(&self, hash: &BlobHash) -> bool {
        self.uploads.has(hash)
    }
    fn take(&mut self, hash: BlobHash, sealed: Bytes) -> Result<(), Error> {
        let mut failures = 0;
        while !self.uploads.try_take(hash, &sealed) {
            let room = self.runtime.block_on(tokio::time::timeout(WAIT, self.uploads.room()));
            if let Ok(Err(error)) = room {
                failures += 1;
                if failures >= FAILURES {
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}
