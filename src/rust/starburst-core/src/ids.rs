//! Names of things: each kind of id is its own type, checked once where it enters.
use serde::{Deserialize, Serialize};
use std::fmt;

/// The longest id accepted, in characters.
const MAX_LEN: usize = 64;

/// Text that is not an id: empty, too long, or with characters outside `a-z 0-9 -`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what} id: 1 to 64 characters of a-z, 0-9 and -")]
pub struct InvalidId {
    /// The kind of id that was expected.
    pub what: &'static str,
    /// What was given, shortened.
    pub text: String,
}

fn checked(what: &'static str, text: &str) -> Result<String, InvalidId> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > MAX_LEN || !text.chars().all(allowed) {
        let text = text.chars().take(MAX_LEN).collect();
        return Err(InvalidId { what, text });
    }
    Ok(text.to_owned())
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks and wraps an id that came from outside.
            ///
            /// # Errors
            /// [`InvalidId`] when the text has characters or a length no id has.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                checked($what, text).map(Self)
            }
            /// A new id, never used before.
            pub fn fresh(ids: &dyn Ids) -> Self {
                Self(base32(ids.random()))
            }
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(&text)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

text_id!(
    /// Names one session in a store.
    SessionId, "session"
);
text_id!(
    /// Names one run of a worker process; a restarted worker is another worker.
    WorkerId, "worker"
);
text_id!(
    /// Names one attached client; the first half of the ids of the tasks it submits.
    ClientId, "client"
);
text_id!(
    /// Names one object that is written once, such as a batch of results.
    ObjectId, "object"
);

text_id!(
    /// Names what an environment is made of: a hash.
    EnvironmentId, "environment"
);
text_id!(
    /// Names the platform that an environment was installed for.
    PlatformId, "platform"
);

impl EnvironmentId {
    /// The environment whose needs have this hash.
    pub fn from_hash(hash: &[u8; 32]) -> Self {
        // Half of a BLAKE3 hash: nobody finds two needs with the same one by chance.
        Self(hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }
}

impl PlatformId {
    /// The platform that is described so: what cannot be part of an id becomes a dash.
    pub fn of_words(words: &str) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        Self(words.chars().map(plain).take(MAX_LEN).collect())
    }
}

/// Names one task: the client that submitted it and its place in that client's order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// Who submitted it.
    pub client: ClientId,
    /// Counts that client's tasks from 0.
    pub seq: u64,
}

impl TaskId {
    /// Reads an id as [`fmt::Display`] prints it.
    ///
    /// # Errors
    /// [`InvalidId`] when the text is not `<client>-<number>`.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId { what: "task", text: text.chars().take(MAX_LEN).collect() };
        let (client, seq) = text.rsplit_once('-').ok_or_else(invalid)?;
        let digits = !seq.is_empty() && seq.bytes().all(|b| b.is_ascii_digit());
        let seq = if digits { seq.parse().ok() } else { None }.ok_or_else(invalid)?;
        Ok(Self { client: ClientId::parse(client).map_err(|_| invalid())?, seq })
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.client, self.seq)
    }
}

/// Parts that one segment may have.
pub const SEGMENT_PARTS: u64 = 1_000;

/// Names one part of one segment: the tasks that share a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartId(pub u64);

impl PartId {
    /// This part of this segment.
    pub fn new(segment: u64, place: u64) -> Self {
        Self(segment * SEGMENT_PARTS + place)
    }
    /// The segment it belongs to.
    pub fn segment(self) -> u64 {
        self.0 / SEGMENT_PARTS
    }
}

impl fmt::Display for PartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A mark that a writer leaves in an object to recognise its own write later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nonce(pub u64);

impl Nonce {
    /// A mark nobody else has.
    pub fn fresh(ids: &dyn Ids) -> Self {
        Self(ids.random())
    }
}

/// Where randomness comes from, so that a simulation can replay it.
pub trait Ids: Send + Sync + fmt::Debug {
    /// 64 fresh random bits.
    fn random(&self) -> u64;
}

/// 13 characters that keep the order of the number.
fn base32(mut bits: u64) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut out = [b'0'; 13];
    for place in out.iter_mut().rev() {
        *place = ALPHABET[usize::from((bits & 31) as u8)];
        bits >>= 5;
    }
    out.iter().map(|&b| char::from(b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_task_id_parses_as_printed(client in "[a-z0-9-]{1,40}", seq in any::<u64>()) {
            let id = TaskId { client: ClientId::parse(&client).unwrap(), seq };
            prop_assert_eq!(TaskId::parse(&id.to_string()).unwrap(), id);
        }

        #[test]
        fn base32_keeps_order(a in any::<u64>(), b in any::<u64>()) {
            prop_assert_eq!(a.cmp(&b), base32(a).cmp(&base32(b)));
        }

        #[test]
        fn parsing_never_panics(text in ".*") {
            let _ = (TaskId::parse(&text), SessionId::parse(&text));
        }
    }

    #[test]
    fn odd_ids_are_refused() {
        for text in ["", "A", "a/b", "../x", "a b", &"a".repeat(65)] {
            assert!(SessionId::parse(text).is_err(), "{text}");
        }
        for text in ["abc", "abc-", "abc-+1", "-1", "abc--"] {
            assert!(TaskId::parse(text).is_err(), "{text}");
        }
    }
}
