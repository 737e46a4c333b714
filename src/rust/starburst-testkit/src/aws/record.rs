//! A record of all requests, for programs that check them against AWS's own models.
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// Requests go to a file, one JSON object a line, or nowhere.
#[derive(Debug, Default)]
pub(super) struct Record(Option<Mutex<File>>);

impl Record {
    /// Appends to the file.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub(super) fn open(path: Option<&Path>) -> io::Result<Self> {
        let open = |path| OpenOptions::new().create(true).append(true).open(path).map(Mutex::new);
        Ok(Self(path.map(open).transpose()?))
    }

    /// One write a line, so that several stand-ins may share a file.
    pub(super) fn add(&self, service: &str, operation: &str, body: &Value) {
        let Some(file) = &self.0 else { return };
        let line = json!({ "service": service, "operation": operation, "body": body });
        let _ = file.lock().write_all(format!("{line}\n").as_bytes());
    }
}
