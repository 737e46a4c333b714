//! Values of R as streams: into a packer, out of fetched chunks. See `src/serialize.c`.
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
        value: *mut c_void,
        sink: *mut c_void,
        write: extern "C" fn(*mut c_void, *const u8, usize),
        message: *mut c_char,
    ) -> i32;
    fn starburst_unserialize(
        source: *mut c_void,
        read: extern "C" fn(*mut c_void, *mut u8, usize) -> usize,
        value: *mut *mut c_void,
        message: *mut c_char,
    ) -> i32;
    fn R_ReleaseObject(value: *mut c_void);
}

extern "C" fn write(sink: *mut c_void, bytes: *const u8, count: usize) {
    // SAFETY: `sink` is the packer that `pack` lends for the call, and `bytes` has `count` bytes.
    let (packer, bytes) =
        unsafe { (&mut *sink.cast::<Packer>(), std::slice::from_raw_parts(bytes, count)) };
    packer.write(bytes);
}

/// Serializes a value into chunks, with no more of it in memory than a window.
pub(crate) fn pack(value: &Robj, known: Arc<KnownBlobs>) -> Result<Packed> {
    let mut packer = Packer::new(known);
    let mut message = [0 as c_char; MESSAGE];
    let sink: *mut Packer = &mut packer;
    // SAFETY: called on R's thread; the packer and the message outlive the call.
    let failed =
        unsafe { starburst_serialize(value.get().cast(), sink.cast(), write, message.as_mut_ptr()) };
    match failed {
        0 => Ok(packer.finish()),
        INTERRUPTED => Err(RError::Interrupted),
        _ => Err(RError::Value(text(&message))),
    }
}

fn text(message: &[c_char; MESSAGE]) -> String {
    // SAFETY: the shim ends it with a zero.
    unsafe { CStr::from_ptr(message.as_ptr()) }.to_string_lossy().into_owned()
}

struct Source<'a> {
    pieces: Box<dyn Iterator<Item = std::result::Result<Bytes, Error>> + 'a>,
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
    // SAFETY: `source` is the one that `unpack` lends for the call, and `bytes` has room for `count`.
    let (source, to) =
        unsafe { (&mut *source.cast::<Source<'_>>(), std::slice::from_raw_parts_mut(bytes, count)) };
    source.read(to)
}

/// Reads a value, one chunk in memory at a time.
pub(crate) fn unpack(material: &Material) -> Result<Robj> {
    let mut source =
        Source { pieces: Box::new(material.pieces()), current: Bytes::new(), error: None };
    let mut message = [0 as c_char; MESSAGE];
    let lent: *mut Source<'_> = &mut source;
    let mut value: *mut c_void = std::ptr::null_mut();
    // SAFETY: called on R's thread; source, value and message outlive the call.
    let failed =
        unsafe { starburst_unserialize(lent.cast(), read, &mut value, message.as_mut_ptr()) };
    if failed == 0 {
        // SAFETY: on R's thread; the shim preserved the value once, and `Robj` holds it from here on.
        let robj = unsafe {
            let robj = Robj::from_sexp(value.cast());
            R_ReleaseObject(value);
            robj
        };
        return Ok(robj);
    }
    if failed == INTERRUPTED {
        return Err(RError::Interrupted);
    }
    match source.error {
        Some(error) => Err(error.into()),
        None => Err(Error::Damaged { key: "result".into(), detail: text(&message) }.into()),
    }
}

/// A value there and back, for tests and benchmarks.
#[extendr]
fn rs_round_trip(value: Robj) -> Result<Robj> {
    let packed = pack(&value, Arc::default())?;
    unpack(&Material::from_packed(packed))
}

extendr_module! {
    mod value;
    fn rs_round_trip;
}
