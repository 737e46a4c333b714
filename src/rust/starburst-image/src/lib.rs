//! Images of workers, made without a container engine: a layer is put onto a base image and pushed to a registry.
//!
//! Base and result are spoken to by the protocol of registries (OCI distribution). What the base has goes from
//! registry to registry and is never unpacked; nothing of it is run.
mod auth;
mod build;
mod documents;
mod error;
mod http;
mod layer;
mod reference;
mod registry;
mod upload;

pub use auth::{Login, Logins};
pub use build::{Base, Built, Plan, Progress, Pushed, Tell, build, look};
pub use documents::{Architecture, sha256_of_file};
pub use layer::Parts;
pub use reference::{ImageRef, NoImageRef};

#[cfg(test)]
mod tests;
