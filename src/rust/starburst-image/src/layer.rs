//! The layer of the worker: program, scripts and packages as one archive. The same files make the same bytes.
use crate::{
    documents::{Architecture, Descriptor, ZSTD_LAYER, shown},
    error::{fail, unfit_file},
};
use sha2::{Digest as _, Sha256};
use starburst_core::error::{Error, ErrorKind};
use std::{
    fs::{self, File},
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
};
use tar::{Builder, EntryType, Header};
use tempfile::NamedTempFile;

/// Where everything of the worker is in an image. The worker finds its scripts and packages beside its own folder.
pub(crate) const HOME: &str = "opt/starburst";
/// The user that workers run as: a number that no base image gives away.
pub(crate) const USER: u64 = 10_001;
/// Compression: higher levels take much longer and gain little.
const LEVEL: i32 = 9;
/// The deepest folder, and the most bytes, that a library may have.
const DEEPEST: usize = 64;
const LARGEST: u64 = 4 << 30;

/// What goes into the layer of one architecture.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The processor that the worker is for.
    pub architecture: Architecture,
    /// The worker program.
    pub worker: PathBuf,
    /// The folder with the R side of the worker.
    pub scripts: PathBuf,
    /// A library with packages for images whose own has none of them.
    pub library: Option<PathBuf>,
}

/// A layer as it is stored.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) file: NamedTempFile,
    pub(crate) descriptor: Descriptor,
    /// The digest of the archive before it was compressed.
    pub(crate) diff_id: String,
}

/// Writes the layer into a temporary file.
pub(crate) fn make(parts: &Parts) -> Result<Layer, Error> {
    let worker = read_worker(parts)?;
    let disk = |error: io::Error| {
        let advice = "free some space, or set TMPDIR to another folder";
        fail(
            ErrorKind::Unavailable,
            "the layer cannot be written",
            "TMPDIR",
            error.to_string(),
            advice,
        )
    };
    let file = NamedTempFile::new().map_err(disk)?;
    let stored = Hashing::new(file);
    let mut zstd = zstd::Encoder::new(stored, LEVEL).map_err(disk)?;
    // Otherwise the bytes would depend on how they were handed over.
    zstd.include_checksum(false).map_err(disk)?;
    let mut archive = Archive { tar: Builder::new(Hashing::new(zstd)), bytes: 0 };
    archive.folder(HOME, 0).map_err(disk)?;
    archive.folder(&format!("{HOME}/bin"), 0).map_err(disk)?;
    let program = format!("{HOME}/bin/starburst-worker");
    archive.entry(&program, EntryType::Regular, 0o755, 0, &worker).map_err(disk)?;
    archive.folder(&format!("{HOME}/home"), USER).map_err(disk)?;
    if let Some(library) = &parts.library {
        archive.tree(library, &format!("{HOME}/library"), 0)?;
    }
    archive.tree(&parts.scripts, &format!("{HOME}/worker"), 0)?;
    let Hashing { inner: zstd, hash, .. } = archive.tar.into_inner().map_err(disk)?;
    let Hashing { inner: mut file, hash: stored, bytes } = zstd.finish().map_err(disk)?;
    file.flush().map_err(disk)?;
    let descriptor = Descriptor {
        media_type: ZSTD_LAYER.to_owned(),
        digest: shown(stored.finalize().as_slice()),
        size: bytes,
        platform: None,
    };
    Ok(Layer { file, descriptor, diff_id: shown(hash.finalize().as_slice()) })
}

/// The bytes of the worker, which is a program for the architecture.
fn read_worker(parts: &Parts) -> Result<Vec<u8>, Error> {
    let path = &parts.worker;
    let advice = "give a `starburst-worker` for Linux on this architecture as `worker`";
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| unfit_file(path, e.to_string(), advice))?;
    let read = file.take(LARGEST).read_to_end(&mut bytes);
    read.map_err(|e| unfit_file(path, e.to_string(), advice))?;
    match architecture_of(&bytes) {
        Some(found) if found == parts.architecture => Ok(bytes),
        Some(found) => {
            let said = format!("it is for {found}, not for {}", parts.architecture);
            Err(unfit_file(path, said, advice))
        }
        None => Err(unfit_file(path, "it is no program for Linux on x86-64 or ARM64", advice)),
    }
}

/// What a program for Linux is made for, by the header of its ELF file.
fn architecture_of(program: &[u8]) -> Option<Architecture> {
    let header = program.get(..20)?;
    // 64 bits, little-endian.
    let of_linux = header.starts_with(b"\x7fELF\x02\x01");
    match (of_linux, header.get(18..20)?) {
        (true, [0x3e, 0]) => Some(Architecture::Amd64),
        (true, [0xb7, 0]) => Some(Architecture::Arm64),
        (_, _) => None,
    }
}

/// Counts and hashes what passes through.
#[derive(Debug)]
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), bytes: 0 }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

struct Archive<W: Write> {
    tar: Builder<W>,
    bytes: u64,
}

impl<W: Write> Archive<W> {
    fn folder(&mut self, name: &str, owner: u64) -> io::Result<()> {
        self.entry(&format!("{name}/"), EntryType::Directory, 0o755, owner, &[])
    }

    fn entry(
        &mut self,
        name: &str,
        kind: EntryType,
        mode: u32,
        owner: u64,
        bytes: &[u8],
    ) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner);
        header.set_gid(owner);
        header.set_mtime(0);
        header.set_size(bytes.len() as u64);
        self.tar.append_data(&mut header, name, bytes)
    }

    /// A folder with all that is in it, in the order of the names' bytes. Links are followed.
    fn tree(&mut self, from: &Path, name: &str, depth: usize) -> Result<(), Error> {
        let advice = "give a folder that can be read, without links that lead back into it";
        let unfit = |path: &Path, error: io::Error| unfit_file(path, error.to_string(), advice);
        if depth > DEEPEST {
            return Err(unfit_file(from, format!("it is deeper than {DEEPEST} folders"), advice));
        }
        self.folder(name, 0).map_err(|e| unfit(from, e))?;
        let entries = fs::read_dir(from).map_err(|e| unfit(from, e))?;
        let mut paths = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| unfit(from, e))?;
            let Ok(file) = entry.file_name().into_string() else {
                return Err(unfit_file(&entry.path(), "its name is no UTF-8", advice));
            };
            paths.push((file, entry.path()));
        }
        paths.sort();
        for (file, path) in paths {
            let name = format!("{name}/{file}");
            let data = fs::metadata(&path).map_err(|e| unfit(&path, e))?;
            if data.is_dir() {
                self.tree(&path, &name, depth + 1)?;
                continue;
            }
            self.bytes += data.len();
            if self.bytes > LARGEST {
                let said = format!("all files together have more than {} GB", LARGEST >> 30);
                return Err(unfit_file(&path, said, "leave packages out"));
            }
            let bytes = fs::read(&path).map_err(|e| unfit(&path, e))?;
            let mode = if is_program(&data) { 0o755 } else { 0o644 };
            self.entry(&name, EntryType::Regular, mode, 0, &bytes).map_err(|e| unfit(&path, e))?;
        }
        Ok(())
    }
}

#[cfg(unix)]
fn is_program(data: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    data.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_program(_: &fs::Metadata) -> bool {
    false
}

#[cfg(test)]
#[path = "layer_tests.rs"]
mod tests;
