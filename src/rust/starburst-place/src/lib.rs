//! Where a store is, by the name that users and launchers give it: a directory, or `s3://bucket/folder`.
use starburst_aws::{
    account::Access,
    s3::{self, InvalidLocation, S3Location},
};
use starburst_core::{clock::Clock, ids::Ids, pace::Pace, store::Store};
use starburst_local::{DirStore, Durability, SystemClock, SystemIds};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A place for a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A directory of this machine, or of a shared file system.
    Directory(PathBuf),
    /// A bucket, or a folder of one.
    S3(S3Location),
}

/// An open store, and the clock that goes with it.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Time: with S3 the wall clock is the server's.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub ids: Arc<dyn Ids>,
}

/// Why a place cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The name is none.
    #[error(transparent)]
    Invalid(#[from] InvalidLocation),
    /// The directory cannot be made or written to.
    #[error("cannot use the directory `{}`", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Place {
    /// Reads a name. A relative directory is made absolute, since the working directory may change.
    ///
    /// # Errors
    /// [`InvalidLocation`] for a name that begins with `s3:` and is none.
    pub fn parse(name: &str) -> Result<Self, InvalidLocation> {
        if name.starts_with("s3:") {
            return S3Location::parse(name).map(Place::S3);
        }
        let path = std::path::absolute(name).unwrap_or_else(|_| PathBuf::from(name));
        Ok(Place::Directory(path))
    }

    /// Opens the store there. `access` is for S3, `durability` for directories.
    ///
    /// # Errors
    /// [`PlaceError::Directory`]. What is wrong with a bucket shows with the first call.
    pub async fn open(
        &self,
        access: &Access,
        durability: Durability,
    ) -> Result<Opened, PlaceError> {
        let (clock, ids) = (Arc::new(SystemClock::default()), Arc::new(SystemIds));
        match self {
            Place::Directory(path) => {
                let opened = DirStore::open(path.clone(), ids.clone(), durability);
                let failed = |source| PlaceError::Directory { path: path.clone(), source };
                Ok(Opened { store: Arc::new(opened.map_err(failed)?), clock, ids })
            }
            Place::S3(location) => {
                let (location, access) = (location.clone(), access.clone());
                let connection = s3::connect(location, access, clock, ids.clone()).await;
                Ok(Opened { store: connection.store, clock: connection.clock, ids })
            }
        }
    }

    /// How often a session there is looked at.
    pub fn pace(&self) -> Pace {
        match self {
            Place::Directory(_) => Pace::local(),
            Place::S3(_) => Pace::remote(),
        }
    }

    /// Where worker processes of this machine write their logs, when a store's own directory does not hold them.
    pub fn logs(&self, otherwise: &Path) -> PathBuf {
        match self {
            Place::Directory(path) => path.join("logs"),
            Place::S3(_) => otherwise.to_owned(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Directory(path) => path.display().fmt(f),
            Place::S3(location) => location.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_directory_or_a_bucket() {
        assert_eq!(Place::parse("/a/b").unwrap(), Place::Directory("/a/b".into()));
        assert!(matches!(Place::parse("jobs").unwrap(), Place::Directory(p) if p.is_absolute()));
        let place = Place::parse("s3://abc/jobs").unwrap();
        assert_eq!(place.to_string(), "s3://abc/jobs");
        assert!(!place.pace().looks_are_free());
        assert!(Place::parse("s3:/abc").is_err());
    }
}
