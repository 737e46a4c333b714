//! What a worker costs today, and how large its instance is: by the Pricing API where it may be asked, else by the
//! table.
use super::{
    Architecture, InstanceRate, LaunchType, WorkerShape, ec2_price, fargate_price, fargate_rates,
    instance_rate, worker_price,
};
use crate::{account::Account, dates, pricing};
use starburst_core::{clock::Clock as _, cost::Price};
use std::time::Duration;

/// Longer than this nobody waits for a price that the table has too.
const LIMIT: Duration = Duration::from_secs(3);

/// What a worker costs. `None` as with [`worker_price`].
pub async fn worker_price_now(account: &Account, shape: &WorkerShape) -> Option<Price> {
    let told = tokio::time::timeout(LIMIT, told(account, shape)).await;
    told.ok().flatten().or_else(|| worker_price(shape))
}

/// How large an instance is, and what it costs, by the table, or else by the Pricing API. `None`: neither knows it.
pub async fn instance_now(account: &Account, shape: &WorkerShape) -> Option<InstanceRate> {
    let name = shape.instance_type.as_deref()?;
    if let Some(rate) = instance_rate(name, &shape.region) {
        return Some(rate);
    }
    let asked = pricing::ec2_on_demand(account, &shape.region, name);
    let product = tokio::time::timeout(LIMIT, asked).await.ok()?.ok()??;
    Some(InstanceRate {
        usd: product.usd_per_hour,
        vcpu: product.vcpu,
        memory_gib: product.memory_gib,
        architecture: shape.architecture,
        as_of: dates::day(account.time().wall())?,
        of_spot: false,
        estimated: None,
    })
}

async fn told(account: &Account, shape: &WorkerShape) -> Option<Price> {
    let as_of = dates::day(account.time().wall())?;
    match shape.launch_type {
        LaunchType::Fargate => {
            let now = pricing::fargate(account, &shape.region).await.ok()?;
            let (vcpu, memory_gib) = match shape.architecture {
                Architecture::X86 => (now.x86_vcpu?, now.x86_gb?),
                Architecture::Arm => (now.arm_vcpu?, now.arm_gb?),
            };
            let mut rates = fargate_rates(&shape.region, shape.architecture);
            (rates.vcpu, rates.memory_gib) = (vcpu, memory_gib);
            (rates.as_of, rates.estimated) = (as_of, None);
            fargate_price(shape, &rates)
        }
        LaunchType::Ec2 => {
            let kind = shape.instance_type.as_deref()?;
            let mut rate = instance_now(account, shape).await?;
            rate.of_spot = shape.spot;
            rate.usd = if shape.spot {
                // Nobody knows in which zone an instance will be.
                let zones = pricing::ec2_spot(account, kind).await.ok()?;
                zones.iter().map(|zone| zone.usd_per_hour).max_by(f64::total_cmp)?
            } else {
                pricing::ec2_on_demand(account, &shape.region, kind).await.ok()??.usd_per_hour
            };
            (rate.as_of, rate.estimated) = (as_of, None);
            ec2_price(shape, &rate)
        }
    }
}
