//! What an environment is made of, as a client names it: packages with version and source. A worker adds its platform.
use crate::{
    blob::BlobHash,
    envelope::{self, Kind},
    error::Error,
    ids::EnvironmentId,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// No environment has more packages.
const MOST_PACKAGES: usize = 20_000;
/// No name, version or address is longer, in bytes.
const LONGEST: usize = 4_096;

/// Where a package comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A repository such as CRAN, by its address.
    Repository,
    /// A repository of Bioconductor, by its address.
    Bioconductor,
    /// A commit of a repository on GitHub.
    Github,
    /// A commit of a repository on GitLab.
    Gitlab,
    /// A source archive that the client has put into the store.
    Local,
}

impl Source {
    /// The source with this name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "repository" => Some(Self::Repository),
            "bioconductor" => Some(Self::Bioconductor),
            "github" => Some(Self::Github),
            "gitlab" => Some(Self::Gitlab),
            "local" => Some(Self::Local),
            _ => None,
        }
    }
    /// Its name, as R writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Repository => "repository",
            Self::Bioconductor => "bioconductor",
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Local => "local",
        }
    }
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// Its name.
    pub package: String,
    /// The version that the client has; empty where any will do.
    pub version: String,
    /// Where it comes from.
    pub source: Source,
    /// The address of its repository; empty for other sources.
    pub repository: String,
    /// `owner/name` on GitHub or GitLab, with a host in front that is not the public one; else empty.
    pub remote: String,
    /// The commit there; else empty.
    pub commit: String,
    /// The folder of the package in that commit; else empty.
    pub subdirectory: String,
    /// The hash of its source archive in the store, for a local one.
    pub archive: Option<BlobHash>,
    /// What has to be installed before it, of the same environment.
    pub dependencies: Vec<String>,
}

impl Need {
    /// What tells whether an installed package is this one: it changes with anything that decides how it is installed.
    pub fn identity(&self) -> String {
        let archive = self.archive.map(|hash| hash.to_string()).unwrap_or_default();
        let (version, source) = (&self.version, self.source.name());
        // The address of a repository is none of it: mirrors have the same packages.
        let place = [&self.remote, &self.commit, &self.subdirectory, &archive];
        let place = place.map(String::as_str).join(" ");
        format!("{} {version} {source} {}", self.package, place).trim_end().to_owned()
    }

    /// Whether this installed version is the one that is asked for.
    pub fn is_met_by(&self, installed: &str) -> bool {
        self.version.is_empty() || self.version == installed
    }

    fn check(&self) -> Result<(), String> {
        let package = &self.package;
        if !is_package_name(package) {
            return Err(format!("`{}` is not the name of a package", shortened(package)));
        }
        let wrong = |what: &str, text: &str| {
            Err(format!("the {what} of package `{package}` cannot be `{}`", shortened(text)))
        };
        let digits = |c: char| c.is_ascii_digit() || c == '.' || c == '-';
        let any = self.version.is_empty() && !matches!(self.source, Source::Local);
        let version = self.version.starts_with(|c: char| c.is_ascii_digit())
            && self.version.len() <= 64
            && self.version.chars().all(digits);
        if !any && !version {
            return wrong("version", &self.version);
        }
        if !is_line(&self.repository) {
            return wrong("repository", &self.repository);
        }
        let hexadecimal = |c: char| c.is_ascii_hexdigit();
        let on_a_forge = matches!(self.source, Source::Github | Source::Gitlab);
        if on_a_forge && (self.commit.len() < 7 || !self.commit.chars().all(hexadecimal)) {
            return wrong("commit", &self.commit);
        }
        if on_a_forge && (!is_path(&self.remote) || !self.remote.contains('/')) {
            return wrong("remote", &self.remote);
        }
        if !self.subdirectory.is_empty() && !is_path(&self.subdirectory) {
            return wrong("subdirectory", &self.subdirectory);
        }
        if (self.source == Source::Local) != self.archive.is_some() {
            return Err(format!(
                "package `{package}` is local and has no source archive, or the reverse"
            ));
        }
        Ok(())
    }
}

/// What R calls the name of a package; it is also the name of a folder.
pub fn is_package_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '.';
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.len() <= 256
        && text.chars().all(allowed)
}

fn is_line(text: &str) -> bool {
    text.len() <= LONGEST && !text.chars().any(char::is_control)
}

/// A relative path that stays where it is, and can be part of an address.
fn is_path(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    text.len() <= LONGEST
        && text.split('/').all(|part| {
            !part.is_empty() && part != "." && part != ".." && part.chars().all(allowed)
        })
}

fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// A repository that packages may come from, and the name it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Its name, such as `CRAN`.
    pub name: String,
    /// Its address.
    pub address: String,
}

/// All that an environment needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// The packages, in order of their names.
    pub packages: Vec<Need>,
    /// Where those are looked for that their own repository has not.
    pub repositories: Vec<Repository>,
}

impl Needs {
    /// Puts the packages in order and checks them: names become names of files and parts of addresses.
    ///
    /// # Errors
    /// [`Error::Environment`] that says what is wrong.
    pub fn new(mut packages: Vec<Need>, repositories: Vec<Repository>) -> Result<Self, Error> {
        packages.sort_by(|a, b| a.package.cmp(&b.package));
        let needs = Self { packages, repositories };
        needs.check().map_err(|message| Error::Environment { message })?;
        Ok(needs)
    }

    /// Checks what came from the store as [`Needs::new`] does.
    fn check(&self) -> Result<(), String> {
        if self.packages.len() > MOST_PACKAGES {
            return Err(format!("no environment has more than {MOST_PACKAGES} packages"));
        }
        let mut names = BTreeSet::new();
        for need in &self.packages {
            need.check()?;
            if !names.insert(need.package.as_str()) {
                return Err(format!("package `{}` is needed twice", need.package));
            }
        }
        for repository in &self.repositories {
            if !is_line(&repository.address) || !is_line(&repository.name) {
                return Err(format!("`{}` is not an address", shortened(&repository.address)));
            }
        }
        Ok(())
    }

    /// The object to store, which is the same for the same needs.
    ///
    /// # Errors
    /// [`Error::Internal`] only.
    pub fn sealed(&self, key: &crate::key::Key) -> Result<bytes::Bytes, Error> {
        envelope::encode(Kind::Needs, key, self)
    }

    /// Reads what [`sealed`](Needs::sealed) wrote.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Version`] or [`Error::Environment`].
    pub fn open(key: &crate::key::Key, object: &bytes::Bytes) -> Result<Self, Error> {
        let (needs, _) = envelope::decode::<Self>(Kind::Needs, key, object)?;
        needs.check().map_err(|message| Error::Environment { message })?;
        Ok(needs)
    }

    /// The name of what they make, but for the platform: the hash of everything that decides what is installed.
    pub fn id(&self) -> EnvironmentId {
        let mut hasher = blake3::Hasher::new();
        for need in &self.packages {
            hasher.update(need.identity().as_bytes());
            hasher.update(b"\n");
        }
        EnvironmentId::from_hash(hasher.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn need(package: &str, version: &str) -> Need {
        Need {
            package: package.into(),
            version: version.into(),
            source: Source::Repository,
            repository: "https://cran.example".into(),
            remote: String::new(),
            commit: String::new(),
            subdirectory: String::new(),
            archive: None,
            dependencies: Vec::new(),
        }
    }

    #[test]
    fn the_name_changes_with_what_is_installed_and_not_with_the_order_or_a_mirror() {
        let id = |packages: Vec<Need>| Needs::new(packages, Vec::new()).unwrap().id();
        let both = id(vec![need("a", "1.0"), need("b", "2.0")]);
        assert_eq!(both, id(vec![need("b", "2.0"), need("a", "1.0")]));
        let mirror = Need { repository: "https://mirror.example".into(), ..need("a", "1.0") };
        assert_eq!(both, id(vec![mirror, need("b", "2.0")]));
        assert_ne!(both, id(vec![need("a", "1.1"), need("b", "2.0")]));
        let archive = Some(BlobHash::of(b"archive"));
        let local = Need { source: Source::Local, archive, ..need("a", "1.0") };
        assert_ne!(both, id(vec![local, need("b", "2.0")]));
    }

    #[test]
    fn what_could_leave_its_folder_or_its_line_is_refused() {
        let forge = |remote: &str, commit: &str, folder: &str| Need {
            source: Source::Github,
            remote: remote.into(),
            commit: commit.into(),
            subdirectory: folder.into(),
            ..need("a", "1.0")
        };
        let bad = [
            need("../a", "1.0"),
            need("", "1.0"),
            need("a b", "1.0"),
            need("a", "1.0/.."),
            Need { repository: "https://x\ny".into(), ..need("a", "1.0") },
            forge("owner", "0123456", ""),
            forge("owner/name", "master", ""),
            forge("owner/name", "0123456", "../up"),
            Need { source: Source::Local, ..need("a", "1.0") },
        ];
        for need in bad {
            let said = format!("{need:?}");
            assert!(Needs::new(vec![need], Vec::new()).is_err(), "{said}");
        }
        assert!(Needs::new(vec![forge("owner/name", "0123456", "r/pkg")], Vec::new()).is_ok());
        assert!(Needs::new(vec![need("a", "1"), need("a", "2")], Vec::new()).is_err());
    }

    proptest! {
        #[test]
        fn a_package_name_is_the_name_of_one_folder(text in ".{0,20}") {
            if is_package_name(&text) {
                prop_assert!(!text.contains(['/', '\\', '\0', '\n', '\t']) && !text.starts_with('.'));
            }
        }
    }
}
