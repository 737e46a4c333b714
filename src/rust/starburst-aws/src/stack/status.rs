//! What a stack does, and what may be done to it then.
use std::fmt;

/// A status of a stack, as CloudFormation names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackStatus(String);

/// What a deployment does next with a stack in some status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It becomes what somebody wants: how that ends counts for us too.
    Join,
    /// It is on its way back, or out: wait, then look again.
    Wait,
    /// It stands: update it.
    Update,
    /// It was never there: delete what is left and create it.
    Anew,
    /// Somebody must look at it.
    Stuck,
}

impl StackStatus {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// As CloudFormation names it, such as `CREATE_COMPLETE`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether something is being done to it.
    pub fn in_progress(&self) -> bool {
        self.0.ends_with("_IN_PROGRESS") && self.0 != "REVIEW_IN_PROGRESS"
    }

    /// Whether it is as its template says.
    pub fn is_well(&self) -> bool {
        matches!(self.0.as_str(), "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE")
    }

    /// Whether it can be used: it is as its template says, or as an earlier one said.
    pub fn is_usable(&self) -> bool {
        self.is_well()
            || self.0.starts_with("UPDATE_") && self.0 != "UPDATE_ROLLBACK_FAILED"
            || self.0.starts_with("IMPORT_ROLLBACK_COMPLETE")
    }

    pub(super) fn is_gone(&self) -> bool {
        self.0 == "DELETE_COMPLETE"
    }

    /// Sources: the stack status codes of CloudFormation (AWS, November 2026).
    pub(super) fn next(&self) -> Next {
        match self.0.as_str() {
            "CREATE_IN_PROGRESS" | "UPDATE_IN_PROGRESS" | "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS" => {
                Next::Join
            }
            "CREATE_COMPLETE"
            | "UPDATE_COMPLETE"
            | "UPDATE_ROLLBACK_COMPLETE"
            | "IMPORT_COMPLETE"
            | "IMPORT_ROLLBACK_COMPLETE" => Next::Update,
            "ROLLBACK_COMPLETE" | "DELETE_COMPLETE" => Next::Anew,
            "REVIEW_IN_PROGRESS" => Next::Stuck,
            other if other.ends_with("_IN_PROGRESS") => Next::Wait,
            _ => Next::Stuck,
        }
    }
}

impl fmt::Display for StackStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_tells_what_comes_next() {
        for (status, next) in [
            ("CREATE_IN_PROGRESS", Next::Join),
            ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", Next::Join),
            ("ROLLBACK_IN_PROGRESS", Next::Wait),
            ("DELETE_IN_PROGRESS", Next::Wait),
            ("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", Next::Wait),
            ("ROLLBACK_COMPLETE", Next::Anew),
            ("UPDATE_ROLLBACK_COMPLETE", Next::Update),
            ("CREATE_COMPLETE", Next::Update),
            ("CREATE_FAILED", Next::Stuck),
            ("DELETE_FAILED", Next::Stuck),
            ("UPDATE_ROLLBACK_FAILED", Next::Stuck),
            ("REVIEW_IN_PROGRESS", Next::Stuck),
        ] {
            assert_eq!(StackStatus::new(status).next(), next, "{status}");
        }
    }

    #[test]
    fn a_stack_whose_update_was_taken_back_can_be_used() {
        let usable = |text| StackStatus::new(text).is_usable();
        assert!(usable("CREATE_COMPLETE") && usable("UPDATE_ROLLBACK_COMPLETE"));
        assert!(!usable("ROLLBACK_COMPLETE") && !usable("UPDATE_ROLLBACK_FAILED"));
        assert!(!usable("CREATE_IN_PROGRESS") && !usable("DELETE_IN_PROGRESS"));
    }
}
