//! A record of all requests, for programs that check them against AWS's own models.
use super::failure::set;
use hyper::HeaderMap;
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

    /// One write a line, so that several stand-ins may share a file. What a task asked is known by its headers.
    pub(super) fn add(&self, service: &str, operation: &str, body: &Value, headers: &HeaderMap) {
        let Some(file) = &self.0 else { return };
        let mut line = json!({ "service": service, "operation": operation, "body": body });
        if is_of_task(headers) {
            set(&mut line, "party", "worker".into());
        }
        let _ = file.lock().write_all(format!("{line}\n").as_bytes());
    }
}

/// Whether the program that asked runs in a container of ECS: AWS's SDKs say so by `AWS_EXECUTION_ENV` of their process.
fn is_of_task(headers: &HeaderMap) -> bool {
    let says = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let agents = ["user-agent", "x-amz-user-agent"].map(says);
    agents.into_iter().flatten().any(|agent| agent.contains("exec-env/AWS_ECS_"))
}
