//! EC2 instances of capacity providers, as managed scaling makes and removes them.
use super::{Ecs, task::Purchase};
use crate::aws::{
    names::fresh_id,
    settings::{EC2_ON_DEMAND, EC2_SPOT, Settings},
    state::State,
};
use std::time::{Duration, Instant};

#[derive(Debug)]
struct Instance {
    id: String,
    cluster: String,
    provider: String,
    spot: bool,
    vcpus: u32,
    units_free: u32,
    mib_free: u32,
    tasks: u32,
    ready: Instant,
    idle_since: Instant,
}

impl Instance {
    /// Whether it has not been idle for long enough to be ended.
    fn stays(&self, idle: Duration, now: Instant) -> bool {
        self.tasks > 0 || now.duration_since(self.idle_since) < idle
    }
}

/// All instances.
#[derive(Debug)]
pub(in crate::aws) struct Fleet {
    instances: Vec<Instance>,
    launched: usize,
    pub(in crate::aws) delay: Duration,
    idle: Duration,
    most: usize,
}

impl Fleet {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            instances: Vec::new(),
            launched: 0,
            delay: settings.ec2_delay,
            idle: settings.ec2_idle,
            most: settings.ec2_most,
        }
    }

    /// Ends what has been idle for long enough.
    pub(in crate::aws) fn retire(&mut self, now: Instant) {
        let idle = self.idle;
        self.instances.retain(|it| it.stays(idle, now));
    }

    /// Instances that are ready, of one cluster.
    pub(super) fn registered(&self, cluster: &str, now: Instant) -> usize {
        let there = |it: &&Instance| it.ready <= now && it.stays(self.idle, now);
        self.instances.iter().filter(there).filter(|it| it.cluster == cluster).count()
    }

    /// Instances that are ready, and all that were ever ordered.
    pub(in crate::aws) fn counts(&self, now: Instant) -> (usize, usize) {
        (self.instances.iter().filter(|it| it.ready <= now).count(), self.launched)
    }

    fn release(&mut self, instance: &str, units: u32, mib: u32, now: Instant) {
        if let Some(it) = self.instances.iter_mut().find(|it| it.id == instance) {
            it.units_free += units;
            it.mib_free += mib;
            it.tasks -= 1;
            it.idle_since = now;
        }
    }
}

impl Ecs {
    /// Finds room for a task, on an instance that is there or one that it now orders. `None` if there can be none at present;
    /// else the instance and when it is ready.
    fn reserve(&mut self, id: &str, quotas: (f64, f64), now: Instant) -> Option<(String, Instant)> {
        let task = self.tasks.get(id)?;
        let name = task.provider.clone()?;
        let provider = self.providers.get(&name)?;
        let (units, mib) = (task.cpu_units, task.mib);
        let fleet = &mut self.fleet;
        fleet.retire(now);
        let fits = |it: &&mut Instance| {
            it.provider == name
                && it.cluster == task.cluster
                && it.units_free >= units
                && it.mib_free >= mib
        };
        if let Some(it) = fleet.instances.iter_mut().find(fits) {
            it.units_free -= units;
            it.mib_free -= mib;
            it.tasks += 1;
            return Some((it.id.clone(), it.ready));
        }
        let too_large = units > provider.vcpus * 1_024 || mib > provider.mib;
        let of_provider = fleet.instances.iter().filter(|it| it.provider == name).count();
        let alike = fleet.instances.iter().filter(|it| it.spot == provider.spot);
        let used: u32 = alike.map(|it| it.vcpus).sum();
        let quota = if provider.spot { quotas.1 } else { quotas.0 };
        if too_large || of_provider >= fleet.most || f64::from(used + provider.vcpus) > quota {
            return None;
        }
        let instance = Instance {
            id: fresh_id(),
            cluster: task.cluster.clone(),
            provider: name,
            spot: provider.spot,
            vcpus: provider.vcpus,
            units_free: provider.vcpus * 1_024 - units,
            mib_free: provider.mib - mib,
            tasks: 1,
            ready: now + fleet.delay,
            idle_since: now,
        };
        let found = (instance.id.clone(), instance.ready);
        fleet.launched += 1;
        fleet.instances.push(instance);
        Some(found)
    }

    /// Gives the room of a task back.
    pub(super) fn release(&mut self, id: &str, now: Instant) {
        let Some(task) = self.tasks.get(id) else { return };
        if let Some(instance) = task.instance.clone() {
            let (units, mib) = (task.cpu_units, task.mib);
            self.fleet.release(&instance, units, mib, now);
        }
    }
}

/// Puts the task on an instance and says when that is ready; `None` if there is no room at present.
pub(super) fn place(state: &State, id: &str, now: Instant) -> Option<Instant> {
    let quotas = {
        let quotas = state.quotas.lock();
        (quotas.value(EC2_ON_DEMAND), quotas.value(EC2_SPOT))
    };
    let mut ecs = state.ecs.lock();
    let (instance, ready) = ecs.reserve(id, quotas, now)?;
    let task = ecs.tasks.get_mut(id)?;
    task.instance = Some(instance);
    Some(ready)
}

/// How the tasks of a provider are bought.
pub(super) fn purchase(ecs: &Ecs, provider: &str) -> Purchase {
    match ecs.providers.get(provider) {
        Some(provider) if provider.spot => Purchase::Ec2Spot,
        Some(_) | None => Purchase::Ec2OnDemand,
    }
}
