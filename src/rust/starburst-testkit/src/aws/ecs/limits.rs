//! The rates at which AWS lets tasks be launched.
use super::task::Purchase;
use crate::token_bucket::TokenBucket;
use std::time::Instant;

/// Calls of RunTask for Fargate a second, and so many at once (Amazon ECS developer guide, throttling, November 2026).
const RUN_TASK_CALLS: f64 = 20.0;
/// Tasks that Fargate launches at once, by the same page; separately for On-Demand and Spot.
const LAUNCH_BURST: f64 = 100.0;
/// Tasks that Fargate launches a second when the burst is used up, by the same page.
const LAUNCH_RATE: f64 = 20.0;

#[derive(Debug)]
pub(in crate::aws) struct Limits(Option<Buckets>);

#[derive(Debug)]
struct Buckets {
    calls: TokenBucket,
    on_demand: TokenBucket,
    spot: TokenBucket,
}

impl Limits {
    pub(in crate::aws) fn new(on: bool, now: Instant) -> Self {
        let launches = || TokenBucket::new(LAUNCH_BURST, LAUNCH_RATE, now);
        Self(on.then(|| Buckets {
            calls: TokenBucket::new(RUN_TASK_CALLS, RUN_TASK_CALLS, now),
            on_demand: launches(),
            spot: launches(),
        }))
    }

    /// False if the call comes too soon.
    pub(super) fn call(&mut self, now: Instant) -> bool {
        self.0.as_mut().is_none_or(|it| it.calls.take(1, now))
    }

    /// False if so many tasks come too soon; then none is launched.
    pub(super) fn launch(&mut self, purchase: Purchase, number: u32, now: Instant) -> bool {
        let Some(buckets) = &mut self.0 else { return true };
        match purchase {
            Purchase::FargateOnDemand => buckets.on_demand.take(number, now),
            Purchase::FargateSpot => buckets.spot.take(number, now),
            Purchase::Ec2OnDemand | Purchase::Ec2Spot => true,
        }
    }
}
