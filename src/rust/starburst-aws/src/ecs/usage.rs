//! What is used of the account's vCPU quota, as far as the cluster shows it.
use super::{EcsLauncher, USAGE_LASTS, tasks};

impl EcsLauncher {
    /// vCPU of all tasks of the cluster, this session's included. What other clusters use shows only when AWS refuses
    /// to start more, and then workers start as others end.
    pub(super) async fn vcpu_used(&self) -> f64 {
        if !self.fleet.is_fargate() || self.fleet.vcpu_quota.is_none() {
            return 0.0;
        }
        let now = self.clock.now().0;
        if let Some((at, used)) = *self.used.lock()
            && now.saturating_sub(at) < USAGE_LASTS
        {
            return used;
        }
        // What cannot be asked for is not counted: ECS refuses what is too much.
        let used = self.ask_vcpu_used().await.unwrap_or(0.0);
        *self.used.lock() = Some((now, used));
        used
    }

    async fn ask_vcpu_used(&self) -> Option<f64> {
        let cluster = &self.fleet.cluster;
        let arns = tasks::list(&self.account, cluster, None).await.ok()?;
        let there = tasks::describe(&self.account, cluster, &arns).await.ok()?;
        Some(tasks::vcpu(&there, &self.fleet.provider))
    }
}
