//! An installed library as one stream of bytes: a tar archive of files and folders only, compressed by zstd.
use std::{
    fs, io,
    io::{Read, Write},
    path::{Component, Path, PathBuf},
};
use tar::{Archive, Builder, EntryType, Header, HeaderMode};

/// Level 3 packs R packages a seventh smaller than level 1, at half of its speed, which the network does not reach.
const LEVEL: i32 = 3;
/// No library has folders so deep: a link that leads back to where it is would be followed for ever.
const DEEPEST: usize = 64;

/// Packs all files below a folder. Links are followed, so that none is in the archive.
///
/// # Errors
/// A file cannot be read, or what is packed cannot be written.
pub fn pack(folder: &Path, to: impl Write) -> io::Result<()> {
    let mut archive = Builder::new(zstd::Encoder::new(to, LEVEL)?);
    // Neither owner nor time of a file: the same library makes the same archive.
    archive.mode(HeaderMode::Deterministic);
    pack_folder(&mut archive, folder, Path::new(""), 0)?;
    archive.into_inner()?.finish()?.flush()
}

fn pack_folder(
    archive: &mut Builder<impl Write>,
    folder: &Path,
    name: &Path,
    depth: usize,
) -> io::Result<()> {
    if depth > DEEPEST {
        return Err(io::Error::other(format!("{} has too many folders", folder.display())));
    }
    for path in sorted(folder)? {
        let name = name.join(path.file_name().unwrap_or_default());
        let meta = match fs::metadata(&path) {
            Ok(meta) => meta,
            // A link that leads nowhere.
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        if meta.is_dir() {
            let mut header = Header::new_gnu();
            header.set_metadata_in_mode(&meta, HeaderMode::Deterministic);
            archive.append_data(&mut header, &name, io::empty())?;
            pack_folder(archive, &path, &name, depth + 1)?;
        } else if meta.is_file() {
            archive.append_file(&name, &mut fs::File::open(&path)?)?;
        }
    }
    Ok(())
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let rows = fs::read_dir(folder)?;
    let mut paths = rows.map(|row| Ok(row?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Bytes of all files that [`pack`] packs.
///
/// # Errors
/// A folder cannot be read.
pub fn size(folder: &Path) -> io::Result<u64> {
    size_below(folder, 0)
}

fn size_below(folder: &Path, depth: usize) -> io::Result<u64> {
    if depth > DEEPEST {
        return Err(io::Error::other(format!("{} has too many folders", folder.display())));
    }
    let mut bytes = 0;
    for path in sorted(folder)? {
        bytes += match fs::metadata(&path) {
            Ok(meta) if meta.is_dir() => size_below(&path, depth + 1)?,
            Ok(meta) => meta.len(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => 0,
            Err(e) => return Err(e),
        };
    }
    Ok(bytes)
}

/// Unpacks into a folder that is there and empty, and no more than `limit` bytes. Nothing is written outside it.
///
/// # Errors
/// What is unpacked is no such archive, or more than it may be; or a file cannot be written.
pub fn unpack(from: impl Read, into: &Path, limit: u64) -> io::Result<()> {
    let mut archive = Archive::new(zstd::Decoder::new(from)?);
    let mut bytes: u64 = 0;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let refused = |why: &str| {
            Err(io::Error::other(format!("the archive has `{}`, {why}", path.display())))
        };
        if path.as_os_str().is_empty()
            || !path.components().all(|part| matches!(part, Component::Normal(_)))
        {
            return refused("which is not below its folder");
        }
        if !matches!(entry.header().entry_type(), EntryType::Regular | EntryType::Directory) {
            return refused("which is neither a file nor a folder");
        }
        bytes = bytes.saturating_add(entry.size());
        if bytes > limit {
            return refused("and with it more than was packed");
        }
        if !entry.unpack_in(into)? {
            return refused("which is not below its folder");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(folder: &Path) -> Vec<u8> {
        let mut bytes = Vec::new();
        pack(folder, &mut bytes).unwrap();
        bytes
    }

    fn archive_of(name: &str, kind: EntryType) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_link_name("/etc/passwd").unwrap();
        header.set_cksum();
        let mut builder = Builder::new(zstd::Encoder::new(Vec::new(), 1).unwrap());
        builder.append(&header, io::empty()).unwrap();
        builder.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn what_is_packed_is_unpacked_with_its_modes_and_links_become_files() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let deep = from.path().join("pkg/libs");
        fs::create_dir_all(&deep).unwrap();
        fs::create_dir(from.path().join("empty")).unwrap();
        fs::write(deep.join("pkg.so"), vec![7; 100_000]).unwrap();
        fs::set_permissions(deep.join("pkg.so"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("pkg.so", deep.join("same.so")).unwrap();
        symlink("nothing", deep.join("dangling")).unwrap();
        // No more than its size is unpacked, links included.
        let bytes = size(from.path()).unwrap();
        assert_eq!(bytes, 200_000);
        unpack(&packed(from.path())[..], to.path(), bytes).unwrap();
        let there = to.path().join("pkg/libs");
        assert_eq!(fs::read(there.join("same.so")).unwrap(), vec![7; 100_000]);
        assert!(fs::symlink_metadata(there.join("same.so")).unwrap().is_file());
        assert_eq!(fs::metadata(there.join("pkg.so")).unwrap().permissions().mode() & 0o777, 0o755);
        assert!(!there.join("dangling").exists() && to.path().join("empty").is_dir());
        assert_eq!(packed(from.path()), packed(from.path()));
        // What was a link and what was written for it are packed alike.
        assert_eq!(packed(to.path()), packed(from.path()));
    }

    #[test]
    fn more_than_was_packed_is_refused() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(from.path().join("file"), vec![0; 10_000]).unwrap();
        let error = unpack(&packed(from.path())[..], to.path(), 9_999).unwrap_err();
        assert!(error.to_string().contains("more than was packed"), "{error}");
    }

    #[test]
    fn what_would_leave_the_folder_or_is_a_link_is_refused() {
        for name in ["../up", "/absolute", "a/../../up", "."] {
            let to = tempfile::tempdir().unwrap();
            assert!(
                unpack(&archive_of(name, EntryType::Regular)[..], to.path(), 9).is_err(),
                "{name}"
            );
        }
        for kind in [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Fifo] {
            let to = tempfile::tempdir().unwrap();
            let error = unpack(&archive_of("a", kind)[..], to.path(), 9).unwrap_err();
            assert!(error.to_string().contains("neither a file nor a folder"), "{error}");
        }
    }

    #[test]
    fn folders_that_lead_back_to_themselves_are_refused() {
        let from = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(".", from.path().join("again")).unwrap();
        assert!(pack(from.path(), io::sink()).is_err() && size(from.path()).is_err());
    }

    proptest! {
        #[test]
        fn bytes_that_are_no_archive_are_an_error_or_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let to = tempfile::tempdir().unwrap();
            let _ = unpack(&bytes[..], to.path(), 1_000);
            let mut archive = packed(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").as_path());
            let cut = archive.len() / 2;
            archive.truncate(cut);
            prop_assert!(unpack(&archive[..], to.path(), 1 << 30).is_err());
        }
    }
}
