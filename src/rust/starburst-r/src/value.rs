//! Values of R as streams: into whatever takes them, out of fetched chunks. See `src/serialize.c`.
use crate::{
    error::{RError, Result},
    memory::make_ready,
    packing::{Packing, Values},
    runtime::{self, Looks},
};
use bytes::Bytes;
use extendr_api::prelude::*;
use starburst_core::{
    blob::Payload, downloads::Material, error::Error, pieces::Pieces, uploads::Uploads,
};
use std::{
    collections::VecDeque,
    ffi::{CStr, c_char, c_void},
    sync::Arc,
};

const MESSAGE: usize = 1024;
/// So many values behind the one that is read are on their way: the first chunk of each takes a while to come.
const VALUES_AHEAD: usize = 3;
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
        piece: extern "C" fn(*mut c_void, *mut *const u8) -> usize,
        make_ready: extern "C" fn(*mut u8, usize),
        next: extern "C" fn(*mut c_void, usize) -> i32,
        message: *mut c_char,
    ) -> i32;
}

/// Where the values go that R serializes.
struct Sink<'a> {
    values: &'a mut dyn Values,
    /// Why no more is taken.
    left: Option<RError>,
}

extern "C" fn write(sink: *mut c_void, bytes: *const u8, count: usize) -> i32 {
    // SAFETY: `sink` is the one that `serialize` lends for the call, and `bytes` has `count` bytes.
    let (sink, bytes) =
        unsafe { (&mut *sink.cast::<Sink<'_>>(), std::slice::from_raw_parts(bytes, count)) };
    sink.left = sink.values.write(bytes).err();
    i32::from(sink.left.is_some())
}

extern "C" fn end_of_value(sink: *mut c_void, _: usize) -> i32 {
    // SAFETY: as for `write`.
    let sink = unsafe { &mut *sink.cast::<Sink<'_>>() };
    sink.left = sink.values.end().err();
    i32::from(sink.left.is_none())
}

/// Serializes each element of a list.
fn serialize(list: &List, values: &mut dyn Values) -> Result<()> {
    let mut sink = Sink { values, left: None };
    let mut message = [0 as c_char; MESSAGE];
    let lent: *mut Sink<'_> = &mut sink;
    // SAFETY: called on R's thread; list, sink and message outlive the call.
    let outcome = unsafe {
        let list = list.get().cast();
        starburst_serialize(list, lent.cast(), write, end_of_value, message.as_mut_ptr())
    };
    match (outcome, sink.left) {
        (_, Some(left)) => Err(left),
        (0, None) => Ok(()),
        (INTERRUPTED, None) => Err(RError::Interrupted),
        (_, None) => Err(RError::Value(text(&message))),
    }
}

/// Serializes each element of a list, with no more of it in memory than a window, and sends what is large.
pub(crate) fn pack_each(list: &List, uploads: &Arc<Uploads>) -> Result<Vec<Payload>> {
    let mut packing = Packing::into(Arc::clone(uploads), list.len());
    serialize(list, &mut packing)?;
    packing.finish()
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
    /// Those whose fetching has begun, with their places.
    ahead: VecDeque<(usize, Pieces)>,
    /// The first whose fetching has not.
    rest: usize,
    pieces: Pieces,
    current: Bytes,
    error: Option<RError>,
    looks: Looks,
}

impl Source<'_> {
    /// Goes on to a value. `false` when there is none at this place.
    fn go_to(&mut self, which: usize) -> bool {
        while self.rest <= which + VALUES_AHEAD {
            let Some(material) = self.materials.get(self.rest) else { break };
            if let Some(material) = material {
                self.ahead.push_back((self.rest, material.pieces()));
            }
            self.rest += 1;
        }
        if self.ahead.front().is_none_or(|(place, _)| *place != which) {
            return false;
        }
        let Some((_, pieces)) = self.ahead.pop_front() else {
            return false;
        };
        (self.pieces, self.current) = (pieces, Bytes::new());
        true
    }

    /// The next bytes; none at the end, and after an error.
    fn piece(&mut self) -> &[u8] {
        self.current = Bytes::new();
        while self.current.is_empty() {
            let next = match self.pieces.ready() {
                Some(piece) => self.looks.look().map(|()| Some(piece)),
                None => runtime::wait(self.pieces.next()),
            };
            match next {
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
        }
        &self.current
    }
}

extern "C" fn piece(source: *mut c_void, bytes: *mut *const u8) -> usize {
    // SAFETY: `source` is the one that `unpack_each` lends, and `bytes` has room for a pointer.
    let (source, bytes) = unsafe { (&mut *source.cast::<Source<'_>>(), &mut *bytes) };
    let piece = source.piece();
    *bytes = piece.as_ptr();
    piece.len()
}

extern "C" fn ready(memory: *mut u8, count: usize) {
    // SAFETY: the shim is about to fill the memory, which has `count` bytes.
    make_ready(unsafe { std::slice::from_raw_parts_mut(memory, count) });
}

extern "C" fn next_value(source: *mut c_void, which: usize) -> i32 {
    // SAFETY: as for `read`.
    let source = unsafe { &mut *source.cast::<Source<'_>>() };
    i32::from(source.go_to(which))
}

/// Reads values, a few chunks of each in memory at a time; `NULL` where there is none.
pub(crate) fn unpack_each(materials: &[Option<Material>]) -> Result<List> {
    let list = List::new(materials.len());
    let pieces = Pieces::none();
    let (ahead, current, looks) = (VecDeque::new(), Bytes::new(), Looks::new());
    let mut source = Source { materials, ahead, rest: 0, pieces, current, error: None, looks };
    let mut message = [0 as c_char; MESSAGE];
    let lent: *mut Source<'_> = &mut source;
    // SAFETY: called on R's thread; list, source and message outlive the call.
    let outcome = unsafe {
        let list = list.get().cast();
        starburst_unserialize(list, lent.cast(), piece, ready, next_value, message.as_mut_ptr())
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

impl Values for Vec<u8> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.extend_from_slice(bytes);
        Ok(())
    }
    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A value there and back, for tests and benchmarks.
#[extendr]
fn rs_round_trip(value: Robj) -> Result<Robj> {
    let mut bytes = Vec::new();
    serialize(&List::from_values([&value]), &mut bytes)?;
    unpack(Material::Here(bytes.into()))
}

extendr_module! {
    mod value;
    fn rs_round_trip;
}
