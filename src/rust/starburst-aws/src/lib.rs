//! The seams on AWS: a bucket as the store.

pub mod s3;
