//! How many requests to S3 work needs, counted by the store.
use starburst_testkit::sim::load::{Length, Load, carry};
use std::time::Duration;

#[test]
fn ten_thousand_small_tasks_on_fifty_workers_need_a_fifth_of_a_request_each() {
    let length = Length::Each(Duration::ZERO);
    let load = Load {
        workers: 50,
        tasks: 10_000,
        apart: Duration::ZERO,
        length,
        idle: Duration::ZERO,
        round_trip_ms: 60,
    };
    let cost = carry(load);
    assert!(cost.requests.all() <= 2_000, "{cost:?}");
}

#[test]
fn fifty_tasks_of_a_minute_on_fifty_workers_need_eight_requests_each() {
    let length = Length::Each(Duration::from_secs(60));
    let load = Load {
        workers: 50,
        tasks: 50,
        apart: Duration::ZERO,
        length,
        idle: Duration::ZERO,
        round_trip_ms: 60,
    };
    let cost = carry(load);
    assert!(cost.requests.all() <= 8 * 50, "{cost:?}");
    assert!(cost.took < Duration::from_secs(68), "{cost:?}");
}

#[test]
fn an_idle_worker_costs_less_than_a_cent_an_hour() {
    let (length, idle) = (Length::Each(Duration::ZERO), Duration::from_secs(3_600));
    let cost = carry(Load {
        workers: 10,
        tasks: 0,
        apart: Duration::ZERO,
        length,
        idle,
        round_trip_ms: 60,
    });
    assert!(cost.requests.usd() / 10.0 < 0.01, "{cost:?}");
    // Two looks a second or so, heartbeats, and looks at the session.
    assert!(cost.requests.all() / 10 < 11_000, "{cost:?}");
}

#[test]
fn a_thousand_idle_workers_cost_a_dollar_an_hour_together() {
    let (length, idle) = (Length::Each(Duration::ZERO), Duration::from_secs(600));
    let cost = carry(Load {
        workers: 1_000,
        tasks: 0,
        apart: Duration::ZERO,
        length,
        idle,
        round_trip_ms: 60,
    });
    assert!(cost.requests.usd() * 6.0 < 1.5, "{cost:?}");
}

#[test]
fn a_crowd_begins_apart() {
    let length = Length::Each(Duration::from_secs(1));
    let load = Load {
        workers: 300,
        tasks: 9_000,
        apart: Duration::ZERO,
        length,
        idle: Duration::ZERO,
        round_trip_ms: 60,
    };
    let cost = carry(load);
    assert!(cost.requests.all() <= 9_000 * 5 / 2, "{cost:?}");
    assert!(cost.requests.slowed == 0, "{cost:?}");
}

#[test]
fn tasks_that_come_one_by_one_are_gathered_while_others_wait() {
    let each = Duration::from_millis(4);
    let load = Load {
        workers: 2,
        tasks: 1_000,
        apart: each,
        length: Length::Each(Duration::from_millis(2)),
        idle: Duration::ZERO,
        round_trip_ms: 20,
    };
    let cost = carry(load);
    assert!(cost.requests.all() <= 400, "{cost:?}");
    assert!(cost.took <= each * 1_000 * 5 / 4, "{cost:?}");
}
