//! What a worker knows of the parts of segments, and how it claims from them.
//!
//! Its own part comes first, by its rank, so that workers that start together do not meet. Then parts nobody has
//! begun, then those of which it knows that tasks wait, then a few looks at what others work on.
pub(super) use super::known::Known;
use super::{CROWD, Worker, idle::Rounds, pulse, unread::Unread};
use crate::{
    envelope::{self, Kind},
    error::Error,
    ids::{Nonce, PartId, WorkerId},
    key::SessionKeys,
    ledger::{Claim, Ended, Ledger},
    mutation::{Rule, is_broken},
    segment::{Part, Segment},
    store::{ETag, Store, StoreError},
    tail::{News, Tail},
    update::{self, Shape, Versioned},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// The most tasks one claim takes.
const CLAIM_MAX: usize = 1_024;
/// So much work is not worth sharing: another worker would need about as long to come for it.
const TRIFLE: Duration = Duration::from_millis(500);
/// Segments whose payloads are kept in memory.
const SEGMENTS_KEPT: usize = 4;

/// All parts this worker has heard of and not seen ended.
#[derive(Debug)]
pub(super) struct Queue {
    tail: Tail,
    pub(super) unread: Unread,
    /// Whether this worker has chosen where to begin.
    settled: bool,
    /// How many segments there were when this worker chose where to begin; one when it did not look.
    spread: usize,
    /// Spreads the workers' choices.
    turn: usize,
    /// The ledgers that the last listing showed, and whether tasks may wait in them.
    pub(super) listed: BTreeMap<PartId, (ETag, bool)>,
    pub(super) parts: BTreeMap<PartId, Known>,
    loaded: Vec<(u64, Vec<Arc<Part>>)>,
    /// The identities that the ledgers of the parts must have.
    shapes: BTreeMap<PartId, Shape>,
    damage: Option<String>,
    /// Whether it has looked for segments behind the first one.
    looked: bool,
    rank: u32,
    pub(super) rounds: Rounds,
    /// The manifest's count of reopenings that was seen last.
    reopened: u64,
}

/// Claimed tasks of one part.
#[derive(Debug)]
pub(super) struct Hand {
    pub(super) part: Arc<Part>,
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
    /// Another's task to join.
    pub(super) back_up: Option<Claim>,
}

impl Queue {
    pub(super) fn new(rank: u32) -> Self {
        Self {
            tail: Tail::default(),
            unread: Unread::default(),
            settled: false,
            spread: 1,
            turn: rank as usize,
            listed: BTreeMap::new(),
            parts: BTreeMap::new(),
            loaded: Vec::new(),
            shapes: BTreeMap::new(),
            damage: None,
            looked: false,
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
        if self.tail.next() == 0 {
            // What a new worker finds first is most often all there is: it is read without being looked for.
            self.tail = Tail::from(1);
            self.unread.add([News { number: 0, parts: None }], false);
            return Ok(());
        }
        let again = self.reopened != reopened && !is_broken(Rule::RetryNoticed);
        let mut tail = if again { Tail::default() } else { self.tail };
        let news = tail.advance(store, keys).await?;
        if again {
            // Any part that had ended may have waiting tasks again.
            self.loaded.clear();
        }
        self.unread.add(news, again);
        (self.tail, self.reopened, self.looked) = (tail, reopened, true);
        Ok(())
    }

    /// Chooses the segment to begin with, where there are more workers than parts in the first one.
    async fn settle(&mut self, store: &dyn Store, keys: &SessionKeys) -> Result<(), Error> {
        let first = !self.parts.is_empty() && !self.rounds.must_look && !self.settled;
        if first && self.rank as usize >= self.parts.len() {
            self.settled = true;
            self.discover(store, keys, self.reopened).await?;
            self.spread = usize::try_from(self.tail.next()).unwrap_or(1).max(1);
            self.unread.settle_at(u64::from(self.rank) % self.tail.next().max(1));
            // The others at this segment have ranks that differ by the number of segments.
            self.turn = self.rank as usize / self.spread;
        }
        Ok(())
    }

    /// This worker's choice among these.
    fn own<T: Copy>(&self, among: &[T]) -> Option<T> {
        among.get(self.turn % among.len().max(1)).copied()
    }

    fn some(&self, which: impl Fn(&Known) -> bool) -> Vec<PartId> {
        self.parts.iter().filter(|(_, known)| which(known)).map(|(id, _)| *id).collect()
    }

    /// The part to claim from next.
    fn choice(&self) -> Option<PartId> {
        let waiting = self.own(&self.some(Known::pending));
        waiting.or_else(|| {
            let untouched = self.some(|known| matches!(known, Known::Untouched));
            let at_home = |id: &&PartId| self.rounds.must_look || self.unread.is_home(id.segment());
            let first: Vec<PartId> = untouched.iter().filter(at_home).copied().collect();
            self.own(&first).or_else(|| self.own(&untouched))
        })
    }

    /// A part in which this worker holds tasks, as its ledger says: with nothing in hand these come from a claim whose answer
    /// was lost.
    fn held_by(&self, me: &WorkerId) -> Option<PartId> {
        let holds = |known: &Known| {
            known.ledger().is_some_and(|ledger| ledger.value.holders().any(|holder| holder == me))
        };
        self.parts.iter().find(|(_, known)| known.claimed() && holds(known)).map(|(id, _)| *id)
    }

    /// Parts that others began and that were not looked at since: those in which tasks may wait, or the others.
    pub(super) fn unseen(&self, waits: bool) -> Vec<PartId> {
        self.some(|known| matches!(known, Known::Begun { waiting, .. } if *waiting == waits))
    }

    /// Whether tasks of this part wait, as far as is known.
    pub(super) fn waits_in(&self, id: PartId) -> bool {
        self.parts.get(&id).is_some_and(Known::pending)
    }

    /// Whether tasks wait, as far as is known for sure.
    fn has_waiting(&self) -> bool {
        self.parts.values().any(Known::pending)
    }

    /// Whether a choice may be somebody else's by now.
    fn is_blind(&self) -> bool {
        let untouched = self.some(|known| matches!(known, Known::Untouched)).len();
        untouched > 1 || untouched == 0 && self.unread.len() > 1 && !self.has_waiting()
    }

    /// Remembers a ledger; forgets a part that has ended.
    pub(super) fn learn(&mut self, id: PartId, ledger: Versioned<Ledger>) {
        if ledger.value.is_final() {
            self.forget(id);
        } else {
            let counts = ledger.value.counts();
            self.parts.insert(id, Known::Read(ledger, counts));
        }
    }

    fn forget(&mut self, id: PartId) {
        self.parts.remove(&id);
        self.shapes.remove(&id);
        let left: BTreeSet<u64> = self.parts.keys().map(|id| id.segment()).collect();
        self.loaded.retain(|(number, _)| left.contains(number));
    }

    /// Forgets a part whose ledger is gone.
    pub(super) fn give_up(&mut self, id: PartId) {
        self.forget(id);
    }

    /// Sets aside a part that cannot be read, so that the others are worked on first.
    pub(super) fn set_aside(&mut self, id: PartId, error: &Error) {
        self.forget(id);
        self.damage = Some(error.chain().join(": "));
    }

    /// What could not be read, once everything else is done.
    pub(super) fn damage(&self) -> Option<String> {
        let done = self.looked && self.parts.is_empty() && self.unread.is_empty();
        self.damage.clone().filter(|_| done)
    }

    fn waiting(&self, id: PartId, len: usize) -> usize {
        match self.parts.get(&id) {
            Some(Known::Read(_, counts)) => usize::try_from(counts.pending).unwrap_or(len),
            Some(Known::Untouched | Known::Begun { .. }) | None => len,
        }
    }
}

fn is_unreadable(error: &Error) -> bool {
    matches!(error, Error::Damaged { .. } | Error::Version { .. })
}

impl Worker {
    /// Claims from the first part that has something, or says that none has. Looks at what it does not know of
    /// only once it has `rested`.
    pub(super) async fn next_hand(&mut self, rested: bool) -> Result<Option<Hand>, Error> {
        let mut looks = self.manifest().pace.probes;
        loop {
            if !rested && !self.queue.has_waiting() {
                return Ok(None);
            }
            self.queue.settle(&*self.deps.store, &self.keys).await?;
            if self.queue.unread.awaits_home() && self.read_segment(false).await? {
                continue;
            }
            if self.queue.is_blind() && self.queue.rounds.must_look {
                self.relist(self.manifest().pace.claim).await?;
            }
            let own = self.queue.held_by(&self.me);
            let Some(id) = own.or_else(|| self.queue.choice()) else {
                if self.read_segment(false).await? {
                    continue;
                }
                if rested && looks > 0 && self.probe(1, true).await? {
                    looks -= 1;
                    continue;
                }
                return Ok(None);
            };
            match self.claim_from(id).await {
                Ok(Some(hand)) => {
                    self.queue.rounds.must_look = true;
                    return Ok(Some(hand));
                }
                // Somebody was faster, and may be with the next one too.
                Ok(None) => self.queue.rounds.must_look = true,
                Err(error) if is_unreadable(&error) => self.queue.set_aside(id, &error),
                // It was there. Its session is being deleted, or it alone is lost: the others are worked on.
                Err(error @ Error::Store(StoreError::NotFound { .. })) => {
                    self.queue.set_aside(id, &error);
                }
                Err(other) => return Err(other),
            }
        }
    }

    /// Reads one of the segments that were not read yet; with `any` also one that seems to have nothing to give.
    /// `false` when there is none.
    pub(super) async fn read_segment(&mut self, any: bool) -> Result<bool, Error> {
        let Some(number) = self.queue.unread.choice(self.queue.turn, any) else {
            return Ok(false);
        };
        let again = self.queue.unread.again(number);
        match self.load(number).await {
            Ok(parts) => {
                for part in parts {
                    let known = match self.queue.listed.get(&part.id) {
                        _ if again => Known::Begun { etag: None, waiting: true },
                        Some((etag, waiting)) => {
                            Known::Begun { etag: Some(etag.clone()), waiting: *waiting }
                        }
                        None => Known::Untouched,
                    };
                    let shape = Shape { segment: part.segment, len: part.tasks.len(), least: 0 };
                    self.queue.shapes.insert(part.id, shape);
                    self.queue.parts.entry(part.id).or_insert(known);
                }
            }
            // Nothing was submitted yet.
            Err(Error::Store(StoreError::NotFound { .. })) if number == 0 => {
                self.queue.tail = Tail::default();
                self.queue.unread.remove(number);
                return Ok(false);
            }
            Err(error) if is_unreadable(&error) => {
                self.queue.damage = Some(error.chain().join(": "));
            }
            Err(other) => return Err(other),
        }
        self.queue.unread.remove(number);
        Ok(true)
    }

    async fn claim_from(&mut self, id: PartId) -> Result<Option<Hand>, Error> {
        let part = self.part(id).await?;
        let claim = self.claim_size(id, part.tasks.len());
        if self.queue.is_blind() && matches!(self.queue.parts.get(&id), Some(Known::Untouched)) {
            return self.begin(part, claim).await;
        }
        let settlement = Settlement { claim, ..Settlement::default() };
        let claims = self.settle(&part, &settlement).await?;
        Ok((!claims.is_empty()).then_some(Hand { part, claims }))
    }

    /// Claims from a part that nobody seems to have begun. Where others are untouched too, whoever comes second goes
    /// there, instead of sharing this one.
    async fn begin(&mut self, part: Arc<Part>, claim: usize) -> Result<Option<Hand>, Error> {
        let mut ledger = Ledger::new(part.segment, part.tasks.len());
        let claims = ledger.claim(&self.me, claim, &[]);
        ledger.write = Nonce::fresh(&*self.deps.ids);
        let key = self.keys.ledger(part.id);
        match self.deps.store.create(&key, ledger.sealed(&key)?).await {
            Ok(etag) => {
                self.queue.learn(part.id, Versioned { value: ledger, etag: Some(etag) });
                Ok(Some(Hand { part, claims }))
            }
            Err(StoreError::AlreadyExists { .. } | StoreError::Unanswered { .. }) => {
                self.queue.parts.insert(part.id, Known::Begun { etag: None, waiting: true });
                self.relist(self.manifest().pace.claim / 5).await?;
                Ok(None)
            }
            Err(other) => Err(other.into()),
        }
    }

    /// How many tasks to take: a share of what waits, and no more than a moment's work.
    pub(super) fn claim_size(&self, id: PartId, len: usize) -> usize {
        let waiting = self.queue.waiting(id, len);
        let manifest = self.manifest();
        let unread = usize::try_from(self.queue.unread.open_parts()).unwrap_or(usize::MAX);
        let open = self.queue.some(Known::may_wait).len().saturating_add(unread);
        let workers = manifest.workers as usize;
        // With a part for every worker nobody waits for this one's tasks.
        let share = if open >= 2 * workers {
            waiting
        } else {
            waiting.div_ceil(2 * workers.div_ceil(open.max(1)))
        };
        let most = match self.mean_ms {
            // Nobody knows yet how long these tasks take: one tells.
            None => 1,
            Some(mean) => {
                let in_time = |time: Duration| (time.as_secs_f64() * 1e3 / mean.max(0.01)) as usize;
                let claim = manifest.pace.claim;
                // What is done in a moment altogether is not worth sharing, least of all in a crowd.
                let least = claim.min(TRIFLE);
                let trifle = in_time((claim * manifest.workers / CROWD).clamp(least, claim));
                if waiting <= trifle { waiting } else { share.min(in_time(claim)) }
            }
        };
        most.clamp(1, CLAIM_MAX)
    }

    pub(super) async fn part(&mut self, id: PartId) -> Result<Arc<Part>, Error> {
        let parts = self.load(id.segment()).await?;
        let found = parts.into_iter().find(|part| part.id == id);
        found.ok_or_else(|| Error::Internal { detail: format!("there is no part {id}") })
    }

    async fn load(&mut self, number: u64) -> Result<Vec<Arc<Part>>, Error> {
        if let Some((_, parts)) = self.queue.loaded.iter().find(|(n, _)| *n == number) {
            return Ok(parts.clone());
        }
        let key = self.keys.segment(number);
        let object = self.deps.store.get(&key).await?;
        let parts = Segment::decode(&key, &object.body)?.into_parts(number);
        let parts: Vec<Arc<Part>> = parts.into_iter().map(Arc::new).collect();
        if self.queue.loaded.len() >= SEGMENTS_KEPT {
            self.queue.loaded.remove(0);
        }
        self.queue.loaded.push((number, parts.clone()));
        Ok(parts)
    }

    /// Writes what is settled and claims more, all in one compare-and-swap.
    ///
    /// A settled task whose claim was lost is passed over: what this worker has to say of it is void.
    pub(super) async fn settle(
        &mut self,
        part: &Part,
        settlement: &Settlement,
    ) -> Result<Vec<Claim>, Error> {
        let manifest = self.manifest();
        let (me, len) = (self.me.clone(), part.tasks.len());
        let at = self.deps.clock.wall();
        let change = |ledger: &mut Ledger| {
            let before = ledger.clone();
            let at_it = |(claim, _): &(Claim, Ended)| before.workers_at(claim.place);
            let others = settlement.ended.iter().flat_map(at_it).filter(|other| **other != me);
            let others: Vec<WorkerId> = others.cloned().collect();
            for (claim, ended) in &settlement.ended {
                ledger.end(&me, *claim, ended.clone());
            }
            for (claim, reason) in &settlement.strikes {
                if ledger.holds(&me, *claim) {
                    ledger.strike(&me, claim.place, reason, manifest.max_attempts, at);
                }
            }
            for claim in &settlement.released {
                ledger.release(&me, *claim, manifest.max_attempts, at);
            }
            let joined = settlement.back_up.filter(|claim| ledger.back_up(&me, *claim));
            let claims = match joined {
                Some(claim) => vec![claim],
                None => ledger.claim(&me, settlement.claim, &settlement.in_hand),
            };
            (*ledger != before || !claims.is_empty()).then_some((claims, others))
        };
        let key = self.keys.ledger(part.id);
        // A ledger that was there and is gone went with its session, and must not be made anew.
        let (seen, may_begin) = match self.queue.parts.get(&part.id) {
            Some(Known::Read(ledger, _)) => (Some(ledger.clone()), false),
            // As far as is known the ledger begins here; if not, the write says so.
            Some(Known::Untouched) => {
                (Some(Versioned { value: Ledger::new(part.segment, len), etag: None }), true)
            }
            // A part that is forgotten was over, or its ledger cannot be read. Nobody claims from one that was not read.
            Some(Known::Begun { .. }) | None => (None, false),
        };
        let late = is_broken(Rule::NoLateLedger);
        let may_begin = may_begin || late;
        let least = seen.as_ref().map_or(0, |seen| if late { 0 } else { seen.value.revision });
        let must_be = (Shape { segment: part.segment, len, least }, may_begin);
        let (store, ids) = (&*self.deps.store, &*self.deps.ids);
        let (claims, ledger) =
            update::update_ledger(store, ids, &key, seen, must_be, change).await?;
        self.queue.learn(part.id, ledger);
        let (claims, others) = claims.unwrap_or_default();
        // Who was at the same task learns that it is over. It may have left, and then nobody is kept from anything.
        for other in &others {
            let _ = pulse::disturb(store, &self.keys, other, &*self.deps.clock).await;
        }
        Ok(claims)
    }

    /// Reads a ledger again if it changed.
    pub(super) async fn refresh(&mut self, id: PartId) -> Result<(), Error> {
        let key = self.keys.ledger(id);
        let known = self.queue.parts.get(&id);
        let etag = known.and_then(Known::ledger).and_then(|ledger| ledger.etag.clone());
        let object = match &etag {
            Some(etag) => self.deps.store.get_if_changed(&key, etag).await,
            None => self.deps.store.get(&key).await.map(Some),
        };
        match object {
            Ok(Some(object)) => {
                let (value, _) = envelope::decode::<Ledger>(Kind::Ledger, &key, &object.body)?;
                let seen = self.queue.parts.get(&id).and_then(Known::ledger);
                if let Some(shape) = seen.map(|seen| Shape::of(&seen.value)) {
                    shape.check(&key, &value)?;
                } else if let Some(shape) = self.queue.shapes.get(&id) {
                    shape.check(&key, &value)?;
                }
                self.queue.learn(id, Versioned { value, etag: Some(object.etag) });
                Ok(())
            }
            Ok(None) => Ok(()),
            // One that was read before went with its session, and must not be begun anew.
            Err(StoreError::NotFound { .. }) if etag.is_none() || is_broken(Rule::GoneIsGone) => {
                self.queue.parts.insert(id, Known::Untouched);
                Ok(())
            }
            Err(other) => Err(other.into()),
        }
    }
}
