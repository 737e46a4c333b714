//! Every reader of stored bytes, given any bytes at all: it refuses them or reads them, and never panics.
//!
//! One function a format. The targets in `fuzz/` and `starburst-core/tests/decoders.rs` call the same ones. Each reads
//! the bytes as they are, and then as the body of a valid envelope, since noise would never get past its checksum.
use bytes::{Bytes, BytesMut};
use serde::de::DeserializeOwned;
use starburst_core::{
    compute::{Budget, Compute},
    cost,
    envelope::{self, Kind},
    environment::{Failure, Library, Needs, lease::BuildLease, library::nearest, look::Use},
    error::Error,
    heartbeat::{Heartbeat, OwnerBeat},
    ids::{EnvironmentId, PartId, SessionId, TaskId},
    key::{EnvironmentKeys, Key, SessionKeys},
    lead::Lead,
    ledger::Ledger,
    manifest::Manifest,
    results::ResultBatch,
    segment::{Segment, SegmentIndex},
    signal::Signal,
    waves,
};

/// Every kind of object.
pub const KINDS: [Kind; 16] = [
    Kind::Manifest,
    Kind::SegmentIndex,
    Kind::SegmentFrames,
    Kind::Ledger,
    Kind::Results,
    Kind::Heartbeat,
    Kind::Signals,
    Kind::Blob,
    Kind::Lead,
    Kind::Needs,
    Kind::BuildLease,
    Kind::BuildFailure,
    Kind::Library,
    Kind::LibraryPart,
    Kind::SourceArchive,
    Kind::Use,
];

fn keys() -> SessionKeys {
    SessionKeys::new(SessionId::parse("s").unwrap())
}

/// A refusal must be one of the two that a reader of stored bytes may give.
fn read_or_refused<T>(read: Result<T, Error>) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(Error::Damaged { .. } | Error::Version { .. }) => None,
        Err(other) => panic!("refused as something else: {other}"),
    }
}

fn decode<T: DeserializeOwned>(kind: Kind, object: &Bytes) -> Option<T> {
    let read = envelope::decode(kind, &keys().manifest(), object);
    read_or_refused(read).map(|(value, _)| value)
}

fn each<T: DeserializeOwned>(kind: Kind, data: &[u8], look: impl Fn(&T)) {
    for object in [Bytes::copy_from_slice(data), envelope::seal(kind, &keys().manifest(), data)] {
        if let Some(value) = decode(kind, &object) {
            look(&value);
        }
    }
}

/// The frame around every object, for every kind; what is sealed here must be opened.
pub fn envelope(data: &[u8]) {
    let (key, object) = (keys().manifest(), Bytes::copy_from_slice(data));
    for kind in KINDS {
        if let Some((body, rest)) = read_or_refused(envelope::open(kind, &key, &object)) {
            let again = envelope::open(kind, &key, &envelope::seal(kind, &key, &body)).unwrap();
            assert_eq!(again, (body, Bytes::new()));
            assert!(rest.len() < data.len());
        }
    }
    let sealed = envelope::seal(Kind::Blob, &key, data);
    assert_eq!(envelope::open(Kind::Blob, &key, &sealed).unwrap().0, data);
}

/// A whole segment and its index alone. To seal the two frames, the first two bytes say where one body ends and the
/// other begins: see [`two_bodies`].
pub fn segment(data: &[u8]) {
    let key = keys().segment(7);
    let mut objects = vec![Bytes::copy_from_slice(data)];
    if let Some((at, bodies)) = data.split_first_chunk::<2>() {
        let at = usize::from(u16::from_le_bytes(*at)).min(bodies.len());
        let (index, frames) = bodies.split_at(at);
        let mut object = BytesMut::from(envelope::seal(Kind::SegmentIndex, &key, index));
        object.extend_from_slice(&envelope::seal(Kind::SegmentFrames, &key, frames));
        objects.push(object.freeze());
    }
    for object in objects {
        let index: Option<SegmentIndex> = read_or_refused(Segment::decode_index(&key, &object));
        let whole = read_or_refused(Segment::decode(&key, &object));
        if let Some(whole) = &whole {
            assert_eq!(index.as_ref(), Some(&whole.index));
        }
        // Who reads an index relies on its parts covering its tasks.
        if let Some(index) = index {
            let ends = index.parts(7).map(|(_, range)| range.end).last().unwrap_or(0);
            assert_eq!(ends, index.tasks.len());
        }
    }
}

/// The bodies of a segment's two frames as [`segment`] takes them apart; the first has less than 65,536 bytes.
pub fn two_bodies(index: &[u8], frames: &[u8]) -> Vec<u8> {
    [&u16::try_from(index.len()).unwrap().to_le_bytes(), index, frames].concat()
}

/// A ledger, and what its readers ask it.
pub fn ledger(data: &[u8]) {
    each(Kind::Ledger, data, |ledger: &Ledger| {
        let counts = ledger.counts();
        assert_eq!(counts.total(), ledger.tasks.len() as u64);
        assert_eq!(ledger.is_final(), counts.open() == 0);
        assert!(ledger.holders().count() as u64 >= counts.claimed);
        ledger.result_bytes();
        ledger.last_ended();
    });
}

/// A batch of results.
pub fn results(data: &[u8]) {
    each(Kind::Results, data, |batch: &ResultBatch| {
        batch.payloads.iter().for_each(|payload| {
            payload.inline_len();
        });
    });
}

/// A session's configuration.
pub fn manifest(data: &[u8]) {
    each(Kind::Manifest, data, |manifest: &Manifest| {
        let live = manifest.is_live(manifest.created_at);
        let longer = manifest.clone().extended(manifest.created_at, manifest.idle_timeout);
        assert!(!live || longer.is_live(manifest.created_at));
        assert!(!longer.closed().is_live(manifest.created_at));
        let most = manifest.budget.as_ref().and_then(|budget| within(budget, manifest.workers));
        if let Compute::Ecs(fleet) = &manifest.compute {
            let limits = waves::Limits {
                vcpu: fleet.vcpu_quota,
                used_by_others: fleet.vcpu_each,
                most_workers: most,
            };
            let there = waves::Fleet { vcpu_each: fleet.vcpu_each, running: 0, starting: 0 };
            let demand = waves::Demand { requested: manifest.workers, open_tasks: u64::MAX };
            if let Ok(wave) = waves::plan_waves(&limits, &there, &demand) {
                assert!(wave.start <= manifest.workers.min(most.unwrap_or(u32::MAX)));
            }
        }
    });
}

/// What whoever leads asks a budget; how many workers it allows.
fn within(budget: &Budget, asked: u32) -> Option<u32> {
    let Budget { price, ceiling } = budget;
    assert!(cost::billed(price.minimum, price) >= 0.0);
    ceiling.words(ceiling.max_total_usd.unwrap_or(0.0), 0.0);
    let most = cost::most_workers(ceiling, price);
    match cost::may_ask(ceiling, price, asked) {
        Ok(()) => assert!(most.is_none_or(|most| most >= asked)),
        Err(refused) => assert!(!refused.to_string().is_empty()),
    }
    most
}

/// Who leads a session.
pub fn lead(data: &[u8]) {
    each(Kind::Lead, data, |_: &Lead| {});
}

/// A worker's heartbeat and an owner's.
pub fn heartbeat(data: &[u8]) {
    each(Kind::Heartbeat, data, |_: &Heartbeat| {});
    each(Kind::Heartbeat, data, |_: &OwnerBeat| {});
}

/// A batch of near-live conditions.
pub fn signals(data: &[u8]) {
    each(Kind::Signals, data, |_: &Vec<Signal>| {});
}

/// What is stored of an environment. Needs become names of files and parts of addresses, so their reader checks them.
pub fn environment(data: &[u8]) {
    let key = EnvironmentKeys::new(EnvironmentId::from_hash(&[7; 32])).needs();
    for object in [Bytes::copy_from_slice(data), envelope::seal(Kind::Needs, &key, data)] {
        match Needs::open(&key, &object) {
            Ok(needs) => {
                needs.id();
                assert!(
                    needs.packages.iter().all(|need| !need.package.contains(['/', '\t', '\n']))
                );
            }
            Err(Error::Damaged { .. } | Error::Version { .. } | Error::Environment { .. }) => {}
            Err(other) => panic!("refused as something else: {other}"),
        }
    }
    each(Kind::Library, data, |library: &Library| {
        nearest(&Needs::default(), std::slice::from_ref(library));
    });
    each(Kind::BuildLease, data, |_: &BuildLease| {});
    each(Kind::BuildFailure, data, |_: &Failure| {});
    each(Kind::Use, data, |_: &Use| {});
}

/// A name in a listing, and ids as text.
pub fn key(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = (TaskId::parse(&text), SessionId::parse(&text));
    let Some(key) = Key::from_listing(&text) else { return };
    assert_eq!(key.as_str(), text);
    assert!(text.ends_with(key.last()) && !text.split('/').any(|part| part == ".."));
    if let Some(number) = key.number() {
        assert!(number < 10_000_000_000);
        PartId::new(number, 0);
    }
    if let Some((part, _)) = key.of_part() {
        let ledger = keys().ledger(part);
        assert_eq!(ledger.of_part().map(|(read, _)| read), Some(part));
    }
    if let Some((worker, _)) = key.of_worker() {
        assert_eq!(keys().beat(&worker).of_worker().map(|(read, _)| read), Some(worker));
    }
}
