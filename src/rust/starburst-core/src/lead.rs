//! Leadership: of all that could start workers for a detached session, one does.
//!
//! Clients and, where workers can start others, one client inside a worker: each asks for the lead before it starts any.
//! The lead is one object, taken and renewed by compare-and-swap. Whoever has seen it unchanged for the lease, on its
//! own clock, may take it, as with the tasks of a silent worker. Two that believe to lead at once do no harm but start
//! a few workers too many, which the next round does not repeat.
use crate::{
    clock::{Clock, Monotonic},
    cost::Tally,
    envelope::Kind,
    error::Error,
    ids::{ClientId, Ids, Nonce},
    key::SessionKeys,
    store::{ETag, Store},
    update::{self, Record},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The lead of a session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lead {
    /// Recognises the writer's own write, and changes with each renewal.
    pub write: Nonce,
    /// Who leads; nobody when it was laid down.
    pub holder: Option<ClientId>,
    /// What the session had cost when this was written.
    #[serde(default)]
    pub spent: Option<Tally>,
}

impl Record for Lead {
    const KIND: Kind = Kind::Lead;
    fn write(&self) -> Nonce {
        self.write
    }
    fn set_write(&mut self, nonce: Nonce) {
        self.write = nonce;
    }
}

/// Where the lead is, and by what time it is judged.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The session's store.
    pub store: &'a dyn Store,
    /// The session.
    pub keys: &'a SessionKeys,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Randomness.
    pub ids: &'a dyn Ids,
    /// Whoever has not renewed it for so long may lose it.
    pub lease: Duration,
}

/// What one candidate has seen of the lead.
#[derive(Debug, Default)]
pub struct Leadership {
    seen: Option<(ETag, Monotonic)>,
    renewed: Option<Monotonic>,
    kept: Option<Tally>,
}

impl Leadership {
    /// What the session had cost, as it stood with the lead when that was taken or renewed last.
    pub fn kept(&self) -> Option<Tally> {
        self.kept
    }

    /// Whether `me` leads now; takes or renews the lead where that is due, and writes `spent` to it, if that is known.
    /// To be asked more often than the lease ends.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn ask(
        &mut self,
        on: &Ground<'_>,
        me: &ClientId,
        spent: Option<Tally>,
    ) -> Result<bool, Error> {
        let now = on.clock.now();
        if self.renewed.is_some_and(|at| now.since(at) < on.lease / 4) {
            return Ok(true);
        }
        self.renewed = None;
        let key = on.keys.lead();
        let found = update::read::<Lead>(on.store, &key).await?;
        if let Some(lead) = &found
            && lead.value.holder.as_ref().is_some_and(|holder| holder != me)
            && !self.is_stale(lead.etag.as_ref(), now, on.lease)
        {
            return Ok(false);
        }
        let before = found.as_ref().map(|lead| lead.value.write);
        let missing = || Some(Lead { write: Nonce(0), holder: None, spent: None });
        let take = |lead: &mut Lead| {
            // Whoever changed it meanwhile was faster.
            let same = before.unwrap_or(Nonce(0)) == lead.write;
            same.then(|| {
                lead.holder = Some(me.clone());
                lead.spent = spent.or(lead.spent);
            })
        };
        let (taken, lead) = update::update(on.store, on.ids, &key, found, missing, take).await?;
        self.renewed = taken.map(|()| now);
        self.kept = lead.value.spent;
        Ok(taken.is_some())
    }

    /// Whether it has stood still for the lease, as this candidate saw it.
    fn is_stale(&mut self, etag: Option<&ETag>, now: Monotonic, lease: Duration) -> bool {
        match &self.seen {
            Some((seen, since)) if Some(seen) == etag => now.since(*since) >= lease,
            Some(_) | None => {
                self.seen = etag.map(|etag| (etag.clone(), now));
                false
            }
        }
    }

    /// Lays the lead down, so that another can take it at once. Where that fails it ends with its lease.
    pub async fn lay_down(&mut self, on: &Ground<'_>, me: &ClientId, spent: Option<Tally>) {
        if self.renewed.take().is_none() {
            return;
        }
        let drop = |lead: &mut Lead| {
            (lead.holder.as_ref() == Some(me)).then(|| {
                lead.holder = None;
                lead.spent = spent.or(lead.spent);
            })
        };
        let _ = update::update(on.store, on.ids, &on.keys.lead(), None, || None, drop).await;
    }
}
