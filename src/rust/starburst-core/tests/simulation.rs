//! The whole protocol in virtual time, seed by seed. A failing seed is printed with its history, and replays.
//!
//! `STARBURST_SEEDS=100000` runs more; `cargo run -p starburst-testkit --bin starburst-sim -- 0..100000` too.
#![allow(clippy::unwrap_used, clippy::panic)] // a test's helper fails its test
use starburst_core::mutation::Rule;
use starburst_testkit::sim::{self, Hopeless, Report, Weather};
use std::sync::atomic::{AtomicU64, Ordering};

/// Seeds that are run when nothing else is said.
const SEEDS: u64 = 10_000;

fn must_keep_the_rules(seed: u64, report: &Report) {
    assert!(
        report.violations.is_empty(),
        "{}\nseed {seed}: {:#?}",
        report.story.join("\n"),
        report.violations
    );
}

#[test]
fn whatever_fails_every_rule_is_kept() {
    let seeds = std::env::var("STARBURST_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(SEEDS);
    let (next, values) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    let report = sim::run(seed);
                    must_keep_the_rules(seed, &report);
                    values.fetch_add(report.values as u64, Ordering::Relaxed);
                }
            });
        }
    });
    // The storms must leave something to look at.
    assert!(values.into_inner() > 5 * seeds);
}

#[test]
fn in_fair_weather_every_task_returns_its_value() {
    for seed in 0..20 {
        let weather = Weather { tasks: 300, workers: 8, ..Weather::FAIR };
        let report = sim::run_in(seed, weather, None);
        must_keep_the_rules(seed, &report);
        assert_eq!((report.values, report.others), (300, 0));
    }
}

#[test]
fn with_backups_for_slow_tasks_every_rule_is_kept() {
    let ended_by_backup = |seed| {
        let weather = Weather { backups: true, pause_s: 20, tasks: 20, ..Weather::FAIR };
        let report = sim::run_in(seed, weather, None);
        must_keep_the_rules(seed, &report);
        let backed_up = report.story.iter().filter(|line| line.contains("backed up by")).count();
        (backed_up > 0).then_some(backed_up)
    };
    let seen = (0..40).filter_map(ended_by_backup).count();
    assert!(seen >= 10, "{seen} of 40 seeds had backups");
}

#[test]
fn lost_answers_and_refusals_alone_lose_nothing() {
    for seed in 0..60 {
        let weather = Weather { refuse: 12, lose_answer: 6, late: 3, clients: 2, ..Weather::FAIR };
        let report = sim::run_in(seed, weather, None);
        must_keep_the_rules(seed, &report);
        assert_eq!((report.values, report.others), (80, 0));
    }
}

#[test]
fn a_seed_replays_itself_and_two_seeds_differ() {
    let told = |seed| sim::run_in(seed, Weather::of(seed), None);
    for seed in 7..20 {
        assert_eq!(told(seed), told(seed));
    }
    assert_ne!(told(7).fingerprint, told(8).fingerprint);
}

/// Breaks one rule of the protocol and runs seeds until one of them shows it in these words.
fn is_seen(broken: Rule, weather: Weather, words: &str) {
    let shows = |seed| {
        let report = sim::run_in(seed, weather, Some(broken));
        report.violations.iter().any(|violation| violation.contains(words))
    };
    assert!((0..400).any(shows), "with {broken:?} broken no seed showed `{words}`");
}

const STORM: Weather = Weather {
    clients: 2,
    workers: 3,
    tasks: 20,
    refuse: 50,
    lose_answer: 8,
    late: 0,
    crash_s: 40,
    pause_s: 30,
    cut_s: 40,
    r_dies: 30,
    twice: 4,
    client_dies: 2,
    ..Weather::FAIR
};

#[test]
fn without_the_nonce_of_segments_tasks_exist_twice() {
    is_seen(Rule::SegmentNonce, Weather { lose_answer: 3, ..Weather::FAIR }, "there twice");
}

#[test]
fn without_the_check_of_the_holder_an_accepted_result_is_replaced() {
    is_seen(Rule::LedgerHolder, STORM, "an ended task changed");
}

#[test]
fn without_the_wait_for_the_lease_a_live_lease_is_stolen() {
    is_seen(Rule::LeaseWait, STORM, "was silent for");
}

#[test]
fn without_taking_back_not_everything_ends() {
    is_seen(Rule::Reclaim, STORM, "not everything ended");
}

#[test]
fn with_a_flush_that_does_not_wait_acknowledged_tasks_are_lost() {
    is_seen(Rule::FlushWaits, STORM, "was acknowledged and is lost");
}

#[test]
fn with_half_a_deletion_objects_outlive_their_session() {
    is_seen(Rule::DeleteAll, Weather::FAIR, "outlived its session");
}

#[test]
fn with_too_much_of_a_deletion_another_session_is_touched() {
    is_seen(Rule::DeleteOnly, Weather::FAIR, "of another session was touched");
}

/// Everything that clients do to tasks, and tasks that fail.
const MEDDLING: Weather = Weather { cancel: 4, fails: 3, clients: 2, tasks: 20, ..Weather::FAIR };

#[test]
fn with_attempts_that_begin_anew_they_go_down() {
    is_seen(Rule::AttemptsStay, MEDDLING, "attempts went down");
}

#[test]
fn with_a_cancel_of_what_has_failed_an_ended_task_changes() {
    is_seen(Rule::CancelOpenOnly, MEDDLING, "an ended task changed");
}

#[test]
fn with_a_retry_of_everything_an_accepted_result_is_given_up() {
    is_seen(Rule::RetryWithoutValue, MEDDLING, "an accepted result was given up");
}

#[test]
fn with_looks_that_overtake_each_other_a_client_shows_an_older_state() {
    is_seen(Rule::NoOlderView, MEDDLING, "shows an older state");
}

#[test]
fn without_a_last_strike_a_task_goes_on() {
    is_seen(Rule::MaxAttempts, Weather { r_dies: 2, ..Weather::FAIR }, "it goes on after");
}

#[test]
fn with_a_price_for_giving_back_strikes_come_without_a_loss() {
    is_seen(Rule::FreeRelease, STORM, "without a loss");
}

/// Large payloads and results, in a store that is away at times.
const LARGE: Weather = Weather { large: 2, refuse: 6, outage_s: 60, ..Weather::FAIR };

#[test]
fn with_a_batch_that_is_not_written_a_ledger_names_nothing() {
    is_seen(Rule::BatchWritten, LARGE, "ledger names");
}

#[test]
fn without_waiting_for_the_chunks_of_a_result_its_batch_names_nothing() {
    is_seen(Rule::BatchChunks, LARGE, "/blobs/");
}

#[test]
fn without_waiting_for_the_chunks_of_a_task_its_segment_names_nothing() {
    is_seen(Rule::SegmentChunks, LARGE, "/blobs/");
}

#[test]
fn with_conditions_that_are_written_late_a_task_ends_before_them() {
    let weather = Weather { signals: 2, refuse: 4, ..Weather::FAIR };
    is_seen(Rule::SignalsFirst, weather, "ended before what it signalled");
}

#[test]
fn without_a_word_on_refused_launches_nobody_knows_why_nothing_happens() {
    let weather = Weather { hopeless: Some(Hopeless::Refused), ..Weather::FAIR };
    is_seen(Rule::RefusalTold, weather, "nobody says that no worker can be started");
}

#[test]
fn with_patience_for_workers_that_never_come_nobody_knows_why_nothing_happens() {
    let weather = Weather { hopeless: Some(Hopeless::Silent), ..Weather::FAIR };
    is_seen(Rule::SilenceEnds, weather, "nobody says that no worker can be started");
}

#[test]
fn workers_that_are_always_on_their_way_and_never_come_are_told() {
    for seed in 0..60 {
        // Of some the launcher knows that they are gone, so that others are started in their place at different times.
        let hopeless = Some(Hopeless::Silent);
        let weather = Weather { hopeless, sure: true, workers: 3, clients: 2, ..Weather::FAIR };
        must_keep_the_rules(seed, &sim::run_in(seed, weather, None));
    }
}

#[test]
fn what_a_worker_held_that_never_beat_is_taken_back_when_its_starter_is_gone_too() {
    for seed in 0..60 {
        let weather = Weather { owned: true, owner_dies: true, crash_s: 20, ..Weather::FAIR };
        must_keep_the_rules(seed, &sim::run_in(seed, weather, None));
    }
}

#[test]
fn with_launches_in_vain_for_a_while_everything_ends_all_the_same() {
    for seed in 0..40 {
        let weather = Weather { no_room_s: 20, silent_s: 30, clients: 2, ..Weather::FAIR };
        let report = sim::run_in(seed, weather, None);
        must_keep_the_rules(seed, &report);
        assert_eq!((report.values, report.others), (80, 0));
    }
}

const OWNER: Weather = Weather { owned: true, owner_dies: true, clients: 2, ..Weather::FAIR };

#[test]
fn without_a_look_at_the_owner_workers_stay() {
    is_seen(Rule::OwnerGone, OWNER, "stays without the owner of its session");
}

/// Many objects are damaged, and results have objects of their own.
const DAMAGE: Weather = Weather { damage_s: 3, large: 2, clients: 2, ..Weather::FAIR };

#[test]
fn without_the_name_in_objects_a_task_gets_the_value_of_another() {
    is_seen(Rule::BoundToKey, DAMAGE, ": value ");
}

#[test]
fn without_checksums_a_task_gets_a_value_that_changed() {
    is_seen(Rule::Checksums, DAMAGE, ": value ");
}

#[test]
fn with_a_sweep_that_does_not_ask_another_session_is_touched() {
    is_seen(Rule::SweepAsks, Weather::FAIR, "of another session was touched");
}
