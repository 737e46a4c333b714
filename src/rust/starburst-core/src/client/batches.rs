//! Batches of results, each read once for all of its tasks that are fetched soon after one another.
use crate::{
    blob::Payload,
    downloads::{Downloads, Material},
    envelope::{self, Kind},
    error::Error,
    ids::PartId,
    key::{Key, SessionKeys},
    results::{ResultBatch, ResultRef},
    store::Store,
};
use lru::LruCache;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Bytes of results that are kept for the other tasks of their batches.
const KEPT_BYTES: usize = 32 << 20;
/// So many batches are kept however large they are: tasks of two workers may be fetched in turns.
const KEPT: usize = 2;
/// What keeping a batch takes besides its results, in bytes, on the dear side.
const OVERHEAD: usize = 4 << 10;

type Cell = Arc<OnceCell<ResultBatch>>;

/// Reads what tasks left.
#[derive(Debug)]
pub(super) struct Batches {
    store: Arc<dyn Store>,
    keys: SessionKeys,
    downloads: Arc<Downloads>,
    kept: Mutex<LruCache<Key, Cell>>,
}

impl Batches {
    pub(super) fn new(
        store: Arc<dyn Store>,
        keys: SessionKeys,
        downloads: Arc<Downloads>,
    ) -> Arc<Self> {
        Arc::new(Self { store, keys, downloads, kept: Mutex::new(LruCache::unbounded()) })
    }

    /// What a task of this part left.
    pub(super) async fn material(&self, part: PartId, at: ResultRef) -> Result<Material, Error> {
        let (object, place) = match at {
            ResultRef::Here(bytes) => return Ok(Material::Here(bytes)),
            ResultRef::Batch { object, place } => (object, place),
        };
        let key = self.keys.result(part, &object);
        let cell = Cell::clone(self.kept.lock().get_or_insert(key.clone(), Cell::default));
        let read = cell.get_or_try_init(|| self.read(&key)).await;
        if read.is_err() {
            self.kept.lock().pop(&key);
        }
        let batch = read?;
        let payload = batch.payloads.get(place as usize).ok_or_else(|| Error::Damaged {
            key: key.to_string(),
            detail: format!("it has no result {place}"),
        })?;
        Ok(Material::of(payload, &self.downloads))
    }

    async fn read(&self, key: &Key) -> Result<ResultBatch, Error> {
        let stored = self.store.get(key).await?;
        let (batch, _) = envelope::decode::<ResultBatch>(Kind::Results, key, &stored.body)?;
        self.make_room(key, weight(&batch));
        Ok(batch)
    }

    /// Forgets what was not asked for the longest while, for a batch that was read now.
    fn make_room(&self, read: &Key, bytes: usize) {
        let mut kept = self.kept.lock();
        let others = kept.iter().filter(|(key, _)| *key != read);
        let mut held = bytes + others.filter_map(|(_, cell)| cell.get()).map(weight).sum::<usize>();
        while held > KEPT_BYTES && kept.len() > KEPT {
            let forgotten = kept.pop_lru();
            let freed = forgotten.and_then(|(_, cell)| cell.get().map(weight)).unwrap_or(0);
            held = held.saturating_sub(freed);
        }
    }
}

fn weight(batch: &ResultBatch) -> usize {
    OVERHEAD + batch.payloads.iter().map(Payload::inline_len).sum::<usize>()
}
