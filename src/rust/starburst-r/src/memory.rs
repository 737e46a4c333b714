//! Memory that R has just got for a large value, made ready before it is written to.

/// Has the system provide all pages of this memory at once, where it can. Otherwise it does so page by page, as each is
/// first written to, which takes most of the time in which a large value is read.
#[cfg(target_os = "linux")]
pub(crate) fn make_ready(memory: &mut [u8]) {
    use rustix::{
        mm::{Advice, madvise},
        param::page_size,
    };
    let within = memory.as_mut_ptr().addr() % page_size();
    let first = memory.as_mut_ptr().wrapping_sub(within);
    // SAFETY: it changes nothing that is in the memory, and the pages that the memory begins and ends in are mapped.
    let advised =
        unsafe { madvise(first.cast(), within + memory.len(), Advice::LinuxPopulateWrite) };
    // Linux before 5.14 does not know this advice: then pages come as they are touched.
    let _ = advised;
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn make_ready(_: &mut [u8]) {}
