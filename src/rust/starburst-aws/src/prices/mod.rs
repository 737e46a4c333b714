//! What a worker costs, from a dated table, for when the Pricing API may not be asked.
//!
//! A ceiling on cost must not be too late, so what is not known is estimated on the dear side, and the price says
//! that it is an estimate. Left out: storage on S3, logs, traffic, tax, and an instance's own disk. Requests to S3 are priced
//! in `starburst_core::cost`.
mod now;
mod tables;

pub use now::{instance_now, worker_price_now};

use starburst_core::cost::Price;
use std::time::Duration;
use tables::{EC2, EC2_AS_OF, FARGATE, FARGATE_AS_OF, FargateRegion, Instance};

/// Fargate and Linux instances are charged by the second, and for a minute at least (AWS, November 2026).
const MINIMUM: Duration = Duration::from_secs(60);
/// USD an hour for a public IPv4 address, alike in all regions (AWS, November 2026).
const PUBLIC_IPV4: f64 = 0.005;
/// GiB of ephemeral storage that every Fargate task has free (AWS, November 2026).
const FREE_STORAGE_GIB: u32 = 20;
/// What is not known is taken to cost so many times the dearest that is known of its kind.
const SAFETY: f64 = 1.25;
/// The share of the On-Demand price that a Fargate Spot worker is taken to cost. AWS says "up to 70 % off", moves
/// the price slowly, and publishes no history. In September 2026 the least discount of 22 regions was 62 %, and 61 %
/// is the least that was found of earlier years: half leaves room for the price to rise.
const SPOT_SHARE: f64 = 0.5;
/// The share of x86 that ARM is taken to cost where its price is not known; it is 56 to 80.1 % where it is.
const ARM_SHARE: f64 = 0.81;
/// The share of an instance's memory that is left for workers once the system and the ECS agent have theirs. ECS
/// tells it only when an instance runs; this is the dear side of what small ones are known to register.
const USABLE_MEMORY: f64 = 0.92;
/// The region that EC2's table is of.
const HOME: &str = "us-east-1";

/// Where workers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaunchType {
    /// Each worker by itself, on Fargate.
    Fargate,
    /// Several on an instance of this account.
    Ec2,
}

/// The processors workers run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// x86-64.
    X86,
    /// ARM64, which AWS calls Graviton.
    Arm,
}

/// All that a worker's price depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerShape {
    /// Where it runs.
    pub launch_type: LaunchType,
    /// Its vCPU.
    pub cpu: f64,
    /// Its memory, in GiB.
    pub memory_gib: f64,
    /// Its processor; on EC2 the instance type decides.
    pub architecture: Architecture,
    /// Whether it runs on spare capacity.
    pub spot: bool,
    /// The instance type, on EC2 only.
    pub instance_type: Option<String>,
    /// The region, such as `eu-central-1`.
    pub region: String,
    /// Its ephemeral storage in GiB, the 20 free ones included; on Fargate only.
    pub ephemeral_gib: u32,
}

/// What Fargate costs in a region On-Demand, in USD an hour.
#[derive(Debug, Clone, PartialEq)]
pub struct FargateRates {
    /// For a vCPU.
    pub vcpu: f64,
    /// For a GB of memory.
    pub memory_gib: f64,
    /// For a GB of ephemeral storage above the free ones.
    pub storage_gib: f64,
    /// The month of the prices, such as `2026-09`.
    pub as_of: String,
    /// Why a vCPU's and the memory's price are an estimate, if they are.
    pub estimated: Option<String>,
    /// Whether that of the storage is one.
    pub storage_estimated: bool,
}

/// What an instance costs On-Demand, and what it has.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceRate {
    /// USD an hour for the whole instance.
    pub usd: f64,
    /// Its vCPU.
    pub vcpu: u32,
    /// Its memory in GiB, as AWS announces it.
    pub memory_gib: f64,
    /// Its processor.
    pub architecture: Architecture,
    /// The month of the price, such as `2026-07`.
    pub as_of: String,
    /// Whether it is the price of spare capacity, and not On-Demand.
    pub of_spot: bool,
    /// Why the price is an estimate, if it is.
    pub estimated: Option<String>,
}

/// What a worker costs, from the table. `None` when its size is none, no instance type is given, the table does not
/// have the type, or not one such worker fits on an instance.
pub fn worker_price(shape: &WorkerShape) -> Option<Price> {
    match shape.launch_type {
        LaunchType::Fargate => {
            fargate_price(shape, &fargate_rates(&shape.region, shape.architecture))
        }
        LaunchType::Ec2 => {
            ec2_price(shape, &instance_rate(shape.instance_type.as_deref()?, &shape.region)?)
        }
    }
}

/// What Fargate costs in a region, from the table.
pub fn fargate_rates(region: &str, architecture: Architecture) -> FargateRates {
    let known = FARGATE.iter().find(|row| row.name == region);
    let x86 = known.map_or_else(|| dearest(|row| row.x86), |row| row.x86);
    let (rate, arm_known) = match (architecture, known.and_then(|row| row.arm)) {
        (Architecture::X86, _) => (x86, true),
        (Architecture::Arm, Some(arm)) => (arm, true),
        (Architecture::Arm, None) => ((x86.0 * ARM_SHARE, x86.1 * ARM_SHARE), false),
    };
    let storage = known.and_then(|row| row.storage);
    let (factor, estimated) = match (known, arm_known) {
        (None, _) => (SAFETY, Some(format!("the table has no prices of {region}"))),
        (Some(_), false) => (1.0, Some(format!("the table has no ARM prices of {region}"))),
        (Some(_), true) => (1.0, None),
    };
    FargateRates {
        vcpu: rate.0 * factor,
        memory_gib: rate.1 * factor,
        storage_gib: storage.unwrap_or_else(|| {
            FARGATE.iter().filter_map(|row| row.storage).fold(0.0, f64::max) * SAFETY
        }),
        as_of: FARGATE_AS_OF.to_owned(),
        estimated,
        storage_estimated: storage.is_none(),
    }
}

/// What an instance costs in a region, from the table. In other regions than the table's it is taken to be dearer in
/// the ratio of Fargate's prices, and by a safety factor.
pub fn instance_rate(name: &str, region: &str) -> Option<InstanceRate> {
    let Instance { architecture, vcpu, memory_gib, usd, .. } =
        EC2.iter().find(|row| row.name == name)?;
    let vcpu_in = |region| fargate_rates(region, Architecture::X86).vcpu;
    // A region that Fargate's table does not have is estimated with the safety factor already.
    let safety = if FARGATE.iter().any(|row| row.name == region) { SAFETY } else { 1.0 };
    let away = region != HOME;
    Some(InstanceRate {
        of_spot: false,
        usd: if away { usd * vcpu_in(region) / vcpu_in(HOME) * safety } else { *usd },
        vcpu: *vcpu,
        memory_gib: f64::from(*memory_gib),
        architecture: *architecture,
        as_of: EC2_AS_OF.to_owned(),
        estimated: away.then(|| format!("the table has no instances of {region}")),
    })
}

/// What a worker costs on Fargate at these rates, with its public IPv4 address. `None` when its size is none.
pub fn fargate_price(shape: &WorkerShape, rates: &FargateRates) -> Option<Price> {
    if !is_size(shape) {
        return None;
    }
    let share = if shape.spot { SPOT_SHARE } else { 1.0 };
    let storage = shape.ephemeral_gib.saturating_sub(FREE_STORAGE_GIB);
    let doubts = [
        rates.estimated.clone(),
        (rates.storage_estimated && storage > 0)
            .then(|| format!("the table has no price of storage in {}", shape.region)),
        shape.spot.then(|| "Spot is taken to cost half of On-Demand".to_owned()),
    ];
    Some(Price {
        usd_per_hour: (shape.cpu * rates.vcpu + shape.memory_gib * rates.memory_gib) * share
            + f64::from(storage) * rates.storage_gib
            + PUBLIC_IPV4,
        minimum: MINIMUM,
        as_of: rates.as_of.clone(),
        what: what(shape, if shape.spot { "Fargate Spot" } else { "Fargate" }, &doubts),
    })
}

/// What a worker costs on an instance at this rate: its share of the instance and of its public IPv4 address, with
/// the instance full. `None` when its size is none, or not one fits.
///
/// Spot is charged like On-Demand, which it never exceeds; today's price is EC2's to say.
pub fn ec2_price(shape: &WorkerShape, rate: &InstanceRate) -> Option<Price> {
    let fit = workers_per_instance(shape, rate);
    if fit == 0 {
        return None;
    }
    let doubts = [
        rate.estimated.clone(),
        (shape.spot && !rate.of_spot)
            .then(|| "Spot is charged like On-Demand, which it never exceeds".to_owned()),
    ];
    let name = shape.instance_type.as_deref().unwrap_or("EC2");
    let of = if fit == 1 { String::new() } else { format!(", {fit} to an instance") };
    let kind = format!("{name}{}{of}", if shape.spot { " Spot" } else { "" });
    let shape = WorkerShape { architecture: rate.architecture, ..shape.clone() };
    Some(Price {
        usd_per_hour: (rate.usd + PUBLIC_IPV4) / f64::from(fit),
        minimum: MINIMUM,
        as_of: rate.as_of.clone(),
        what: what(&shape, &kind, &doubts),
    })
}

/// How many workers of this size fit on an instance; 0 when its size is none.
pub fn workers_per_instance(shape: &WorkerShape, rate: &InstanceRate) -> u32 {
    if !is_size(shape) {
        return 0;
    }
    let by_cpu = f64::from(rate.vcpu) / shape.cpu;
    let by_memory = rate.memory_gib * USABLE_MEMORY / shape.memory_gib;
    // The cast ends at 0 and at the largest number, which is what is meant.
    by_cpu.min(by_memory).floor() as u32
}

/// The most memory that a worker with so many vCPU can have on an instance, in whole GB, or halves below 4; 0 where
/// it has not so many.
pub fn most_memory_gib(cpu: f64, rate: &InstanceRate) -> f64 {
    if cpu > f64::from(rate.vcpu) {
        return 0.0;
    }
    let usable = rate.memory_gib * USABLE_MEMORY;
    if usable < 4.0 { (usable * 2.0).floor() / 2.0 } else { usable.floor() }
}

fn is_size(shape: &WorkerShape) -> bool {
    let positive = |value: f64| value > 0.0 && value.is_finite();
    positive(shape.cpu) && positive(shape.memory_gib)
}

fn dearest(price: impl Fn(&FargateRegion) -> (f64, f64)) -> (f64, f64) {
    FARGATE.iter().map(price).fold((0.0, 0.0), |a, b| (a.0.max(b.0), a.1.max(b.1)))
}

fn what(shape: &WorkerShape, kind: &str, doubts: &[Option<String>]) -> String {
    let WorkerShape { cpu, memory_gib, region, .. } = shape;
    let arm = if shape.architecture == Architecture::Arm { " on ARM" } else { "" };
    let doubts: Vec<&str> = doubts.iter().flatten().map(String::as_str).collect();
    let estimate = if doubts.is_empty() {
        String::new()
    } else {
        format!(" (an estimate: {})", doubts.join(", "))
    };
    format!("a worker of {cpu} vCPU and {memory_gib} GB{arm} on {kind} in {region}{estimate}")
}

#[cfg(test)]
mod tests;
