//! The frame around every stored object: magic, layout version, kind, codec, lengths, binding, checksum.
//!
//! The binding says under which key the object was written, so that a copy under another key is an error. A reader of an
//! older layout says which version it met; damage is an error that names the key, and is never taken for an empty object.
//!
//! Layout 1 has no binding. What does not belong to a session is read from it, and the manifest of a session, so that a
//! session of that time can be listed and deleted.
use crate::{
    blob::BlobHash,
    cutter,
    error::Error,
    key::Key,
    mutation::{Rule, is_broken},
    spare::Spare,
};
use bytes::{Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};

/// The layout this code writes and the newest it reads.
pub const LAYOUT_VERSION: u16 = 2;

const MAGIC: &[u8; 4] = b"SBST";
/// Bytes of a frame before what it holds.
pub(crate) const HEADER: usize = FIXED + BINDING + CHECKSUM;
/// Bytes of magic, version, kind, codec and lengths.
const FIXED: usize = 24;
/// Bytes of the hash of the object's key.
const BINDING: usize = 16;
/// Bytes of the checksum.
const CHECKSUM: usize = 32;
/// Bodies below this are not worth a compressor's start-up.
const COMPRESS_FROM: usize = 512;
/// Level 1: level 3 brings nothing on R data and costs a third of the speed (measured).
const ZSTD_LEVEL: i32 = 1;
/// No body of ours is larger: large data is cut into blobs long before.
const MAX_BODY: u64 = 1 << 30;
/// A body may be this many times as long as it is stored, and [`SLACK`] bytes: a small object cannot ask for much memory.
const GROWTH: u64 = 64;
/// See [`GROWTH`].
const SLACK: u64 = 64 * 1024;
/// Bytes of each of the three parts of a large body that are compressed first, to see.
const SAMPLE: usize = 4 * 1024;
/// How a frame begins that every zstd decoder passes over; the length of the rest of it follows.
const SKIPPED: u32 = 0x184d_2a50;

/// From how much less on compressing a body is worth the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// A tenth less: what is stored travels, and is billed.
    Tenth,
    /// Half of it: what is stored stays on this machine, which writes and reads faster than it compresses.
    Half,
}

impl Worth {
    /// Whether a body of so many bytes is worth compressing to so many.
    pub fn allows(self, len: usize, compressed: usize) -> bool {
        compressed
            < match self {
                Self::Tenth => len / 10 * 9,
                Self::Half => len / 2,
            }
    }
}

/// What an object is. A reader that expected another kind was given the wrong object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A session's configuration.
    Manifest = 1,
    /// The list of tasks of a segment.
    SegmentIndex = 2,
    /// The payloads of a segment.
    SegmentFrames = 3,
    /// The states of a part's tasks.
    Ledger = 4,
    /// A batch of results.
    Results = 5,
    /// A worker's or owner's heartbeat.
    Heartbeat = 6,
    /// Near-live conditions.
    Signals = 7,
    /// A chunk of large data.
    Blob = 8,
    /// Who starts workers.
    Lead = 9,
    /// What an environment is made of.
    Needs = 10,
    /// Who installs an environment, and how far that is.
    BuildLease = 11,
    /// Why an environment could not be installed.
    BuildFailure = 12,
    /// An environment that is installed: where its parts are, and what is in it.
    Library = 13,
    /// A part of an installed environment.
    LibraryPart = 14,
    /// The source archive of a package.
    SourceArchive = 15,
    /// When an environment was last asked for.
    Use = 16,
}

/// How a body is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Codec {
    /// As it is.
    Plain = 0,
    /// As one frame of zstd.
    Zstd = 1,
    /// As it is; the checksum is over header and BLAKE3 hash of the body: a chunk that is named by that hash is hashed
    /// once.
    Hashed = 2,
}

impl Kind {
    const ALL: [Self; 16] = [
        Self::Manifest,
        Self::SegmentIndex,
        Self::SegmentFrames,
        Self::Ledger,
        Self::Results,
        Self::Heartbeat,
        Self::Signals,
        Self::Blob,
        Self::Lead,
        Self::Needs,
        Self::BuildLease,
        Self::BuildFailure,
        Self::Library,
        Self::LibraryPart,
        Self::SourceArchive,
        Self::Use,
    ];

    fn of(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Whether an object of layout 1, which may have been copied from another key, is read.
    fn is_read_unbound(self) -> bool {
        match self {
            Self::Manifest
            | Self::Blob
            | Self::Needs
            | Self::BuildLease
            | Self::BuildFailure
            | Self::Library
            | Self::LibraryPart
            | Self::SourceArchive
            | Self::Use => true,
            Self::SegmentIndex
            | Self::SegmentFrames
            | Self::Ledger
            | Self::Results
            | Self::Heartbeat
            | Self::Signals
            | Self::Lead => false,
        }
    }
}

impl Codec {
    fn of(byte: u8) -> Option<Self> {
        [Self::Plain, Self::Zstd, Self::Hashed].into_iter().find(|codec| *codec as u8 == byte)
    }
}

/// Frames a body for this key, compressed when that makes it smaller by a tenth, but at most to a 64th and 64 KiB less.
pub fn seal(kind: Kind, key: &Key, body: &[u8]) -> Bytes {
    Unsealed::new(kind, body).seal(key)
}

/// A body with room for its frame before it: what is not compressed is framed where it lies. Framing costs time,
/// which another thread may have.
#[derive(Debug)]
pub struct Unsealed {
    kind: Kind,
    /// The header, still empty, and the body.
    whole: BytesMut,
    /// The body's BLAKE3 hash, where somebody has computed it.
    hash: Option<[u8; 32]>,
}

impl Unsealed {
    /// Copies a body.
    pub fn new(kind: Kind, body: &[u8]) -> Self {
        Self::within(BytesMut::with_capacity(HEADER + body.len()), kind, body)
    }

    /// Copies the beginning of a chunk of large data into memory for the longest, used before where there is some.
    pub fn chunk(body: &[u8], spare: &Spare) -> Self {
        Self::within(spare.memory(HEADER + cutter::MOST), Kind::Blob, body)
    }

    fn within(mut whole: BytesMut, kind: Kind, body: &[u8]) -> Self {
        whole.extend_from_slice(&[0; HEADER]);
        whole.extend_from_slice(body);
        Self { kind, whole, hash: None }
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.whole[HEADER..]
    }

    /// Whether a body of so many bytes has room where it is.
    pub fn has_room(&self, len: usize) -> bool {
        self.whole.capacity() >= HEADER + len
    }

    /// Adds to the body.
    pub fn write(&mut self, bytes: &[u8]) {
        self.hash = None;
        self.whole.extend_from_slice(bytes);
    }

    /// Shortens the body to so many bytes.
    pub fn truncate(&mut self, len: usize) {
        self.hash = None;
        self.whole.truncate(HEADER + len);
    }

    /// Removes so many bytes from the beginning of the body.
    pub fn remove(&mut self, count: usize) {
        self.hash = None;
        self.whole.copy_within(HEADER + count.., HEADER);
        self.whole.truncate(self.whole.len() - count);
    }

    /// The memory that it lies in.
    pub fn into_memory(self) -> BytesMut {
        self.whole
    }

    /// The name that its content gives a chunk of large data.
    pub fn name(&mut self) -> BlobHash {
        let name = BlobHash::of(self.body());
        self.hash = Some(*name.as_bytes());
        name
    }

    /// Bytes it holds.
    pub fn size(&self) -> usize {
        self.whole.len()
    }

    /// As [`seal`].
    pub fn seal(self, key: &Key) -> Bytes {
        self.seal_and_keep(key, &Spare::default(), Worth::Tenth)
    }

    /// As [`seal`], for a store where compressing is worth so much. Where that takes other memory, its own is used again.
    pub fn seal_and_keep(self, key: &Key, spare: &Spare, worth: Worth) -> Bytes {
        let mut whole = self.whole;
        let body = &whole[HEADER..];
        let len = body.len();
        let compressed = (len >= COMPRESS_FROM && seems_to_shrink(body, worth))
            .then(|| compress(body))
            .flatten()
            .filter(|small| worth.allows(len, small.len()));
        let codec = match (&compressed, self.hash) {
            (Some(_), _) => Codec::Zstd,
            (None, Some(_)) => Codec::Hashed,
            (None, None) => Codec::Plain,
        };
        if let Some(small) = compressed {
            let small = Self::new(self.kind, &small).whole;
            spare.keep(std::mem::replace(&mut whole, small));
        }
        let (header, stored) = whole.split_at_mut(HEADER);
        let (fixed, sum) = header.split_at_mut(FIXED + BINDING);
        fixed[FIXED..].copy_from_slice(&binding(key));
        fixed[..4].copy_from_slice(MAGIC);
        fixed[4..6].copy_from_slice(&LAYOUT_VERSION.to_le_bytes());
        fixed[6..8].copy_from_slice(&[self.kind as u8, codec as u8]);
        fixed[8..16].copy_from_slice(&(len as u64).to_le_bytes());
        fixed[16..24].copy_from_slice(&(stored.len() as u64).to_le_bytes());
        let hashed = self.hash.filter(|_| codec == Codec::Hashed);
        sum.copy_from_slice(&checksum(fixed, hashed.as_ref().map_or(&*stored, |hash| hash)));
        whole.freeze()
    }
}

/// Opens one frame that was written under this key, and returns its body and what follows it.
///
/// # Errors
/// [`Error::Version`] for a newer layout, or one too old for this kind; [`Error::Damaged`] for anything else that is not
/// such a frame.
pub fn open(kind: Kind, key: &Key, object: &Bytes) -> Result<(Bytes, Bytes), Error> {
    let damaged = |detail: &str| Error::Damaged { key: key.to_string(), detail: detail.to_owned() };
    let begin = object.get(..FIXED).ok_or_else(|| damaged("too short"))?;
    if &begin[..4] != MAGIC {
        return Err(damaged("not a starburst object"));
    }
    let version = u16::from_le_bytes([begin[4], begin[5]]);
    let unbound = version < 2;
    let header_len = if unbound { FIXED + CHECKSUM } else { HEADER };
    if version > LAYOUT_VERSION || version == 0 {
        return Err(Error::Version {
            what: format!("`{key}`"),
            found: format!("layout {version}"),
            supported: format!("layouts up to {LAYOUT_VERSION}"),
        });
    }
    let header = object.get(..header_len).ok_or_else(|| damaged("too short"))?;
    let (fixed, sum) = header.split_at(header_len - CHECKSUM);
    let number = |at: usize| {
        let bytes: [u8; 8] = fixed[at..at + 8].try_into().unwrap_or_default();
        u64::from_le_bytes(bytes)
    };
    let (body_len, stored_len) = (number(8), number(16));
    let end = usize::try_from(stored_len).ok().and_then(|n| n.checked_add(header_len));
    let end = end.filter(|&end| end <= object.len()).ok_or_else(|| damaged("cut short"))?;
    let stored = object.slice(header_len..end);
    let codec = Codec::of(fixed[7]);
    let right = match codec {
        Some(Codec::Hashed) => checksum(fixed, blake3::hash(&stored).as_bytes()),
        Some(Codec::Plain | Codec::Zstd) | None => checksum(fixed, &stored),
    };
    if right != *sum && !is_broken(Rule::Checksums) {
        return Err(damaged("checksum does not match"));
    }
    if unbound && Kind::of(fixed[6]).is_some_and(|kind| !kind.is_read_unbound()) {
        return Err(Error::Version {
            what: format!("`{key}`"),
            found: format!("layout {version}"),
            supported: format!("the objects of sessions from layout 2 to {LAYOUT_VERSION}"),
        });
    }
    if !unbound && fixed[FIXED..] != binding(key) && !is_broken(Rule::BoundToKey) {
        return Err(damaged("it was written under another name, and copied or moved here"));
    }
    if body_len > longest(stored_len) {
        return Err(damaged("impossible length"));
    }
    if fixed[6] != kind as u8 {
        return Err(damaged("another kind of object"));
    }
    let body = match codec {
        Some(Codec::Plain | Codec::Hashed) => stored,
        Some(Codec::Zstd) => {
            decompress(&stored, body_len).ok_or_else(|| damaged("cannot be decompressed"))?
        }
        None => return Err(damaged("unknown compression")),
    };
    if body.len() as u64 != body_len {
        return Err(damaged("length does not match"));
    }
    if unbound && kind == Kind::Blob && BlobHash::of(&body).to_string() != key.last() {
        return Err(damaged("it is another chunk"));
    }
    Ok((body, object.slice(end..)))
}

/// The hash of a key that objects written under it keep.
fn binding(key: &Key) -> [u8; BINDING] {
    let mut binding = [0; BINDING];
    binding.copy_from_slice(&blake3::hash(key.as_str().as_bytes()).as_bytes()[..BINDING]);
    binding
}

/// Frames a value for this key, as MessagePack with named fields.
///
/// # Errors
/// [`Error::Internal`] when the value cannot be encoded, which none of ours can.
pub fn encode<T: Serialize>(kind: Kind, key: &Key, value: &T) -> Result<Bytes, Error> {
    let body = rmp_serde::to_vec_named(value)
        .map_err(|e| Error::Internal { detail: format!("cannot encode a {kind:?}: {e}") })?;
    Ok(seal(kind, key, &body))
}

/// Reads a value that [`encode`] framed, and returns what follows it.
///
/// # Errors
/// As [`open`], and [`Error::Damaged`] for a body that is not such a value.
pub fn decode<T: DeserializeOwned>(
    kind: Kind,
    key: &Key,
    object: &Bytes,
) -> Result<(T, Bytes), Error> {
    let (body, rest) = open(kind, key, object)?;
    let value = rmp_serde::from_slice(&body)
        .map_err(|e| Error::Damaged { key: key.to_string(), detail: e.to_string() })?;
    Ok((value, rest))
}

fn checksum(fixed: &[u8], stored: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(fixed);
    hasher.update(stored);
    *hasher.finalize().as_bytes()
}

/// The longest body that may be stored in so many bytes.
fn longest(stored: u64) -> u64 {
    stored.saturating_mul(GROWTH).saturating_add(SLACK).min(MAX_BODY)
}

/// Tries parts of a large body: most numbers do not shrink, and finding that out on all of it takes longer than
/// everything else that is done with it.
fn seems_to_shrink(body: &[u8], worth: Worth) -> bool {
    if body.len() < 8 * SAMPLE {
        return true;
    }
    let places = [0, body.len() / 2, body.len() - SAMPLE];
    let sample: Vec<u8> = places.iter().flat_map(|&at| &body[at..at + SAMPLE]).copied().collect();
    zstd::bulk::compress(&sample, ZSTD_LEVEL)
        .is_ok_and(|small| worth.allows(sample.len(), small.len()))
}

/// What is so regular that it shrinks below what [`longest`] lets grow again is filled up to that.
fn compress(body: &[u8]) -> Option<Vec<u8>> {
    let mut small = zstd::bulk::compress(body, ZSTD_LEVEL).ok()?;
    let least = (body.len() as u64).saturating_sub(SLACK).div_ceil(GROWTH);
    let missing = usize::try_from(least).ok()?.saturating_sub(small.len());
    if missing > 0 {
        let filling = missing.saturating_sub(8);
        small.extend_from_slice(&SKIPPED.to_le_bytes());
        small.extend_from_slice(&u32::try_from(filling).ok()?.to_le_bytes());
        small.resize(small.len() + filling, 0);
    }
    Some(small)
}

/// All at once: a stream would take the window that its frame asks for, up to 128 MiB.
fn decompress(stored: &[u8], body_len: u64) -> Option<Bytes> {
    let body = zstd::bulk::decompress(stored, usize::try_from(body_len).ok()?).ok()?;
    Some(body.into())
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;
