//! One object of each kind, with every field spelled out: what the files of `fixtures/v1` hold.
#![allow(dead_code)] // each test binary uses its part

pub(crate) mod environments;

use bytes::Bytes;
use starburst_core::{
    blob::{BlobHash, Payload},
    clock::UnixMillis,
    compute::{Budget, Compute, EcsFleet},
    cost::{Ceiling, Price},
    envelope::{Kind, Unsealed, encode},
    heartbeat::{Heartbeat, OwnerBeat, ProcessId, WorkerState},
    ids::{ClientId, Nonce, ObjectId, PartId, SessionId, WorkerId},
    key::{Key, SessionKeys, blob_name},
    launch::LogSpan,
    lead::Lead,
    ledger::{Broken, Ended, Ending, History, Ledger, TaskState},
    manifest::{ClientR, Lifetime, Manifest, SessionState},
    pace::Pace,
    results::{ResultBatch, ResultRef},
    segment::{Segment, SegmentFrames, SegmentIndex, TaskHeader, TaskKind},
    signal::Signal,
    store::Requests,
};
use std::time::Duration;

pub(crate) fn keys() -> SessionKeys {
    SessionKeys::new(SessionId::parse("s-1").unwrap())
}

pub(crate) fn worker() -> WorkerId {
    WorkerId::parse("w-1").unwrap()
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) fn manifest() -> Manifest {
    let pace = Pace {
        heartbeat: millis(30_000),
        lease: millis(90_001),
        flush: millis(4),
        poll_min: millis(2),
        poll_max: millis(50),
        recheck: millis(250),
        cancel_check: millis(251),
        commit: millis(40),
        patrol: millis(500),
        claim: millis(100),
        signals: millis(41),
        orders: millis(2_000),
        owner: millis(2_001),
        owner_lease: millis(90_002),
        ask_each: 8,
        probes: 64,
    };
    Manifest {
        write: Nonce(0x0123_4567_89ab_cdef),
        protocol: 1,
        session: SessionId::parse("s-1").unwrap(),
        creator: ClientId::parse("c-1").unwrap(),
        created_at: UnixMillis(1_700_000_000_000),
        lifetime: Lifetime::Detached,
        state: SessionState::Open,
        workers: 50,
        cpu: 0.25,
        memory_mib: 2_048,
        launch_type: "FARGATE".into(),
        compute: Compute::Local,
        budget: None,
        environment: None,
        deleting: false,
        closed_because: None,
        task_timeout: Some(Duration::new(3_600, 5)),
        idle_timeout: millis(300_000),
        deadline: UnixMillis(1_700_086_400_000),
        reopened: 3,
        max_attempts: 3,
        backup_tasks: false,
        pace,
        client: ClientR { r: (4, 2), future: "1.31.0".into() },
        travel: starburst_core::travel::Travel::default(),
    }
}

/// That of a session on AWS with ceilings on its cost.
pub(crate) fn manifest_on_ecs() -> Manifest {
    let fleet = EcsFleet {
        region: "eu-central-1".into(),
        cluster: "starburst".into(),
        task_definition: "arn:aws:ecs:eu-central-1:123456789012:task-definition/starburst-1:7"
            .into(),
        subnets: vec!["subnet-1".into(), "subnet-2".into()],
        security_groups: vec!["sg-1".into()],
        provider: "FARGATE_SPOT".into(),
        fallback: Some("FARGATE".into()),
        vcpu_each: 0.25,
        quota_name: "Fargate Spot".into(),
        vcpu_quota: Some(6.0),
        store: "s3://bucket/folder".into(),
        log_group: "starburst-logs".into(),
        user: "jürgen".into(),
    };
    let price = Price {
        usd_per_hour: 0.01234,
        minimum: millis(60_000),
        as_of: "2026-11".into(),
        what: "Fargate Spot, estimated".into(),
    };
    let ceiling = Ceiling { max_hourly_usd: Some(0.5), max_total_usd: Some(2.0), alert_usd: None };
    Manifest {
        session: SessionId::parse("s-2").unwrap(),
        state: SessionState::Closed,
        compute: Compute::Ecs(Box::new(fleet)),
        budget: Some(Budget { price, ceiling }),
        deleting: false,
        closed_because: Some("max_total_cost = 2: 2.00 USD are spent".into()),
        ..manifest()
    }
}

pub(crate) fn lead() -> Lead {
    Lead { write: Nonce(5), holder: Some(ClientId::parse("c-1").unwrap()), spent: None }
}

/// Two chunks, and bytes that are there.
fn payloads() -> [Payload; 2] {
    let chunks = vec![BlobHash::of(b"one"), BlobHash::of(b"two")];
    [Payload::Inline(Bytes::from_static(b"X\n\0\xff")), Payload::Blobs { len: 9_000_000, chunks }]
}

pub(crate) fn segment() -> Segment {
    let header = |kind, label: Option<&str>, timeout| TaskHeader {
        kind,
        label: label.map(str::to_owned),
        timeout,
    };
    let [inline, blobs] = payloads();
    let index = SegmentIndex {
        write: Nonce(1),
        client: ClientId::parse("c-1").unwrap(),
        first: 12,
        submitted_at: UnixMillis(1_700_000_001_000),
        parts: vec![2, 1],
        tasks: vec![
            header(TaskKind::Future, None, None),
            header(TaskKind::Call, Some("größte"), Some(millis(1_500))),
            header(TaskKind::Element, None, Some(millis(0))),
        ],
    };
    let common = Some(Payload::Inline(Bytes::from_static(b"function")));
    let frames =
        SegmentFrames { common, payloads: vec![inline, blobs, Payload::Inline(Bytes::new())] };
    Segment { index, frames }
}

/// A task in every state, and ended in every way.
pub(crate) fn ledger() -> Ledger {
    let history = |attempt, strikes, loss: Option<&str>| History {
        attempt,
        strikes,
        last_loss: loss.map(str::to_owned),
    };
    let here = || ResultRef::Here(Bytes::from_static(b"X\n\0\xfe"));
    let batch = || ResultRef::Batch { object: ObjectId::parse("r-1").unwrap(), place: 1 };
    let ended = |ending, worker: Option<WorkerId>, log| {
        let (at, ran_ms, signals) = (UnixMillis(1_700_000_002_000), 77, 2);
        TaskState::Ended(Box::new(Ended {
            ending,
            worker,
            attempt: 4,
            at,
            ran_ms,
            signals,
            log,
            failure: None,
        }))
    };
    let broken = |broken| Ending::Broken { broken, message: "lost 3 of 3 attempts: `kill`".into() };
    let log = Some(LogSpan { from: 10, to: 1 << 40 });
    let tasks = vec![
        TaskState::Pending(history(0, 0, None)),
        TaskState::Pending(history(2, 1, Some("killed by signal 9"))),
        TaskState::Claimed { worker: worker(), history: history(1, 0, None), backup: None },
        ended(Ending::Value(here()), Some(worker()), log),
        ended(Ending::Value(batch()), Some(worker()), None),
        ended(Ending::Error(here()), Some(worker()), None),
        ended(Ending::Error(batch()), Some(worker()), None),
        ended(broken(Broken::WorkerLost), None, None),
        ended(broken(Broken::Timeout), Some(worker()), None),
        ended(broken(Broken::Unreadable), Some(worker()), None),
        TaskState::Cancelled(history(1, 0, None)),
    ];
    Ledger { write: Nonce(u64::MAX), segment: Nonce(77), revision: 12, tasks }
}

pub(crate) fn results() -> ResultBatch {
    ResultBatch { payloads: payloads().into() }
}

fn heartbeat(beat: u64, state: WorkerState) -> Heartbeat {
    Heartbeat {
        beat,
        worker: worker(),
        state,
        process: ProcessId { host: "host-1".into(), pid: 4_242, started: 987_654_321 },
        started_at: UnixMillis(1_700_000_000_500),
        at: UnixMillis(0),
        finished: 7,
        busy_ms: 123_456,
        disturbed: 2,
        requests: Requests::default(),
        trouble: None,
        no_environment: false,
    }
}

pub(crate) fn beat() -> Heartbeat {
    heartbeat(41, WorkerState::Busy)
}

pub(crate) fn end() -> Heartbeat {
    heartbeat(42, WorkerState::Left { reason: "the session is closed".into(), fault: false })
}

pub(crate) fn owner() -> OwnerBeat {
    OwnerBeat { beat: 99 }
}

pub(crate) fn signals() -> Vec<Signal> {
    vec![Signal { place: 1, attempt: 2, condition: Bytes::from_static(b"X\n\0\xfd") }]
}

/// Long and regular enough to be stored compressed.
pub(crate) fn blob() -> Vec<u8> {
    (0..3_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect()
}

/// Irregular, and so stored as it is.
pub(crate) fn raw_blob() -> Vec<u8> {
    let mut bytes = vec![0; 2_000];
    blake3::Hasher::new().update(b"irregular").finalize_xof().fill(&mut bytes);
    bytes
}

/// A chunk as uploads store it.
fn chunk(body: &[u8]) -> Bytes {
    let mut chunk = Unsealed::new(Kind::Blob, body);
    let name = chunk.name();
    chunk.seal(&blob_name(&name))
}

/// The key that an object is bound to: a chunk's is its own name, whatever its session.
pub(crate) fn bound_to(kind: Kind, key: &Key) -> Key {
    if kind == Kind::Blob {
        return Key::from_listing(&format!("blobs/{}", key.last())).unwrap();
    }
    key.clone()
}

/// Where the samples are.
pub(crate) mod at {
    use super::*;

    pub(crate) fn manifest_on_ecs() -> Key {
        SessionKeys::new(super::manifest_on_ecs().session).manifest()
    }
    pub(crate) fn segment() -> Key {
        keys().segment(3)
    }
    pub(crate) fn ledger() -> Key {
        keys().ledger(PartId::new(3, 1))
    }
    pub(crate) fn results() -> Key {
        keys().result(PartId::new(3, 1), &ObjectId::parse("r-1").unwrap())
    }
    pub(crate) fn signals() -> Key {
        keys().signal(PartId::new(3, 1), &worker(), 5)
    }
    pub(crate) fn blob() -> Key {
        keys().blob(&BlobHash::of(&super::blob()))
    }
    pub(crate) fn raw_blob() -> Key {
        keys().blob(&BlobHash::of(&super::raw_blob()))
    }
}

/// All of them, as today's code stores them: the kind of the first frame, the name, the object.
pub(crate) fn all() -> Vec<(Kind, Key, Bytes)> {
    fn encoded<T: serde::Serialize>(kind: Kind, key: Key, value: &T) -> (Kind, Key, Bytes) {
        let object = encode(kind, &key, value).unwrap();
        (kind, key, object)
    }
    let mut all = vec![
        encoded(Kind::Manifest, keys().manifest(), &manifest()),
        encoded(Kind::Manifest, at::manifest_on_ecs(), &manifest_on_ecs()),
        encoded(Kind::Lead, keys().lead(), &lead()),
        (Kind::SegmentIndex, at::segment(), segment().encode(&at::segment()).unwrap()),
        (Kind::Ledger, at::ledger(), ledger().sealed(&at::ledger()).unwrap()),
        encoded(Kind::Results, at::results(), &results()),
        encoded(Kind::Heartbeat, keys().beat(&worker()), &beat()),
        encoded(Kind::Heartbeat, keys().end(&worker()), &end()),
        encoded(Kind::Heartbeat, keys().owner(), &owner()),
        encoded(Kind::Signals, at::signals(), &signals()),
        (Kind::Blob, at::blob(), chunk(&blob())),
        (Kind::Blob, at::raw_blob(), chunk(&raw_blob())),
    ];
    all.extend(environments::all());
    all
}
