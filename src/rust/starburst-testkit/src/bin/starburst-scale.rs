//! Writes the table of what loads cost on S3, in virtual time: `starburst-scale quick > bench/scale.md` in some seconds.
//! Without `quick` the loads are up to a million tasks on 1,000 workers, which takes long.
#![allow(clippy::print_stdout)] // printing is what it is for
use starburst_testkit::sim::load::{Cost, Length, Load, carry};
use std::time::Duration;

fn main() {
    let quick = std::env::args().nth(1).as_deref() == Some("quick");
    let many = if quick { 10_000 } else { 100_000 };
    let crowd = if quick { 50 } else { 1_000 };
    let each = |ms| Length::Each(Duration::from_millis(ms));
    let tail = |ms| Length::HeavyTail(Duration::from_millis(ms));
    let rows = [
        ("no work", 50, 10_000, each(0)),
        ("1 s", 50, 10_000, each(1_000)),
        ("60 s", 50, 50, each(60_000)),
        ("no work", crowd, many, each(0)),
        ("1 s", crowd, many, each(1_000)),
        ("60 s", crowd, many, each(60_000)),
        ("1 s, heavy-tailed", crowd, many, tail(1_000)),
        ("60 s, heavy-tailed", crowd, many / 10, tail(60_000)),
        ("no work", crowd, many * 10, each(0)),
        ("1 s", crowd, many * 10, each(1_000)),
    ];
    println!("# What large loads cost on S3\n");
    println!(
        "The real client and worker loops in virtual time, on a store with a round trip of 50 to 150 ms that takes"
    );
    println!(
        "3,500 writes and 5,500 reads a second and says \"slow down\" above (AWS, November 2026). All workers start at once."
    );
    println!(
        "Made by `cargo run --release -p starburst-testkit --bin starburst-scale quick > bench/scale.md`; the same numbers every time.\n"
    );
    println!(
        "| tasks | each | workers | took | over ideal | in the store after | first task after | idle | requests a task | slowed down | USD for requests |"
    );
    println!("|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for (words, workers, tasks, length) in rows {
        let load = Load { workers, tasks, length, idle: Duration::ZERO, round_trip_ms: 100 };
        println!("{}", row(words, load, &carry(load)));
    }
    let idle = Duration::from_secs(3_600);
    let load = Load { workers: 10, tasks: 0, length: each(0), idle, round_trip_ms: 100 };
    let cost = carry(load);
    println!(
        "\nA worker with nothing to do makes {} requests an hour, which cost {:.4} USD.",
        cost.requests.all() / 10,
        cost.requests.usd() / 10.0
    );
}

fn row(words: &str, load: Load, cost: &Cost) -> String {
    let over = cost.took.as_secs_f64() / cost.ideal.as_secs_f64();
    let over = if over.is_finite() { format!("{over:.3}") } else { "-".into() };
    let requests = cost.requests;
    format!(
        "| {} | {words} | {} | {:.1} s | {over} | {:.1} s | {:.2} s | {:.1} % | {:.3} | {:.2} % | {:.2} |",
        load.tasks,
        load.workers,
        cost.took.as_secs_f64(),
        cost.submitted.as_secs_f64(),
        cost.to_first_task.as_secs_f64(),
        cost.idle * 100.0,
        requests.all() as f64 / f64::from(load.tasks),
        requests.slowed as f64 / requests.all() as f64 * 100.0,
        requests.usd(),
    )
}
