//! Writes the table of what loads cost on S3, in virtual time: `starburst-scale > bench/scale.md` in some minutes,
//! `starburst-scale quick` the small loads of it in seconds. `starburst-scale <workers> <tasks> <milliseconds> [tail]`
//! shows one load.
#![allow(clippy::print_stdout, clippy::print_stderr)] // printing is what it is for
use starburst_testkit::sim::load::{Cost, Length, Load, carry};
use std::time::{Duration, Instant};

const HEAD: &str = "\
# What large loads cost on S3

The real client and worker loops in virtual time, on a store with a round trip of 50 to 150 ms that takes
3,500 writes and 5,500 reads a second and says \"slow down\" above (AWS, November 2026). All workers start at once.
Made by `cargo run --release -p starburst-testkit --bin starburst-scale > bench/scale.md`; the same numbers every time.

| tasks | each | workers | took | over ideal | over a perfect queue | in the store after | first task after | idle | requests a task | slowed down | USD for requests |
|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [workers, tasks, ms, rest @ ..] = &args[..] {
        let number = |text: &String| text.parse().unwrap_or(0);
        let length = if rest.is_empty() { each(number(ms)) } else { tail(number(ms)) };
        print(number(workers) as u32, number(tasks) as u32, length);
        return;
    }
    println!("{HEAD}");
    print(50, 50, each(60_000));
    print(50, 1_000, tail(60_000));
    for length in [each(0), each(1_000), each(60_000), tail(1_000)] {
        print(50, 10_000, length);
    }
    if args.is_empty() {
        for length in [each(0), each(1_000), each(60_000), tail(1_000)] {
            print(1_000, 100_000, length);
        }
        for length in [each(0), each(1_000), each(60_000), tail(1_000)] {
            print(1_000, 1_000_000, length);
        }
    }
    let idle = Duration::from_secs(3_600);
    let load = Load {
        workers: 10,
        tasks: 0,
        apart: Duration::ZERO,
        length: each(0),
        idle,
        round_trip_ms: 100,
    };
    let cost = carry(load);
    println!(
        "\nA worker with nothing to do makes {} requests an hour, which cost {:.4} USD.",
        cost.requests.all() / 10,
        cost.requests.usd() / 10.0
    );
}

fn each(ms: u64) -> Length {
    Length::Each(Duration::from_millis(ms))
}

fn tail(ms: u64) -> Length {
    Length::HeavyTail(Duration::from_millis(ms))
}

#[allow(clippy::disallowed_methods)] // how long this takes is told to whoever waits for it
fn print(workers: u32, tasks: u32, length: Length) {
    let began = Instant::now();
    let load = Load {
        workers,
        tasks,
        apart: Duration::ZERO,
        length,
        idle: Duration::ZERO,
        round_trip_ms: 100,
    };
    let words = match length {
        Length::Each(each) if each.is_zero() => "no work".to_owned(),
        Length::Each(each) => format!("{} s", each.as_secs()),
        Length::HeavyTail(scale) => format!("{} s, heavy-tailed", scale.as_secs()),
    };
    let cost = carry(load);
    println!("{}", row(&words, load, &cost));
    eprintln!("{:?} in {:.1} s", cost.requests, began.elapsed().as_secs_f64());
}

fn row(words: &str, load: Load, cost: &Cost) -> String {
    let over = |what: Duration| {
        let over = cost.took.as_secs_f64() / what.as_secs_f64();
        if over.is_finite() { format!("{over:.3}") } else { "-".into() }
    };
    let (ideal, perfect) = (over(cost.ideal), over(cost.perfect_queue));
    let requests = cost.requests;
    format!(
        "| {} | {words} | {} | {:.1} s | {ideal} | {perfect} | {:.1} s | {:.2} s | {:.1} % | {:.3} | {:.2} % | {:.2} |",
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
