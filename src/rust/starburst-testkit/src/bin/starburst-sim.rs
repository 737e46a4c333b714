//! Runs seeds of the simulation: `starburst-sim 0..100000`. Prints the history of a seed that breaks a rule.
#![allow(clippy::print_stdout)] // printing is what it is for
use starburst_testkit::sim;
use std::{
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

fn seeds(text: &str) -> Option<std::ops::Range<u64>> {
    match text.split_once("..") {
        Some((from, to)) => Some(from.parse().ok()?..to.parse().ok()?),
        None => text.parse().ok().map(|seed: u64| seed..seed + 1),
    }
}

fn main() -> ExitCode {
    let Some(range) = std::env::args().nth(1).as_deref().and_then(seeds) else {
        eprintln!("usage: starburst-sim <seed> | <first>..<end>");
        return ExitCode::from(2);
    };
    let alone = range.end - range.start == 1;
    let (next, failed) = (AtomicU64::new(range.start), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= range.end {
                        return;
                    }
                    let tell = |seed| sim::run_in(seed, sim::Weather::of(seed), None);
                    let report = if alone { tell(seed) } else { sim::run(seed) };
                    if alone || !report.violations.is_empty() {
                        let text = format!("seed {seed}, {:?}", sim::Weather::of(seed));
                        println!("{}\n{text}", report.story.join("\n"));
                        println!("{} values, {} others", report.values, report.others);
                        println!("violations: {:#?}", report.violations);
                    }
                    if !report.violations.is_empty()
                        && let Ok(mut failed) = failed.lock()
                    {
                        failed.push(seed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_default();
    println!("{} seeds, {} failed: {failed:?}", range.end - range.start, failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
