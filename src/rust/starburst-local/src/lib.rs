//! The seams on one machine, or on machines that share a file system: a directory as the store,
//! processes as workers, unpacked environments, the system's clock and randomness.

mod dir_files;
mod dir_store;
mod disk_cache;
pub mod library_archive;
mod library_cache;
pub mod private;
mod process;
mod process_launcher;
mod system;

pub use dir_store::{DirStore, Durability};
pub use disk_cache::DiskCache;
pub use library_cache::LibraryCache;
pub use private::PrivateFolder;
pub use process::{LocalFates, this_process};
pub use process_launcher::{ProcessLauncher, WorkerProgram, log_path, read_log};
pub use system::{SystemClock, SystemIds};
