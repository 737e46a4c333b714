//! Each rule of the protocol has a test here that fails when the rule is broken, and each test proves that by breaking
//! its rule with a switch of `mutation.rs`.
#![allow(clippy::unwrap_used, clippy::panic)] // a test's helper fails its test
mod bench;
mod chunks;
mod deletion;
mod faults;
mod leaving;
mod ledger;
mod listings;
mod progress;
