//! Fetching: what a task left behind.
use super::{Client, Known, Row, Summary};
use crate::{
    clock::UnixMillis,
    downloads::Material,
    error::Error,
    ids::{PartId, TaskId, WorkerId},
    launch::LogPart,
    ledger::{Broken, Ending},
    results::ResultRef,
    store::StoreError,
};
use futures_util::stream::{self, StreamExt, TryStreamExt};

/// Results on the wire at once.
const IN_FLIGHT: usize = 32;

/// How a task ended, with the bytes that R left.
#[derive(Debug)]
pub enum FetchedEnding {
    /// Its value.
    Value(Material),
    /// The condition its code raised.
    Error(Material),
    /// What broke around it.
    Broken {
        /// What.
        broken: Broken,
        /// In words.
        message: String,
    },
    /// It was withdrawn.
    Cancelled,
}

/// An ended task.
#[derive(Debug)]
pub struct Fetched {
    /// How it ended.
    pub ending: FetchedEnding,
    /// Which worker had it last.
    pub worker: Option<WorkerId>,
    /// Attempts it took.
    pub attempt: u32,
    /// Milliseconds the last attempt ran.
    pub ran_ms: u64,
}

/// Makes the loss of a stored result the failure of its task: the reason, in words.
fn readable<T>(read: Result<T, Error>) -> Result<Result<T, String>, Error> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(
            error @ (Error::Damaged { .. }
            | Error::Version { .. }
            | Error::Store(StoreError::NotFound { .. })),
        ) => Ok(Err(format!("its result is lost: {}", error.chain().join(": ")))),
        Err(other) => Err(other),
    }
}

/// A task that failed, in text.
#[derive(Debug, Clone)]
pub struct Failed {
    /// Its id.
    pub id: TaskId,
    /// The user's name for it.
    pub label: Option<String>,
    /// The first class of its condition.
    pub class: Option<String>,
    /// The failure around it, if its code did not fail itself.
    pub broken: Option<Broken>,
    /// Its message.
    pub message: String,
    /// Which worker had it last.
    pub worker: Option<WorkerId>,
    /// Attempts it took.
    pub attempt: u32,
}

impl Client {
    /// Where a task stands. A look into memory.
    ///
    /// # Errors
    /// [`Error::NoTask`].
    pub fn known(&self, id: &TaskId) -> Result<Known, Error> {
        let buffer = self.buffer.lock();
        if id.client == self.id && buffer.holds(id.seq) {
            return Ok(Known::Pending);
        }
        let board = self.board.lock();
        let found = board.find(id).ok_or_else(|| Error::NoTask { task: id.to_string() })?;
        Ok(board.known(found.0, found.1))
    }

    /// Reads what an ended task left; `None` while it has not ended.
    ///
    /// # Errors
    /// [`Error::NoTask`], a failure of the store, or damage.
    pub async fn fetch(&self, id: &TaskId) -> Result<Option<Fetched>, Error> {
        let fetched = self.fetch_one(id).await;
        self.fetch_ahead();
        fetched
    }

    async fn fetch_one(&self, id: &TaskId) -> Result<Option<Fetched>, Error> {
        let (part, ended) = match self.known(id)? {
            Known::Pending | Known::Claimed => return Ok(None),
            Known::Cancelled => {
                let ending = FetchedEnding::Cancelled;
                return Ok(Some(Fetched { ending, worker: None, attempt: 0, ran_ms: 0 }));
            }
            Known::Completed | Known::Failed => {
                let board = self.board.lock();
                let found =
                    board.find(id).and_then(|(part, at)| Some((part, board.ended(part, at)?)));
                match found {
                    Some(found) => found,
                    None => return Ok(None),
                }
            }
        };
        let ending = match ended.ending {
            Ending::Value(at) => match readable(self.material(id, part, at).await)? {
                Ok(material) => FetchedEnding::Value(material),
                Err(message) => FetchedEnding::Broken { broken: Broken::Unreadable, message },
            },
            Ending::Error(at) => match readable(self.material(id, part, at).await)? {
                Ok(material) => FetchedEnding::Error(material),
                Err(message) => FetchedEnding::Broken { broken: Broken::Unreadable, message },
            },
            Ending::Broken { broken, message } => FetchedEnding::Broken { broken, message },
        };
        let (worker, attempt, ran_ms) = (ended.worker, ended.attempt, ended.ran_ms);
        Ok(Some(Fetched { ending, worker, attempt, ran_ms }))
    }

    /// Reads what many tasks left, several at a time, in the order asked for.
    ///
    /// # Errors
    /// As [`fetch`](Client::fetch).
    pub async fn fetch_each(&self, ids: &[TaskId]) -> Result<Vec<Option<Fetched>>, Error> {
        let fetches = stream::iter(ids).map(|id| self.fetch_one(id));
        let fetched = fetches.buffered(IN_FLIGHT).try_collect().await;
        self.fetch_ahead();
        fetched
    }

    async fn material(&self, id: &TaskId, part: PartId, at: ResultRef) -> Result<Material, Error> {
        if id.client == self.id {
            let begun = self.ahead.lock().take(id.seq, &at);
            if let Some(begun) = begun {
                let over = begun.is_finished();
                match begun.await {
                    Ok(Ok(material)) => return Ok(material),
                    Ok(Err(error)) if !over => return Err(error),
                    // What failed before somebody waited is read again: the reason may have passed.
                    Ok(Err(_)) | Err(_) => {}
                }
            }
        }
        self.batches.material(part, at).await
    }

    /// What an ended task printed; empty where nothing is kept of it.
    ///
    /// # Errors
    /// [`Error::NoTask`].
    pub async fn printed(&self, id: &TaskId) -> Result<String, Error> {
        self.known(id)?;
        let ended = {
            let board = self.board.lock();
            board.find(id).and_then(|(part, at)| board.ended(part, at))
        };
        let Some(ended) = ended else {
            return Ok(String::new());
        };
        let began = UnixMillis(ended.at.0.saturating_sub(ended.ran_ms));
        match (&ended.worker, ended.log) {
            (Some(worker), Some(span)) => {
                Ok(self.log(worker, LogPart::Task { span, from: began, to: ended.at }).await)
            }
            (Some(_) | None, _) => Ok(String::new()),
        }
    }

    /// The last tasks that failed, at most so many, in the order of submission. A look into memory: nothing that they left is
    /// read.
    pub fn failures(&self, most: usize) -> Vec<Failed> {
        let board = self.board.lock();
        let rows: Vec<Row> =
            board.rows().into_iter().filter(|row| row.known == Known::Failed).collect();
        let failed = |row: &Row| {
            let (part, place) = board.find(&row.id)?;
            let ended = board.ended(part, place)?;
            let (class, broken, message) = match (ended.ending, ended.failure) {
                (Ending::Broken { broken, message }, _) => (None, Some(broken), message),
                (Ending::Value(_) | Ending::Error(_), Some(failure)) => {
                    (failure.classes.first().cloned(), None, failure.message)
                }
                (Ending::Value(_) | Ending::Error(_), None) => (None, None, String::new()),
            };
            let (id, label) = (row.id.clone(), row.label.clone());
            let (worker, attempt) = (ended.worker, ended.attempt);
            Some(Failed { id, label, class, broken, message, worker, attempt })
        };
        rows[rows.len().saturating_sub(most)..].iter().filter_map(failed).collect()
    }

    /// Every task, in the order of submission, those not written yet last.
    pub fn rows(&self) -> Vec<Row> {
        let buffer = self.buffer.lock();
        let mut rows = self.board.lock().rows();
        let (first, len) = (buffer.first(), buffer.len());
        rows.extend((first..first + len).map(|seq| Row {
            id: TaskId { client: self.id.clone(), seq },
            known: Known::Pending,
            label: None,
        }));
        rows
    }

    /// All tasks by state, those not written yet included.
    pub fn summary(&self) -> Summary {
        let buffer = self.buffer.lock();
        let mut summary = self.board.lock().summary();
        summary.pending += buffer.len();
        summary
    }
}
