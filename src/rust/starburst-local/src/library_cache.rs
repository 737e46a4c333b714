//! Unpacked environments on this machine, shared by all workers of one user: each is unpacked once, or not at all.
//!
//! Each has a lock file beside its folder. Whoever unpacks holds the lock alone, and works under another name until the
//! folder is complete; whoever uses it shares the lock. The system frees the locks of a process that died.
use crate::{library_archive, private};
use rustix::fs::{FlockOperation, flock};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// An environment that no worker used for so long is removed.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Where libraries are unpacked, and which of them this process uses.
#[derive(Debug)]
pub struct LibraryCache {
    directory: PathBuf,
    used: BTreeMap<String, File>,
}

impl LibraryCache {
    /// A cache in this directory, which is made when it is needed.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, used: BTreeMap::new() }
    }

    /// A folder of this user's in the system's place for temporary files.
    pub fn default_directory() -> PathBuf {
        private::shared_by_user("libraries")
    }

    /// The folder of a library that is there, which stays as long as this process lives. Waits for whoever unpacks it.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub fn find(&mut self, name: &str) -> io::Result<Option<PathBuf>> {
        let lock = self.lock(name, FlockOperation::LockShared)?;
        Ok(self.keep(name, lock))
    }

    /// Unpacks a library, unless another did so meanwhile.
    ///
    /// # Errors
    /// What is unpacked is damaged, or the directory cannot be used. Nothing is left then.
    pub fn unpack(&mut self, name: &str, limit: u64, mut from: impl Read) -> io::Result<PathBuf> {
        let lock = self.open_lock(name)?;
        // Whoever unpacked it shares its lock as long as it lives: that lock is not waited for alone.
        while flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            flock(&lock, FlockOperation::LockShared)?;
            if self.folder(name).is_dir() {
                return self.keep(name, lock).ok_or_else(|| io::ErrorKind::NotFound.into());
            }
            // It died, or could not.
            flock(&lock, FlockOperation::Unlock)?;
        }
        let (folder, partial) = (self.folder(name), self.directory.join(format!("{name}.partial")));
        if !folder.is_dir() {
            remove(&partial)?;
            fs::create_dir(&partial)?;
            let unpacked = library_archive::unpack(&mut from, &partial, limit)
                // To the end: only there `from` knows whether it was all.
                .and_then(|()| io::copy(&mut from, &mut io::sink()))
                .and_then(|_| fs::rename(&partial, &folder));
            if let Err(error) = unpacked {
                let _ = remove(&partial);
                return Err(error);
            }
            self.remove_unused();
        }
        flock(&lock, FlockOperation::LockShared)?;
        self.keep(name, lock).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// A new folder for what is being installed. Those of processes that died are removed.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub fn workshop(&mut self, name: &str) -> io::Result<PathBuf> {
        let name = format!("build-{name}");
        let lock = self.lock(&name, FlockOperation::LockExclusive)?;
        self.remove_unused();
        let folder = self.folder(&name);
        remove(&folder)?;
        fs::create_dir(&folder)?;
        self.used.insert(name, lock);
        Ok(folder)
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A lock that this process has already is changed: opened once more it would wait for itself.
    fn open_lock(&mut self, name: &str) -> io::Result<File> {
        private::make(&self.directory)?;
        let path = self.directory.join(format!("{name}.lock"));
        match self.used.remove(name) {
            Some(lock) => Ok(lock),
            None => File::options().create(true).append(true).open(path),
        }
    }

    fn lock(&mut self, name: &str, how: FlockOperation) -> io::Result<File> {
        let lock = self.open_lock(name)?;
        flock(&lock, how)?;
        Ok(lock)
    }

    fn keep(&mut self, name: &str, lock: File) -> Option<PathBuf> {
        let folder = self.folder(name);
        folder.is_dir().then(|| {
            #[allow(clippy::disallowed_methods)] // what was used when is told to the file system
            let _ = lock.set_modified(SystemTime::now());
            self.used.insert(name.to_owned(), lock);
            folder
        })
    }

    /// Removes what nobody uses: libraries after a while, and builds of processes that died at once. Lock files stay:
    /// another process may be about to lock one.
    fn remove_unused(&self) {
        let Ok(rows) = fs::read_dir(&self.directory) else {
            return;
        };
        for path in rows.filter_map(|row| Some(row.ok()?.path())) {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            if !path.is_dir() || name.ends_with(".partial") {
                continue;
            }
            let lock =
                File::options().append(true).open(self.directory.join(format!("{name}.lock")));
            let free = lock.and_then(|lock| {
                flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
                Ok(lock)
            });
            if let Ok(lock) = free
                && (name.starts_with("build-") || is_old(&lock))
            {
                let _ = remove(&path);
            }
        }
    }
}

#[allow(clippy::disallowed_methods)] // a file's time is compared with the clock that wrote it
fn is_old(lock: &File) -> bool {
    let used = lock.metadata().and_then(|meta| meta.modified());
    let unused = used.ok().and_then(|used| SystemTime::now().duration_since(used).ok());
    unused.is_some_and(|unused| unused > KEPT)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Vec<u8> {
        let from = tempfile::tempdir().unwrap();
        fs::write(from.path().join("file"), "content").unwrap();
        let mut bytes = Vec::new();
        library_archive::pack(from.path(), &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_library_is_unpacked_once_and_found_by_others() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("cache");
        let mut one = LibraryCache::new(directory.clone());
        assert_eq!(one.find("a").unwrap(), None);
        let folder = one.unpack("a", 100, &archive()[..]).unwrap();
        assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "content");
        let mut other = LibraryCache::new(directory);
        // It is not asked for what it would unpack.
        assert_eq!(other.unpack("a", 100, io::empty()).unwrap(), folder);
        assert_eq!(other.find("a").unwrap(), Some(folder));
    }

    #[test]
    fn of_many_that_miss_a_library_at_once_all_get_it() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("cache");
        let bytes = archive();
        // They use it until all have it.
        let all = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let mut cache = LibraryCache::new(directory.clone());
                    let folder = cache.unpack("a", 100, &bytes[..]).unwrap();
                    assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "content");
                    all.wait();
                });
            }
        });
    }

    #[test]
    fn what_is_cut_or_not_what_was_stored_leaves_nothing() {
        /// Says at its end that it was not all.
        struct Failing<'a>(&'a [u8]);
        impl Read for Failing<'_> {
            fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
                if self.0.is_empty() {
                    Err(io::ErrorKind::UnexpectedEof.into())
                } else {
                    self.0.read(to)
                }
            }
        }
        let place = tempfile::tempdir().unwrap();
        let mut cache = LibraryCache::new(place.path().join("cache"));
        let bytes = archive();
        assert!(cache.unpack("a", 100, &bytes[..bytes.len() / 2]).is_err());
        assert!(cache.unpack("a", 100, Failing(&bytes[..])).is_err());
        assert_eq!(cache.find("a").unwrap(), None);
        let left = fs::read_dir(place.path().join("cache")).unwrap();
        let names: Vec<_> = left.map(|row| row.unwrap().file_name()).collect();
        assert_eq!(names, ["a.lock"]);
    }

    #[test]
    fn what_a_process_that_died_left_is_removed_and_what_is_used_stays() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("cache");
        let mut user = LibraryCache::new(directory.clone());
        let used = user.unpack("used", 100, &archive()[..]).unwrap();
        let mut gone = LibraryCache::new(directory.clone());
        let unused = gone.unpack("unused", 100, &archive()[..]).unwrap();
        let build = gone.workshop("x").unwrap();
        fs::write(build.join("left"), "by a first try").unwrap();
        assert_eq!(gone.workshop("x").unwrap(), build);
        assert!(!build.join("left").exists());
        drop(gone);
        let long_ago = SystemTime::UNIX_EPOCH;
        for name in ["used.lock", "unused.lock"] {
            let lock = File::options().append(true).open(directory.join(name)).unwrap();
            lock.set_modified(long_ago).unwrap();
        }
        let next = LibraryCache::new(directory).workshop("y").unwrap();
        assert!(used.is_dir() && next.is_dir());
        assert!(!unused.exists() && !build.exists());
    }
}
