//! What a worker does with nothing to claim: looks for tasks that became free, and after the others.
use super::{Worker, queue::Known};
use crate::{clock::Monotonic, error::Error, ids::PartId, key::OfPart, patrol::Ground};
use std::{sync::Arc, time::Duration};

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
        if !self.queue.parts.is_empty() {
            self.relist(pace.recheck).await?;
            self.probe(pace.probes).await?;
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
        let Some(first) = self.queue.parts.keys().next().copied() else {
            return Ok(());
        };
        self.queue.rounds.listed = Some(now);
        let after = self.keys.part(first);
        for entry in self.deps.store.list(&self.keys.parts(), Some(&after)).await? {
            let Some((id, OfPart::Ledger)) = entry.key.of_part() else {
                continue;
            };
            if let Some(known) = self.queue.parts.get_mut(&id) {
                let seen = match known {
                    Known::Read(ledger) => ledger.etag.as_ref(),
                    Known::Begun(etag) => etag.as_ref(),
                    Known::Untouched => None,
                };
                if seen != Some(&entry.etag) {
                    *known = Known::Begun(Some(entry.etag));
                }
            }
        }
        Ok(())
    }

    /// Reads ledgers that others began or changed, a few at a time, each worker beginning elsewhere.
    async fn probe(&mut self, most: usize) -> Result<(), Error> {
        let unseen = self.queue.unseen();
        if unseen.is_empty() {
            return Ok(());
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
        Ok(())
    }

    async fn walk(&mut self) -> Result<(), Error> {
        let held: Vec<PartId> = self
            .queue
            .parts
            .iter()
            .filter(|(_, known)| known.ledger().is_some_and(|l| l.value.counts().claimed > 0))
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
