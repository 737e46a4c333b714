//! Switches that break one rule of the protocol each. A test turns one on to show that the simulation sees what
//! follows. Without the feature `mutations` no rule can be broken, and all of this is gone.

/// A rule that can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A segment whose answer was lost is recognised by its nonce, and not written again.
    SegmentNonce,
    /// Only the holder of a claim in its current attempt ends a task.
    LedgerHolder,
    /// A claim is taken back only after the whole lease.
    LeaseWait,
    /// What dead workers held is taken back at all.
    Reclaim,
    /// A flush returns when everything is in the store.
    FlushWaits,
    /// Deleting a session deletes all of it.
    DeleteAll,
    /// Deleting a session deletes nothing else.
    DeleteOnly,
}

#[cfg(feature = "mutations")]
thread_local! {
    static BROKEN: std::cell::Cell<Option<Rule>> = const { std::cell::Cell::new(None) };
}

/// Breaks a rule for everything that runs on this thread, or keeps all of them.
#[cfg(feature = "mutations")]
pub fn break_rule(rule: Option<Rule>) {
    BROKEN.set(rule);
}

/// Whether a rule is broken.
#[cfg(feature = "mutations")]
pub(crate) fn is_broken(rule: Rule) -> bool {
    BROKEN.get() == Some(rule)
}

/// Whether a rule is broken: none can be.
#[cfg(not(feature = "mutations"))]
pub(crate) const fn is_broken(_: Rule) -> bool {
    false
}
