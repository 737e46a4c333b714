//! The objects of each layout version, stored as files: every later version must read them as they are here, or refuse them
//! by their name.
//!
//! A change that breaks this test needs a new layout version and a reader for the old one; the files stay.
//! `STARBURST_WRITE_FIXTURE=yes` writes the files of objects that have none yet.

#![allow(clippy::unwrap_used, clippy::panic)] // a test's helper fails its test

mod samples;

use bytes::Bytes;
use samples::{at, environments, keys};
use serde::{Serialize, de::DeserializeOwned};
use starburst_core::{
    envelope::{self, Kind, decode, encode, open, seal},
    error::Error,
    heartbeat::OwnerBeat,
    ids::{PartId, SessionId},
    key::{Key, SessionKeys},
    manifest::Manifest,
    results::ResultBatch,
    segment::Segment,
    signal::Signal,
};
use std::{fmt::Debug, fs, path::PathBuf};

fn folder(layout: u16) -> PathBuf {
    PathBuf::from(format!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v{}"), layout))
}

fn stored_in(layout: u16, key: &Key) -> Bytes {
    let path = folder(layout).join(key.as_str().replace('/', "__"));
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).into()
}

fn stored(key: &Key) -> Bytes {
    stored_in(2, key)
}

fn is_read<T: DeserializeOwned + PartialEq + Debug>(kind: Kind, key: &Key, value: &T) {
    assert_eq!(&decode::<T>(kind, key, &stored(key)).unwrap().0, value, "{key}");
}

/// Objects of layout 1 do not say under which key they were written. A session of that time can be listed and deleted by its
/// manifest, and an environment of that time is used.
#[test]
fn of_layout_1_all_is_read_but_the_insides_of_sessions() {
    let inside = [
        Kind::SegmentIndex,
        Kind::Ledger,
        Kind::Results,
        Kind::Heartbeat,
        Kind::Signals,
        Kind::Lead,
    ];
    for (kind, key, _) in samples::all() {
        let key_of = samples::bound_to(kind, &key);
        let old = open(kind, &key_of, &stored_in(1, &key));
        if inside.contains(&kind) {
            match old {
                Err(Error::Version { what, found, .. }) => {
                    assert_eq!((what, found), (format!("`{key}`"), "layout 1".into()));
                }
                other => panic!("{key}: {other:?}"),
            }
        } else {
            old.unwrap();
        }
    }
    let manifest = stored_in(1, &keys().manifest());
    let (manifest, _) = decode::<Manifest>(Kind::Manifest, &keys().manifest(), &manifest).unwrap();
    assert_eq!(manifest, samples::manifest());
}

#[test]
fn layout_2_is_read() {
    if std::env::var_os("STARBURST_WRITE_FIXTURE").is_some() {
        fs::create_dir_all(folder(2)).unwrap();
        for (_, key, object) in samples::all() {
            let path = folder(2).join(key.as_str().replace('/', "__"));
            if !path.exists() {
                fs::write(path, object).unwrap();
            }
        }
    }
    is_read(Kind::Manifest, &keys().manifest(), &samples::manifest());
    is_read(Kind::Manifest, &at::manifest_on_ecs(), &samples::manifest_on_ecs());
    is_read(Kind::Lead, &keys().lead(), &samples::lead());
    let segment = stored(&at::segment());
    assert_eq!(Segment::decode(&at::segment(), &segment).unwrap(), samples::segment());
    let index = Segment::decode_index(&at::segment(), &segment).unwrap();
    assert_eq!(index, samples::segment().index);
    is_read(Kind::Ledger, &at::ledger(), &samples::ledger());
    is_read(Kind::Results, &at::results(), &samples::results());
    is_read(Kind::Heartbeat, &keys().beat(&samples::worker()), &samples::beat());
    is_read(Kind::Heartbeat, &keys().end(&samples::worker()), &samples::end());
    is_read(Kind::Heartbeat, &keys().owner(), &samples::owner());
    is_read(Kind::Signals, &at::signals(), &samples::signals());
    let (keys, platform) = (environments::keys(), environments::platform());
    is_read(Kind::Needs, &keys.needs(), &environments::needs());
    is_read(Kind::Use, &keys.used(), &environments::used());
    is_read(Kind::BuildLease, &keys.lease(&platform), &environments::lease());
    is_read(Kind::BuildFailure, &keys.failure(&platform), &environments::failure());
    is_read(Kind::Library, &keys.library(&platform), &environments::library());
    for (kind, key) in
        [(Kind::SourceArchive, environments::source()), (Kind::LibraryPart, environments::part())]
    {
        assert_eq!(open(kind, &key, &stored(&key)).unwrap().0, environments::ARCHIVE);
    }
    for (key, chunk) in [(at::blob(), samples::blob()), (at::raw_blob(), samples::raw_blob())] {
        let name = samples::bound_to(Kind::Blob, &key);
        let (blob, rest) = open(Kind::Blob, &name, &stored(&key)).unwrap();
        assert_eq!((&blob[..], &rest[..]), (&chunk[..], &b""[..]));
    }
}

#[test]
fn the_names_of_every_layout_are_known() {
    for layout in [1, 2] {
        names_are_known(layout);
    }
}

fn names_are_known(layout: u16) {
    let mut found: Vec<String> = fs::read_dir(folder(layout))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap().replace("__", "/"))
        .collect();
    found.sort();
    assert!(found.iter().all(|name| Key::from_listing(name).is_some()), "{found:?}");
    let mut ours: Vec<String> = samples::all().iter().map(|(_, key, _)| key.to_string()).collect();
    ours.sort();
    assert_eq!(found, ours);
}

#[test]
fn layout_3_is_refused_by_the_objects_name() {
    for (kind, key, _) in samples::all() {
        let mut object = stored(&key).to_vec();
        object[4] = 3;
        let key = samples::bound_to(kind, &key);
        match open(kind, &key, &object.into()) {
            Err(Error::Version { what, found, .. }) => {
                assert_eq!((what, found), (format!("`{key}`"), "layout 3".into()));
            }
            other => panic!("{key}: {other:?}"),
        }
    }
}

/// A MessagePack map with one more field before its others.
fn with_unknown_field(map: &[u8]) -> Vec<u8> {
    let (len, fields) = match map {
        [short, fields @ ..] if short >> 4 == 8 => (u16::from(short & 15), fields),
        [0xde, a, b, fields @ ..] => (u16::from_be_bytes([*a, *b]), fields),
        _ => panic!("not a map"),
    };
    let unknown = rmp(&("of-a-later-version", vec![Some((1, "x")), None]));
    [&[0xde][..], &(len + 1).to_be_bytes(), &unknown[1..], fields].concat()
}

/// The body that stores this value.
fn rmp<T: Serialize>(value: &T) -> Vec<u8> {
    let object = encode(Kind::Blob, &at::blob(), value).unwrap();
    open(Kind::Blob, &at::blob(), &object).unwrap().0.to_vec()
}

fn unknown_is_passed_over<T: DeserializeOwned + Serialize + PartialEq + Debug>(value: &T) {
    let object = seal(Kind::Blob, &at::blob(), &with_unknown_field(&rmp(value)));
    assert_eq!(&decode::<T>(Kind::Blob, &at::blob(), &object).unwrap().0, value);
}

#[test]
fn a_field_of_a_later_version_is_passed_over() {
    unknown_is_passed_over::<Manifest>(&samples::manifest());
    unknown_is_passed_over(&samples::lead());
    unknown_is_passed_over(&samples::segment().index);
    unknown_is_passed_over(&samples::segment().frames);
    unknown_is_passed_over(&samples::segment().index.tasks[1]);
    unknown_is_passed_over(&samples::ledger());
    unknown_is_passed_over::<ResultBatch>(&samples::results());
    unknown_is_passed_over(&samples::beat());
    unknown_is_passed_over(&samples::end());
    unknown_is_passed_over::<OwnerBeat>(&samples::owner());
    unknown_is_passed_over::<Signal>(&samples::signals()[0]);
    unknown_is_passed_over(&environments::needs());
    unknown_is_passed_over(&environments::needs().packages[1]);
    unknown_is_passed_over(&environments::used());
    unknown_is_passed_over(&environments::lease());
    unknown_is_passed_over(&environments::failure());
    unknown_is_passed_over(&environments::library());
}

#[test]
fn the_newest_layout_has_a_fixture() {
    assert_eq!(envelope::LAYOUT_VERSION, 2, "write the files of the new layout, keep the others");
}

/// Every object is refused under the key of every other: copied, swapped or moved, within a session or between two.
#[test]
fn every_object_is_bound_to_its_key() {
    let other = SessionKeys::new(SessionId::parse("another").unwrap());
    let samples = samples::all();
    let mut keys: Vec<Key> =
        samples.iter().map(|(kind, key, _)| samples::bound_to(*kind, key)).collect();
    keys.extend([other.manifest(), other.segment(3), other.ledger(PartId::new(3, 1))]);
    for (kind, key, object) in &samples {
        let key = samples::bound_to(*kind, key);
        for elsewhere in keys.iter().filter(|other| **other != key) {
            assert!(open(*kind, &key, object).is_ok());
            match open(*kind, elsewhere, object) {
                Err(Error::Damaged { key, detail }) => {
                    assert_eq!(key, elsewhere.to_string());
                    assert!(detail.contains("under another name"), "{detail}");
                }
                found => panic!("{key} under {elsewhere}: {found:?}"),
            }
        }
    }
}
