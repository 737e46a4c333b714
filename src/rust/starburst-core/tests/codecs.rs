//! Every stored record is read back as it was written. (Segments, ledgers and envelopes: beside their code.)

#![allow(clippy::unwrap_used)] // a test's helper fails its test

use proptest::prelude::*;
use serde::{Serialize, de::DeserializeOwned};
use starburst_core::{
    blob::{BlobHash, Payload},
    clock::UnixMillis,
    envelope::{Kind, decode, encode},
    heartbeat::{Heartbeat, OwnerBeat, ProcessId, WorkerState},
    ids::{ClientId, Nonce, SessionId, WorkerId},
    key::SessionKeys,
    manifest::{ClientR, Lifetime, Manifest, SessionState},
    pace::Pace,
    results::ResultBatch,
    signal::Signal,
    store::Requests,
    travel::Travel,
};
use std::{fmt::Debug, time::Duration};

fn is_read_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(kind: Kind, value: &T) {
    let key = SessionKeys::new(SessionId::parse("s").unwrap()).manifest();
    let object = encode(kind, &key, value).unwrap();
    assert_eq!(&decode::<T>(kind, &key, &object).unwrap().0, value);
}

fn worker_state() -> impl Strategy<Value = WorkerState> {
    prop_oneof![
        Just(WorkerState::Starting),
        Just(WorkerState::Idle),
        Just(WorkerState::Busy),
        (".{0,20}", any::<bool>()).prop_map(|(reason, fault)| WorkerState::Left { reason, fault }),
        ".{0,20}".prop_map(|message| WorkerState::Refused { message }),
    ]
}

proptest! {
    #[test]
    fn a_heartbeat(beat in any::<u64>(), state in worker_state(), host in ".{0,20}", pid in any::<u32>(), n in any::<u64>()) {
        let worker = WorkerId::parse("w").unwrap();
        let process = ProcessId { host, pid, started: n };
        is_read_back(Kind::Heartbeat, &Heartbeat { beat, worker, state, process, started_at: UnixMillis(n), at: UnixMillis(n), finished: n, busy_ms: n, disturbed: beat, trouble: None, no_environment: n % 2 == 0, requests: Requests { writes: n, reads: beat } });
        is_read_back(Kind::Heartbeat, &OwnerBeat { beat });
    }

    #[test]
    fn a_manifest(n in any::<u64>(), workers in any::<u32>(), cpu in 0.25f64..16.0, local in any::<bool>(), limit in proptest::option::of(0u64..1 << 40), future in ".{0,12}") {
        is_read_back(Kind::Manifest, &Manifest {
            write: Nonce(n),
            protocol: workers,
            session: SessionId::parse("s").unwrap(),
            creator: ClientId::parse("c").unwrap(),
            created_at: UnixMillis(n),
            lifetime: if local { Lifetime::Owned } else { Lifetime::Detached },
            state: if local { SessionState::Open } else { SessionState::Closed },
            workers,
            cpu,
            memory_mib: n,
            launch_type: "LOCAL".into(),
            compute: starburst_core::compute::Compute::Local,
            budget: None,
            environment: None,
            deleting: false,
        closed_because: None,
            task_timeout: limit.map(Duration::from_millis),
            idle_timeout: Duration::from_millis(n >> 8),
            deadline: UnixMillis(n),
            reopened: n,
            max_attempts: workers,
            backup_tasks: workers % 2 == 1,
            pace: if local { Pace::local() } else { Pace::remote() },
            client: ClientR { r: (workers, 2), future: future.clone() },
            travel: Travel { state: future.clone().into(), variables: vec![(future.clone(), future)] },
        });
    }

    #[test]
    fn a_batch_of_results(bytes in proptest::collection::vec(any::<u8>(), 0..99), len in any::<u64>()) {
        let blobs = Payload::Blobs { len, chunks: vec![BlobHash::of(&bytes)] };
        is_read_back(Kind::Results, &ResultBatch { payloads: vec![Payload::Inline(bytes.into()), blobs] });
    }

    #[test]
    fn signals(bytes in proptest::collection::vec(any::<u8>(), 0..99), place in any::<u32>()) {
        is_read_back(Kind::Signals, &vec![Signal { place, attempt: place, condition: bytes.into() }]);
    }
}
