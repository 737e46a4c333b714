//! The seams on AWS: a bucket as the store; and what workers cost there.

pub mod prices;
pub mod s3;
