//! The seams on AWS: a bucket as the store, and the calls of the control plane.

pub mod account;
pub mod call;
pub mod ecr;
pub mod ecs;
mod identity;
pub mod logs;
pub mod prices;
pub mod pricing;
pub mod quotas;
mod refusal;
pub mod s3;
mod server_time;
pub mod stack;

pub use server_time::ServerTime;
