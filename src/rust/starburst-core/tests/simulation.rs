//! The whole protocol in virtual time, seed by seed. A failing seed is printed and replays.
#![allow(clippy::unwrap_used)] // a test's helper fails its test
use starburst_testkit::sim::{self, Weather};

const FAIR: Weather = Weather { refuse: 0, lose_answer: 0, crash_s: 0, pause_s: 0, r_dies: 0 };
const STORM: Weather =
    Weather { refuse: 40, lose_answer: 25, crash_s: 60, pause_s: 40, r_dies: 60 };

fn all_end_well(seeds: std::ops::Range<u64>, tasks: usize, workers: u32, weather: Weather) {
    for seed in seeds {
        let report = sim::run(seed, tasks, workers, weather);
        assert_eq!(report.violations, [], "seed {seed}");
        assert_eq!(report.values + report.lost_workers, tasks, "seed {seed}: {report:?}");
        if weather.crash_s + weather.pause_s + weather.r_dies == 0 {
            assert_eq!(report.values, tasks, "seed {seed}: {report:?}");
        }
    }
}

#[test]
fn in_fair_weather_every_task_returns_its_value() {
    all_end_well(0..20, 300, 8, FAIR);
}

#[test]
fn lost_answers_and_refusals_lose_nothing() {
    all_end_well(0..60, 120, 5, Weather { refuse: 15, lose_answer: 8, ..FAIR });
}

#[test]
fn crashes_and_zombies_lose_nothing_and_steal_no_live_lease() {
    all_end_well(0..120, 80, 6, STORM);
}

#[test]
fn a_seed_replays_itself() {
    assert_eq!(sim::run(7, 60, 4, STORM), sim::run(7, 60, 4, STORM));
}

#[test]
fn two_seeds_differ() {
    assert_ne!(sim::run(7, 60, 4, STORM).fingerprint, sim::run(8, 60, 4, STORM).fingerprint);
}
