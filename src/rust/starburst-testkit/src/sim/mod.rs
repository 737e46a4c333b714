//! The protocol in virtual time: the real client and worker loops over a simulated store that is slow, refuses, loses
//! answers and applies writes late, with processes that crash, stand still, lose the network and come back.
//!
//! 1. A seed decides everything: the weather, who submits what when, what fails ([`weather`]).
//! 2. The storm: several clients submit, cancel and retry ([`member`]); workers work ([`crew`], [`evaluator`]); some of both
//!    die, at times the store is gone, and the session may be deleted ([`trouble`]). What clients show meanwhile is
//!    compared with the states that there were ([`views`]). At times no worker can be started ([`launching`]).
//! 3. The calm: nothing fails any more, a fresh client attaches, and everything must come to an end ([`ending`]).
//! 4. What happened is read from the record of all writes, not from the code's own counters ([`checks`],
//!    [`named`]).
mod checks;
mod crew;
mod damage;
mod ending;
mod evaluator;
mod history;
mod large;
mod launching;
pub mod load;
mod member;
mod meter;
mod named;
mod owner;
mod process;
mod store;
mod trouble;
mod views;
mod weather;
mod workplace;
mod world;

pub use history::{Event, Log};
pub use meter::Requests;
pub use weather::{Hopeless, Weather};

use starburst_core::mutation::{self, Rule};

/// What a run ended with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Rules that were broken, in words.
    pub violations: Vec<String>,
    /// Tasks that ended with their value, as the last client saw it.
    pub values: usize,
    /// Tasks that ended otherwise: cancelled, or their workers were lost.
    pub others: usize,
    /// Requests made.
    pub requests: u64,
    /// The same for two runs that wrote the same things in the same order at the same time; 0 where the story is not told.
    pub fingerprint: u64,
    /// What happened, in lines for people, if it was told.
    pub story: Vec<String>,
}

/// Runs one seed in the weather that it brings. Tells what happened if a rule was broken.
pub fn run(seed: u64) -> Report {
    play(seed, Weather::of(seed), None, false)
}

/// Runs one seed in a given weather, with a rule of the protocol broken if one is named. Always tells what happened.
pub fn run_in(seed: u64, weather: Weather, broken: Option<Rule>) -> Report {
    play(seed, weather, broken, true)
}

fn play(seed: u64, weather: Weather, broken: Option<Rule>, tell: bool) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    mutation::break_rule(broken);
    let report = runtime.block_on(world::run(seed, weather, tell));
    mutation::break_rule(None);
    report
}
