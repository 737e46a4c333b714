//! Chunks of large data on disk, for all workers of one user on one machine. A chunk's name is its hash, so that any
//! process may write it at any time; what is damaged is noticed by its reader and forgotten.
use crate::private;
use bytes::Bytes;
use parking_lot::Mutex;
use starburst_core::{blob::BlobHash, downloads::ChunkCache};
use std::{fs, io, path::PathBuf, time::SystemTime};

/// After so much of the limit a process looks again at what others have written.
const LOOK_AGAIN: u64 = 32;
/// What is left when the oldest chunks were removed, in tenths of the limit.
const KEPT_TENTHS: u64 = 8;

/// A cache in a directory.
#[derive(Debug)]
pub struct DiskCache {
    directory: PathBuf,
    limit: u64,
    held: Mutex<Held>,
}

/// What a process knows of the cache's size.
#[derive(Debug, Default)]
struct Held {
    /// Bytes there when it was looked at last.
    seen: Option<u64>,
    /// Bytes written since then. Others write too: after a while it is looked at again.
    written: u64,
}

impl DiskCache {
    /// A cache in this directory of at most about so many bytes. It is made when the first chunk is kept.
    pub fn new(directory: PathBuf, limit: u64) -> Self {
        Self { directory, limit, held: Mutex::default() }
    }

    /// A folder of this user's in the system's place for temporary files.
    pub fn default_directory() -> PathBuf {
        private::shared_by_user("chunks")
    }

    fn path(&self, hash: &BlobHash) -> PathBuf {
        self.directory.join(hash.to_string())
    }

    fn write(&self, hash: &BlobHash, sealed: &Bytes) -> io::Result<()> {
        let mut held = self.held.lock();
        let bytes = sealed.len() as u64;
        if bytes > self.limit {
            return Ok(());
        }
        let before = match held.seen {
            Some(seen) if held.written <= self.limit / LOOK_AGAIN => seen + held.written,
            Some(_) | None => {
                private::make(&self.directory)?;
                let seen = self.files()?.iter().map(|(_, _, size)| size).sum();
                *held = Held { seen: Some(seen), written: 0 };
                seen
            }
        };
        if before + bytes > self.limit {
            *held = Held { seen: Some(self.remove_oldest()?), written: 0 };
        }
        let temporary = self.directory.join(format!("{hash}.{}", std::process::id()));
        let written = private::write(&temporary, sealed)
            .and_then(|()| fs::rename(&temporary, self.path(hash)));
        match written {
            Ok(()) => held.written += bytes,
            Err(_) => drop(fs::remove_file(&temporary)),
        }
        written
    }

    /// Removes what was used longest ago. Returns what is left, of other processes' chunks too.
    fn remove_oldest(&self) -> io::Result<u64> {
        let mut files = self.files()?;
        files.sort_by_key(|(_, used, _)| *used);
        let mut total: u64 = files.iter().map(|(_, _, size)| size).sum();
        for (path, _, size) in files {
            if total <= self.limit / 10 * KEPT_TENTHS {
                break;
            }
            // Another process may have removed it just now.
            let _ = fs::remove_file(path);
            total -= size;
        }
        Ok(total)
    }

    fn files(&self) -> io::Result<Vec<(PathBuf, SystemTime, u64)>> {
        let mut files = Vec::new();
        for row in fs::read_dir(&self.directory)? {
            let row = row?;
            // One that is gone by now takes no room.
            if let Ok(meta) = row.metadata() {
                files.push((row.path(), meta.modified()?, meta.len()));
            }
        }
        Ok(files)
    }
}

impl ChunkCache for DiskCache {
    fn get(&self, hash: &BlobHash) -> Option<Bytes> {
        let path = self.path(hash);
        let sealed = fs::read(&path).ok()?;
        if let Ok(file) = fs::File::options().append(true).open(&path) {
            #[allow(clippy::disallowed_methods)] // what was used when is told to the file system
            let _ = file.set_modified(SystemTime::now());
        }
        Some(sealed.into())
    }
    fn put(&self, hash: &BlobHash, sealed: &Bytes) {
        // A full disk is no reason to fail: the store has the chunk.
        let _ = self.write(hash, sealed);
    }
    fn forget(&self, hash: &BlobHash) {
        let _ = fs::remove_file(self.path(hash));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(n: u8) -> (BlobHash, Bytes) {
        let bytes = Bytes::from(vec![n; 1_000]);
        (BlobHash::of(&bytes), bytes)
    }

    #[test]
    fn what_was_kept_is_found_by_another_process_and_no_more_than_the_limit_is_kept() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("cache");
        let (one, other) =
            (DiskCache::new(directory.clone(), 5_500), DiskCache::new(directory, 5_500));
        for n in 0..40 {
            let (hash, bytes) = chunk(n);
            one.put(&hash, &bytes);
            assert_eq!(other.get(&hash), Some(bytes));
            assert!(one.files().unwrap().len() <= 5);
        }
        let (hash, _) = chunk(39);
        other.forget(&hash);
        assert_eq!(one.get(&hash), None);
    }

    #[test]
    fn a_place_that_cannot_be_used_keeps_nothing_and_fails_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let cache = DiskCache::new(file.path().to_owned(), 1 << 20);
        let (hash, bytes) = chunk(1);
        cache.put(&hash, &bytes);
        assert_eq!(cache.get(&hash), None);
    }
}
