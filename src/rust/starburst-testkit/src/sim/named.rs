//! Whatever is named is there: the chunks of a segment or of a batch of results, and the batch that a ledger names.
use super::history::{Event, Log};
use bytes::Bytes;
use starburst_core::{
    blob::Payload,
    envelope::{self, Kind},
    ids::{PartId, SessionId},
    key::{Key, OfPart, SessionKeys},
    ledger::{Ending, Ledger, TaskState},
    results::{ResultBatch, ResultRef},
    segment::Segment,
};
use std::collections::HashSet;

/// Looks at each write whether all that it names was written before. Ends where the session is deleted: then objects go in
/// any order.
pub(super) fn before_it_is_named(log: &Log) -> Vec<String> {
    let (mut there, mut over) = (HashSet::new(), false);
    let mut violations = Vec::new();
    log.each(|event| match event {
        Event::Note { .. } | Event::Damage { .. } => {}
        Event::Delete { key, .. } => {
            over |= key.of_part().is_none_or(|(_, of)| of == OfPart::Ledger)
        }
        Event::Write { at, key, body, ledger } => {
            there.insert(key.clone());
            let names = if over { Vec::new() } else { names(key, body, ledger.as_deref()) };
            for name in names.iter().filter(|name| !there.contains(*name)) {
                violations.push(format!(
                    "{:.3} s {key} names {name}, which was not there",
                    at.as_secs_f64()
                ));
            }
        }
    });
    violations
}

/// What an object names.
fn names(key: &Key, body: &Bytes, ledger: Option<&Ledger>) -> Vec<Key> {
    let mut parts = key.as_str().split('/').skip(1);
    let Some(session) = parts.next().and_then(|name| SessionId::parse(name).ok()) else {
        return Vec::new();
    };
    let keys = SessionKeys::new(session);
    let chunks = |payloads: &[Payload]| -> Vec<Key> {
        payloads.iter().flat_map(Payload::chunks).map(|hash| keys.blob(hash)).collect()
    };
    if let (Some(ledger), Some((part, OfPart::Ledger))) = (ledger, key.of_part()) {
        return batches(ledger, part, &keys);
    }
    match parts.next() {
        Some("segments") => {
            Segment::decode(key, body).map(|s| chunks(&s.frames.payloads)).unwrap_or_default()
        }
        Some("results") => envelope::decode::<ResultBatch>(Kind::Results, key, body)
            .map(|(batch, _)| chunks(&batch.payloads))
            .unwrap_or_default(),
        Some(_) | None => Vec::new(),
    }
}

/// The batches of results that a ledger names.
fn batches(ledger: &Ledger, part: PartId, keys: &SessionKeys) -> Vec<Key> {
    let batch = |task: &TaskState| match task {
        TaskState::Ended(ended) => match &ended.ending {
            Ending::Value(ResultRef::Batch { object, .. })
            | Ending::Error(ResultRef::Batch { object, .. }) => Some(keys.result(part, object)),
            Ending::Value(ResultRef::Here(_))
            | Ending::Error(ResultRef::Here(_))
            | Ending::Broken { .. } => None,
        },
        TaskState::Pending(_) | TaskState::Claimed { .. } | TaskState::Cancelled(_) => None,
    };
    ledger.tasks.iter().filter_map(batch).collect()
}
