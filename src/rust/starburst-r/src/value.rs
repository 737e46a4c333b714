//! Values of R as streams: into packers, out of fetched chunks. See `src/serialize.c`.
use crate::error::{RError, Result};
use bytes::{Buf, Bytes};
use extendr_api::prelude::*;
use starburst_core::{
    blob::{KnownBlobs, Material, Packed, Packer},
    error::Error,
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
        write: extern "C" fn(*mut c_void, *const u8, usize),
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

/// Serialized values, packed as they come.
struct Sink {
    packer: Packer,
    done: Vec<Packed>,
    known: Arc<KnownBlobs>,
}

extern "C" fn write(sink: *mut c_void, bytes: *const u8, count: usize) {
    // SAFETY: `sink` is the one that `pack_each` lends for the call, and `bytes` has `count` bytes.
    let (sink, bytes) =
        unsafe { (&mut *sink.cast::<Sink>(), std::slice::from_raw_parts(bytes, count)) };
    sink.packer.write(bytes);
}

extern "C" fn end_of_value(sink: *mut c_void, _: usize) -> i32 {
    // SAFETY: as for `write`.
    let sink = unsafe { &mut *sink.cast::<Sink>() };
    let packer = std::mem::replace(&mut sink.packer, Packer::new(Arc::clone(&sink.known)));
    sink.done.push(packer.finish());
    1
}

/// Serializes each element of a list, with no more of it in memory than a window.
pub(crate) fn pack_each(list: &List, known: Arc<KnownBlobs>) -> Result<Vec<Packed>> {
    let done = Vec::with_capacity(list.len());
    let mut sink = Sink { packer: Packer::new(Arc::clone(&known)), done, known };
    let mut message = [0 as c_char; MESSAGE];
    let lent: *mut Sink = &mut sink;
    // SAFETY: called on R's thread; list, sink and message outlive the call.
    let outcome = unsafe {
        let list = list.get().cast();
        starburst_serialize(list, lent.cast(), write, end_of_value, message.as_mut_ptr())
    };
    match outcome {
        0 => Ok(sink.done),
        INTERRUPTED => Err(RError::Interrupted),
        _ => Err(RError::Value(text(&message))),
    }
}

/// Serializes one value.
pub(crate) fn pack(value: &Robj, known: Arc<KnownBlobs>) -> Result<Packed> {
    let packed = pack_each(&List::from_values([value]), known)?.pop();
    packed.ok_or_else(|| RError::Value("nothing was serialized".into()))
}

fn text(message: &[c_char; MESSAGE]) -> String {
    // SAFETY: the shim ends it with a zero.
    unsafe { CStr::from_ptr(message.as_ptr()) }.to_string_lossy().into_owned()
}

type Pieces<'a> = Box<dyn Iterator<Item = std::result::Result<Bytes, Error>> + 'a>;

/// Serialized values, opened as they are read.
struct Source<'a> {
    materials: &'a [Option<Material>],
    pieces: Pieces<'a>,
    current: Bytes,
    error: Option<Error>,
}

impl Source<'_> {
    fn read(&mut self, mut to: &mut [u8]) -> usize {
        let mut count = 0;
        while !to.is_empty() {
            if self.current.is_empty() {
                match self.pieces.next() {
                    Some(Ok(piece)) => self.current = piece,
                    Some(Err(error)) => {
                        self.error = Some(error);
                        break;
                    }
                    None => break,
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
            source.pieces = Box::new(material.pieces());
            source.current = Bytes::new();
            1
        }
        Some(None) | None => 0,
    }
}

/// Reads values, one chunk in memory at a time; `NULL` where there is none.
pub(crate) fn unpack_each(materials: &[Option<Material>]) -> Result<List> {
    let list = List::new(materials.len());
    let pieces: Pieces<'_> = Box::new(std::iter::empty());
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
        (_, Some(error)) => Err(error.into()),
        (_, None) => Err(Error::Damaged { key: "result".into(), detail: text(&message) }.into()),
    }
}

/// Reads one value.
pub(crate) fn unpack(material: Material) -> Result<Robj> {
    let list = unpack_each(&[Some(material)])?;
    Ok(list.elt(0).unwrap_or_default())
}

/// A value there and back, for tests and benchmarks.
#[extendr]
fn rs_round_trip(value: Robj) -> Result<Robj> {
    unpack(Material::from_packed(pack(&value, Arc::default())?))
}

extendr_module! {
    mod value;
    fn rs_round_trip;
}
