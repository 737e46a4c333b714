//! A bucket as the store.
//!
//! [`connect`] opens one; what it returns tries again what may pass ([`starburst_core::retry`]), and brings the
//! server's time. Below it [`S3Store`] makes one try for each call and says what the answer means.
mod client;
mod large;
mod location;
mod refusal;
mod store;

pub use client::{Connection, connect};
pub use location::{InvalidLocation, S3Location};
pub use store::S3Store;
