//! Transitions of the ledger that no other test holds to their rule.
use super::bench::guards;
use starburst_core::{
    clock::UnixMillis,
    ids::{Nonce, WorkerId},
    ledger::{Claim, Ended, Ending, Ledger, TaskState},
    mutation::Rule,
    results::ResultRef,
};

fn worker(name: &str) -> WorkerId {
    WorkerId::parse(name).unwrap()
}

fn ended(worker: &WorkerId, claim: Claim, ending: Ending) -> Ended {
    Ended {
        ending,
        worker: Some(worker.clone()),
        attempt: claim.attempt,
        at: UnixMillis(0),
        ran_ms: 0,
        signals: 0,
        log: None,
        failure: None,
    }
}

fn a_value() -> Ending {
    Ending::Value(ResultRef::Here("value".into()))
}

fn an_error() -> Ending {
    Ending::Error(ResultRef::Here("error".into()))
}

/// A ledger with one task that ended like this.
fn ended_with(ending: Ending) -> Ledger {
    let (mut ledger, w) = (Ledger::new(Nonce(1), 1), worker("w"));
    let claim = ledger.claim(&w, 1, &[])[0];
    assert!(ledger.end(&w, claim, ended(&w, claim, ending)));
    ledger
}

#[test]
fn cancelling_leaves_tasks_alone_that_failed() {
    guards(Rule::CancelOpenOnly, async || {
        let mut ledger = ended_with(an_error());
        let before = ledger.clone();
        !ledger.cancel(0) && ledger == before
    });
}

#[test]
fn a_retry_leaves_values_alone() {
    guards(Rule::RetryWithoutValue, async || {
        let mut ledger = ended_with(a_value());
        let before = ledger.clone();
        !ledger.retry(0) && ledger == before
    });
}

#[test]
fn a_worker_that_lost_its_claim_cannot_end_the_task_after_a_retry() {
    guards(Rule::AttemptsStay, async || {
        let (mut ledger, w) = (Ledger::new(Nonce(1), 1), worker("w"));
        let old = ledger.claim(&w, 1, &[])[0];
        assert!(ledger.cancel(0) && ledger.retry(0));
        let new = ledger.claim(&w, 1, &[])[0];
        // What it still has to say of the first attempt is void, though it has the task again.
        !ledger.end(&w, old, ended(&w, old, a_value())) && ledger.claims_of(&w) == [new]
    });
}

#[test]
fn the_last_strike_ends_a_task() {
    guards(Rule::MaxAttempts, async || {
        let (mut ledger, w) = (Ledger::new(Nonce(1), 1), worker("w"));
        for _ in 0..3 {
            ledger.claim(&w, 1, &[]);
            ledger.strike(&w, 0, "killed", 3, UnixMillis(0));
        }
        ledger.counts().failed == 1 && ledger.claim(&w, 1, &[]).is_empty()
    });
}

#[test]
fn a_task_that_was_left_to_its_holder_at_its_last_strike_is_over_when_that_gives_it_back() {
    guards(Rule::MaxAttempts, async || {
        let (mut ledger, w) = (Ledger::new(Nonce(1), 1), worker("w"));
        let claim = ledger.claim(&w, 1, &[])[0];
        for backup in ["x", "y", "z"].map(worker) {
            assert!(ledger.back_up(&backup, claim));
            ledger.strike(&backup, 0, "killed", 3, UnixMillis(0));
        }
        let left = ledger.holds(&w, claim);
        ledger.release(&w, claim, 3, UnixMillis(0));
        left && ledger.counts().failed == 1
    });
}

#[test]
fn giving_back_what_has_not_begun_costs_nothing() {
    guards(Rule::FreeRelease, async || {
        let (mut ledger, w) = (Ledger::new(Nonce(1), 1), worker("w"));
        for _ in 0..9 {
            let claim = ledger.claim(&w, 1, &[])[0];
            ledger.release(&w, claim, 3, UnixMillis(0));
        }
        ledger.claim(&w, 1, &[]);
        ledger.strike(&w, 0, "killed", 3, UnixMillis(0));
        matches!(&ledger.tasks[0], TaskState::Pending(history) if history.strikes == 1)
    });
}

#[test]
fn a_backup_may_end_the_task_that_it_joined() {
    guards(Rule::BackupEnds, async || {
        let (mut ledger, holder, backup) = (Ledger::new(Nonce(1), 1), worker("a"), worker("b"));
        let claim = ledger.claim(&holder, 1, &[])[0];
        assert!(ledger.back_up(&backup, claim));
        ledger.end(&backup, claim, ended(&backup, claim, a_value()))
            && ledger.counts().completed == 1
    });
}

#[test]
fn what_was_claimed_after_the_judgement_is_not_taken_back() {
    guards(Rule::JudgedOnly, async || {
        let (mut ledger, w) = (Ledger::new(Nonce(1), 1), worker("w"));
        let first = ledger.claim(&w, 1, &[]);
        ledger.release(&w, first[0], 3, UnixMillis(0));
        let anew = ledger.claim(&w, 1, &[]);
        let taken = ledger.reclaim(&w, &first, "silent", 3, UnixMillis(0));
        taken == 0 && ledger.claims_of(&w) == anew
    });
}
