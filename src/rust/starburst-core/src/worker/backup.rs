//! What an idle worker does where the session asks for backup tasks: the task that another has been at for longest, too.
use super::{
    Worker,
    queue::{Hand, Settlement},
};
use crate::{clock::Monotonic, error::Error, ids::PartId, ledger::Claim};
use std::{collections::BTreeMap, time::Duration};

/// A task that takes so many times as long as tasks took on average is slow.
const SLOW: u32 = 3;

/// Since when tasks were seen to be held by one worker, by part, place and attempt.
pub(super) type Held = BTreeMap<(PartId, usize, u32), Monotonic>;

impl Worker {
    /// Joins the task that was seen in work for longest, if that is long.
    pub(super) async fn back_up(&mut self) -> Result<Option<Hand>, Error> {
        let manifest = self.manifest();
        if !manifest.backup_tasks || self.told_to_leave().is_some() {
            return Ok(None);
        }
        let now = self.deps.clock.now();
        let mut held = Held::new();
        for (id, known) in &self.queue.parts {
            for claim in known.ledger().map(|l| l.value.alone(&self.me)).unwrap_or_default() {
                let key = (*id, claim.place, claim.attempt);
                held.insert(key, self.held.get(&key).copied().unwrap_or(now));
            }
        }
        self.held = held;
        let mean = Duration::from_secs_f64(self.mean_ms.unwrap_or(0.0) / 1e3);
        let long = (mean * SLOW).max(manifest.pace.claim);
        let slowest = self.held.iter().min_by_key(|(_, since)| **since);
        let Some((&(id, place, attempt), _)) = slowest.filter(|(_, at)| now.since(**at) >= long)
        else {
            return Ok(None);
        };
        let part = self.part(id).await?;
        let back_up = Some(Claim { place, attempt });
        let claims = self.settle(&part, &Settlement { back_up, ..Settlement::default() }).await?;
        Ok((!claims.is_empty()).then_some(Hand { part, claims }))
    }
}
