//! Folders and files that only this user can read, made so that nobody else can have made them before.
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use tempfile::TempDir;

/// The lock in a private folder: held as long as its process lives.
const LOCK: &str = ".lock";
/// A folder that is younger than this may belong to a process that has not taken its lock yet.
const YOUNG: Duration = Duration::from_secs(60);

/// A folder with a random name in the system's place for temporary files. It is removed when this is dropped; a process
/// that is killed leaves it, and the next process that makes one removes it.
#[derive(Debug)]
pub struct PrivateFolder {
    folder: TempDir,
    _lock: File,
}

impl PrivateFolder {
    /// Makes a folder whose name begins with `prefix`, and removes those of processes that were killed.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn new(prefix: &str) -> io::Result<Self> {
        let place = std::env::temp_dir();
        remove_abandoned(&place, prefix);
        let mut builder = tempfile::Builder::new();
        builder.prefix(prefix).rand_bytes(16);
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let folder = builder.tempdir_in(place)?;
        let lock = append(&folder.path().join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { folder, _lock: lock })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the folders of this user whose process is gone: nobody holds their lock. A failure leaves a folder for the next
/// look.
fn remove_abandoned(place: &Path, prefix: &str) {
    let me = rustix::process::getuid().as_raw();
    let Ok(rows) = fs::read_dir(place) else {
        return;
    };
    for row in rows.flatten() {
        let named = row.file_name().to_str().is_some_and(|name| name.starts_with(prefix));
        let Ok(meta) = fs::symlink_metadata(row.path()) else {
            continue;
        };
        if named && meta.is_dir() && meta.uid() == me && is_old(&meta) && is_free(&row.path()) {
            let _ = fs::remove_dir_all(row.path());
        }
    }
}

fn is_old(meta: &fs::Metadata) -> bool {
    #[allow(clippy::disallowed_methods)] // compared with a file's time, which is the system's too
    let age = meta.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    age.is_some_and(|age| age >= YOUNG)
}

fn is_free(folder: &Path) -> bool {
    File::open(folder.join(LOCK))
        .is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok())
}

/// Makes a folder that only its owner can use, or checks that the one that is there is such a folder. Its parents are made
/// where they are missing.
///
/// # Errors
/// The system's refusal; or somebody else owns the folder, or may use it.
pub fn make(folder: &Path) -> io::Result<()> {
    if let Some(parent) = folder.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(e),
    }
    let meta = fs::symlink_metadata(folder)?;
    if !meta.is_dir() || meta.uid() != rustix::process::getuid().as_raw() {
        let message = format!("{} belongs to somebody else", folder.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    if meta.mode() & 0o077 != 0 {
        // It is ours, and was made by an older version or by hand.
        fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    }
    Ok(())
}

/// As [`make`], for a folder below `base`. Where the folder that `base` is in lets its group write, `base` does too: the users
/// of a store have their folders for logs beside each other.
///
/// # Errors
/// As [`make`].
pub fn make_in(base: &Path, folder: &Path) -> io::Result<()> {
    let shared = base.parent().and_then(|parent| fs::metadata(parent).ok());
    if shared.is_some_and(|meta| meta.mode() & 0o020 != 0) && !base.exists() {
        fs::DirBuilder::new().mode(0o700).create(base)?;
        fs::set_permissions(base, std::os::unix::fs::PermissionsExt::from_mode(0o2770))?;
    }
    make(folder)
}

/// Writes a file that only its owner can read.
///
/// # Errors
/// The system's refusal.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file =
        File::options().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

/// Opens a file that only its owner can read, to add to it.
///
/// # Errors
/// The system's refusal.
pub fn append(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).mode(0o600).open(path)
}

/// A folder of this user's in the system's place for temporary files, for all of the user's processes.
pub(crate) fn shared_by_user(name: &str) -> PathBuf {
    let user = rustix::process::getuid().as_raw();
    std::env::temp_dir().join(format!("starburst-{name}-{user}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    fn age(folder: &Path, by: Duration) {
        #[allow(clippy::disallowed_methods)]
        let then = SystemTime::now() - by;
        File::open(folder).unwrap().set_modified(then).unwrap();
    }

    #[test]
    fn a_folder_is_private_and_goes_with_its_owner() {
        let folder = PrivateFolder::new("starburst-test-").unwrap();
        let path = folder.path().to_owned();
        assert_eq!(mode(&path), 0o700);
        write(&path.join("secret"), b"x").unwrap();
        assert_eq!(mode(&path.join("secret")), 0o600);
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_is_in_use_is_not() {
        let place = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let path = place.path().join(name);
            fs::create_dir(&path).unwrap();
            (append(&path.join(LOCK)).unwrap(), path)
        };
        let (held, in_use) = folder("w-in-use");
        flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
        let ((_, left), (_, young), (_, other)) =
            (folder("w-left"), folder("w-young"), folder("other"));
        for old in [&in_use, &left, &other] {
            age(old, YOUNG * 2);
        }
        remove_abandoned(place.path(), "w-");
        let there = [&in_use, &left, &young, &other].map(|path| path.exists());
        assert_eq!(there, [true, false, true, true]);
    }

    #[test]
    fn a_link_in_the_place_of_a_folder_is_refused_and_an_open_one_is_closed() {
        let place = tempfile::tempdir().unwrap();
        let (link, open) = (place.path().join("link"), place.path().join("open"));
        std::os::unix::fs::symlink(place.path(), &link).unwrap();
        assert!(make(&link).unwrap_err().to_string().contains("belongs to somebody else"));
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        make(&open).unwrap();
        assert_eq!(mode(&open), 0o700);
    }
}
