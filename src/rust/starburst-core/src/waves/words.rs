//! What a user is told before workers start, and when none can.
use super::{
    Demand, Fleet, HeldBy, Limits, TooSmall, Wave, at_least_zero, fitting, sizes::FARGATE_SIZES,
};

/// The quota the words are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// As a user knows it: `Fargate`, `Fargate Spot`, `EC2`, `EC2 Spot`.
    pub name: String,
    /// As `starburst_request_quota_increase()` takes it, such as `FARGATE`.
    pub launch_type: String,
    /// Whether it is that of Spot.
    pub spot: bool,
    /// An increase that was asked for and not decided.
    pub pending: Option<Increase>,
}

/// An increase of a quota that AWS has not decided yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Increase {
    /// The quota that was asked for, in vCPU.
    pub vcpu: u32,
    /// The day it was asked for, such as `2026-11-20`.
    pub since: String,
    /// AWS's number of the case, where it has one.
    pub case: Option<String>,
}

/// The size of a worker, to look for a smaller one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WorkerSize {
    /// vCPU.
    pub cpu: f64,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Whether it runs on Fargate: only its sizes are a list to choose from.
    pub on_fargate: bool,
}

/// The message before launch: what was requested, what holds it, and what would help.
///
/// ```
/// # use starburst_core::waves::*;
/// # let quota = Quota { name: "Fargate".into(), launch_type: "FARGATE".into(), spot: false, pending: None };
/// # let size = WorkerSize { cpu: 4.0, memory_mib: 8192, on_fargate: true };
/// let limits = Limits { vcpu: Some(100.0), used_by_others: 20.0, most_workers: None };
/// let fleet = Fleet { vcpu_each: 4.0, running: 0, starting: 0 };
/// let demand = Demand { requested: 100, open_tasks: 0 };
/// let wave = plan_waves(&limits, &fleet, &demand)?;
/// assert!(announce(&quota, &size, &limits, &fleet, &demand, &wave).starts_with(
///     "Requested 100 workers (400 vCPU). \
///      Fargate quota 100 vCPU, 20 in use: 20 workers at a time (5 waves). \
///      With cpu = 1: 80 at a time. Request 500 vCPU?"
/// ));
/// # Ok::<(), TooSmall>(())
/// ```
pub fn announce(
    quota: &Quota,
    size: &WorkerSize,
    limits: &Limits,
    fleet: &Fleet,
    demand: &Demand,
    wave: &Wave,
) -> String {
    let requested = demand.requested;
    let vcpu = f64::from(requested) * at_least_zero(fleet.vcpu_each);
    let mut said = vec![format!("Requested {} ({} vCPU).", workers(requested), number(vcpu))];
    let Some(limit) = limits.vcpu.map(at_least_zero) else {
        said.push(format!(
            "The {} quota could not be read: workers start as far as AWS allows.",
            quota.name
        ));
        said.extend(cost(limits, requested));
        return said.join(" ");
    };
    let used = at_least_zero(limits.used_by_others);
    let room = fitting(limit - used, fleet.vcpu_each);
    if room < requested {
        let in_use =
            format!("{} quota {} vCPU, {} in use", quota.name, number(limit), number(used));
        said.push(if room == 0 {
            format!("{in_use}: no worker can start now; they start as it becomes free.")
        } else {
            format!("{in_use}: {} at a time ({}).", workers(room), waves(requested, room))
        });
        said.extend(smaller(size, limit - used, room, requested));
        said.push(increase(quota, vcpu + used));
    }
    if wave.held_by == HeldBy::Cost || wave.at_a_time < requested.min(room) {
        said.extend(cost(limits, requested));
    }
    said.join(" ")
}

/// What a user is told when the quota is below a single worker.
pub fn refuse(error: &TooSmall, quota: &Quota, size: &WorkerSize, requested: u32) -> String {
    let TooSmall { needed, limit, used } = *error;
    let mut said = vec![format!(
        "the {} quota is {} vCPU, {} in use by others, and one worker needs {} vCPU: none can start.",
        quota.name,
        number(limit),
        number(used),
        number(needed)
    )];
    said.extend(smaller(size, limit - used, 0, requested));
    said.push(increase(quota, f64::from(requested) * needed + used));
    said.join(" ")
}

/// The quota to ask for, in vCPU: `needed` rounded up, to tens up to 100 and to hundreds above. A little more than
/// is needed saves the next request, and AWS grants round numbers.
pub fn quota_to_ask_for(needed: f64) -> u32 {
    let step = if needed <= 100.0 { 10.0 } else { 100.0 };
    // The cast ends at 0 and at the largest number, which is what is meant.
    ((at_least_zero(needed) / step).ceil().max(1.0) * step) as u32
}

fn increase(quota: &Quota, needed: f64) -> String {
    if let Some(Increase { vcpu, since, case }) = &quota.pending {
        let case = case.as_ref().map(|case| format!(" (case {case})")).unwrap_or_default();
        return format!("An increase to {vcpu} vCPU is pending since {since}{case}.");
    }
    let ask = quota_to_ask_for(needed);
    let spot = if quota.spot { ", use_spot = TRUE" } else { "" };
    format!(
        "Request {ask} vCPU? starburst_request_quota_increase(vcpus = {ask}, launch_type = \"{}\"{spot})",
        quota.launch_type
    )
}

/// The largest smaller size that lets all run at once, or else the one that lets most. The memory stays as it is:
/// who asked for so much needs it.
fn smaller(size: &WorkerSize, left: f64, now: u32, requested: u32) -> Option<String> {
    let (cpu, fit) = FARGATE_SIZES
        .iter()
        .filter(|other| size.on_fargate && other.cpu < size.cpu && other.takes(size.memory_mib))
        .map(|other| (other.cpu, fitting(left, other.cpu).min(requested)))
        .filter(|(_, fit)| *fit > now)
        .max_by(|a, b| a.1.cmp(&b.1).then(a.0.total_cmp(&b.0)))?;
    let all = if fit == requested && requested > 1 { "all " } else { "" };
    Some(format!("With cpu = {cpu}: {all}{fit} at a time."))
}

fn cost(limits: &Limits, requested: u32) -> Option<String> {
    let most = limits.most_workers.filter(|most| *most < requested)?;
    Some(if most == 0 {
        "The ceiling on cost allows no worker.".to_owned()
    } else {
        format!(
            "The ceiling on cost allows {} at a time ({}).",
            workers(most),
            waves(requested, most)
        )
    })
}

fn workers(count: u32) -> String {
    if count == 1 { "1 worker".to_owned() } else { format!("{count} workers") }
}

fn waves(requested: u32, at_a_time: u32) -> String {
    match requested.div_ceil(at_a_time.max(1)) {
        1 => "1 wave".to_owned(),
        count => format!("{count} waves"),
    }
}

/// As a person writes it: at most two decimals, none that are zero.
fn number(value: f64) -> String {
    format!("{}", (value * 100.0).round() / 100.0)
}
