//! Results that do not fit a ledger: immutable batches under names of their own.
use crate::{blob::Payload, ids::ObjectId};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A result up to this size travels in the ledger.
pub const IN_LEDGER_MAX: usize = 32 * 1024;
/// All results in one ledger together stay below this.
pub const LEDGER_MAX: usize = 256 * 1024;

/// Where a result is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResultRef {
    /// Here.
    Here(Bytes),
    /// In a batch of the task's part.
    Batch {
        /// The batch's name.
        object: ObjectId,
        /// The place in it.
        place: u32,
    },
}

/// A stored batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultBatch {
    /// The results, in the order in which [`ResultRef::Batch`] counts them.
    pub payloads: Vec<Payload>,
}
