//! Stand-ins for the seams of `starburst-core`, and the contract tests that real and stand-in both pass.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test helper fails its test

#[cfg(feature = "aws")]
pub mod aws;
pub mod decoders;
#[cfg(feature = "aws")]
mod end_of_input;
mod fake_launcher;
mod fault_store;
mod manual_clock;
mod mem_store;
#[cfg(feature = "aws")]
pub mod s3;
mod seeded_ids;
pub mod sim;
pub mod store_contract;
#[cfg(feature = "aws")]
mod token_bucket;

#[cfg(feature = "aws")]
pub use end_of_input::end_of_input;
pub use fake_launcher::FakeLauncher;
pub use fault_store::{Fault, FaultStore, Operation};
pub use manual_clock::ManualClock;
pub use mem_store::MemStore;
pub use seeded_ids::SeededIds;
