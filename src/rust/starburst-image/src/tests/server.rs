//! A registry in a process of its own, on a port of its own, which can be killed and started again.
use std::{
    fs::{self, File},
    io,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// `user` with the password `right`, for a registry that wants to know who asks.
const USERS: &str = "user:$2y$04$starbursttestkitregiseHSs9oP4KRiJ8nrs.ZeqHhI7oGC2IUTC\n";

/// A registry with its storage.
pub(super) struct Registry {
    folder: TempDir,
    pub(super) place: String,
    process: Option<Child>,
}

/// How it is set up.
#[derive(Default)]
pub(super) struct Setup {
    /// Only `user` may do anything.
    pub(super) closed: bool,
    /// It knows uploads of before it was started again.
    pub(super) remembers: bool,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Registry {
    /// A registry that answers.
    pub(super) fn start(setup: &Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (place, root) = (free.to_string(), folder.path().display().to_string());
        let secret = if setup.remembers { "\n  secret: the same after each start" } else { "" };
        let auth = format!("auth:\n  htpasswd:\n    realm: here\n    path: {root}/users\n");
        let config = format!(
            "version: 0.1\nlog:\n  accesslog:\n    disabled: false\nstorage:\n  filesystem:\n    \
             rootdirectory: {root}/data\nhttp:\n  addr: {place}{secret}\n{}",
            if setup.closed { auth.as_str() } else { "" }
        );
        fs::write(folder.path().join("config.yml"), config).unwrap();
        fs::write(folder.path().join("users"), USERS).unwrap();
        let mut registry = Self { folder, place, process: None };
        registry.again();
        registry
    }

    /// Starts it, after it was killed, with what it has stored.
    pub(super) fn again(&mut self) {
        let log = |name: &str| {
            File::options().create(true).append(true).open(self.folder.path().join(name)).unwrap()
        };
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(self.folder.path().join("config.yml"))
            .env_clear()
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(log("out"))
            .stderr(log("err"))
            .spawn();
        self.process = match process {
            Ok(process) => Some(process),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                panic!("these tests need docker-registry: `bash tools/setup.sh test` installs it")
            }
            Err(error) => panic!("{error}"),
        };
        super::world::until("the registry answers", || TcpStream::connect(&self.place).is_ok());
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// An image's name in it.
    pub(super) fn image(&self, name: &str) -> crate::ImageRef {
        crate::ImageRef::parse(&format!("{}/{name}", self.place)).unwrap()
    }

    /// How often it was asked in this way.
    pub(super) fn asked(&self, what: &str) -> usize {
        let log = fs::read_to_string(self.folder.path().join("out")).unwrap();
        log.lines().filter(|line| line.contains(what)).count()
    }

    /// The bytes that unfinished uploads have.
    pub(super) fn uploading(&self) -> u64 {
        let of = |path: &Path| fs::metadata(path.join("data")).map_or(0, |data| data.len());
        self.uploads().iter().map(|path| of(path)).sum()
    }

    fn uploads(&self) -> Vec<PathBuf> {
        let repositories = self.folder.path().join("data/docker/registry/v2/repositories");
        let folders = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten();
        let uploads = |path: PathBuf| folders(path.join("_uploads")).map(|entry| entry.path());
        folders(repositories).flat_map(|entry| uploads(entry.path())).collect()
    }

    /// Where a blob is stored.
    pub(super) fn stored(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        let blobs = self.folder.path().join("data/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }
}
