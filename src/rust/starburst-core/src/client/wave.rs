//! How many workers may start now, by what is wanted, the quota, and the ceiling on cost.
use super::Client;
use crate::{
    compute::{Budget, Compute},
    cost,
    error::Error,
    manifest::Manifest,
    waves,
};

impl Client {
    /// How many workers to start now: as many as are wanted, and as the quota and the ceiling on cost have room for.
    pub(super) async fn wave(&self, alive: u64, open: u64) -> Result<u32, Error> {
        let requested = self.workers_wanted();
        let running = u32::try_from(alive).unwrap_or(u32::MAX);
        if u64::from(running) >= u64::from(requested).min(open) {
            return Ok(0);
        }
        let manifest = self.manifest();
        let vcpu_each = match &manifest.compute {
            Compute::Ecs(fleet) => fleet.vcpu_each,
            Compute::Local => manifest.cpu,
        };
        let fleet = waves::Fleet { vcpu_each, running, starting: 0 };
        let mut limits = self.deps.launcher.limits().await;
        limits.used_by_others = waves::used_by_others(limits.used_by_others, &fleet);
        if let Some(Budget { price, ceiling }) = &manifest.budget {
            limits.most_workers = cost::most_workers(ceiling, price);
        }
        let demand = waves::Demand { requested, open_tasks: open };
        match waves::plan_waves(&limits, &fleet, &demand) {
            Ok(wave) => Ok(wave.start),
            Err(small) => Err(Error::Quota { message: in_words(&small, &manifest, requested) }),
        }
    }
}

/// What a user is told of a quota below one worker.
fn in_words(small: &waves::TooSmall, manifest: &Manifest, requested: u32) -> String {
    let (on_fargate, spot, name) = match &manifest.compute {
        Compute::Ecs(fleet) => (fleet.is_fargate(), fleet.is_spot(), fleet.quota_name.clone()),
        Compute::Local => (false, false, "local".to_owned()),
    };
    let quota =
        waves::Quota { name, launch_type: manifest.launch_type.clone(), spot, pending: None };
    let memory_mib = u32::try_from(manifest.memory_mib).unwrap_or(u32::MAX);
    let size = waves::WorkerSize { cpu: manifest.cpu, memory_mib, on_fargate };
    waves::refuse(small, &quota, &size, requested)
}
