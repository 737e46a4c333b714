//! Object names. They are built and taken apart in this file only.
//!
//! ```text
//! sessions/<session>/manifest
//! sessions/<session>/segments/<number>
//! sessions/<session>/ledgers/<number>
//! sessions/<session>/results/<number>/<object>
//! sessions/<session>/workers/<worker>
//! sessions/<session>/owner
//! sessions/<session>/signals/<worker>/<count>
//! sessions/<session>/blobs/<hash>
//! ```
use crate::{
    blob::BlobHash,
    ids::{ObjectId, SessionId, WorkerId},
};
use std::fmt;

/// Digits of a segment number: names then sort as numbers do.
const WIDTH: usize = 10;

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
    /// The number at the end of a segment's, ledger's or signal's name.
    pub fn number(&self) -> Option<u64> {
        let last = self.last();
        (last.len() == WIDTH).then(|| last.parse().ok()).flatten()
    }
    /// The part behind the last slash.
    pub fn last(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
    /// The worker whose signal this is.
    pub fn signal_worker(&self) -> Option<WorkerId> {
        let mut parts = self.0.rsplit('/');
        let (_count, worker) = (parts.next()?, parts.next()?);
        WorkerId::parse(worker).ok()
    }
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
    /// All segments.
    pub fn segments(&self) -> Key {
        self.key(format_args!("segments"))
    }
    /// One batch of submitted tasks.
    pub fn segment(&self, number: u64) -> Key {
        self.key(format_args!("segments/{number:0WIDTH$}"))
    }
    /// All ledgers.
    pub fn ledgers(&self) -> Key {
        self.key(format_args!("ledgers"))
    }
    /// The state of one segment's tasks.
    pub fn ledger(&self, number: u64) -> Key {
        self.key(format_args!("ledgers/{number:0WIDTH$}"))
    }
    /// One batch of results.
    pub fn result(&self, number: u64, object: &ObjectId) -> Key {
        self.key(format_args!("results/{number:0WIDTH$}/{object}"))
    }
    /// All heartbeats.
    pub fn workers(&self) -> Key {
        self.key(format_args!("workers"))
    }
    /// One worker's heartbeat.
    pub fn worker(&self, worker: &WorkerId) -> Key {
        self.key(format_args!("workers/{worker}"))
    }
    /// All signals.
    pub fn signals(&self) -> Key {
        self.key(format_args!("signals"))
    }
    /// One batch of near-live conditions.
    pub fn signal(&self, worker: &WorkerId, count: u64) -> Key {
        self.key(format_args!("signals/{worker}/{count:0WIDTH$}"))
    }
    /// One chunk of large data.
    pub fn blob(&self, hash: &BlobHash) -> Key {
        self.key(format_args!("blobs/{hash}"))
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
            prop_assert_eq!(keys().ledger(n).number(), Some(n));
        }

        #[test]
        fn names_sort_as_numbers_do(a in 0u64..9_999_999_999, b in 0u64..9_999_999_999) {
            prop_assert_eq!(a.cmp(&b), keys().segment(a).cmp(&keys().segment(b)));
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
            k.ledger(2),
            k.result(3, &object),
            k.worker(&worker),
            k.signal(&worker, 7),
            k.blob(&BlobHash::of(b"x")),
        ] {
            assert_eq!(Key::from_listing(key.as_str()), Some(key));
        }
        assert_eq!(k.signal(&worker, 7).signal_worker(), Some(worker));
    }

    #[test]
    fn names_that_leave_the_store_are_refused() {
        for text in ["../x", "a//b", "/a", "a/", "a/../b", "A", ""] {
            assert_eq!(Key::from_listing(text), None, "{text}");
        }
    }
}
