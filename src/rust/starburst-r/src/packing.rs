//! Serialized values on their way out of R's thread: it only cuts them, and what is large is named, compressed and sent
//! by other threads meanwhile.
use crate::{
    error::{RError, Result},
    runtime::{self, Looks},
};
use starburst_core::{
    blob::{BlobHash, ChunkSink, Namer, Payload},
    cutter::{Cutter, Stream},
    envelope::Unsealed,
    error::Error,
    spare::Spare,
    uploads::Uploads,
};
use std::sync::Arc;
use tokio::{
    runtime::Handle,
    sync::mpsc::{self, error::TrySendError},
    task::JoinHandle,
};

/// Chunks that wait for their names.
const WAITING: usize = 4;

/// What R's serialization is written to.
pub(crate) trait Values {
    /// The next bytes of a value.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;
    /// A value is whole.
    fn end(&mut self) -> Result<()>;
}

/// Makes payloads of values, and sends what is large.
pub(crate) struct Packing {
    cutter: Cutter,
    naming: Naming,
    /// Payloads of the values so far; none where it is made elsewhere.
    done: Vec<Option<Payload>>,
}

/// Makes payloads of large values in another thread, once there are any.
struct Naming {
    uploads: Arc<Uploads>,
    begun: Option<Begun>,
    looks: Looks,
}

struct Begun {
    cut: mpsc::Sender<Cut>,
    payloads: JoinHandle<std::result::Result<Vec<Payload>, Error>>,
}

/// What large values are cut into.
enum Cut {
    Chunk(Unsealed),
    End(Stream),
}

impl Packing {
    /// Packs so many values.
    pub(crate) fn into(uploads: Arc<Uploads>, values: usize) -> Self {
        let cutter = Cutter::new(Arc::clone(uploads.spare()));
        let naming = Naming { uploads, begun: None, looks: Looks::new() };
        Self { cutter, naming, done: Vec::with_capacity(values) }
    }

    /// The payloads, in the order of the values.
    ///
    /// # Errors
    /// Why a chunk could not be sent.
    pub(crate) fn finish(self) -> Result<Vec<Payload>> {
        let mut large = self.naming.finish()?.into_iter();
        let lost = || RError::Value("a value was not packed".into());
        self.done.into_iter().map(|done| done.or_else(|| large.next()).ok_or_else(lost)).collect()
    }
}

impl Values for Packing {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.cutter.write(bytes, &mut |chunk| self.naming.take(Cut::Chunk(chunk)))
    }

    fn end(&mut self) -> Result<()> {
        let stream = self.cutter.finish(&mut |chunk| self.naming.take(Cut::Chunk(chunk)))?;
        self.done.push(match stream {
            Stream::Short(bytes) => Some(Payload::Inline(bytes)),
            long @ Stream::Cut { .. } => {
                self.naming.take(Cut::End(long))?;
                None
            }
        });
        Ok(())
    }
}

impl Naming {
    fn take(&mut self, cut: Cut) -> Result<()> {
        // The other thread may keep up, so that nothing here ever waits, which is when Ctrl-C is seen.
        self.looks.look()?;
        let begun = match &mut self.begun {
            Some(begun) => begun,
            none => none.insert(Begun::begin(&self.uploads)?),
        };
        match begun.cut.try_send(cut) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(cut)) => match runtime::wait(begun.cut.send(cut))? {
                Ok(()) => Ok(()),
                Err(_) => Err(self.why()),
            },
            Err(TrySendError::Closed(_)) => Err(self.why()),
        }
    }

    /// Why nothing more is taken.
    fn why(&mut self) -> RError {
        match self.begun.take().map(|begun| runtime::wait(begun.payloads)) {
            Some(Ok(Ok(Err(error)))) => error.into(),
            Some(Err(left)) => left,
            Some(Ok(Err(_) | Ok(Ok(_)))) | None => {
                Error::Internal { detail: "packing ended early".into() }.into()
            }
        }
    }

    /// The payloads of the large values.
    fn finish(self) -> Result<Vec<Payload>> {
        let Some(Begun { cut, payloads }) = self.begun else {
            return Ok(Vec::new());
        };
        drop(cut);
        let ended = runtime::wait(payloads)?;
        Ok(ended.map_err(|e| Error::Internal { detail: format!("packing: {e}") })??)
    }
}

impl Begun {
    fn begin(uploads: &Arc<Uploads>) -> Result<Self> {
        let runtime = runtime::runtime()?;
        let (cut, chunks) = mpsc::channel(WAITING);
        let sink = Sending { uploads: Arc::clone(uploads), runtime: runtime.handle().clone() };
        let payloads = runtime.spawn_blocking(move || name(chunks, sink));
        Ok(Self { cut, payloads })
    }
}

/// Names and sends chunks until there are no more. A value that does not end is not wanted any more.
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
    fn spare(&self) -> Arc<Spare> {
        Arc::clone(self.uploads.spare())
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
