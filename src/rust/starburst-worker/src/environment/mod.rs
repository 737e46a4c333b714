//! The packages that a session needs, made ready before R starts: this machine's side of it.
//!
//! [`ready`] does it for one worker; [`orders`] writes what `inst/worker/install.R` reads, and reads what that leaves;
//! [`install`] runs it.
mod install;
mod orders;
mod ready;

pub(crate) use ready::{Ready, make_ready};

use async_trait::async_trait;
use bytes::Bytes;
use starburst_core::{
    environment::{
        Library, Platform,
        lease::Progress,
        platform::system_of,
        prepare::{Build, Host, HostError, Order},
    },
    error::Error,
    ids::{ObjectId, WorkerId},
};
use starburst_local::{LibraryCache, library_archive};
use std::{
    io::{self, Read, Write},
    path::PathBuf,
    sync::Arc,
};
use tokio::sync::{mpsc, watch};

/// A part of the archive, as it leaves and as it comes.
const PART: usize = starburst_core::environment::parts::PART_BYTES;

/// This machine.
#[derive(Debug)]
pub(crate) struct ThisHost {
    cache: Arc<parking_lot::Mutex<LibraryCache>>,
    r: install::R,
    worker: WorkerId,
    /// The folder of what was installed last.
    workshop: Option<PathBuf>,
}

impl ThisHost {
    pub(crate) fn new(args: &crate::args::Args) -> Self {
        let directory = args.libraries.clone().unwrap_or_else(LibraryCache::default_directory);
        Self {
            cache: Arc::new(parking_lot::Mutex::new(LibraryCache::new(directory))),
            r: install::R::new(args),
            worker: args.worker.clone(),
            workshop: None,
        }
    }

    /// What installed packages depend on here.
    pub(crate) async fn platform(&self) -> Result<Platform, HostError> {
        let os_release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        let (r, machine) = self.r.version().await?;
        Ok(Platform { r, machine, system: system_of(&os_release) })
    }

    /// Works with the files of the cache on a thread of its own: it may wait for another worker.
    async fn with_cache<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut LibraryCache) -> io::Result<T> + Send + 'static,
    ) -> Result<T, HostError> {
        let cache = Arc::clone(&self.cache);
        let done = tokio::task::spawn_blocking(move || work(&mut cache.lock())).await;
        done.unwrap_or_else(|e| Err(io::Error::other(e))).map_err(machine)
    }
}

fn machine(error: io::Error) -> HostError {
    HostError::Machine(format!("the packages cannot be put on this worker's disk: {error}"))
}

#[async_trait]
impl Host for ThisHost {
    async fn find(&mut self, build: &ObjectId) -> Result<Option<PathBuf>, HostError> {
        let name = build.to_string();
        self.with_cache(move |cache| cache.find(&name)).await
    }

    async fn unpack(
        &mut self,
        library: &Library,
        parts: mpsc::Receiver<Option<Bytes>>,
    ) -> Result<PathBuf, HostError> {
        let (name, limit) = (library.build.to_string(), library.unpacked);
        self.with_cache(move |cache| {
            cache.unpack(&name, limit, Reading { parts, part: Bytes::new(), whole: false })
        })
        .await
    }

    async fn install(
        &mut self,
        order: &Order<'_>,
        progress: &watch::Sender<Progress>,
    ) -> Result<Build, HostError> {
        let name = self.worker.to_string();
        let folder = self.with_cache(move |cache| cache.workshop(&name)).await?;
        self.workshop = Some(folder.clone());
        orders::write(&folder, order).map_err(machine)?;
        self.r.install(&folder, progress).await?;
        let packages = orders::installed(&folder, order.needs).map_err(machine)?;
        let taken = order.base.as_ref().map_or(0, |(_, taken)| taken.len());
        let fresh = (packages.len() - taken.min(packages.len())) as u64;
        let library = orders::library(&folder);
        let unpacked = on_a_thread(move || library_archive::size(&library)).await?;
        Ok(Build { packages, fresh, unpacked })
    }

    async fn pack(&mut self, to: mpsc::Sender<Result<Bytes, Error>>) {
        let Some(folder) = self.workshop.take() else {
            return;
        };
        let packed = on_a_thread(move || {
            let mut sending = Sending { part: Vec::new(), to };
            let packed = library_archive::pack(&orders::library(&folder), &mut sending)
                .and_then(|()| sending.send());
            if let Err(error) = packed {
                let _ = sending.to.blocking_send(Err(Error::from(machine(error))));
            }
            std::fs::remove_dir_all(&folder)
        });
        // What cannot be removed now is removed by the next build.
        let _ = packed.await;
    }
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, HostError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|e| Err(io::Error::other(e))).map_err(machine)
}

/// Parts as one stream, which is an error when they end too early.
struct Reading {
    parts: mpsc::Receiver<Option<Bytes>>,
    part: Bytes,
    whole: bool,
}

impl Read for Reading {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.part.is_empty() && !self.whole {
            match self.parts.blocking_recv() {
                Some(Some(part)) => self.part = part,
                Some(None) => self.whole = true,
                None => return Err(io::Error::other("not all of it could be fetched")),
            }
        }
        let len = to.len().min(self.part.len());
        let taken = self.part.split_to(len);
        if let Some(to) = to.get_mut(..len) {
            to.copy_from_slice(&taken);
        }
        Ok(len)
    }
}

/// A stream as parts.
struct Sending {
    part: Vec<u8>,
    to: mpsc::Sender<Result<Bytes, Error>>,
}

impl Sending {
    fn send(&mut self) -> io::Result<()> {
        if self.part.is_empty() {
            return Ok(());
        }
        let part = Bytes::from(std::mem::take(&mut self.part));
        let gone = |_| io::Error::other("nobody takes the parts any more");
        self.to.blocking_send(Ok(part)).map_err(gone)
    }
}

impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PART - self.part.len();
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.part.extend_from_slice(taken);
        if self.part.len() >= PART {
            self.send()?;
        }
        Ok(taken.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_becomes_parts_and_a_stream_again() {
        let bytes: Vec<u8> = (0..PART * 2 + 17).map(|n| (n % 251) as u8).collect();
        let (to, mut parts) = mpsc::channel(9);
        let sent = bytes.clone();
        let sending = tokio::task::spawn_blocking(move || {
            let mut sending = Sending { part: Vec::new(), to };
            sending.write_all(&sent).and_then(|()| sending.send()).unwrap();
        });
        let mut lengths = Vec::new();
        let (back, received) = mpsc::channel(9);
        while let Some(part) = parts.recv().await {
            let part = part.unwrap();
            lengths.push(part.len());
            back.send(Some(part)).await.unwrap();
        }
        sending.await.unwrap();
        assert_eq!(lengths, [PART, PART, 17]);
        back.send(None).await.unwrap();
        let read = tokio::task::spawn_blocking(move || {
            let mut all = Vec::new();
            let mut reading = Reading { parts: received, part: Bytes::new(), whole: false };
            reading.read_to_end(&mut all).map(|_| all)
        });
        assert!(read.await.unwrap().unwrap() == bytes);
    }

    #[tokio::test]
    async fn parts_that_end_too_early_are_an_error() {
        let (to, parts) = mpsc::channel(9);
        to.send(Some(Bytes::from_static(b"half"))).await.unwrap();
        drop(to);
        let read = tokio::task::spawn_blocking(move || {
            let mut reading = Reading { parts, part: Bytes::new(), whole: false };
            reading.read_to_end(&mut Vec::new())
        });
        assert!(read.await.unwrap().is_err());
    }
}
