//! What a worker does with nothing to claim: looks for tasks that became free, and after the others.
use super::{Worker, queue::Known};
use crate::{clock::Monotonic, error::Error, ids::PartId, key::OfPart, ledger, patrol::Ground};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// When a worker looked around last.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    listed: Option<Monotonic>,
    patrol: Option<Monotonic>,
    /// Whether it has had tasks, or lost a race for some: from then on its rank does not say which part is its own.
    pub(super) must_look: bool,
    /// Where it looks at others' ledgers next.
    turn: usize,
}

impl Worker {
    /// Lists which parts have begun or changed, reads a few of them, and takes back what dead workers hold.
    pub(super) async fn look_around(&mut self) -> Result<(), Error> {
        let (now, pace) = (self.deps.clock.now(), self.manifest().pace);
        if !self.queue.parts.is_empty() || !self.queue.unread.is_empty() {
            self.relist(pace.recheck).await?;
            self.read_segment(true).await?;
            // What seems to have nothing to give is read for the sake of those whose workers died.
            if !self.probe(pace.probes, true).await? {
                self.probe(pace.probes, false).await?;
            }
        }
        let last = &mut self.queue.rounds.patrol;
        if last.is_none_or(|last| now.since(last) >= pace.patrol) {
            *last = Some(now);
            self.walk().await?;
        }
        Ok(())
    }

    /// Learns from a listing which ledgers there are and which changed, unless it did so lately.
    pub(super) async fn relist(&mut self, lately: Duration) -> Result<(), Error> {
        let now = self.deps.clock.now();
        if self.queue.rounds.listed.is_some_and(|last| now.since(last) < lately) {
            return Ok(());
        }
        let parts = self.queue.parts.keys().next().copied();
        let unread = self.queue.unread.first().map(|number| PartId::new(number, 0));
        let Some(first) = parts.into_iter().chain(unread).min() else {
            return Ok(());
        };
        self.queue.rounds.listed = Some(now);
        let after = self.keys.part(first);
        let mut listed = BTreeMap::new();
        for entry in self.deps.store.list(&self.keys.parts(), Some(&after)).await? {
            if let Some((id, OfPart::Ledger)) = entry.key.of_part() {
                let waiting = ledger::may_hold_waiting(entry.size);
                listed.insert(id, (entry.etag, waiting));
            }
        }
        for (id, (etag, waiting)) in &listed {
            if let Some(known) = self.queue.parts.get_mut(id)
                && known.etag() != Some(etag)
            {
                *known = Known::Begun { etag: Some(etag.clone()), waiting: *waiting };
            }
        }
        self.queue.unread.list(listed.iter().map(|(id, (_, waiting))| (*id, *waiting)));
        self.queue.listed = listed;
        Ok(())
    }

    /// Reads ledgers that others began or changed, a few at a time, each worker beginning elsewhere: those in which
    /// tasks may wait, or the others. `false` when there are none.
    pub(super) async fn probe(&mut self, most: usize, waiting: bool) -> Result<bool, Error> {
        let unseen = self.queue.unseen(waiting);
        if unseen.is_empty() {
            return Ok(false);
        }
        if self.queue.rounds.turn == 0 {
            self.queue.rounds.turn = self.deps.ids.random() as usize >> 1;
        }
        let from = self.queue.rounds.turn % unseen.len();
        let chosen: Vec<PartId> =
            unseen.iter().cycle().skip(from).take(most.min(unseen.len())).copied().collect();
        self.queue.rounds.turn += chosen.len();
        for id in chosen {
            match self.refresh(id).await {
                Ok(()) => {}
                Err(error @ (Error::Damaged { .. } | Error::Version { .. })) => {
                    self.queue.set_aside(id, &error);
                }
                Err(other) => return Err(other),
            }
        }
        Ok(true)
    }

    async fn walk(&mut self) -> Result<(), Error> {
        let held: Vec<PartId> = self
            .queue
            .parts
            .iter()
            .filter(|(_, known)| known.claimed())
            .map(|(id, _)| *id)
            .collect();
        if held.is_empty() {
            return Ok(());
        }
        let manifest = self.manifest();
        let (store, clock) = (&*self.deps.store, &*self.deps.clock);
        self.patrol.look(store, &self.keys, clock, manifest.pace.lease).await?;
        for id in held {
            let Some(seen) = self.queue.parts.get(&id).and_then(Known::ledger).cloned() else {
                continue;
            };
            let ground = Ground {
                store: &*self.deps.store,
                keys: &self.keys,
                manifest: &manifest,
                clock: &*self.deps.clock,
                ids: &*self.deps.ids,
                fates: &*Arc::clone(&self.deps.fates),
                me: Some(&self.me),
            };
            if let Some(changed) = self.patrol.reclaim(&ground, id, &seen).await? {
                self.queue.learn(id, changed);
            }
        }
        Ok(())
    }
}
