//! The files of a directory store: 24 bytes of header, then the object.
//!
//! Writers hold the lock of the object's shard, write a temporary file and rename it into place, so a
//! reader needs no lock and a writer that dies leaves the old object or the new one.
//!
//! Folders and files are their owner's alone. Where the store's own folder lets its group write, they are the group's too.
use starburst_core::{
    clock::UnixMillis,
    key::Key,
    store::{ETag, Entry, Object},
};
use std::{
    fs::{self, File, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

const MAGIC: &[u8; 8] = b"SBDIRv1\n";
const HEADER: usize = 24;

/// The users that may use a store's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Their owner.
    Owner,
    /// Their owner and the group of the store's folder.
    Group,
}

impl Access {
    /// Reads it from the store's folder.
    pub(crate) fn of(root: &Path) -> io::Result<Self> {
        let group_writes = fs::metadata(root)?.mode() & 0o020 != 0;
        Ok(if group_writes { Self::Group } else { Self::Owner })
    }

    /// Opens a file for writing, one that is new with the right mode.
    fn open(self, options: &mut fs::OpenOptions, path: &Path) -> io::Result<File> {
        let file = options.write(true).mode(0o600).open(path)?;
        // The mode is set on the file itself, since the process's mask takes from the mode of a new one. It is another
        // user's file when that user made it, with the right mode.
        if self == Self::Group && file.metadata()?.uid() == rustix::process::getuid().as_raw() {
            file.set_permissions(Permissions::from_mode(0o660))?;
        }
        Ok(file)
    }

    /// Makes a folder and its missing parents.
    fn make(self, folder: &Path, sync: bool) -> io::Result<()> {
        let create = || fs::DirBuilder::new().mode(0o700).create(folder);
        let made = match create() {
            // Once more only: some file systems say so of any folder.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.make(folder.parent().ok_or(e)?, sync)?;
                create()
            }
            made => made,
        };
        match made {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            Err(e) => return Err(e),
        }
        if self == Self::Group {
            // New files in it get its group.
            fs::set_permissions(folder, Permissions::from_mode(0o2770))?;
        }
        match folder.parent().filter(|_| sync) {
            Some(parent) => File::open(parent)?.sync_data(),
            None => Ok(()),
        }
    }
}

/// Makes the directories a store needs besides its objects.
pub(crate) fn prepare(root: &Path) -> io::Result<Access> {
    Access::Owner.make(root, false)?;
    let access = Access::of(root)?;
    access.make(&root.join("locks"), false)?;
    access.make(&root.join("tmp"), false)?;
    Ok(access)
}

/// Holds the lock of the key's shard until it is dropped. The system frees it when the process dies.
pub(crate) fn lock(root: &Path, access: Access, key: &Key) -> io::Result<Lock> {
    // Every process and every version must choose the same of the 256 locks.
    let shard = blake3::hash(key.as_str().as_bytes()).as_bytes()[0];
    let path = root.join("locks").join(format!("{shard:02x}"));
    let mut options = File::options();
    let file = access.open(options.create(true).truncate(false), &path)?;
    file.lock()?;
    Ok(Lock(file))
}

/// A held lock. It is given back by name: a forked child may hold the same open file.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

pub(crate) fn path(root: &Path, key: &Key) -> PathBuf {
    root.join(key.as_str())
}

/// Reads a whole object.
pub(crate) fn read(root: &Path, key: &Key) -> io::Result<Object> {
    let bytes = fs::read(path(root, key))?;
    match etag(&bytes) {
        Some(etag) => Ok(Object { body: bytes::Bytes::from(bytes).slice(HEADER..), etag }),
        // Not a file of ours: hand it out as it is, so that the reader of the envelope names it as damaged.
        None => Ok(Object { etag: damaged(bytes.len() as u64), body: bytes.into() }),
    }
}

/// Reads an object's version.
pub(crate) fn version(path: &Path) -> io::Result<ETag> {
    Ok(head(path)?.0)
}

/// Reads an object's version, and what the file system knows of its file.
fn head(path: &Path) -> io::Result<(ETag, fs::Metadata)> {
    let mut file = File::open(path)?;
    let meta = file.metadata()?;
    let mut header = [0; HEADER];
    let version = match file.read_exact(&mut header) {
        Ok(()) => etag(&header),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => None,
        Err(e) => return Err(e),
    };
    Ok((version.unwrap_or_else(|| damaged(meta.len())), meta))
}

/// An object's row in a listing.
fn entry(key: Key, path: &Path) -> io::Result<Entry> {
    let (etag, meta) = head(path)?;
    let written = meta.modified().ok();
    let since = written.and_then(|at| at.duration_since(std::time::SystemTime::UNIX_EPOCH).ok());
    let modified = since.map(|since| UnixMillis(0).plus(since));
    Ok(Entry { key, etag, size: meta.len().saturating_sub(HEADER as u64), modified })
}

fn etag(bytes: &[u8]) -> Option<ETag> {
    let version: [u8; 16] = bytes.get(8..HEADER)?.try_into().ok()?;
    bytes.starts_with(MAGIC).then(|| ETag(format!("{:032x}", u128::from_be_bytes(version))))
}

fn damaged(len: u64) -> ETag {
    ETag(format!("damaged-{len}"))
}

/// Writes an object at once, under a version never used before. The caller holds the shard's lock.
pub(crate) fn write(
    root: &Path,
    access: Access,
    key: &Key,
    body: &[u8],
    version: u128,
    sync: bool,
) -> io::Result<ETag> {
    let (temporary, target) = (root.join("tmp").join(format!("{version:032x}")), path(root, key));
    let written = write_temporary(&temporary, access, body, version, sync)
        .and_then(|()| rename(&temporary, access, &target, sync));
    if let Err(error) = written {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    Ok(ETag(format!("{version:032x}")))
}

fn write_temporary(
    path: &Path,
    access: Access,
    body: &[u8],
    version: u128,
    sync: bool,
) -> io::Result<()> {
    let mut file = access.open(File::options().create_new(true), path)?;
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..].copy_from_slice(&version.to_be_bytes());
    file.write_all(&header)?;
    file.write_all(body)?;
    if sync { file.sync_data() } else { Ok(()) }
}

fn rename(temporary: &Path, access: Access, target: &Path, sync: bool) -> io::Result<()> {
    let parent = target.parent().unwrap_or(Path::new("."));
    let mut tries = 0;
    loop {
        match fs::rename(temporary, target) {
            Ok(()) => break,
            // A delete elsewhere may have taken the empty directory away.
            Err(e) if e.kind() == io::ErrorKind::NotFound && tries < 100 => {
                tries += 1;
                match access.make(parent, sync) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                    Ok(()) | Err(_) => {}
                }
            }
            Err(e) => return Err(e),
        }
    }
    if sync { File::open(parent)?.sync_data() } else { Ok(()) }
}

/// Removes an object, and the directories it leaves empty.
pub(crate) fn remove(root: &Path, key: &Key) -> io::Result<()> {
    let target = path(root, key);
    match fs::remove_file(&target) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    }
    for parent in target.ancestors().skip(1).take_while(|p| *p != root) {
        if fs::remove_dir(parent).is_err() {
            break;
        }
    }
    Ok(())
}

/// Adds every object below `dir` that sorts behind `after`.
pub(crate) fn walk(
    root: &Path,
    dir: &Path,
    after: Option<&Key>,
    found: &mut Vec<Entry>,
) -> io::Result<()> {
    for (path, is_dir) in rows(dir)? {
        if is_dir {
            if !after.is_some_and(|after| ends_before(root, &path, after)) {
                walk(root, &path, after, found)?;
            }
            continue;
        }
        let Some(key) = key_of(root, &path) else {
            continue;
        };
        if after.is_some_and(|after| key <= *after) {
            continue;
        }
        match entry(key, &path) {
            Ok(entry) => found.push(entry),
            // Deleted since the directory was read.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Whether every key below `dir` sorts before `after`. A session has a directory for each part, most of them long done:
/// to read them all for each look takes more time than the looks are worth.
fn ends_before(root: &Path, dir: &Path, after: &Key) -> bool {
    let Some(below) = dir.strip_prefix(root).ok().and_then(Path::to_str) else {
        return false;
    };
    let below = format!("{below}/");
    !after.as_str().starts_with(&below) && below.as_str() < after.as_str()
}

/// The names in `dir` under which there is at least one object.
pub(crate) fn children(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for (path, is_dir) in rows(dir)? {
        if !is_dir || holds_object(&path)? {
            names.extend(path.file_name().and_then(|n| n.to_str()).map(ToOwned::to_owned));
        }
    }
    names.sort();
    Ok(names)
}

fn holds_object(dir: &Path) -> io::Result<bool> {
    for (path, is_dir) in rows(dir)? {
        if !is_dir || holds_object(&path)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The entries of a directory; none when it does not exist.
fn rows(dir: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
    let listing = match fs::read_dir(dir) {
        Ok(listing) => listing,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut rows = Vec::new();
    for row in listing {
        let row = row?;
        rows.push((row.path(), row.file_type()?.is_dir()));
    }
    Ok(rows)
}

fn key_of(root: &Path, path: &Path) -> Option<Key> {
    Key::from_listing(path.strip_prefix(root).ok()?.to_str()?)
}
