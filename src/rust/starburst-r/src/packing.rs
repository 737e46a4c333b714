//! Serialized values on their way out of R's thread: it only copies them, and what is large is cut, named and sent by
//! other threads meanwhile.
use crate::{
    error::{RError, Result},
    runtime::{self, Looks},
};
use bytes::Bytes;
use starburst_core::{
    blob::{BlobHash, ChunkSink, INLINE_MAX, Namer, Payload},
    cutter::{Cutter, Piece, Stream},
    envelope::Unsealed,
    error::Error,
    uploads::Uploads,
};
use std::sync::Arc;
use tokio::{
    runtime::Handle,
    sync::mpsc::{self, error::TrySendError},
    task::JoinHandle,
};

/// Pieces that wait to be cut.
const WAITING: usize = 2;
/// Chunks that wait for their names.
const CUT: usize = 4;

/// What R's serialization is written to.
pub(crate) trait Values {
    /// The next bytes of a value.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;
    /// A value is whole.
    fn end(&mut self) -> Result<()>;
}

/// Makes payloads of values, and sends what is large.
pub(crate) struct Packing {
    uploads: Arc<Uploads>,
    /// What is not handed over of the value that is being written.
    piece: Piece,
    /// Payloads of the values so far; none where it is made elsewhere.
    done: Vec<Option<Payload>>,
    large: Option<Large>,
    /// Whether pieces of the value that is being written were handed over.
    is_large: bool,
    looks: Looks,
}

/// Where large values are cut.
struct Large {
    pieces: mpsc::Sender<Written>,
    payloads: JoinHandle<std::result::Result<Vec<Payload>, Error>>,
}

/// What one thread cuts and another names.
enum Cut {
    Chunk(Unsealed),
    End(Stream),
}

/// A piece of a value.
enum Written {
    Full(Piece),
    /// The value ends with it.
    Last(Piece),
}

impl Packing {
    /// Packs so many values.
    pub(crate) fn into(uploads: Arc<Uploads>, values: usize) -> Self {
        let done = Vec::with_capacity(values);
        let piece = uploads.spare().piece();
        Self { uploads, piece, done, large: None, is_large: false, looks: Looks::new() }
    }

    fn hand_over(&mut self, piece: Written) -> Result<()> {
        self.is_large = true;
        // The others may keep up, so that nothing here ever waits, which is when Ctrl-C is seen.
        self.looks.look()?;
        let large = match &mut self.large {
            Some(large) => large,
            none => none.insert(Large::start(&self.uploads)?),
        };
        match large.pieces.try_send(piece) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(piece)) => match runtime::wait(large.pieces.send(piece))? {
                Ok(()) => Ok(()),
                Err(_) => Err(self.why()),
            },
            Err(TrySendError::Closed(_)) => Err(self.why()),
        }
    }

    /// Begins another piece, and returns the one so far.
    fn next_piece(&mut self) -> Piece {
        std::mem::replace(&mut self.piece, self.uploads.spare().piece())
    }

    /// Why nothing more is taken.
    fn why(&mut self) -> RError {
        match self.large.take().map(|large| runtime::wait(large.payloads)) {
            Some(Ok(Ok(Err(error)))) => error.into(),
            Some(Err(left)) => left,
            Some(Ok(Err(_) | Ok(Ok(_)))) | None => {
                Error::Internal { detail: "packing ended early".into() }.into()
            }
        }
    }

    /// The payloads, in the order of the values.
    ///
    /// # Errors
    /// Why a chunk could not be sent.
    pub(crate) fn finish(self) -> Result<Vec<Payload>> {
        self.uploads.spare().keep_piece(self.piece);
        let mut large = match self.large {
            Some(Large { pieces, payloads }) => {
                drop(pieces);
                let ended = runtime::wait(payloads)?;
                ended.map_err(|e| Error::Internal { detail: format!("packing: {e}") })??
            }
            None => Vec::new(),
        }
        .into_iter();
        let lost = || RError::Value("a value was not packed".into());
        self.done.into_iter().map(|done| done.or_else(|| large.next()).ok_or_else(lost)).collect()
    }
}

impl Values for Packing {
    fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            bytes = self.piece.write(bytes);
            if self.piece.is_full() {
                let full = self.next_piece();
                self.hand_over(Written::Full(full))?;
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        if !self.is_large && self.piece.bytes().len() <= INLINE_MAX {
            self.done.push(Some(Payload::Inline(Bytes::copy_from_slice(self.piece.bytes()))));
            self.piece.clear();
            return Ok(());
        }
        let last = self.next_piece();
        self.hand_over(Written::Last(last))?;
        self.is_large = false;
        self.done.push(None);
        Ok(())
    }
}

impl Large {
    fn start(uploads: &Arc<Uploads>) -> Result<Self> {
        let runtime = runtime::runtime()?;
        let (pieces, waiting) = mpsc::channel(WAITING);
        let (chunks, cut_chunks) = mpsc::channel(CUT);
        let given = Arc::clone(uploads);
        let sink = Sending { uploads: Arc::clone(uploads), runtime: runtime.handle().clone() };
        runtime.spawn_blocking(move || cut(waiting, &given, &chunks));
        let payloads = runtime.spawn_blocking(move || name(cut_chunks, sink));
        Ok(Self { pieces, payloads })
    }
}

/// Cuts values until there are no more, or nobody takes the chunks. A value that is not whole is not wanted any more.
fn cut(mut pieces: mpsc::Receiver<Written>, uploads: &Uploads, chunks: &mpsc::Sender<Cut>) {
    let mut cutter = Cutter::default();
    let mut give = |chunk: &[u8]| {
        let chunk = Unsealed::chunk(chunk, uploads.spare());
        chunks.blocking_send(Cut::Chunk(chunk))
    };
    while let Some(written) = pieces.blocking_recv() {
        let (piece, given) = match written {
            Written::Full(mut piece) => {
                let given = cutter.cut(&mut piece, &mut give);
                (piece, given)
            }
            Written::Last(mut piece) => {
                let stream = cutter.finish(&mut piece, &mut give);
                (piece, stream.and_then(|stream| chunks.blocking_send(Cut::End(stream))))
            }
        };
        if given.is_err() {
            return;
        }
        uploads.spare().keep_piece(piece);
    }
    uploads.spare().keep_piece(cutter.into_piece());
}

/// Names and sends chunks until there are no more.
fn name(
    mut chunks: mpsc::Receiver<Cut>,
    mut sink: Sending,
) -> std::result::Result<Vec<Payload>, Error> {
    let (mut namer, mut payloads) = (Namer::default(), Vec::new());
    while let Some(cut) = chunks.blocking_recv() {
        match cut {
            Cut::Chunk(chunk) => namer.take(chunk, &mut sink)?,
            Cut::End(stream) => payloads.push(namer.finish(stream)),
        }
    }
    Ok(payloads)
}

/// Sends chunks into a session; waits for room when too many are on their way.
#[derive(Debug)]
struct Sending {
    uploads: Arc<Uploads>,
    runtime: Handle,
}

impl ChunkSink for Sending {
    fn has(&self, hash: &BlobHash) -> bool {
        self.uploads.has(hash)
    }
    fn take(&mut self, hash: BlobHash, mut chunk: Unsealed) -> std::result::Result<(), Error> {
        loop {
            match self.uploads.try_take(hash, chunk) {
                Ok(()) => return Ok(()),
                Err(back) => chunk = back,
            }
            self.runtime.block_on(self.uploads.room())?;
        }
    }
}
