//! What the worker and `inst/worker/install.R` tell each other, in files of one folder. Texts were checked by
//! [`Needs`](starburst_core::environment::Needs): none has a tab or a line break.
use starburst_core::environment::{Installed, Need, Needs, lease::Progress, prepare::Order};
use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    path::{Path, PathBuf},
};

/// No file that R writes for the worker is longer, in bytes.
const LONGEST: u64 = 16 << 20;

/// Where it installs.
pub(super) fn library(folder: &Path) -> PathBuf {
    folder.join("library")
}

/// Writes the orders, and puts what is installed already where it belongs.
pub(super) fn write(folder: &Path, order: &Order<'_>) -> io::Result<()> {
    fs::create_dir(library(folder))?;
    fs::create_dir(folder.join("archives"))?;
    for (need, archive) in &order.archives {
        let name = format!("{}_{}.tar.gz", need.package, need.version);
        fs::write(folder.join("archives").join(name), archive)?;
    }
    let mut have = BTreeSet::new();
    if let Some((base, taken)) = &order.base {
        for need in taken {
            let package = need.package.as_str();
            take(&base.join(package), &library(folder).join(package))?;
            have.insert(package);
        }
    }
    let mut table = String::from(
        "package\tversion\tsource\trepository\tremote\tcommit\tsubdirectory\tdependencies\thave\n",
    );
    for need in &order.needs.packages {
        let Need { package, version, repository, remote, commit, subdirectory, .. } = need;
        let source = need.source.name();
        let dependencies = need.dependencies.join(", ");
        let have = if have.contains(package.as_str()) { "yes" } else { "no" };
        table += &[
            package,
            version,
            source,
            repository,
            remote,
            commit,
            subdirectory,
            &dependencies,
            have,
        ]
        .join("\t");
        table.push('\n');
    }
    fs::write(folder.join("packages.tsv"), table)?;
    let mut table = String::from("name\taddress\n");
    for repository in &order.needs.repositories {
        table += &format!("{}\t{}\n", repository.name, repository.address);
    }
    fs::write(folder.join("repositories.tsv"), table)
}

/// The same files under another name. They are never changed: installing a package makes a new folder.
fn take(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for row in fs::read_dir(from)? {
        let row = row?;
        let to = to.join(row.file_name());
        if row.file_type()?.is_dir() {
            take(&row.path(), &to)?;
        } else if fs::hard_link(row.path(), &to).is_err() {
            fs::copy(row.path(), &to)?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > LONGEST {
        return Err(io::Error::other(format!("{} is too long", path.display())));
    }
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

/// What is installed now.
pub(super) fn installed(folder: &Path, needs: &Needs) -> io::Result<Vec<Installed>> {
    let table = read(&folder.join("installed.tsv"))?;
    let versions: HashMap<&str, &str> = table.lines().filter_map(|l| l.split_once('\t')).collect();
    let version_of = |need: &Need| {
        let version = versions.get(need.package.as_str()).ok_or_else(|| {
            io::Error::other(format!("R did not say that package `{}` is there", need.package))
        })?;
        Ok(Installed {
            package: need.package.clone(),
            version: (*version).to_owned(),
            identity: need.identity(),
        })
    };
    needs.packages.iter().map(version_of).collect()
}

/// Why it failed: whether that is about a package and not about this machine, and the message.
pub(super) fn failure(folder: &Path) -> Option<(bool, String)> {
    let text = read(&folder.join("failure")).ok()?;
    let (about, message) = text.split_once('\n')?;
    Some((about == "package", message.trim_end().to_owned()))
}

/// How far it is, by the last whole line.
pub(super) fn progress(folder: &Path) -> Option<Progress> {
    let text = read(&folder.join("progress.tsv")).ok()?;
    let (whole, _) = text.rsplit_once('\n')?;
    let mut fields = whole.rsplit('\n').next()?.split('\t');
    let doing = fields.next()?.to_owned();
    let (done, total) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Progress { doing, done, total, package: fields.next()?.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use starburst_core::environment::Source;

    fn need(package: &str, dependencies: &[&str]) -> Need {
        Need {
            package: package.into(),
            version: "1.0".into(),
            source: Source::Repository,
            repository: "https://cran.example".into(),
            remote: String::new(),
            commit: String::new(),
            subdirectory: String::new(),
            archive: None,
            dependencies: dependencies.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn orders_name_every_package_and_what_is_taken_over_is_the_same_file() {
        use std::os::unix::fs::MetadataExt;
        let place = tempfile::tempdir().unwrap();
        let (folder, base) = (place.path().join("build"), place.path().join("base"));
        fs::create_dir_all(base.join("a/R")).unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(base.join("a/R/a.rdb"), "code").unwrap();
        let needs =
            Needs::new(vec![need("a", &[]), need("b", &["a", "stats"])], Vec::new()).unwrap();
        let taken = vec![&needs.packages[0]];
        let archives = vec![(&needs.packages[1], Bytes::from_static(b"archive"))];
        let order = Order { needs: &needs, archives, base: Some((base.clone(), taken)) };
        write(&folder, &order).unwrap();
        let table = fs::read_to_string(folder.join("packages.tsv")).unwrap();
        let rows: Vec<&str> = table.lines().skip(1).collect();
        assert_eq!(rows[0], "a\t1.0\trepository\thttps://cran.example\t\t\t\t\tyes");
        assert_eq!(rows[1], "b\t1.0\trepository\thttps://cran.example\t\t\t\ta, stats\tno");
        let inode = |path: PathBuf| fs::metadata(path).unwrap().ino();
        assert_eq!(inode(base.join("a/R/a.rdb")), inode(library(&folder).join("a/R/a.rdb")));
        assert!(folder.join("archives/b_1.0.tar.gz").is_file());
        fs::write(folder.join("installed.tsv"), "a\t1.0\nb\t2.0\n").unwrap();
        assert_eq!(installed(&folder, &needs).unwrap()[1].version, "2.0");
        fs::write(folder.join("installed.tsv"), "a\t1.0\n").unwrap();
        assert!(installed(&folder, &needs).is_err());
    }

    #[test]
    fn a_line_that_is_being_written_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(progress(folder.path()), None);
        let file = folder.path().join("progress.tsv");
        fs::write(&file, "Installing\t1\t3\ta\nInstalling\t2\t").unwrap();
        let now = progress(folder.path()).unwrap();
        assert_eq!((now.done, now.total, now.package.as_str()), (1, 3, "a"));
        fs::write(&file, "nonsense\n").unwrap();
        assert_eq!(progress(folder.path()), None);
    }
}
