//! Whether this client starts the workers of its session.
use super::Client;
use crate::{compute::Compute, error::Error, held::Ground, manifest::Lifetime};

impl Client {
    /// Whether this client is the one to start workers now.
    pub(super) async fn leads(&self) -> Result<bool, Error> {
        if !self.shares_the_lead() {
            return Ok(true);
        }
        let mut leadership = self.leadership.lock().await;
        leadership.ask(&self.ground(), &self.id, self.tally_to_keep()).await
    }

    /// Lays the lead down, so that another can take it at once.
    pub async fn lay_down_lead(&self) {
        self.settle_bill().await;
        let mut leadership = self.leadership.lock().await;
        leadership.lay_down(&self.ground(), &self.id, self.tally_to_keep()).await;
    }

    fn ground(&self) -> Ground<'_> {
        Ground {
            store: &*self.deps.store,
            key: self.keys.lead(),
            clock: &*self.deps.clock,
            ids: &*self.deps.ids,
            lease: self.pace().lease,
        }
    }

    /// Workers on ECS can start others: then there may be more than one to do it.
    pub(super) fn shares_the_lead(&self) -> bool {
        let manifest = &self.manifest.lock().value;
        manifest.lifetime == Lifetime::Detached && matches!(manifest.compute, Compute::Ecs(_))
    }
}
