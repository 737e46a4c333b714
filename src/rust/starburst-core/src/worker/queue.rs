//! What a worker knows of the segments, and how it claims from them.
use super::{Worker, idle::Rounds};
use crate::{
    envelope::{self, Kind},
    error::Error,
    key::SessionKeys,
    ledger::{Claim, Ended, Ledger},
    segment::Segment,
    store::{Store, StoreError},
    tail::Tail,
    update::{self, Versioned},
};
use std::{collections::BTreeMap, sync::Arc};

/// The most tasks one claim takes.
const CLAIM_MAX: usize = 64;
/// Segments whose payloads are kept in memory.
const SEGMENTS_KEPT: usize = 4;

/// What is known of one segment.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The ledger as it was seen last; none when nobody has claimed from the segment yet.
    pub(super) ledger: Option<Versioned<Ledger>>,
    /// Nothing was waiting when it was seen last.
    exhausted: bool,
}

/// All segments this worker has heard of and not seen ended.
#[derive(Debug)]
pub(super) struct Queue {
    tail: Tail,
    pub(super) segments: BTreeMap<u64, Known>,
    loaded: Vec<(u64, Arc<Segment>)>,
    damage: Option<String>,
    rank: u32,
    pub(super) rounds: Rounds,
    /// The manifest's count of reopenings that was seen last.
    reopened: u64,
}

/// Claimed tasks of one segment.
#[derive(Debug)]
pub(super) struct Hand {
    pub(super) number: u64,
    pub(super) segment: Arc<Segment>,
    pub(super) claims: Vec<Claim>,
}

/// What a worker writes into a ledger at once.
#[derive(Debug, Default)]
pub(super) struct Settlement {
    pub(super) ended: Vec<(Claim, Ended)>,
    pub(super) strikes: Vec<(Claim, String)>,
    pub(super) released: Vec<Claim>,
    /// Places held and not settled here.
    pub(super) in_hand: Vec<usize>,
    /// How many more to claim.
    pub(super) claim: usize,
}

impl Queue {
    pub(super) fn new(rank: u32) -> Self {
        Self {
            tail: Tail::default(),
            segments: BTreeMap::new(),
            loaded: Vec::new(),
            damage: None,
            rank,
            rounds: Rounds::default(),
            reopened: 0,
        }
    }

    /// Looks for new segments.
    pub(super) async fn discover(
        &mut self,
        store: &dyn Store,
        keys: &SessionKeys,
        reopened: u64,
    ) -> Result<(), Error> {
        if self.reopened != reopened {
            // Any segment that had ended may have waiting tasks again.
            self.reopened = reopened;
            self.tail = Tail::default();
        }
        for number in self.tail.advance(store, keys).await? {
            self.segments.entry(number).or_default();
        }
        Ok(())
    }

    /// Segments that may have waiting tasks, beginning at this worker's own.
    fn candidates(&self) -> Vec<u64> {
        let open = self.segments.iter().filter(|(_, known)| !known.exhausted);
        let mut numbers: Vec<u64> = open.map(|(number, _)| *number).collect();
        if !numbers.is_empty() {
            let own = self.rank as usize % numbers.len();
            numbers.rotate_left(own);
        }
        numbers
    }

    /// Remembers a ledger; forgets a segment that has ended.
    pub(super) fn learn(&mut self, number: u64, ledger: Versioned<Ledger>) {
        if ledger.value.is_final() {
            self.segments.remove(&number);
            self.loaded.retain(|(n, _)| *n != number);
            return;
        }
        let exhausted = ledger.value.counts().pending == 0;
        self.segments.insert(number, Known { ledger: Some(ledger), exhausted });
    }

    /// Sets aside a segment that cannot be read, so that the others are worked on first.
    pub(super) fn set_aside(&mut self, number: u64, error: &Error) {
        self.segments.remove(&number);
        self.damage = Some(error.chain().join(": "));
    }

    /// What could not be read, once everything else is done.
    pub(super) fn damage(&self) -> Option<String> {
        self.damage.clone().filter(|_| self.segments.is_empty())
    }

    fn waiting(&self, number: u64, len: usize) -> usize {
        let ledger = self.segments.get(&number).and_then(|known| known.ledger.as_ref());
        ledger.map_or(len, |l| usize::try_from(l.value.counts().pending).unwrap_or(len))
    }
}

impl Worker {
    /// Claims from the first segment that has something, or says that none has.
    pub(super) async fn next_hand(&mut self) -> Result<Option<Hand>, Error> {
        for number in self.queue.candidates() {
            match self.claim_from(number).await {
                Ok(Some(hand)) => return Ok(Some(hand)),
                Ok(None) => {}
                Err(error @ (Error::Damaged { .. } | Error::Version { .. })) => {
                    self.queue.set_aside(number, &error);
                }
                Err(other) => return Err(other),
            }
        }
        Ok(None)
    }

    async fn claim_from(&mut self, number: u64) -> Result<Option<Hand>, Error> {
        let segment = self.segment(number).await?;
        let claim = self.claim_size(number, segment.index.tasks.len());
        let settlement = Settlement { claim, ..Settlement::default() };
        let claims = self.settle(number, &segment, &settlement).await?;
        Ok((!claims.is_empty()).then_some(Hand { number, segment, claims }))
    }

    /// How many tasks to take: a share of what waits, and no more than a moment's work.
    pub(super) fn claim_size(&self, number: u64, len: usize) -> usize {
        let waiting = self.queue.waiting(number, len);
        let manifest = self.manifest();
        let open = self.queue.segments.values().filter(|known| !known.exhausted).count();
        let workers = manifest.workers as usize;
        // With a segment for every worker nobody waits for this one's tasks.
        let share = if open >= 2 * workers {
            waiting
        } else {
            waiting.div_ceil(2 * workers.div_ceil(open.max(1)))
        };
        let moment = match self.mean_ms {
            // Nobody knows yet how long these tasks take: one tells.
            None => 1,
            Some(mean) => (manifest.pace.claim.as_secs_f64() * 1e3 / mean.max(0.01)) as usize,
        };
        share.min(moment).clamp(1, CLAIM_MAX)
    }

    pub(super) async fn segment(&mut self, number: u64) -> Result<Arc<Segment>, Error> {
        if let Some((_, segment)) = self.queue.loaded.iter().find(|(n, _)| *n == number) {
            return Ok(Arc::clone(segment));
        }
        let key = self.keys.segment(number);
        let object = self.deps.store.get(&key).await?;
        let segment = Arc::new(Segment::decode(&key, &object.body)?);
        if self.queue.loaded.len() >= SEGMENTS_KEPT {
            self.queue.loaded.remove(0);
        }
        self.queue.loaded.push((number, Arc::clone(&segment)));
        Ok(segment)
    }

    /// Writes what is settled and claims more, all in one compare-and-swap.
    ///
    /// A settled task whose claim was lost is passed over: what this worker has to say of it is void.
    pub(super) async fn settle(
        &mut self,
        number: u64,
        segment: &Segment,
        settlement: &Settlement,
    ) -> Result<Vec<Claim>, Error> {
        let manifest = self.manifest();
        let (me, len) = (self.me.clone(), segment.index.tasks.len());
        let at = self.deps.clock.wall();
        let change = |ledger: &mut Ledger| {
            let before = ledger.clone();
            for (claim, ended) in &settlement.ended {
                ledger.end(&me, *claim, ended.clone());
            }
            for (claim, reason) in &settlement.strikes {
                if ledger.holds(&me, *claim) {
                    ledger.strike(&me, claim.place, reason, manifest.max_attempts, at);
                }
            }
            for claim in &settlement.released {
                ledger.release(&me, *claim);
            }
            let claims = ledger.claim(&me, settlement.claim, &settlement.in_hand);
            (*ledger != before || !claims.is_empty()).then_some(claims)
        };
        let key = self.keys.ledger(number);
        let seen = self.queue.segments.get(&number).and_then(|known| known.ledger.clone());
        let missing = || Some(Ledger::new(len));
        let (store, ids) = (&*self.deps.store, &*self.deps.ids);
        match update::update(store, ids, &key, seen, missing, change).await? {
            Some((claims, ledger)) => {
                if ledger.value.tasks.len() != len {
                    let detail = "it does not fit its segment".into();
                    return Err(Error::Damaged { key: key.to_string(), detail });
                }
                self.queue.learn(number, ledger);
                Ok(claims)
            }
            None => {
                self.refresh(number).await?;
                Ok(Vec::new())
            }
        }
    }

    /// Reads a ledger again if it changed. `false` when it did not.
    pub(super) async fn refresh(&mut self, number: u64) -> Result<bool, Error> {
        let key = self.keys.ledger(number);
        let etag = self
            .queue
            .segments
            .get(&number)
            .and_then(|known| known.ledger.as_ref())
            .and_then(|ledger| ledger.etag.clone());
        let object = match &etag {
            Some(etag) => self.deps.store.get_if_changed(&key, etag).await,
            None => self.deps.store.get(&key).await.map(Some),
        };
        match object {
            Ok(Some(object)) => {
                let (value, _) = envelope::decode(Kind::Ledger, &key, &object.body)?;
                self.queue.learn(number, Versioned { value, etag: Some(object.etag) });
                Ok(true)
            }
            Ok(None) => {
                // Nothing changed, so nothing waits either: this was asked because a claim got nothing.
                if let Some(known) = self.queue.segments.get_mut(&number)
                    && let Some(ledger) = &known.ledger
                {
                    known.exhausted = ledger.value.counts().pending == 0;
                }
                Ok(false)
            }
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }
}
