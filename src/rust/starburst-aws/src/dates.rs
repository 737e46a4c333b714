//! Days as people write them.
use aws_smithy_types::{DateTime, date_time::Format};
use starburst_core::clock::UnixMillis;

/// The day of a time, such as `2026-11-20`.
pub(crate) fn day(at: UnixMillis) -> Option<String> {
    let at = DateTime::from_millis(i64::try_from(at.0).ok()?).fmt(Format::DateTime).ok()?;
    at.split('T').next().map(str::to_owned)
}
