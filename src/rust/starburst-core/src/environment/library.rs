//! An environment that is installed, why one could not be, and which of several is nearest to what is needed.
use super::needs::{Need, Needs};
use crate::{blob::BlobHash, clock::UnixMillis, ids::ObjectId};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// A package that is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// Its name.
    pub package: String,
    /// The version that is there.
    pub version: String,
    /// [`Need::identity`] of what was asked for.
    pub identity: String,
}

/// What one build installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Library {
    /// Names the build, and so its parts.
    pub build: ObjectId,
    /// How many parts there are.
    pub parts: u64,
    /// Bytes of all parts.
    pub packed: u64,
    /// Bytes of what they unpack to.
    pub unpacked: u64,
    /// The hash of all parts, one behind the other.
    pub hash: BlobHash,
    /// What is in it.
    pub packages: Vec<Installed>,
    /// How many of those were installed for it; the others came from another environment.
    pub fresh: u64,
    /// How long that took, in milliseconds.
    pub took_ms: u64,
    /// When it was done, on the builder's clock.
    pub built_at: UnixMillis,
    /// What is not as it was asked for, in words.
    pub warnings: Vec<String>,
}

/// Why an environment could not be installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// In words, with the last lines of the log.
    pub message: String,
    /// When, on the builder's clock.
    pub at: UnixMillis,
}

/// Which of the needed packages a library has, exactly as they are needed.
pub fn shared<'a>(needs: &'a Needs, library: &Library) -> Vec<&'a Need> {
    let there: HashMap<&str, &Installed> =
        library.packages.iter().map(|p| (p.identity.as_str(), p)).collect();
    let same = |need: &&Need| {
        // One that had to be installed in another version is looked for again.
        there.get(need.identity().as_str()).is_some_and(|p| need.is_met_by(&p.version))
    };
    needs.packages.iter().filter(same).collect()
}

/// The place of the library that has most of what is needed; of two alike, of the smaller one. None when none has any.
pub fn nearest(needs: &Needs, libraries: &[Library]) -> Option<usize> {
    let score = |library: &Library| (shared(needs, library).len(), u64::MAX - library.unpacked);
    let scored = libraries.iter().enumerate().map(|(place, library)| (score(library), place));
    scored.max().filter(|((shared, _), _)| *shared > 0).map(|(_, place)| place)
}

/// What to say when a package is there in another version than the client has; none when it is the same.
pub fn difference(need: &Need, installed: &str) -> Option<String> {
    (!need.is_met_by(installed)).then(|| {
        format!(
            "package `{}` is {installed} on workers and {} here: its version here was not to be had",
            need.package, need.version
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::needs::Source;
    use proptest::prelude::*;

    fn need(package: &str, version: &str) -> Need {
        Need {
            package: package.into(),
            version: version.into(),
            source: Source::Repository,
            repository: String::new(),
            remote: String::new(),
            commit: String::new(),
            subdirectory: String::new(),
            archive: None,
            dependencies: Vec::new(),
        }
    }

    fn needs(packages: &[(&str, &str)]) -> Needs {
        Needs::new(packages.iter().map(|(p, v)| need(p, v)).collect(), Vec::new()).unwrap()
    }

    fn library(packages: &[(&str, &str)], unpacked: u64) -> Library {
        let installed = |(package, version): &(&str, &str)| Installed {
            package: (*package).into(),
            version: (*version).into(),
            identity: need(package, version).identity(),
        };
        Library {
            build: ObjectId::parse("b").unwrap(),
            parts: 0,
            packed: 0,
            unpacked,
            hash: BlobHash::of(b""),
            packages: packages.iter().map(installed).collect(),
            fresh: 0,
            took_ms: 0,
            built_at: UnixMillis(0),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn the_one_with_most_of_what_is_needed_is_nearest_and_the_smaller_of_two_alike() {
        let wanted = needs(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let far = library(&[("a", "1"), ("b", "1"), ("c", "1")], 1);
        let near = library(&[("a", "1"), ("b", "2")], 9);
        let smaller = library(&[("b", "2"), ("c", "3")], 5);
        assert_eq!(nearest(&wanted, &[far.clone(), near.clone(), smaller]), Some(2));
        assert_eq!(nearest(&wanted, &[far, near]), Some(1));
        assert_eq!(nearest(&wanted, &[library(&[("x", "1")], 1)]), None);
        assert_eq!(nearest(&wanted, &[]), None);
    }

    #[test]
    fn any_version_will_do_where_none_is_asked_for() {
        assert_eq!(difference(&need("b", ""), "2.1"), None);
        assert!(difference(&need("b", "2"), "2.1").is_some());
    }

    #[test]
    fn a_package_that_is_there_in_another_version_is_not_reused_and_said() {
        let wanted = needs(&[("a", "1")]);
        let mut there = library(&[("a", "1")], 1);
        there.packages[0].version = "2".into();
        assert!(shared(&wanted, &there).is_empty());
        let said = difference(&wanted.packages[0], "2").unwrap();
        assert!(said.contains("`a` is 2") && said.contains("1 here"), "{said}");
        assert_eq!(difference(&wanted.packages[0], "1"), None);
    }

    proptest! {
        #[test]
        fn what_is_shared_is_needed_and_there(a in "[a-c]{0,3}", b in "[a-c]{0,3}") {
            let letters = |text: &str| {
                let mut all: Vec<char> = text.chars().collect();
                all.sort_unstable();
                all.dedup();
                all.into_iter().map(|c| c.to_string()).collect::<Vec<_>>()
            };
            let (a, b) = (letters(&a), letters(&b));
            let pairs = |names: &'_ [String]| -> Vec<(String, &str)> {
                names.iter().map(|n| (n.clone(), "1")).collect()
            };
            let (pa, pb) = (pairs(&a), pairs(&b));
            let wanted = needs(&pa.iter().map(|(n, v)| (n.as_str(), *v)).collect::<Vec<_>>());
            let there = library(&pb.iter().map(|(n, v)| (n.as_str(), *v)).collect::<Vec<_>>(), 0);
            let both = shared(&wanted, &there);
            prop_assert_eq!(both.len(), a.iter().filter(|name| b.contains(name)).count());
        }
    }
}
