//! Near-live conditions (progress, `immediateCondition`): small batches on their way to the client.
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// One condition that a running task signalled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// Its task's place in the part.
    pub place: u32,
    /// Which attempt signalled it.
    pub attempt: u32,
    /// The condition, as R serialized it.
    pub condition: Bytes,
}
