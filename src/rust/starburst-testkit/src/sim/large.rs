//! Payloads of all sizes: what fits a ledger, what needs a batch of results, and what is cut into chunks.
use crate::SeededIds;
use bytes::Bytes;
use starburst_core::{
    blob::{BlobHash, ChunkSink, INLINE_MAX, Packer, Payload},
    envelope::Unsealed,
    error::Error,
    results::IN_LEDGER_MAX,
    uploads::Uploads,
};
use std::sync::Arc;

/// Does not fit a ledger.
const BATCH: usize = IN_LEDGER_MAX + 5_000;
/// Is cut into chunks.
const CHUNKS: usize = INLINE_MAX + 5_000;
/// Stands behind the text of what is long.
const FILL: u8 = b'.';

#[derive(Debug)]
struct Sink<'a>(&'a Arc<Uploads>);

impl ChunkSink for Sink<'_> {
    fn has(&self, hash: &BlobHash) -> bool {
        self.0.has(hash)
    }
    fn take(&mut self, hash: BlobHash, chunk: Unsealed) -> Result<(), Error> {
        assert!(self.0.try_take(hash, chunk).is_ok(), "no simulation sends so much at once");
        Ok(())
    }
    fn spare(&self) -> Arc<starburst_core::spare::Spare> {
        Arc::clone(self.0.spare())
    }
}

/// These words, once in `large` times with so much behind them that they are stored elsewhere.
pub(super) fn payload(
    words: &[u8],
    large: u64,
    dice: &SeededIds,
    uploads: &Arc<Uploads>,
) -> Payload {
    if large == 0 || !dice.one_in(large) {
        return Payload::Inline(Bytes::copy_from_slice(words));
    }
    let mut bytes = words.to_vec();
    if dice.one_in(2) {
        bytes.resize(BATCH, FILL);
        return Payload::Inline(bytes.into());
    }
    bytes.resize(CHUNKS, FILL);
    let mut sink = Sink(uploads);
    let mut packer = Packer::into(&mut sink);
    packer.write(&bytes).unwrap();
    packer.finish().unwrap()
}

/// The words of a payload, whatever its size; of one that was cut short, that it was.
pub(super) fn words(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|byte| *byte != FILL).map_or(0, |last| last + 1);
    let whole = [end, BATCH, CHUNKS].contains(&bytes.len());
    let words = String::from_utf8_lossy(&bytes[..end]);
    if whole { words.into_owned() } else { format!("{words}, cut at {} bytes", bytes.len()) }
}
