use super::*;
use std::os::unix::fs::{PermissionsExt as _, symlink};

/// The beginning of a program for an architecture.
fn program(machine: u8) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(18, 0);
    bytes.extend([machine, 0, 1, 2, 3]);
    bytes
}

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["worker", "library", "library/future", "library/future/libs"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::write(at("program"), program(0x3e)).unwrap();
        for name in ["worker/b.R", "worker/a.R", "library/future/DESCRIPTION"] {
            fs::write(at(name), name).unwrap();
        }
        fs::write(at("library/future/libs/f.so"), [7; 5000]).unwrap();
        Self { folder }
    }
    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
    fn parts(&self) -> Parts {
        Parts {
            architecture: Architecture::Amd64,
            worker: self.at("program"),
            scripts: self.at("worker"),
            library: Some(self.at("library")),
        }
    }
}

fn unpacked(layer: &Layer) -> Vec<(String, u32, u64, u64)> {
    let file = File::open(layer.file.path()).unwrap();
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).unwrap());
    let entries = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        let header = entry.header();
        let path = entry.path().unwrap().display().to_string();
        (path, header.mode().unwrap(), header.uid().unwrap(), header.mtime().unwrap())
    });
    entries.collect()
}

#[test]
fn the_same_files_make_the_same_bytes_whoever_made_them_and_when() {
    let (one, other) = (Files::new(), Files::new());
    fs::set_permissions(other.at("worker/a.R"), fs::Permissions::from_mode(0o600)).unwrap();
    let old = File::options().write(true).open(other.at("worker/b.R")).unwrap();
    old.set_modified(std::time::UNIX_EPOCH).unwrap();
    let (one, other) = (make(&one.parts()).unwrap(), make(&other.parts()).unwrap());
    assert_eq!(fs::read(one.file.path()).unwrap(), fs::read(other.file.path()).unwrap());
    assert_eq!(one.descriptor, other.descriptor);
    assert_eq!(one.diff_id, other.diff_id);
}

#[test]
fn the_layer_has_everything_in_its_place_and_only_a_home_that_can_be_written() {
    let files = Files::new();
    let layer = make(&files.parts()).unwrap();
    let found = unpacked(&layer);
    let names: Vec<&str> = found.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "opt/starburst/",
            "opt/starburst/bin/",
            "opt/starburst/bin/starburst-worker",
            "opt/starburst/home/",
            "opt/starburst/library/",
            "opt/starburst/library/future/",
            "opt/starburst/library/future/DESCRIPTION",
            "opt/starburst/library/future/libs/",
            "opt/starburst/library/future/libs/f.so",
            "opt/starburst/worker/",
            "opt/starburst/worker/a.R",
            "opt/starburst/worker/b.R",
        ]
    );
    for (name, mode, owner, time) in &found {
        let program = name.ends_with('/') || name.ends_with("starburst-worker");
        assert_eq!((*mode, *time), (if program { 0o755 } else { 0o644 }, 0), "{name}");
        assert_eq!(*owner, if name == "opt/starburst/home/" { USER } else { 0 }, "{name}");
    }
    let stored = fs::read(layer.file.path()).unwrap();
    assert_eq!(crate::documents::digest_of(&stored), layer.descriptor.digest);
    let archive = zstd::decode_all(&*stored).unwrap();
    assert_eq!(crate::documents::digest_of(&archive), layer.diff_id);
}

#[test]
fn a_program_for_something_else_is_refused_by_name() {
    let files = Files::new();
    let refused = |bytes: &[u8]| {
        fs::write(files.at("program"), bytes).unwrap();
        make(&files.parts()).unwrap_err().chain().join(": ")
    };
    assert!(refused(&program(0xb7)).contains("it is for arm64, not for amd64"));
    assert!(refused(b"\xcf\xfa\xed\xfe and more of a Mac's").contains("no program for Linux"));
    assert!(refused(b"").contains("no program for Linux"));
    fs::remove_file(files.at("program")).unwrap();
    assert!(make(&files.parts()).unwrap_err().chain().join(": ").contains("program"));
}

#[test]
fn links_are_followed_and_one_that_leads_back_is_an_error() {
    let files = Files::new();
    symlink(files.at("program"), files.at("library/future/link")).unwrap();
    let names = unpacked(&make(&files.parts()).unwrap());
    assert!(names.iter().any(|(name, ..)| name == "opt/starburst/library/future/link"));
    symlink(files.at("library"), files.at("library/future/loop")).unwrap();
    let error = make(&files.parts()).unwrap_err();
    assert!(error.chain().join(": ").contains("cannot go into an image"), "{error}");
}
