//! How many workers start now: what was asked for, what is open, and what AWS and the user's purse allow.
//!
//! Waves roll: as workers end, the next start, so a fleet that a quota holds is never idle waiting for its
//! slowest worker. [`plan_waves`] is asked again and again with what is true at that moment; it remembers nothing.
//! [`announce`] and [`refuse`] are its words.
mod sizes;
mod words;

pub use sizes::{FARGATE_SIZES, FargateSize, is_fargate_size};
pub use words::{Increase, Quota, WorkerSize, announce, quota_to_ask_for, refuse};

/// A count of vCPU is a multiple of a quarter; what is off by less than this is rounding.
const ROUNDING: f64 = 1e-9;

/// What holds the whole fleet down from outside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// The account's quota in vCPU for this kind of worker; `None` when there is none, or it could not be read.
    pub vcpu: Option<f64>,
    /// What others use of that quota, in vCPU; see [`used_by_others`].
    pub used_by_others: f64,
    /// The most workers a ceiling on cost allows at a time; `None` when there is no ceiling.
    pub most_workers: Option<u32>,
}

/// The workers there are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fleet {
    /// vCPU of each worker, as AWS counts them against the quota.
    pub vcpu_each: f64,
    /// Workers that were seen alive.
    pub running: u32,
    /// Workers that were asked for and not seen yet.
    pub starting: u32,
}

/// What the user wants, and what there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Workers the user asked for.
    pub requested: u32,
    /// Tasks that have not ended, those that run included. Before the first task it is 0: nothing starts then, and
    /// the plan says what would.
    pub open_tasks: u64,
}

/// What to do now, and how the whole will go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wave {
    /// Workers to start now.
    pub start: u32,
    /// Workers that may be there together: those of the fleet and those to come.
    pub at_a_time: u32,
    /// How many times `at_a_time` workers make up what was requested; 0 while none may start.
    pub waves: u32,
    /// What keeps the fleet from being larger than it will be.
    pub held_by: HeldBy,
}

/// What keeps a fleet from being larger. Where two hold it alike, the earlier of this list is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldBy {
    /// Nothing is to be done: no worker was requested, or no task is open and nothing else holds.
    Nothing,
    /// All that were requested are, or will be, there.
    Requested,
    /// There are fewer open tasks than workers allowed.
    Tasks,
    /// The quota, or what others use of it.
    Quota,
    /// A ceiling on cost.
    Cost,
}

/// The quota is below a single worker: waiting does not help.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("a worker needs {needed} vCPU and the quota is {limit}, {used} of it in use by others")]
pub struct TooSmall {
    /// vCPU of one worker.
    pub needed: f64,
    /// The quota in vCPU.
    pub limit: f64,
    /// What others use of it, in vCPU.
    pub used: f64,
}

/// What others use of a quota: the use that AWS measured, without this fleet. Never negative.
///
/// AWS counts minutes late, so workers that are starting may be missing from `measured`. Others then seem to use
/// less than they do, and AWS refuses what is too much; the other mistake would leave a quota unused.
pub fn used_by_others(measured: f64, fleet: &Fleet) -> f64 {
    let own = f64::from(there(fleet)) * fleet.vcpu_each;
    at_least_zero(measured - at_least_zero(own))
}

/// Plans what to start now.
///
/// The fleet that results is never above what is left of the quota, the ceiling on cost, what was requested, or the
/// open tasks; a fleet that is already above them is left alone. Where there is demand and room, something starts.
///
/// # Errors
/// [`TooSmall`] when the quota is below one worker and none is there. A quota that others have used up is no
/// error: it becomes free again, so the plan then starts nothing and names the quota.
pub fn plan_waves(limits: &Limits, fleet: &Fleet, demand: &Demand) -> Result<Wave, TooSmall> {
    let there = there(fleet);
    if let Some(limit) = limits.vcpu.map(at_least_zero)
        && demand.requested > 0
        && there == 0
        && fitting(limit, fleet.vcpu_each) == 0
    {
        let used = at_least_zero(limits.used_by_others);
        return Err(TooSmall { needed: fleet.vcpu_each, limit, used });
    }
    let by_tasks = u32::try_from(demand.open_tasks).unwrap_or(u32::MAX);
    let by_quota = limits.vcpu.map_or(u32::MAX, |limit| {
        fitting(limit - at_least_zero(limits.used_by_others), fleet.vcpu_each)
    });
    let by_cost = limits.most_workers.unwrap_or(u32::MAX);
    let at_a_time = demand.requested.min(by_quota).min(by_cost);
    let target = at_a_time.min(by_tasks);
    let held_by = if demand.requested == 0 {
        HeldBy::Nothing
    } else if target == demand.requested {
        HeldBy::Requested
    } else if by_tasks == 0 && at_a_time > 0 {
        HeldBy::Nothing
    } else if target == by_tasks && at_a_time > 0 {
        HeldBy::Tasks
    } else if at_a_time == by_quota {
        HeldBy::Quota
    } else {
        HeldBy::Cost
    };
    let waves = if at_a_time == 0 { 0 } else { demand.requested.div_ceil(at_a_time) };
    Ok(Wave { start: target.saturating_sub(there), at_a_time, waves, held_by })
}

fn there(fleet: &Fleet) -> u32 {
    fleet.running.saturating_add(fleet.starting)
}

/// How many workers of `each` vCPU fit into `left` vCPU. A worker that needs nothing always fits.
fn fitting(left: f64, each: f64) -> u32 {
    if at_least_zero(each) == 0.0 {
        return u32::MAX;
    }
    // The cast ends at 0 and at the largest number, which is what is meant.
    (at_least_zero(left) / each + ROUNDING).floor() as u32
}

/// Also 0 for what is not a number.
fn at_least_zero(value: f64) -> f64 {
    value.max(0.0)
}

#[cfg(test)]
mod tests;
