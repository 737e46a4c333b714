//! What a worker's R takes over from the client's R, beside the tasks: options, locale, and environment variables.
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What travels with a session. The manifest, which is read often, holds it: the client keeps it small.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Travel {
    /// Options and locale, as R serialized them; empty for none.
    #[serde(default)]
    pub state: Bytes,
    /// Environment variables with their values, none of them secret.
    #[serde(default)]
    pub variables: Vec<(String, String)>,
}
