//! What the stand-in was asked.
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// Requests by the name of their operation; those that failed count too.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<BTreeMap<String, u64>>);

impl Counts {
    pub(super) fn request(&self, operation: &str) {
        *self.0.lock().entry(operation.to_owned()).or_default() += 1;
    }

    pub(super) fn all(&self) -> BTreeMap<String, u64> {
        self.0.lock().clone()
    }

    pub(super) fn reset(&self) {
        self.0.lock().clear();
    }
}
