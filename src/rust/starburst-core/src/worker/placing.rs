//! Where results go: into the ledger when they are small, into batches of their own when not.
use super::{
    Worker,
    hand::{Desk, Finished, How},
    queue::Known,
};
use crate::{
    blob::Payload,
    envelope::{self, Kind},
    error::Error,
    ids::ObjectId,
    ledger::{Claim, Ended, Ending},
    mutation::{Rule, is_broken},
    results::{IN_LEDGER_MAX, LEDGER_MAX, ResultBatch, ResultRef},
    store::StoreError,
};
use bytes::Bytes;

impl Worker {
    /// Stores results that are too large for the ledger, and makes the records of all that is finished.
    pub(super) async fn store_results(
        &mut self,
        desk: &mut Desk,
    ) -> Result<Vec<(Claim, Ended)>, Error> {
        self.place_results(desk).await?;
        let at = self.deps.clock.wall();
        let record = |f: &Finished| {
            let ending = match (&f.how, f.stored.clone()) {
                (How::Value(_), Some(at)) => Ending::Value(at),
                (How::Error(..), Some(at)) => Ending::Error(at),
                (How::Broken(broken, message), _) => {
                    Ending::Broken { broken: *broken, message: message.clone() }
                }
                (How::Value(_) | How::Error(..), None) => return None,
            };
            let ended = Ended {
                ending,
                worker: Some(self.me.clone()),
                attempt: f.claim.attempt,
                at,
                ran_ms: u64::try_from(f.ran.as_millis()).unwrap_or(u64::MAX),
                signals: f.signals,
                log: f.log,
                failure: match &f.how {
                    How::Error(_, failure) => failure.clone(),
                    How::Value(_) | How::Broken(..) => None,
                },
            };
            Some((f.claim, ended))
        };
        Ok(desk.finished.iter().filter_map(record).collect())
    }

    /// Decides for each result where it goes, and stores what does not fit the ledger.
    async fn place_results(&mut self, desk: &mut Desk) -> Result<(), Error> {
        let ledger = self.queue.parts.get(&desk.id()).and_then(Known::ledger);
        let mut room = LEDGER_MAX.saturating_sub(ledger.map_or(0, |l| l.value.result_bytes()));
        let object = ObjectId::fresh(&*self.deps.ids);
        let mut batch = ResultBatch { payloads: Vec::new() };
        let mut chunks = Vec::new();
        let mut places: Vec<(usize, ResultRef)> = Vec::new();
        for (n, finished) in desk.finished.iter().enumerate() {
            let (How::Value(payload) | How::Error(payload, _)) = &finished.how else {
                continue;
            };
            if finished.stored.is_some() {
                continue;
            }
            let place = match payload {
                Payload::Inline(bytes) if bytes.len() <= IN_LEDGER_MAX.min(room) => {
                    room -= bytes.len();
                    ResultRef::Here(Bytes::clone(bytes))
                }
                Payload::Inline(_) | Payload::Blobs { .. } => {
                    chunks.extend_from_slice(payload.chunks());
                    batch.payloads.push(payload.clone());
                    let place = u32::try_from(batch.payloads.len() - 1).unwrap_or(u32::MAX);
                    ResultRef::Batch { object: object.clone(), place }
                }
            };
            places.push((n, place));
        }
        if !batch.payloads.is_empty() {
            if !is_broken(Rule::BatchChunks) {
                self.deps.uploads.stored(&chunks).await?;
            }
            let key = self.keys.result(desk.id(), &object);
            let body = envelope::encode(Kind::Results, &key, &batch)?;
            match self.deps.store.create(&key, body).await {
                // The name is ours alone: a batch that is there already is this one.
                Ok(_) | Err(StoreError::AlreadyExists { .. }) => {}
                Err(_) if is_broken(Rule::BatchWritten) => {}
                Err(other) => return Err(other.into()),
            }
        }
        for (n, place) in places {
            if let Some(finished) = desk.finished.get_mut(n) {
                finished.stored = Some(place);
            }
        }
        Ok(())
    }
}
