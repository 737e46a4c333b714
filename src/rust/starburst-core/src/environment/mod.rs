//! The R packages that workers need: named by a client, installed once by a worker, unpacked once on each host.
//!
//! 1. A client names what is needed ([`needs`]) and puts that, with the sources of local packages, into the store
//!    ([`publish`]). The session's manifest names the environment by the hash of its needs.
//! 2. A worker adds its [`platform`] and looks for a [`library`] of that environment. If there is one, it fetches its
//!    [`parts`] and has them unpacked.
//! 3. Otherwise it asks for the build [`lease`]. One worker gets it and installs; the others wait. The holder writes how
//!    far it is into the lease, and whoever has seen it stand still for a lease takes it over ([`prepare`]).
//! 4. What is installed goes into the store as parts under a new name; the `library` object, which names them, comes
//!    last and is put if absent. An environment exists when its `library` does, so there is no half one.
//! 5. A failure is an object too, and is remembered until somebody forgets it ([`look`]).
pub mod lease;
pub mod library;
pub mod look;
pub mod needs;
pub mod parts;
pub mod platform;
pub mod prepare;
pub mod publish;

pub use library::{Failure, Installed, Library};
pub use needs::{Need, Needs, Repository, Source};
pub use platform::Platform;
