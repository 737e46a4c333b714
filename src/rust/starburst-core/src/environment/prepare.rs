//! Making an environment ready on a worker: fetch it, or install it, or wait for the one that does.
use super::{
    lease::{self, BuildLease, Progress},
    library::{self, Failure, Installed, Library},
    look,
    needs::{Need, Needs},
    parts,
};
use crate::{
    clock::{Clock, Monotonic},
    envelope::{self, Kind},
    error::Error,
    held::{Ground, Sightings},
    ids::{Ids, ObjectId, PlatformId, WorkerId},
    key::{EnvironmentKeys, Key},
    pace::Pace,
    store::{Store, StoreError},
    update,
    worker::pulse,
};
use async_trait::async_trait;
use bytes::Bytes;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};

/// Parts that wait to be unpacked, or to be stored.
const AHEAD: usize = 2;
/// How often a library that turns out to be damaged is installed anew.
const TRIES: u32 = 3;

/// What is to be installed.
#[derive(Debug)]
pub struct Order<'a> {
    /// All that the environment needs.
    pub needs: &'a Needs,
    /// The source archives of local packages, in the order of the needs.
    pub archives: Vec<(&'a Need, Bytes)>,
    /// Where packages that are installed already are, and which of those to take.
    pub base: Option<(PathBuf, Vec<&'a Need>)>,
}

/// What was installed.
#[derive(Debug, Clone)]
pub struct Build {
    /// What is there now.
    pub packages: Vec<Installed>,
    /// How many of it were installed now.
    pub fresh: u64,
    /// Bytes of all files.
    pub unpacked: u64,
}

/// Why installing, packing or unpacking failed.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A package cannot be installed, here and by others on this platform.
    #[error("{0}")]
    Package(String),
    /// This machine cannot do it.
    #[error("{0}")]
    Machine(String),
}

impl From<HostError> for Error {
    fn from(error: HostError) -> Self {
        Self::Environment { message: error.to_string() }
    }
}

/// The machine of a worker, as far as environments are concerned: what runs R and touches files.
#[async_trait]
pub trait Host: Send + Sync + std::fmt::Debug {
    /// The folder of a library that is unpacked on this machine; none when it is not.
    async fn find(&mut self, build: &ObjectId) -> Result<Option<PathBuf>, HostError>;
    /// Unpacks a library on this machine and returns its folder. Nothing is left when `parts` ends without `None`.
    async fn unpack(
        &mut self,
        library: &Library,
        parts: mpsc::Receiver<Option<Bytes>>,
    ) -> Result<PathBuf, HostError>;
    /// Installs into a new folder.
    async fn install(
        &mut self,
        order: &Order<'_>,
        progress: &watch::Sender<Progress>,
    ) -> Result<Build, HostError>;
    /// Packs what was installed last, and forgets that folder.
    async fn pack(&mut self, to: mpsc::Sender<Result<Bytes, Error>>);
}

/// What makes an environment ready.
#[derive(Debug)]
pub struct Preparation<'a> {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub ids: Arc<dyn Ids>,
    /// The environment.
    pub keys: EnvironmentKeys,
    /// The worker's platform.
    pub platform: PlatformId,
    /// Who makes it ready.
    pub me: WorkerId,
    /// How often things are looked at.
    pub pace: Pace,
    /// The worker's machine.
    pub host: &'a mut dyn Host,
}

impl Preparation<'_> {
    /// The folder of the environment on this machine, once it is there.
    ///
    /// # Errors
    /// [`Error::Environment`] when it cannot be made, or a failure of the store.
    pub async fn run(&mut self) -> Result<PathBuf, Error> {
        let mut seen = Sightings::default();
        let mut damaged = 0;
        loop {
            if let Some(library) = self.library().await? {
                match self.unpack(&library, &self.keys.clone()).await {
                    Err(
                        error @ (Error::Damaged { .. } | Error::Store(StoreError::NotFound { .. })),
                    ) => {
                        damaged += 1;
                        if damaged >= TRIES {
                            return Err(error);
                        }
                        self.store.delete(&self.keys.library(&self.platform)).await?;
                        continue;
                    }
                    other => return other,
                }
            }
            if let Some(failure) = look::failure(&*self.store, &self.keys, &self.platform).await? {
                return Err(Error::Environment { message: failure.message });
            }
            let key = self.keys.lease(&self.platform);
            let (store, clock, ids) = self.seams();
            let ground = ground(&*store, &*clock, &*ids, key, &self.pace);
            if !lease::ask(&mut seen, &ground, &self.me).await? {
                clock.sleep(self.pace.patrol).await;
                continue;
            }
            // Another may have finished between the looks.
            let built = match self.library().await? {
                Some(_) => Ok(()),
                None => self.build_with_lease(&ground).await,
            };
            lease::lay_down(&ground, &self.me).await;
            built?;
        }
    }

    /// What is left to do when `run` was given up: another can go on at once.
    pub async fn give_up(&mut self) {
        let key = self.keys.lease(&self.platform);
        let (store, clock, ids) = self.seams();
        lease::lay_down(&ground(&*store, &*clock, &*ids, key, &self.pace), &self.me).await;
    }

    fn seams(&self) -> (Arc<dyn Store>, Arc<dyn Clock>, Arc<dyn Ids>) {
        (Arc::clone(&self.store), Arc::clone(&self.clock), Arc::clone(&self.ids))
    }

    async fn library(&self) -> Result<Option<Library>, Error> {
        look::library(&*self.store, &self.keys, &self.platform).await
    }

    async fn unpack(
        &mut self,
        library: &Library,
        keys: &EnvironmentKeys,
    ) -> Result<PathBuf, Error> {
        if let Some(folder) = self.host.find(&library.build).await? {
            return Ok(folder);
        }
        let (to, parts) = mpsc::channel(AHEAD);
        let place = parts::Place { store: &*self.store, keys, platform: &self.platform };
        let (fetched, unpacked) =
            tokio::join!(parts::fetch(&place, library, to), self.host.unpack(library, parts));
        // What could not be fetched says more than that there was nothing to unpack.
        fetched?;
        Ok(unpacked?)
    }

    /// Builds, and shows all the while that this worker lives.
    async fn build_with_lease(&mut self, on: &Ground<'_>) -> Result<(), Error> {
        let (tell, progress) = watch::channel(Progress::default());
        let (me, every) = (self.me.clone(), self.pace.patrol.min(self.pace.lease / 4));
        let building = self.build(&tell);
        let holding = hold(on, &me, every, progress);
        tokio::select! {
            biased;
            built = building => built,
            // What it does is for nothing: somebody else does it.
            lost = holding => lost,
        }
    }

    async fn build(&mut self, tell: &watch::Sender<Progress>) -> Result<(), Error> {
        let started = self.clock.now();
        let needs = look::needs(&*self.store, &self.keys).await?;
        let archives = self.archives(&needs).await?;
        let base = self.base(&needs).await;
        let order = Order { needs: &needs, archives, base };
        let built = match self.host.install(&order, tell).await {
            // A package that was taken over may not fit the new ones.
            Err(HostError::Package(_)) if order.base.is_some() => {
                self.host.install(&Order { base: None, ..order }, tell).await
            }
            other => other,
        };
        match built {
            Ok(build) => {
                tell.send_modify(|progress| progress.doing = "Storing".into());
                self.store_library(&needs, build, started).await
            }
            Err(HostError::Package(message)) => {
                let failure = Failure { message: message.clone(), at: self.clock.wall() };
                let key = self.keys.failure(&self.platform);
                let body = envelope::encode(Kind::BuildFailure, &key, &failure)?;
                pulse::overwrite(&*self.store, &key, body, None).await?;
                Err(Error::Environment { message })
            }
            Err(error @ HostError::Machine(_)) => Err(error.into()),
        }
    }

    async fn archives<'n>(&self, needs: &'n Needs) -> Result<Vec<(&'n Need, Bytes)>, Error> {
        let mut archives = Vec::new();
        for need in &needs.packages {
            if let Some(hash) = &need.archive {
                let key = self.keys.source(hash);
                let object = self.store.get(&key).await?;
                let (archive, _) = envelope::open(Kind::SourceArchive, &key, &object.body)?;
                archives.push((need, archive));
            }
        }
        Ok(archives)
    }

    /// The nearest environment there is, unpacked. Without one all is installed, so what fails here is no failure.
    async fn base<'n>(&mut self, needs: &'n Needs) -> Option<(PathBuf, Vec<&'n Need>)> {
        let mut others = look::libraries(&*self.store, &self.platform).await.ok()?;
        let libraries: Vec<Library> = others.iter().map(|(_, library)| library.clone()).collect();
        let (environment, library) = others.swap_remove(library::nearest(needs, &libraries)?);
        let folder = self.unpack(&library, &EnvironmentKeys::new(environment)).await.ok()?;
        Some((folder, library::shared(needs, &library)))
    }

    async fn store_library(
        &mut self,
        needs: &Needs,
        built: Build,
        started: Monotonic,
    ) -> Result<(), Error> {
        let build = ObjectId::fresh(&*self.ids);
        let (to, packed) = mpsc::channel(AHEAD);
        let place =
            parts::Place { store: &*self.store, keys: &self.keys, platform: &self.platform };
        let (stored, ()) = tokio::join!(parts::store(&place, &build, packed), self.host.pack(to));
        let stored = stored?;
        let installed = |need: &&Need| built.packages.iter().find(|p| p.package == need.package);
        let warnings = needs
            .packages
            .iter()
            .filter_map(|need| library::difference(need, &installed(&need)?.version));
        let library = Library {
            build,
            parts: stored.parts,
            packed: stored.bytes,
            unpacked: built.unpacked,
            hash: stored.hash,
            warnings: warnings.collect(),
            packages: built.packages,
            fresh: built.fresh,
            took_ms: u64::try_from(self.clock.now().since(started).as_millis()).unwrap_or(u64::MAX),
            built_at: self.clock.wall(),
        };
        let key = self.keys.library(&self.platform);
        parts::put(&*self.store, &key, envelope::encode(Kind::Library, &key, &library)?).await
    }
}

fn ground<'a>(
    store: &'a dyn Store,
    clock: &'a dyn Clock,
    ids: &'a dyn Ids,
    key: Key,
    pace: &Pace,
) -> Ground<'a> {
    Ground { store, key, clock, ids, lease: pace.lease }
}

/// Renews the lease until it is lost. A store that fails for a while costs the lease at most.
async fn hold(
    on: &Ground<'_>,
    me: &WorkerId,
    every: Duration,
    progress: watch::Receiver<Progress>,
) -> Result<(), Error> {
    loop {
        on.clock.sleep(every).await;
        let now = progress.borrow().clone();
        if let Ok(false) = lease::renew(on, me, &now).await {
            return Ok(());
        }
    }
}

/// Who installs an environment on a platform, and how far that is; none when nobody does.
///
/// # Errors
/// A failure of the store, or a damaged lease.
pub async fn building(store: &dyn Store, key: &Key) -> Result<Option<Progress>, Error> {
    let lease = update::read::<BuildLease>(store, key).await?;
    Ok(lease.filter(|lease| lease.value.holder.is_some()).map(|lease| lease.value.progress))
}
