//! Object names. They are built and taken apart in this file only.
//!
//! ```text
//! sessions/<session>/manifest
//! sessions/<session>/segments/<segment>
//! sessions/<session>/parts/<part>/ledger
//! sessions/<session>/parts/<part>/signals/<worker>/<count>
//! sessions/<session>/results/<part>/<object>
//! sessions/<session>/workers/<worker>/beat
//! sessions/<session>/workers/<worker>/end
//! sessions/<session>/owner
//! sessions/<session>/blobs/<hash>
//! environments/<environment>/needs
//! environments/<environment>/used
//! environments/<environment>/sources/<hash>
//! environments/<environment>/<platform>/lease
//! environments/<environment>/<platform>/failure
//! environments/<environment>/<platform>/library
//! environments/<environment>/<platform>/parts/<object>/<number>
//! ```
use crate::{
    blob::BlobHash,
    ids::{EnvironmentId, ObjectId, PartId, PlatformId, SessionId, WorkerId},
};
use std::fmt;

/// Digits of a segment's number and of a count: names then sort as numbers do.
const WIDTH: usize = 10;
/// Digits of a part's number.
const PART_WIDTH: usize = 13;

/// The name of an object, or the beginning of names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// A name read from a listing; `None` for one that no key of ours can be.
    pub fn from_listing(text: &str) -> Option<Self> {
        let part = |p: &str| {
            !p.is_empty()
                && p != "."
                && p != ".."
                && p.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        text.split('/').all(part).then(|| Self(text.to_owned()))
    }
    /// The number at the end of a segment's name.
    pub fn number(&self) -> Option<u64> {
        let last = self.last();
        (last.len() == WIDTH).then(|| last.parse().ok()).flatten()
    }
    /// What this is of a part: which part, and whether its ledger or a batch of signals.
    pub fn of_part(&self) -> Option<(PartId, OfPart)> {
        let mut names = self.0.split('/').skip(2);
        let (folder, part, kind) = (names.next()?, names.next()?, names.next()?);
        let part = (folder == "parts" && part.len() == PART_WIDTH).then(|| part.parse().ok())??;
        let kind = match kind {
            "ledger" => OfPart::Ledger,
            "signals" => OfPart::Signals,
            _ => return None,
        };
        Some((PartId(part), kind))
    }
    /// What this says of a worker: of which, and whether it beats or has left.
    pub fn of_worker(&self) -> Option<(WorkerId, OfWorker)> {
        let mut names = self.0.split('/').skip(2);
        let (folder, worker, kind) = (names.next()?, names.next()?, names.next()?);
        let kind = match (folder, kind) {
            ("workers", "beat") => OfWorker::Beat,
            ("workers", "end") => OfWorker::End,
            _ => return None,
        };
        Some((WorkerId::parse(worker).ok()?, kind))
    }
    /// What this is of an environment: of which, for which platform, and what.
    pub fn of_environment(&self) -> Option<(EnvironmentId, PlatformId, OfEnvironment)> {
        let mut names = self.0.split('/');
        let folder = names.next()?;
        let (environment, platform, kind) = (names.next()?, names.next()?, names.next()?);
        let kind = match (folder, kind) {
            ("environments", "lease") => OfEnvironment::Lease,
            ("environments", "failure") => OfEnvironment::Failure,
            ("environments", "library") => OfEnvironment::Library,
            _ => return None,
        };
        let ids = (EnvironmentId::parse(environment).ok()?, PlatformId::parse(platform).ok()?);
        names.next().is_none().then_some((ids.0, ids.1, kind))
    }
    /// What stands behind the last slash.
    pub fn last(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

/// An object below a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfPart {
    /// The state of its tasks.
    Ledger,
    /// Near-live conditions of its tasks.
    Signals,
}

/// An object below a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfWorker {
    /// Its heartbeat.
    Beat,
    /// What it said when it left.
    End,
}

/// An object of an environment on one platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfEnvironment {
    /// Who installs it.
    Lease,
    /// Why it could not be installed.
    Failure,
    /// That it is installed.
    Library,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where all sessions live.
pub fn sessions() -> Key {
    Key("sessions".into())
}

/// Where all environments live.
pub fn environments() -> Key {
    Key("environments".into())
}

/// What a chunk is called in messages where its session does not matter.
pub fn blob_name(hash: &BlobHash) -> Key {
    Key(format!("blobs/{hash}"))
}

/// The keys of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionKeys(SessionId);

impl SessionKeys {
    /// The keys of this session.
    pub fn new(session: SessionId) -> Self {
        Self(session)
    }
    /// The session's id.
    pub fn session(&self) -> &SessionId {
        &self.0
    }
    fn key(&self, rest: fmt::Arguments<'_>) -> Key {
        Key(format!("sessions/{}/{rest}", self.0))
    }
    /// Everything of the session.
    pub fn all(&self) -> Key {
        Key(format!("sessions/{}", self.0))
    }
    /// The configuration.
    pub fn manifest(&self) -> Key {
        self.key(format_args!("manifest"))
    }
    /// The heartbeat of the R process that owns a `plan()` session.
    pub fn owner(&self) -> Key {
        self.key(format_args!("owner"))
    }
    /// Who starts workers, where several could.
    pub fn lead(&self) -> Key {
        self.key(format_args!("lead"))
    }
    /// All segments.
    pub fn segments(&self) -> Key {
        self.key(format_args!("segments"))
    }
    /// One batch of submitted tasks.
    pub fn segment(&self, number: u64) -> Key {
        self.key(format_args!("segments/{number:0WIDTH$}"))
    }
    /// Ledgers and signals of all parts.
    pub fn parts(&self) -> Key {
        self.key(format_args!("parts"))
    }
    /// Ledger and signals of one part.
    pub fn part(&self, part: PartId) -> Key {
        self.key(format_args!("parts/{:0PART_WIDTH$}", part.0))
    }
    /// The state of one part's tasks.
    pub fn ledger(&self, part: PartId) -> Key {
        self.key(format_args!("parts/{:0PART_WIDTH$}/ledger", part.0))
    }
    /// One batch of near-live conditions.
    pub fn signal(&self, part: PartId, worker: &WorkerId, count: u64) -> Key {
        self.key(format_args!("parts/{:0PART_WIDTH$}/signals/{worker}/{count:0WIDTH$}", part.0))
    }
    /// One batch of results.
    pub fn result(&self, part: PartId, object: &ObjectId) -> Key {
        self.key(format_args!("results/{:0PART_WIDTH$}/{object}", part.0))
    }
    /// All batches of results.
    pub fn results(&self) -> Key {
        self.key(format_args!("results"))
    }
    /// All chunks.
    pub fn blobs(&self) -> Key {
        self.key(format_args!("blobs"))
    }
    /// What workers say of themselves.
    pub fn workers(&self) -> Key {
        self.key(format_args!("workers"))
    }
    /// One worker's heartbeat.
    pub fn beat(&self, worker: &WorkerId) -> Key {
        self.key(format_args!("workers/{worker}/beat"))
    }
    /// What one worker said when it left.
    pub fn end(&self, worker: &WorkerId) -> Key {
        self.key(format_args!("workers/{worker}/end"))
    }
    /// One chunk of large data.
    pub fn blob(&self, hash: &BlobHash) -> Key {
        self.key(format_args!("blobs/{hash}"))
    }
}

/// The keys of one environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentKeys(EnvironmentId);

impl EnvironmentKeys {
    /// The keys of this environment.
    pub fn new(environment: EnvironmentId) -> Self {
        Self(environment)
    }
    /// The environment.
    pub fn environment(&self) -> &EnvironmentId {
        &self.0
    }
    /// Everything of the environment.
    pub fn all(&self) -> Key {
        Key(format!("environments/{}", self.0))
    }
    /// What it is made of.
    pub fn needs(&self) -> Key {
        Key(format!("environments/{}/needs", self.0))
    }
    /// When it was last asked for.
    pub fn used(&self) -> Key {
        Key(format!("environments/{}/used", self.0))
    }
    /// The source archive of a local package.
    pub fn source(&self, archive: &BlobHash) -> Key {
        Key(format!("environments/{}/sources/{archive}", self.0))
    }
    /// Who installs it on a platform.
    pub fn lease(&self, platform: &PlatformId) -> Key {
        Key(format!("environments/{}/{platform}/lease", self.0))
    }
    /// Why it could not be installed there.
    pub fn failure(&self, platform: &PlatformId) -> Key {
        Key(format!("environments/{}/{platform}/failure", self.0))
    }
    /// That it is installed there.
    pub fn library(&self, platform: &PlatformId) -> Key {
        Key(format!("environments/{}/{platform}/library", self.0))
    }
    /// One part of what one build installed there.
    pub fn part(&self, platform: &PlatformId, build: &ObjectId, number: u64) -> Key {
        Key(format!("environments/{}/{platform}/parts/{build}/{number:0WIDTH$}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys() -> SessionKeys {
        SessionKeys::new(SessionId::parse("s1").unwrap())
    }

    proptest! {
        #[test]
        fn a_number_is_read_back_from_every_numbered_key(n in 0u64..9_999_999_999) {
            prop_assert_eq!(keys().segment(n).number(), Some(n));
            let (part, worker) = (PartId(n), WorkerId::parse("w").unwrap());
            prop_assert_eq!(keys().ledger(part).of_part(), Some((part, OfPart::Ledger)));
            let signal = keys().signal(part, &worker, n);
            prop_assert_eq!(signal.of_part(), Some((part, OfPart::Signals)));
        }

        #[test]
        fn names_sort_as_numbers_do(a in 0u64..9_999_999_999, b in 0u64..9_999_999_999) {
            prop_assert_eq!(a.cmp(&b), keys().segment(a).cmp(&keys().segment(b)));
            prop_assert_eq!(a.cmp(&b), keys().ledger(PartId(a)).cmp(&keys().ledger(PartId(b))));
        }

        #[test]
        fn a_listed_name_is_ours_or_refused(text in ".{0,40}") {
            if let Some(key) = Key::from_listing(&text) {
                prop_assert_eq!(key.as_str(), text);
            }
        }
    }

    #[test]
    fn every_key_survives_a_listing() {
        let worker = WorkerId::parse("w-1").unwrap();
        let object = ObjectId::parse("r1").unwrap();
        let k = keys();
        for key in [
            k.manifest(),
            k.owner(),
            k.segment(1),
            k.ledger(PartId(2)),
            k.result(PartId(3), &object),
            k.beat(&worker),
            k.end(&worker),
            k.signal(PartId(4), &worker, 7),
            k.blob(&BlobHash::of(b"x")),
        ] {
            assert_eq!(Key::from_listing(key.as_str()), Some(key));
        }
        assert_eq!(k.beat(&worker).of_worker(), Some((worker.clone(), OfWorker::Beat)));
        assert_eq!(k.end(&worker).of_worker(), Some((worker, OfWorker::End)));
    }

    #[test]
    fn keys_of_environments_survive_a_listing_and_say_what_they_are() {
        let k = EnvironmentKeys::new(EnvironmentId::from_hash(&[171; 32]));
        let platform = PlatformId::of_words("r4.2-x86_64-pc-linux-gnu-debian-12");
        let object = ObjectId::parse("b1").unwrap();
        let kinds = [
            (k.lease(&platform), OfEnvironment::Lease),
            (k.failure(&platform), OfEnvironment::Failure),
            (k.library(&platform), OfEnvironment::Library),
        ];
        for (key, kind) in kinds {
            let of = (k.environment().clone(), platform.clone(), kind);
            assert_eq!(Key::from_listing(key.as_str()).unwrap().of_environment(), Some(of));
        }
        let others =
            [k.needs(), k.used(), k.source(&BlobHash::of(b"x")), k.part(&platform, &object, 3)];
        for key in others {
            assert_eq!(Key::from_listing(key.as_str()), Some(key.clone()));
            assert_eq!(key.of_environment(), None);
        }
    }

    #[test]
    fn names_that_leave_the_store_are_refused() {
        for text in ["../x", "a//b", "/a", "a/", "a/../b", "A", ""] {
            assert_eq!(Key::from_listing(text), None, "{text}");
        }
    }
}
