//! Whatever bytes are stored, reading them does not panic and takes memory in proportion to them.
//!
//! Opening an envelope takes at most 64 times what is stored and 64 KiB; making values of a body takes at most
//! 100 times the body and 3 MiB: two bytes can stand for a task header of 48, in a vector that doubles while it grows,
//! and serde believes a vector's length up to 1 MiB, in two vectors within each other. Memory that zstd takes in C is
//! not counted: it is one context, whatever the object says.

#![allow(clippy::unwrap_used, clippy::panic)] // a test's helper fails its test

mod live_bytes;
mod samples;

use bytes::Bytes;
use live_bytes::peak;
use proptest::{collection::vec, prelude::*, sample::Index};
use serde::de::DeserializeOwned;
use starburst_core::{
    blob::{BlobHash, Payload},
    envelope::{Kind, decode, encode, open, seal},
    error::Error,
    heartbeat::OwnerBeat,
    ledger::Ledger,
    results::ResultBatch,
    segment::{SegmentFrames, SegmentIndex},
    signal::Signal,
};
use starburst_testkit::decoders;
use std::io::{Read, Write};

const PER_BYTE: usize = 100;
const BASE: usize = 3 << 20;
const GROWTH: usize = 64;
const SLACK: usize = 64 << 10;
/// What an error, a key and a context take.
const SMALL: usize = 16 << 10;

type Format = (&'static str, fn(&[u8]));

const FORMATS: [Format; 10] = [
    ("envelope", decoders::envelope),
    ("segment", decoders::segment),
    ("ledger", decoders::ledger),
    ("results", decoders::results),
    ("manifest", decoders::manifest),
    ("lead", decoders::lead),
    ("heartbeat", decoders::heartbeat),
    ("signals", decoders::signals),
    ("environment", decoders::environment),
    ("key", decoders::key),
];

/// Reads the bytes as every format, as they are and as a body.
fn is_bounded(data: &[u8]) {
    for (name, read) in FORMATS {
        let took = peak(|| read(data));
        assert!(took <= PER_BYTE * data.len() + BASE, "{name}: {took} for {}", data.len());
    }
}

/// The bodies of all samples, and the samples themselves.
fn valid() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for (kind, key, object) in samples::all() {
        let key = samples::bound_to(kind, &key);
        let (body, rest) = open(kind, &key, &object).unwrap();
        if kind == Kind::SegmentIndex {
            let (frames, _) = open(Kind::SegmentFrames, &key, &rest).unwrap();
            all.push(decoders::two_bodies(&body, &frames));
        } else {
            all.push(body.to_vec());
        }
        all.push(object.to_vec());
    }
    all
}

#[derive(Debug, Clone)]
enum Change {
    Flip(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    Repeat(Index, usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<Index>(), 0u8..8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        any::<Index>().prop_map(Change::Cut),
        (any::<Index>(), vec(any::<u8>(), 1..6)).prop_map(|(at, new)| Change::Insert(at, new)),
        (any::<Index>(), 1usize..40, 1usize..200)
            .prop_map(|(at, len, times)| Change::Repeat(at, len, times)),
    ]
}

fn changed(mut data: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        match change {
            _ if data.is_empty() => {}
            Change::Flip(at, bit) => {
                let at = at.index(data.len());
                data[at] ^= 1 << bit;
            }
            Change::Cut(at) => data.truncate(at.index(data.len())),
            Change::Insert(at, new) => {
                let at = at.index(data.len());
                data.splice(at..at, new.iter().copied());
            }
            Change::Repeat(at, len, times) => {
                let at = at.index(data.len());
                let again = data[at..data.len().min(at + len)].repeat(*times);
                data.splice(at..at, again);
            }
        }
    }
    data
}

proptest! {
    #[test]
    fn noise_is_read_or_refused(data in vec(any::<u8>(), 0..2_000)) {
        is_bounded(&data);
    }

    #[test]
    fn text_is_a_name_or_refused(text in "(sessions|[a-z0-9-]{1,3})/[a-z0-9-]{1,3}/(parts|workers|segments|[a-z]{0,2})/[0-9-]{8,13}(/(ledger|signals|beat|end|.?))?") {
        decoders::key(text.as_bytes());
    }

    #[test]
    fn a_changed_object_is_read_or_refused(which in any::<Index>(), changes in vec(change(), 1..5)) {
        let valid = valid();
        is_bounded(&changed(valid[which.index(valid.len())].clone(), &changes));
    }
}

#[test]
fn valid_objects_are_bounded() {
    valid().iter().for_each(|data| is_bounded(data));
}

/// An object with a right checksum, whatever its header says of its body.
fn framed(codec: u8, body_len: u64, stored: &[u8]) -> Bytes {
    let mut object = b"SBST\x02\0".to_vec();
    object.extend([Kind::Blob as u8, codec]);
    object.extend(body_len.to_le_bytes());
    object.extend((stored.len() as u64).to_le_bytes());
    object.extend(&blake3::hash(samples::at::blob().as_str().as_bytes()).as_bytes()[..16]);
    let sum = blake3::Hasher::new().update(&object).update(stored).finalize();
    object.extend(sum.as_bytes());
    object.extend(stored);
    object.into()
}

/// This many zeros, compressed; the stream does not say how many.
fn zeros(len: u64, window_log: u32) -> Vec<u8> {
    let mut to = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    to.window_log(window_log).unwrap();
    std::io::copy(&mut std::io::repeat(0).take(len), &mut to).unwrap();
    to.flush().unwrap();
    to.finish().unwrap()
}

/// Opens it and says what that took and whether it was refused.
fn opened(object: &Bytes) -> (usize, Option<String>) {
    let mut detail = None;
    let took = peak(|| match open(Kind::Blob, &samples::at::blob(), object) {
        Ok(_) => {}
        Err(Error::Damaged { detail: found, .. }) => detail = Some(found),
        Err(other) => panic!("{other}"),
    });
    (took, detail)
}

#[test]
fn a_false_length_asks_for_nothing() {
    let (took, refused) = opened(&framed(1, 1 << 30, &zeros(100, 19)));
    assert_eq!(refused.as_deref(), Some("impossible length"));
    assert!(took <= SMALL, "{took}");
}

#[test]
fn a_bomb_is_refused_whether_it_says_so_or_not() {
    let bomb = zeros(1 << 30, 19);
    assert!(bomb.len() < 200 << 10, "{}", bomb.len());
    for (says, detail) in [
        (1 << 30, "impossible length"),
        (1_000, "cannot be decompressed"),
        ((GROWTH * bomb.len() + SLACK) as u64, "cannot be decompressed"),
    ] {
        let (took, refused) = opened(&framed(1, says, &bomb));
        assert_eq!(refused.as_deref(), Some(detail), "{says}");
        assert!(took <= says.min((GROWTH * bomb.len() + SLACK) as u64) as usize + SMALL, "{took}");
    }
}

#[test]
fn what_is_opened_takes_its_own_length() {
    for (len, window_log) in [(60 << 10, 27), (0, 10)] {
        let (took, refused) = opened(&framed(1, len, &zeros(len, window_log)));
        assert_eq!(refused, None);
        assert!(took <= len as usize + SMALL, "{took}");
    }
    for body in [vec![0; 30 << 20], samples::blob()] {
        let sealed = seal(Kind::Blob, &samples::at::blob(), &body);
        let (took, refused) = opened(&sealed);
        assert_eq!(refused, None);
        assert!(took <= body.len() + SMALL && took <= GROWTH * sealed.len() + SLACK + SMALL);
    }
}

#[test]
fn false_lengths_in_a_body_ask_for_little() {
    let markers: [&[u8]; 9] = [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\xd9\xff",
        b"\xc4\xff",
        b"\xc7\xff\x01",
        b"\xc1",
    ];
    let places: [&[u8]; 9] = [
        b"",
        b"\x81\xa5tasks",
        b"\x82\xa5write\x00\xa5tasks",
        b"\x81\xa5parts",
        b"\x81\xa8payloads",
        b"\x81\xa8payloads\xdd\xff\xff\xff\xff\x81\xa6Inline",
        b"\x81\xa8payloads\xdd\xff\xff\xff\xff\x81\xa5Blobs\x82\xa3len\x00\xa6chunks",
        b"\xdd\xff\xff\xff\xff\x83\xa9condition",
        b"\x81\xa7unknown\xdd\xff\xff\xff\xff",
    ];
    for place in places {
        for marker in markers {
            let body = [place, marker].concat();
            is_bounded(&body);
            is_bounded(&decoders::two_bodies(&body, &body));
            is_bounded(&decoders::two_bodies(b"", &body));
        }
    }
}

/// Reads a body, which must be a valid one.
fn is_read<T: DeserializeOwned>(body: &[u8]) {
    let took = peak(|| {
        let object = seal(Kind::Blob, &samples::at::blob(), body);
        decode::<T>(Kind::Blob, &samples::at::blob(), &object).map(|_| ()).unwrap();
    });
    assert!(took <= PER_BYTE * body.len() + BASE, "{took} for {}", body.len());
}

/// Many values of few bytes each: what takes most memory for its length.
#[test]
fn the_smallest_values_are_bounded() {
    // Just over a power of two: the vector has doubled a moment before.
    let many = |head: &[u8], value: &[u8]| {
        let n = (1u32 << 18) + 1;
        [head, b"\xdd", &n.to_be_bytes(), &value.repeat(n as usize)].concat()
    };
    let hash = [&b"\xdc\x00\x20"[..], &[0; 32]].concat();
    is_read::<SegmentIndex>(&many(b"\x96\x00\xa1c\x00\x00\x91\x01", b"\x91\x00"));
    is_read::<SegmentFrames>(&many(b"\x92\xc0", b"\x81\x00\x90"));
    is_read::<Ledger>(&many(b"\x94\x00\x00\x00", b"\x81\x00\x92\x00\x00"));
    is_read::<Ledger>(&many(
        b"\x94\x00\x00\x00",
        b"\x81\x02\x97\x81\x00\x81\x00\x90\xc0\x00\x00\x00\x00\xc0",
    ));
    is_read::<ResultBatch>(&many(b"\x91", b"\x81\x00\x90"));
    is_read::<ResultBatch>(&many(b"\x91\x91\x81\x01\x92\x00", &hash));
    is_read::<Vec<Signal>>(&many(b"", b"\x93\x00\x00\x90"));
    is_read::<OwnerBeat>(&many(b"\x82\xa4beat\x01\xa7unknown", b"\x90"));
}

#[test]
fn a_nest_is_passed_over_or_refused() {
    let read = |depth: usize, nest: &[u8]| {
        let body = [b"\x82\xa4beat\x07\xa7unknown", &nest.repeat(depth)[..], b"\xc0"].concat();
        is_bounded(&body);
        let object = seal(Kind::Heartbeat, &samples::keys().owner(), &body);
        decode::<OwnerBeat>(Kind::Heartbeat, &samples::keys().owner(), &object)
            .map(|(beat, _)| beat)
    };
    for nest in [&b"\x91"[..], b"\x81\xa1a"] {
        assert_eq!(read(500, nest).unwrap(), OwnerBeat { beat: 7 });
        assert!(matches!(read(5_000, nest), Err(Error::Damaged { .. })));
        assert!(matches!(read(1_000_000, nest), Err(Error::Damaged { .. })));
    }
}

/// Real data may be as regular as it likes.
#[test]
fn a_batch_of_equal_results_is_read_back() {
    let zeros = Payload::Inline(vec![0; 60_000].into());
    let chunk = Payload::Blobs { len: 1, chunks: vec![BlobHash::of(b"x"); 30] };
    let payloads: Vec<Payload> = [zeros, chunk].iter().cycle().take(400).cloned().collect();
    let object = encode(Kind::Results, &samples::at::results(), &payloads).unwrap();
    assert!(object.len() < 300_000, "{}", object.len());
    let back: Vec<Payload> = decode(Kind::Results, &samples::at::results(), &object).unwrap().0;
    assert!(back == payloads);
}
