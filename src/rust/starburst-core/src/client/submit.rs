//! Submitting: a buffer that takes tasks at once, and a loop that appends them to the log of segments.
use super::Client;
use crate::{
    blob::{BlobHash, Payload},
    error::Error,
    ids::{Nonce, TaskId},
    manifest::SessionState,
    mutation::{Rule, is_broken},
    pace::Gathering,
    segment::{self, Segment, SegmentFrames, SegmentIndex, TaskHeader},
    store::StoreError,
};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

/// The most tasks in one part.
const PART_TASKS: usize = 1_024;
/// So many tasks are not gathered any longer.
const FULL: usize = 256;
/// Parts that are cut to spread many tasks have at least so many.
const SHARED_TASKS: usize = 128;
/// The most tasks in one segment.
const SEGMENT_TASKS: usize = 4_096;
/// Where workers are many, parts may be as short as this.
const CROWDED_TASKS: usize = 32;
/// The most payload bytes in one segment, before compression.
const SEGMENT_BYTES: usize = 4 << 20;
/// With this many tasks waiting for each worker there is no hurry to write more.
const BACKLOG: u64 = 4;
/// Tasks are then gathered so many times as long as at least, and never longer, however long they keep coming.
const PATIENT: u32 = 16;

/// A task to submit.
#[derive(Debug)]
pub struct NewTask {
    /// What it is.
    pub header: TaskHeader,
    /// What it needs.
    pub payload: Payload,
    /// What it shares with others: the same `Arc` for all of them.
    pub common: Option<Arc<Payload>>,
}

/// Tasks that are not in the log yet.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    waiting: VecDeque<NewTask>,
    /// The number of the first waiting task.
    first: u64,
    /// The number the next task will get.
    next: u64,
    closed: bool,
}

/// A segment that may be in the store already.
#[derive(Debug)]
pub(super) struct Unsettled {
    segment: Segment,
    number: u64,
}

impl Buffer {
    pub(super) fn len(&self) -> u64 {
        self.next - self.first
    }
    /// Whether this task of ours is not in the log yet.
    pub(super) fn holds(&self, seq: u64) -> bool {
        (self.first..self.next).contains(&seq)
    }
    /// The first task that is not in the log yet.
    pub(super) fn first(&self) -> u64 {
        self.first
    }
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// How many of the first tasks belong into one segment.
    fn cut(&self) -> usize {
        let (mut count, mut bytes) = (0, 0);
        let Some(first) = self.waiting.front() else {
            return 0;
        };
        for task in self.waiting.iter().take(SEGMENT_TASKS) {
            bytes += task.payload.inline_len();
            let other = match (&task.common, &first.common) {
                (Some(a), Some(b)) => !Arc::ptr_eq(a, b),
                (None, None) => false,
                (Some(_), None) | (None, Some(_)) => true,
            };
            if other || (count > 0 && bytes > SEGMENT_BYTES) {
                break;
            }
            count += 1;
        }
        count
    }
}

impl Buffer {
    /// The chunks that the first tasks name.
    fn chunks(&self, count: usize) -> Vec<BlobHash> {
        let mut chunks: BTreeSet<BlobHash> = BTreeSet::new();
        if let Some(common) = self.waiting.front().and_then(|task| task.common.as_ref()) {
            chunks.extend(common.chunks());
        }
        for task in self.waiting.iter().take(count) {
            chunks.extend(task.payload.chunks());
        }
        chunks.into_iter().collect()
    }
}

impl Client {
    /// Takes a task. It is durable once [`flush`](Client::flush) returned, or shortly after by itself.
    ///
    /// # Errors
    /// [`Error::Closed`] when the session takes no more work.
    pub fn submit(&self, task: NewTask) -> Result<TaskId, Error> {
        let mut buffer = self.buffer.lock();
        let (state, live) = {
            let manifest = &self.manifest.lock().value;
            (manifest.state, manifest.is_live(self.deps.clock.wall()))
        };
        let session = || self.session().clone();
        if buffer.closed || state == SessionState::Closed {
            return Err(self.why_closed(session()));
        }
        if !live {
            return Err(Error::Expired { session: session() });
        }
        let seq = buffer.next;
        buffer.next += 1;
        buffer.waiting.push_back(task);
        let (first, full) = (buffer.waiting.len() == 1, buffer.waiting.len() >= FULL);
        drop(buffer);
        self.fleet.lock().engage();
        if first {
            self.arrived.notify_one();
        }
        // The very first task finds idle workers, if any: it need not wait for company.
        if full || seq == 0 {
            self.flush_now.notify_one();
        }
        Ok(TaskId { client: self.id.clone(), seq })
    }

    /// Waits until every task taken so far is in the store.
    ///
    /// # Errors
    /// What keeps them from getting there. They stay in the buffer, and are tried again.
    pub async fn flush(&self) -> Result<(), Error> {
        if is_broken(Rule::FlushWaits) {
            return Ok(());
        }
        let target = self.buffer.lock().next;
        let mut changes = self.changes.subscribe();
        let mut tries = 0;
        while self.buffer.lock().first < target {
            if *self.stopped.borrow() {
                return Err(self.why_closed(self.session().clone()));
            }
            if self.trouble.lock().crashed.is_some() {
                // The loop is gone: what it would do is done here, and fails here if it must.
                return self.write_waiting().await;
            }
            self.flush_now.notify_one();
            let _ = changes.changed().await;
            if self.trouble.lock().flush.error.is_some() {
                tries += 1;
                if tries >= 3 {
                    return self.write_waiting().await;
                }
            }
        }
        Ok(())
    }

    pub(super) async fn flush_loop(&self) {
        let mut gathering = Gathering::default();
        loop {
            if self.buffer.lock().waiting.is_empty() {
                self.arrived.notified().await;
            }
            let (pace, now) = (self.pace(), self.deps.clock.now());
            let busy = self.board.lock().open_tasks() > BACKLOG * u64::from(self.workers_wanted());
            let (least, most) = (pace.flush, pace.flush * PATIENT);
            let wait = gathering.wait(now, least, most);
            let gather = if busy { most } else { wait };
            let full = self.buffer.lock().waiting.len() >= FULL;
            if !full {
                tokio::select! {
                    biased;
                    () = self.flush_now.notified() => {}
                    () = self.deps.clock.sleep(gather) => {}
                }
            }
            let written = self.write_waiting().await;
            gathering.wrote(self.deps.clock.now());
            let failed = written.is_err();
            self.trouble.lock().flush.note(written.err(), self.deps.clock.now());
            self.bump();
            if failed {
                self.deps.clock.sleep(pace.poll_max * 4).await;
            }
        }
    }

    /// Appends the tasks that wait now to the log. Those that come meanwhile are gathered for the next time: one by one
    /// they would make as many segments as requests fit into the time, with a few tasks each.
    async fn write_waiting(&self) -> Result<(), Error> {
        // One writer at a time keeps this client's tasks in order.
        let mut unsettled = self.writing.lock().await;
        let target = self.buffer.lock().next;
        while self.buffer.lock().first < target {
            // A segment whose fate is not known is tried again as it is, so that it exists once.
            if unsettled.is_none() {
                *unsettled = self.cut_segment().await?;
            }
            let Some(next) = unsettled.as_mut() else {
                return Ok(());
            };
            self.append(next).await?;
            let count = next.segment.index.tasks.len();
            {
                let mut buffer = self.buffer.lock();
                buffer.waiting.drain(..count);
                buffer.first += count as u64;
                self.board.lock().add_segment(next.number, &next.segment.index);
            }
            *unsettled = None;
            self.bump();
            self.look_now.notify_one();
            self.fleet_now.notify_one();
        }
        Ok(())
    }

    /// Waits for the chunks that the first waiting tasks need, and makes a segment of them.
    async fn cut_segment(&self) -> Result<Option<Unsettled>, Error> {
        let (count, needed) = {
            let buffer = self.buffer.lock();
            let count = buffer.cut();
            (count, buffer.chunks(count))
        };
        if count == 0 {
            return Ok(None);
        }
        if !is_broken(Rule::SegmentChunks) {
            self.uploads.stored(&needed).await?;
        }
        // Only this loop takes tasks out of the buffer: the first ones are still the same.
        let buffer = self.buffer.lock();
        let (spread, number) = {
            let board = self.board.lock();
            (board.spread(self.workers_wanted()), board.next_number())
        };
        // None is too long to be read and written often; workers without one find a part each; and many tasks are
        // spread over all workers, so that none has to come to another's help.
        let workers = self.workers_wanted().max(1) as usize;
        let shared = (buffer.waiting.len() / (2 * workers)).clamp(CROWDED_TASKS, SHARED_TASKS);
        let even = (count / shared).min(workers);
        let parts = count.div_ceil(PART_TASKS).max(spread.min(count)).max(even);
        let parts = segment::even_parts(count, parts);
        Ok(Some(Unsettled { segment: self.segment(&buffer, parts), number }))
    }

    fn segment(&self, buffer: &Buffer, parts: Vec<u32>) -> Segment {
        let count: usize = parts.iter().map(|len| *len as usize).sum();
        let tasks = || buffer.waiting.iter().take(count);
        let common = buffer.waiting.front().and_then(|task| task.common.as_ref());
        let payloads: Vec<Payload> = tasks().map(|task| task.payload.clone()).collect();
        Segment {
            index: SegmentIndex {
                write: Nonce::fresh(&*self.deps.ids),
                client: self.id.clone(),
                first: buffer.first,
                submitted_at: self.deps.clock.wall(),
                parts,
                tasks: tasks().map(|task| task.header.clone()).collect(),
            },
            frames: SegmentFrames { common: common.map(|c| (**c).clone()), payloads },
        }
    }

    /// Puts a segment under the first number that is free.
    async fn append(&self, next: &mut Unsettled) -> Result<(), Error> {
        loop {
            let key = self.keys.segment(next.number);
            match self.deps.store.create(&key, next.segment.encode(&key)?).await {
                Ok(_) => return Ok(()),
                Err(StoreError::AlreadyExists { .. } | StoreError::Unanswered { .. }) => {}
                Err(other) => return Err(other.into()),
            }
            match self.deps.store.get(&key).await {
                Ok(object) => {
                    // One that cannot be read is another's, and keeps its number.
                    let there = Segment::decode_index(&key, &object.body).ok();
                    let ours = there.is_some_and(|there| there.write == next.segment.index.write);
                    if ours && !is_broken(Rule::SegmentNonce) {
                        // An earlier try got through and only its answer was lost.
                        return Ok(());
                    }
                    next.number += 1;
                }
                Err(StoreError::NotFound { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
    }
}
