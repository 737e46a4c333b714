//! A host on which installing takes a while in virtual time, and whose packages are bytes that can be told apart.
use super::seconds;
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use starburst_core::{
    clock::Clock,
    environment::{
        Installed, Library,
        lease::Progress,
        parts::PART_BYTES,
        prepare::{Build, Host, HostError, Order},
    },
    error::Error,
    ids::ObjectId,
};
use starburst_testkit::ManualClock;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};

/// Each package is installed in so long.
pub(crate) const EACH: Duration = seconds(20);

/// What all hosts of a test have in common.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// The packages of each installation that was begun, as far as they were not there before.
    pub(crate) installs: Mutex<Vec<Vec<String>>>,
    /// What cannot be installed, and what cannot on top of another environment.
    pub(crate) broken: Mutex<Vec<String>>,
    pub(crate) unfit: Mutex<Vec<String>>,
    /// The version there is, where it is not the one that is asked for.
    pub(crate) versions: Mutex<BTreeMap<String, String>>,
}

#[derive(Debug)]
pub(crate) struct FakeHost {
    clock: Arc<ManualClock>,
    world: Arc<World>,
    unpacked: BTreeMap<String, PathBuf>,
    installed: String,
}

impl FakeHost {
    pub(crate) fn new(clock: &Arc<ManualClock>, world: &Arc<World>) -> Self {
        Self {
            clock: Arc::clone(clock),
            world: Arc::clone(world),
            unpacked: BTreeMap::new(),
            installed: String::new(),
        }
    }
}

/// The content of a library: longer than two parts.
fn content(installed: &str) -> Vec<u8> {
    let mut bytes = vec![7; 2 * PART_BYTES];
    bytes.extend_from_slice(installed.as_bytes());
    bytes
}

#[async_trait]
impl Host for FakeHost {
    async fn find(&mut self, build: &ObjectId) -> Result<Option<PathBuf>, HostError> {
        Ok(self.unpacked.get(build.as_str()).cloned())
    }

    async fn unpack(
        &mut self,
        library: &Library,
        mut parts: mpsc::Receiver<Option<Bytes>>,
    ) -> Result<PathBuf, HostError> {
        let mut bytes = Vec::new();
        loop {
            match parts.recv().await {
                Some(Some(part)) => bytes.extend_from_slice(&part),
                Some(None) => break,
                None => return Err(HostError::Machine("not all came".into())),
            }
        }
        let packages: Vec<String> =
            library.packages.iter().map(|p| format!("{} {}", p.package, p.version)).collect();
        assert!(bytes == content(&packages.join(",")), "a library that is not what it says");
        let folder = PathBuf::from(format!("/libraries/{}", library.build));
        self.unpacked.insert(library.build.to_string(), folder.clone());
        Ok(folder)
    }

    async fn install(
        &mut self,
        order: &Order<'_>,
        progress: &watch::Sender<Progress>,
    ) -> Result<Build, HostError> {
        let taken: Vec<&str> = order
            .base
            .iter()
            .flat_map(|(_, taken)| taken)
            .map(|need| need.package.as_str())
            .collect();
        let names = order.needs.packages.iter().map(|need| need.package.clone());
        let fresh: Vec<String> = names.filter(|name| !taken.contains(&name.as_str())).collect();
        self.world.installs.lock().push(fresh.clone());
        for (done, package) in fresh.iter().enumerate() {
            progress.send_replace(Progress {
                doing: "Installing".into(),
                done: done as u64,
                total: fresh.len() as u64,
                package: package.clone(),
            });
            self.clock.sleep(EACH).await;
            let unfit = order.base.is_some() && self.world.unfit.lock().contains(package);
            if unfit || self.world.broken.lock().contains(package) {
                return Err(HostError::Package(format!("package `{package}` cannot be installed")));
            }
        }
        let versions = self.world.versions.lock();
        let packages = order.needs.packages.iter().map(|need| Installed {
            package: need.package.clone(),
            version: versions.get(&need.package).unwrap_or(&need.version).clone(),
            identity: need.identity(),
        });
        let packages: Vec<Installed> = packages.collect();
        let all: Vec<String> =
            packages.iter().map(|p| format!("{} {}", p.package, p.version)).collect();
        self.installed = all.join(",");
        Ok(Build { packages, fresh: fresh.len() as u64, unpacked: 1_000 })
    }

    async fn pack(&mut self, to: mpsc::Sender<Result<Bytes, Error>>) {
        for part in content(&self.installed).chunks(PART_BYTES) {
            self.clock.sleep(seconds(5)).await;
            if to.send(Ok(Bytes::copy_from_slice(part))).await.is_err() {
                return;
            }
        }
    }
}
