//! Setting up an account, looking after what is there, and taking it away: what R's functions of these names do.
mod cleanup;
mod doctor;
mod instances;
mod setup;
mod teardown;

pub use cleanup::{CleanedUp, Cleanup, clean_images, clean_up};
pub use doctor::{Check, Finding, Patient, examine};
pub use instances::{Instances, setup_instances};
pub use setup::{Ready, Setup, look, set_up, template_version};
pub use teardown::{Inventory, TornDown, inventory, tear_down};

pub use crate::bucket::Contents;

use crate::stack::StackEvent;

/// What is told to who waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Something was done, or begins.
    Step(String),
    /// So much was done up to now of what the last step named.
    Count(usize),
}

/// Told while something takes its time.
pub type Tell<'a> = &'a (dyn Fn(Said) + Send + Sync);

/// An event of a stack as one line.
fn line(event: &StackEvent) -> String {
    let subject = if event.of_stack {
        format!("stack `{}`", event.resource)
    } else {
        format!("{} `{}`", event.kind, event.resource)
    };
    let status = event.status.to_lowercase().replace('_', " ");
    match &event.reason {
        // What begins or succeeds says nothing worth reading.
        Some(reason) if event.status.ends_with("_FAILED") => {
            format!("{subject}: {status}: {reason}")
        }
        Some(_) | None => format!("{subject}: {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_and_says_why_only_when_it_failed() {
        let event = StackEvent {
            id: "1".into(),
            at: "2026-11-24T12:00:00.000Z".into(),
            resource: "Bucket".into(),
            kind: "AWS::S3::Bucket".into(),
            status: "CREATE_IN_PROGRESS".into(),
            reason: Some("Resource creation Initiated".into()),
            of_stack: false,
        };
        assert_eq!(line(&event), "AWS::S3::Bucket `Bucket`: create in progress");
        let failed =
            StackEvent { status: "CREATE_FAILED".into(), reason: Some("no".into()), ..event };
        assert_eq!(line(&failed), "AWS::S3::Bucket `Bucket`: create failed: no");
    }
}
