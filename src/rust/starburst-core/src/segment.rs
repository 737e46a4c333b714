//! A segment: an immutable, numbered batch of submitted tasks, in parts that have a ledger each.
//!
//! Fifty tasks for fifty workers are one object, written by one request, and fifty parts, which fifty workers
//! claim without meeting. Two frames follow each other in the object: the index (who, how many, what they are called), which is
//! all that a client listing tasks needs, and the payloads.
use crate::{
    blob::Payload,
    clock::UnixMillis,
    envelope::{self, Kind},
    error::Error,
    ids::{ClientId, Nonce, PartId, SEGMENT_PARTS},
    key::Key,
};
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use std::{ops::Range, time::Duration};

/// How a worker evaluates a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskKind {
    /// The expression that the `future` package made; its value is a `FutureResult`. It may be the segment's common payload.
    Future,
    /// An expression with its globals, submitted to a session.
    Call,
    /// One element of a map; the function is the segment's common payload.
    Element,
}

/// What is known of a task without its payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskHeader {
    /// How it is evaluated.
    pub kind: TaskKind,
    /// The user's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The longest it may run; no limit when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// The first frame of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentIndex {
    /// Recognises the writer's own write.
    pub write: Nonce,
    /// Who submitted the tasks.
    pub client: ClientId,
    /// The number of the first of them in that client's order; the others follow.
    pub first: u64,
    /// When, on the client's clock.
    pub submitted_at: UnixMillis,
    /// How many tasks each part has.
    pub parts: Vec<u32>,
    /// One row a task.
    pub tasks: Vec<TaskHeader>,
}

impl SegmentIndex {
    /// The parts of the segment of this number, each with the places of its tasks in the segment.
    pub fn parts(&self, number: u64) -> impl Iterator<Item = (PartId, Range<usize>)> + '_ {
        let mut from = 0;
        (0..).zip(&self.parts).map(move |(place, len)| {
            let range = from..from + *len as usize;
            from = range.end;
            (PartId::new(number, place), range)
        })
    }

    fn fits(&self) -> bool {
        let count: u64 = self.parts.iter().map(|len| u64::from(*len)).sum();
        let full = self.parts.iter().all(|len| *len > 0);
        full && count == self.tasks.len() as u64 && self.parts.len() as u64 <= SEGMENT_PARTS
    }
}

/// How many parts a stored segment of this length has: what its length leaves when divided by [`LISTED`]. So a worker
/// sees in a listing of segments and ledgers which segments have parts that nobody has begun.
pub fn listed_parts(stored: u64) -> Option<u64> {
    Some(stored % LISTED).filter(|parts| (1..=SEGMENT_PARTS).contains(parts))
}

/// More than a segment may have parts.
const LISTED: u64 = 1024;

/// The lengths of `parts` parts of `tasks` tasks that differ by one at most.
pub fn even_parts(tasks: usize, parts: usize) -> Vec<u32> {
    let parts = parts.clamp(1, tasks.clamp(1, SEGMENT_PARTS as usize));
    let len = |part| (tasks * (part + 1) / parts - tasks * part / parts) as u32;
    (0..parts).map(len).filter(|len| *len > 0).collect()
}

/// The second frame of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentFrames {
    /// What all tasks of the segment share, such as the function of a map.
    pub common: Option<Payload>,
    /// One payload a task.
    pub payloads: Vec<Payload>,
}

/// One part of a segment, with all that a worker needs of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which.
    pub id: PartId,
    /// The mark of its segment, which its ledger has too.
    pub segment: Nonce,
    /// What its tasks are.
    pub tasks: Vec<TaskHeader>,
    /// What all tasks of the segment share.
    pub common: Option<Payload>,
    /// One payload a task.
    pub payloads: Vec<Payload>,
}

/// A whole segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// What the tasks are.
    pub index: SegmentIndex,
    /// What they need.
    pub frames: SegmentFrames,
}

impl Segment {
    /// The object to store under this key.
    ///
    /// # Errors
    /// [`Error::Internal`] only.
    pub fn encode(&self, key: &Key) -> Result<Bytes, Error> {
        let index = envelope::encode(Kind::SegmentIndex, key, &self.index)?;
        let frames = envelope::encode(Kind::SegmentFrames, key, &self.frames)?;
        let mut object = BytesMut::from(index);
        object.extend_from_slice(&frames);
        let parts = self.index.parts.len() as u64 % LISTED;
        let short = (LISTED + parts - object.len() as u64 % LISTED) % LISTED;
        object.resize(object.len() + short as usize, 0);
        Ok(object.freeze())
    }

    /// Reads a stored segment.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::Version`].
    pub fn decode(key: &Key, object: &Bytes) -> Result<Self, Error> {
        let (index, rest): (SegmentIndex, Bytes) =
            envelope::decode(Kind::SegmentIndex, key, object)?;
        let (frames, _): (SegmentFrames, Bytes) =
            envelope::decode(Kind::SegmentFrames, key, &rest)?;
        if index.tasks.len() != frames.payloads.len() || !index.fits() {
            let detail = "index, parts and payloads do not fit each other".into();
            return Err(Error::Damaged { key: key.to_string(), detail });
        }
        Ok(Self { index, frames })
    }

    /// The parts of the segment of this number.
    pub fn into_parts(self, number: u64) -> Vec<Part> {
        let part = |(id, range): (PartId, Range<usize>)| Part {
            id,
            segment: self.index.write,
            tasks: self.index.tasks.get(range.clone()).unwrap_or_default().to_vec(),
            common: self.frames.common.clone(),
            payloads: self.frames.payloads.get(range).unwrap_or_default().to_vec(),
        };
        self.index.parts(number).map(part).collect()
    }

    /// Reads the index only.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::Version`].
    pub fn decode_index(key: &Key, object: &Bytes) -> Result<SegmentIndex, Error> {
        let (index, _): (SegmentIndex, Bytes) = envelope::decode(Kind::SegmentIndex, key, object)?;
        if !index.fits() {
            let detail = "its parts do not fit its tasks".into();
            return Err(Error::Damaged { key: key.to_string(), detail });
        }
        Ok(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{blob::BlobHash, ids::SessionId, key::SessionKeys};
    use proptest::prelude::*;

    fn payload() -> impl Strategy<Value = Payload> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(|b| Payload::Inline(b.into())),
            (any::<u64>(), proptest::collection::vec(any::<u8>(), 0..4)).prop_map(|(len, b)| {
                Payload::Blobs { len, chunks: b.iter().map(|x| BlobHash::of(&[*x])).collect() }
            }),
        ]
    }

    fn header() -> impl Strategy<Value = TaskHeader> {
        let kind =
            prop_oneof![Just(TaskKind::Future), Just(TaskKind::Call), Just(TaskKind::Element)];
        (kind, proptest::option::of(".{0,9}"), proptest::option::of(any::<u32>())).prop_map(
            |(kind, label, ms)| TaskHeader {
                kind,
                label,
                timeout: ms.map(|ms| Duration::from_millis(ms.into())),
            },
        )
    }

    proptest! {
        #[test]
        fn parts_differ_by_one_task_at_most(tasks in 0usize..3_000, parts in 0usize..2_000) {
            let lens = even_parts(tasks, parts);
            prop_assert_eq!(lens.iter().map(|n| *n as usize).sum::<usize>(), tasks);
            let (least, most) = (lens.iter().min(), lens.iter().max());
            prop_assert!(most.unwrap_or(&0) - least.unwrap_or(&0) <= 1);
        }

        #[test]
        fn a_segment_is_read_back(rows in proptest::collection::vec((header(), payload()), 0..9), split in 1usize..9, common in proptest::option::of(payload()), write in any::<u64>(), first in any::<u32>()) {
            let (tasks, payloads): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
            let parts = even_parts(tasks.len(), split);
            let segment = Segment {
                index: SegmentIndex { write: Nonce(write), client: ClientId::parse("c").unwrap(), first: first.into(), submitted_at: UnixMillis(7), parts, tasks },
                frames: SegmentFrames { common, payloads },
            };
            let key = SessionKeys::new(SessionId::parse("s").unwrap()).segment(0);
            let object = segment.encode(&key).unwrap();
            prop_assert_eq!(listed_parts(object.len() as u64).unwrap_or(0), segment.index.parts.len() as u64);
            prop_assert_eq!(Segment::decode(&key, &object).unwrap(), segment.clone());
            prop_assert_eq!(Segment::decode_index(&key, &object).unwrap(), segment.index.clone());
            let whole: Vec<Payload> = segment.clone().into_parts(3).into_iter().flat_map(|p| p.payloads).collect();
            prop_assert_eq!(whole, segment.frames.payloads);
        }
    }
}
