//! Values of R as streams: into packers, out of fetched chunks. See `src/serialize.c`.
use crate::{
    error::{RError, Result},
    runtime,
};
use bytes::{Buf, Bytes};
use extendr_api::prelude::*;
use starburst_core::{
    blob::{BlobHash, ChunkSink, Packer, Payload},
    downloads::{Material, Pieces},
    envelope::{self, Kind},
    error::Error,
    key,
    uploads::Uploads,
};
use std::{
    ffi::{CStr, c_char, c_void},
    sync::Arc,
};

const MESSAGE: usize = 1024;
/// What the shim answers when Ctrl-C came in between.
const INTERRUPTED: i32 = 2;

unsafe extern "C" {
    fn starburst_serialize(
        list: *mut c_void,
        sink: *mut c_void,
        write: extern "C" fn(*mut c_void, *const u8, usize) -> i32,
        next: extern "C" fn(*mut c_void, usize) -> i32,
        message: *mut c_char,
    ) -> i32;
    fn starburst_unserialize(
        list: *mut c_void,
        source: *mut c_void,
        read: extern "C" fn(*mut c_void, *mut u8, usize) -> usize,
        next: extern "C" fn(*mut c_void, usize) -> i32,
        message: *mut c_char,
    ) -> i32;
}

/// Serialized values, packed and sent as they come.
struct Sink<'a> {
    packer: Packer,
    done: Vec<Payload>,
    chunks: &'a mut dyn ChunkSink,
    error: Option<Error>,
}

/// Sends chunks into a session; waits for room when too many are on their way.
#[derive(Debug)]
struct Sending<'a> {
    uploads: &'a Arc<Uploads>,
    /// Why the wait was left: Ctrl-C.
    left: Option<RError>,
}

impl ChunkSink for Sending<'_> {
    fn has(&self, hash: &BlobHash) -> bool {
        self.uploads.has(hash)
    }
    fn take(&mut self, hash: BlobHash, sealed: Bytes) -> std::result::Result<(), Error> {
        while !self.uploads.try_take(hash, &sealed) {
            match runtime::wait(self.uploads.room()) {
                Ok(room) => room?,
                Err(left) => {
                    self.left = Some(left);
                    return Err(Error::Internal { detail: "the wait was left".into() });
                }
            }
        }
        Ok(())
    }
}

extern "C" fn write(sink: *mut c_void, bytes: *const u8, count: usize) -> i32 {
    // SAFETY: `sink` is the one that `pack_into` lends for the call, and `bytes` has `count` bytes.
    let (sink, bytes) =
        unsafe { (&mut *sink.cast::<Sink<'_>>(), std::slice::from_raw_parts(bytes, count)) };
    sink.error = sink.packer.write(bytes, sink.chunks).err();
    i32::from(sink.error.is_some())
}

extern "C" fn end_of_value(sink: *mut c_void, _: usize) -> i32 {
    // SAFETY: as for `write`.
    let sink = unsafe { &mut *sink.cast::<Sink<'_>>() };
    match std::mem::take(&mut sink.packer).finish(sink.chunks) {
        Ok(payload) => sink.done.push(payload),
        Err(error) => sink.error = Some(error),
    }
    i32::from(sink.error.is_none())
}

/// Serializes each element of a list, with no more of it in memory than a window.
fn pack_into(list: &List, chunks: &mut dyn ChunkSink) -> Result<Vec<Payload>> {
    let done = Vec::with_capacity(list.len());
    let mut sink = Sink { packer: Packer::default(), done, chunks, error: None };
    let mut message = [0 as c_char; MESSAGE];
    let lent: *mut Sink<'_> = &mut sink;
    // SAFETY: called on R's thread; list, sink and message outlive the call.
    let outcome = unsafe {
        let list = list.get().cast();
        starburst_serialize(list, lent.cast(), write, end_of_value, message.as_mut_ptr())
    };
    match (outcome, sink.error) {
        (_, Some(error)) => Err(error.into()),
        (0, None) => Ok(sink.done),
        (INTERRUPTED, None) => Err(RError::Interrupted),
        (_, None) => Err(RError::Value(text(&message))),
    }
}

/// Serializes each element of a list and sends what is large.
pub(crate) fn pack_each(list: &List, uploads: &Arc<Uploads>) -> Result<Vec<Payload>> {
    let mut sending = Sending { uploads, left: None };
    let packed = pack_into(list, &mut sending);
    match sending.left {
        Some(left) => Err(left),
        None => packed,
    }
}

/// Serializes one value and sends what is large.
pub(crate) fn pack(value: &Robj, uploads: &Arc<Uploads>) -> Result<Payload> {
    let packed = pack_each(&List::from_values([value]), uploads)?.pop();
    packed.ok_or_else(|| RError::Value("nothing was serialized".into()))
}

fn text(message: &[c_char; MESSAGE]) -> String {
    // SAFETY: the shim ends it with a zero.
    unsafe { CStr::from_ptr(message.as_ptr()) }.to_string_lossy().into_owned()
}

/// Serialized values, fetched as they are read.
struct Source<'a> {
    materials: &'a [Option<Material>],
    pieces: Pieces,
    current: Bytes,
    error: Option<RError>,
}

impl Source<'_> {
    fn read(&mut self, mut to: &mut [u8]) -> usize {
        let mut count = 0;
        while !to.is_empty() {
            if self.current.is_empty() {
                match runtime::wait(self.pieces.next()) {
                    Ok(Some(Ok(piece))) => self.current = piece,
                    Ok(Some(Err(error))) => {
                        self.error = Some(error.into());
                        break;
                    }
                    Ok(None) => break,
                    Err(left) => {
                        self.error = Some(left);
                        break;
                    }
                }
                continue;
            }
            let now = to.len().min(self.current.len());
            let (head, rest) = std::mem::take(&mut to).split_at_mut(now);
            self.current.copy_to_slice(head);
            to = rest;
            count += now;
        }
        count
    }
}

extern "C" fn read(source: *mut c_void, bytes: *mut u8, count: usize) -> usize {
    // SAFETY: `source` is the one that `unpack_each` lends, and `bytes` has room for `count`.
    let (source, to) = unsafe {
        (&mut *source.cast::<Source<'_>>(), std::slice::from_raw_parts_mut(bytes, count))
    };
    source.read(to)
}

extern "C" fn next_value(source: *mut c_void, which: usize) -> i32 {
    // SAFETY: as for `read`.
    let source = unsafe { &mut *source.cast::<Source<'_>>() };
    match source.materials.get(which) {
        Some(Some(material)) => {
            source.pieces = material.pieces();
            source.current = Bytes::new();
            1
        }
        Some(None) | None => 0,
    }
}

/// Reads values, one chunk in memory at a time; `NULL` where there is none.
pub(crate) fn unpack_each(materials: &[Option<Material>]) -> Result<List> {
    let list = List::new(materials.len());
    let pieces = Pieces::none();
    let mut source = Source { materials, pieces, current: Bytes::new(), error: None };
    let mut message = [0 as c_char; MESSAGE];
    let lent: *mut Source<'_> = &mut source;
    // SAFETY: called on R's thread; list, source and message outlive the call.
    let outcome = unsafe {
        let list = list.get().cast();
        starburst_unserialize(list, lent.cast(), read, next_value, message.as_mut_ptr())
    };
    match (outcome, source.error) {
        (0, _) => Ok(list),
        (INTERRUPTED, _) => Err(RError::Interrupted),
        (_, Some(error)) => Err(error),
        (_, None) => Err(Error::Damaged { key: "result".into(), detail: text(&message) }.into()),
    }
}

/// Reads one value.
pub(crate) fn unpack(material: Material) -> Result<Robj> {
    let list = unpack_each(&[Some(material)])?;
    Ok(list.elt(0).unwrap_or_default())
}

/// Keeps chunks here.
#[derive(Debug, Default)]
struct Kept(Vec<(BlobHash, Bytes)>);

impl ChunkSink for Kept {
    fn has(&self, _: &BlobHash) -> bool {
        false
    }
    fn take(&mut self, hash: BlobHash, sealed: Bytes) -> std::result::Result<(), Error> {
        self.0.push((hash, sealed));
        Ok(())
    }
}

/// A value there and back, for tests and benchmarks.
#[extendr]
fn rs_round_trip(value: Robj) -> Result<Robj> {
    let mut kept = Kept::default();
    let packed = pack_into(&List::from_values([&value]), &mut kept)?.pop();
    let bytes = match packed {
        Some(Payload::Inline(bytes)) => bytes,
        Some(Payload::Blobs { .. }) | None => {
            let mut bytes = Vec::new();
            for (hash, sealed) in kept.0.drain(..) {
                let name = key::blob_name(&hash);
                bytes.extend_from_slice(&envelope::open(Kind::Blob, &name, &sealed)?.0);
            }
            bytes.into()
        }
    };
    unpack(Material::Here(bytes))
}

extendr_module! {
    mod value;
    fn rs_round_trip;
}
