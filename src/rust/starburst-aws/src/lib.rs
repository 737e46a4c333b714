//! The seams on AWS: a bucket as the store, and the calls of the control plane.

pub mod account;
mod bucket;
pub mod call;
pub mod cluster;
mod dates;
mod definitions;
pub mod ecr;
pub mod ecs;
mod identity;
pub mod install;
pub mod logs;
pub mod prices;
pub mod pricing;
pub mod quotas;
mod refusal;
mod roles;
pub mod s3;
mod server_time;
pub mod stack;

pub use server_time::ServerTime;
