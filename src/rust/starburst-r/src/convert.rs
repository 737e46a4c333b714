//! Rows of ours as R lists.
use extendr_api::prelude::*;
use starburst_core::{
    client::{Known, Summary},
    clock::UnixMillis,
};

/// Seconds since the epoch, as R's date-times count them.
pub(crate) fn seconds(at: UnixMillis) -> f64 {
    at.0 as f64 / 1e3
}

/// The word for a task's state.
pub(crate) fn word(known: Known) -> &'static str {
    match known {
        Known::Pending => "pending",
        Known::Claimed => "claimed",
        Known::Completed => "completed",
        Known::Failed => "failed",
        Known::Cancelled => "cancelled",
    }
}

/// Counts by state.
pub(crate) fn counts(summary: &Summary) -> List {
    list!(
        total = summary.total() as f64,
        pending = summary.pending as f64,
        running = summary.running as f64,
        completed = summary.completed as f64,
        failed = summary.failed as f64,
        cancelled = summary.cancelled as f64
    )
}
