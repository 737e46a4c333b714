//! What a worker does with nothing to claim: looks for tasks that became free, and after the others.
use super::Worker;
use crate::{clock::Monotonic, error::Error, patrol::Ground};
use std::sync::Arc;

/// When an idle worker looked around last.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    recheck: Option<Monotonic>,
    patrol: Option<Monotonic>,
}

impl Worker {
    /// Reads the ledgers that changed, and takes back what dead workers hold.
    pub(super) async fn look_around(&mut self) -> Result<(), Error> {
        let (now, pace) = (self.deps.clock.now(), self.manifest().pace);
        let due = |last: &mut Option<Monotonic>, every| {
            let due = last.is_none_or(|last| now.since(last) >= every);
            if due {
                *last = Some(now);
            }
            due
        };
        let recheck = due(&mut self.queue.rounds.recheck, pace.recheck);
        let patrol = due(&mut self.queue.rounds.patrol, pace.patrol);
        if recheck {
            self.recheck().await?;
        }
        if patrol {
            self.walk().await?;
        }
        Ok(())
    }

    async fn recheck(&mut self) -> Result<(), Error> {
        let numbers: Vec<u64> = self.queue.segments.keys().copied().collect();
        let Some(first) = numbers.first() else {
            return Ok(());
        };
        let after = first.checked_sub(1).map(|n| self.keys.ledger(n));
        let listed = self.deps.store.list(&self.keys.ledgers(), after.as_ref()).await?;
        for entry in listed {
            let Some(number) = entry.key.number() else {
                continue;
            };
            let Some(known) = self.queue.segments.get(&number) else {
                continue;
            };
            let seen = known.ledger.as_ref().and_then(|ledger| ledger.etag.as_ref());
            if seen != Some(&entry.etag) {
                self.read_again(number).await?;
            }
        }
        Ok(())
    }

    async fn read_again(&mut self, number: u64) -> Result<(), Error> {
        match self.refresh(number).await {
            Ok(_) => Ok(()),
            Err(error @ (Error::Damaged { .. } | Error::Version { .. })) => {
                self.queue.set_aside(number, &error);
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    async fn walk(&mut self) -> Result<(), Error> {
        let held: Vec<u64> = self
            .queue
            .segments
            .iter()
            .filter(|(_, known)| {
                known.ledger.as_ref().is_some_and(|l| l.value.counts().claimed > 0)
            })
            .map(|(number, _)| *number)
            .collect();
        if held.is_empty() {
            return Ok(());
        }
        let manifest = self.manifest();
        let (store, clock) = (&*self.deps.store, &*self.deps.clock);
        self.patrol.look(store, &self.keys, clock, manifest.pace.lease).await?;
        for number in held {
            let Some(seen) = self.queue.segments.get(&number).and_then(|k| k.ledger.clone()) else {
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
            if let Some(changed) = self.patrol.reclaim(&ground, number, &seen).await? {
                self.queue.learn(number, changed);
            }
        }
        Ok(())
    }
}
