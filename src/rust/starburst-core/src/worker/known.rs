//! One part, as far as a worker knows it.
use crate::{
    ledger::{Counts, Ledger},
    store::ETag,
    update::Versioned,
};

/// One part, as far as it is known.
#[derive(Debug)]
pub(super) enum Known {
    /// Nobody seems to have claimed from it yet.
    Untouched,
    /// There is a ledger that was not read.
    Begun {
        /// Its version, if it is known.
        etag: Option<ETag>,
        /// Whether tasks may wait in it.
        waiting: bool,
    },
    /// The ledger as it was read last, and its tasks by state.
    Read(Versioned<Ledger>, Counts),
}

impl Known {
    pub(super) fn ledger(&self) -> Option<&Versioned<Ledger>> {
        match self {
            Known::Read(ledger, _) => Some(ledger),
            Known::Untouched | Known::Begun { .. } => None,
        }
    }
    pub(super) fn etag(&self) -> Option<&ETag> {
        match self {
            Known::Read(ledger, _) => ledger.etag.as_ref(),
            Known::Begun { etag, .. } => etag.as_ref(),
            Known::Untouched => None,
        }
    }
    pub(super) fn claimed(&self) -> bool {
        matches!(self, Known::Read(_, counts) if counts.claimed > 0)
    }
    pub(super) fn pending(&self) -> bool {
        matches!(self, Known::Read(_, counts) if counts.pending > 0)
    }
    pub(super) fn may_wait(&self) -> bool {
        self.pending() || matches!(self, Known::Untouched | Known::Begun { waiting: true, .. })
    }
}
