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
    /// The manifest goes last when a session is deleted.
    ManifestLast,
    /// A session is deleted once its workers have left.
    DeleteWaits,
    /// A sweep deletes only what has no manifest.
    SweepAsks,
    /// Chunks are stored before the segment that names them.
    SegmentChunks,
    /// Chunks are stored before the batch of results that names them.
    BatchChunks,
    /// A ledger names a batch of results only once that is written.
    BatchWritten,
    /// Near-live conditions are written before a ledger says that their tasks ended.
    SignalsFirst,
    /// A worker whose heartbeat is gone writes none before it knows that its session is there.
    NoLateBeat,
    /// A worker says nothing when it leaves a session that was deleted.
    NoLateEnd,
    /// A ledger that went with its session is not made anew.
    NoLateLedger,
    /// A ledger that was read and is gone is not taken for one that nobody has begun.
    GoneIsGone,
    /// A follower of the segments does not pass over one that is not seen yet.
    TailStops,
    /// A segment that a listing misses is asked for before it is said to be gone.
    GapsAsked,
    /// A heartbeat that cannot be read keeps nobody from telling its worker something.
    BeatsReplaced,
    /// An object is read only under the name that it was written under.
    BoundToKey,
    /// Bytes that changed are noticed.
    Checksums,
    /// Running workers notice that tasks which had ended wait again.
    RetryNoticed,
    /// Lengths in a listing are believed only as long as they are those of the objects.
    LengthsAreHints,
    /// A look that is under way does not put an older ledger over a newer one.
    NoOlderView,
    /// Only tasks that have not ended are cancelled.
    CancelOpenOnly,
    /// Only tasks that ended without a value are tried again.
    RetryWithoutValue,
    /// Attempts never go down, not even by a retry.
    AttemptsStay,
    /// The last strike ends a task.
    MaxAttempts,
    /// Giving back a task that has not begun costs it nothing.
    FreeRelease,
    /// A backup may end the task that it joined.
    BackupEnds,
    /// Only claims that were seen before their worker was judged dead are taken back.
    JudgedOnly,
    /// A writer whose answer was lost recognises its own write.
    OwnNonce,
    /// Workers leave when the session's time is over.
    Deadline,
    /// A client that waits is told that no worker can be started.
    RefusalTold,
    /// A worker that was started and never says anything is given up.
    SilenceEnds,
    /// Workers leave when the owner of their session is gone.
    OwnerGone,
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
