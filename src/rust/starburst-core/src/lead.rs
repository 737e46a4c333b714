//! Leadership: of all that could start workers for a detached session, one does.
//!
//! Clients and, where workers can start others, one client inside a worker: each asks for the lead before it starts any.
//! Two that believe to lead at once do no harm but start a few workers too many, which the next round does not repeat.
use crate::{
    clock::Monotonic,
    cost::Tally,
    envelope::Kind,
    error::Error,
    held::{self, Ground, Held, Sightings},
    ids::{ClientId, Nonce},
    update::Record,
};
use serde::{Deserialize, Serialize};

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

impl Held for Lead {
    type Holder = ClientId;
    fn vacant() -> Self {
        Self { write: Nonce(0), holder: None, spent: None }
    }
    fn holder(&self) -> Option<&ClientId> {
        self.holder.as_ref()
    }
    fn set_holder(&mut self, holder: Option<ClientId>) {
        self.holder = holder;
    }
}

/// What one candidate knows of the lead.
#[derive(Debug, Default)]
pub struct Leadership {
    seen: Sightings,
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
        let keep = |lead: &mut Lead| lead.spent = spent.or(lead.spent);
        let Some((taken, lead)) = self.seen.take(on, me, keep).await? else {
            return Ok(false);
        };
        self.renewed = taken.then_some(now);
        self.kept = lead.spent;
        Ok(taken)
    }

    /// Lays the lead down, so that another can take it at once. Where that fails it ends with its lease.
    pub async fn lay_down(&mut self, on: &Ground<'_>, me: &ClientId, spent: Option<Tally>) {
        if self.renewed.take().is_some() {
            let keep = |lead: &mut Lead| lead.spent = spent.or(lead.spent);
            held::lay_down(on, me, keep).await;
        }
    }
}
