//! A segment: an immutable, numbered batch of submitted tasks.
//!
//! Two frames follow each other in the object: the index (who, how many, what they are called), which is
//! all that a client listing tasks needs, and the payloads.
use crate::{
    blob::Payload,
    clock::UnixMillis,
    envelope::{self, Kind},
    error::Error,
    ids::{ClientId, Nonce, TaskId},
    key::Key,
};
use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How a worker evaluates a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskKind {
    /// The expression that the `future` package made; its value is a `FutureResult`.
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
    /// One row a task.
    pub tasks: Vec<TaskHeader>,
}

impl SegmentIndex {
    /// The id of the task in this place.
    pub fn task_id(&self, place: usize) -> TaskId {
        TaskId { client: self.client.clone(), seq: self.first + place as u64 }
    }
}

/// The second frame of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentFrames {
    /// What all tasks of the segment share, such as the function of a map.
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
    /// The object to store.
    ///
    /// # Errors
    /// [`Error::Internal`] only.
    pub fn encode(&self) -> Result<Bytes, Error> {
        let index = envelope::encode(Kind::SegmentIndex, &self.index)?;
        let frames = envelope::encode(Kind::SegmentFrames, &self.frames)?;
        let mut object = BytesMut::from(index);
        object.extend_from_slice(&frames);
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
        if index.tasks.len() != frames.payloads.len() {
            let detail = "index and payloads differ in length".into();
            return Err(Error::Damaged { key: key.to_string(), detail });
        }
        Ok(Self { index, frames })
    }

    /// Reads the index only.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::Version`].
    pub fn decode_index(key: &Key, object: &Bytes) -> Result<SegmentIndex, Error> {
        Ok(envelope::decode(Kind::SegmentIndex, key, object)?.0)
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
        fn a_segment_is_read_back(rows in proptest::collection::vec((header(), payload()), 0..9), common in proptest::option::of(payload()), write in any::<u64>(), first in any::<u32>()) {
            let (tasks, payloads) = rows.into_iter().unzip();
            let segment = Segment {
                index: SegmentIndex { write: Nonce(write), client: ClientId::parse("c").unwrap(), first: first.into(), submitted_at: UnixMillis(7), tasks },
                frames: SegmentFrames { common, payloads },
            };
            let key = SessionKeys::new(SessionId::parse("s").unwrap()).segment(0);
            let object = segment.encode().unwrap();
            prop_assert_eq!(Segment::decode(&key, &object).unwrap(), segment.clone());
            prop_assert_eq!(Segment::decode_index(&key, &object).unwrap(), segment.index);
        }
    }
}
