//! Everything starburst decides, and nothing it touches: no network, file system, clock or R.
//!
//! A session is a queue of tasks in a [`store::Store`], drained by workers that a
//! [`launch::Launcher`] starts. `ARCHITECTURE.md` follows one task through the modules.

pub mod backup;
pub mod blob;
pub mod client;
pub mod clock;
pub mod compute;
pub mod cost;
mod counts;
pub mod cutter;
pub mod downloads;
pub mod envelope;
pub mod environment;
pub mod error;
pub mod heartbeat;
pub mod held;
pub mod ids;
pub mod key;
pub mod launch;
pub mod lead;
pub mod lease;
pub mod ledger;
pub mod manifest;
pub mod mutation;
pub mod pace;
pub mod patrol;
pub mod pieces;
pub mod results;
pub mod retry;
pub mod segment;
pub mod signal;
pub mod spare;
pub mod store;
pub mod tail;
pub mod travel;
pub mod update;
pub mod uploads;
pub mod waves;
pub mod worker;
