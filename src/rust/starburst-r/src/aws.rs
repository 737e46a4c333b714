//! Sessions whose workers run on AWS.
use crate::{
    error::Result,
    runtime,
    session::{field, pairs, place},
};
use extendr_api::prelude::*;
use starburst_aws::{
    account::Account,
    ecs::{
        EcsLauncher,
        prepare::{self, Prepared, Site, Spot, Wanted},
    },
};
use starburst_core::{client::Deps, compute::EcsFleet, cost::Ceiling};
use std::sync::Arc;

/// What the configuration says of AWS; `None` where workers run on this machine.
pub(crate) fn aws(config: &List) -> Option<List> {
    let found = config.iter().find(|(name, _)| *name == "aws").map(|(_, value)| value)?;
    List::try_from(found).ok()
}

/// Checks cost and quota of a new session, and prepares its workers. Nothing is launched.
pub(crate) fn prepare(config: &List, aws: &List, deps: &Deps) -> Result<Prepared> {
    let (site, wanted) = (site(aws)?, wanted(config, aws)?);
    let account = account(config, deps)?;
    Ok(runtime::wait(async { prepare::prepare(&account, &site, &wanted).await })??)
}

/// Checks size and cost of a new session, before instances are made for it.
pub(crate) fn check(config: &List, aws: &List, deps: &Deps) -> Result<()> {
    let (site, wanted) = (site(aws)?, wanted(config, aws)?);
    let account = account(config, deps)?;
    runtime::wait(async { prepare::check(&account, &site, &wanted).await })??;
    Ok(())
}

/// The same ways to the store, with workers on ECS.
pub(crate) fn with_ecs(config: &List, deps: Deps, fleet: EcsFleet) -> Result<Deps> {
    let account = account(config, &deps)?;
    let (clock, ids) = (Arc::clone(&deps.clock), Arc::clone(&deps.ids));
    let launcher = Arc::new(EcsLauncher::new(account, fleet, clock, ids));
    Ok(Deps { launcher, ..deps })
}

fn account(config: &List, deps: &Deps) -> Result<Account> {
    let (_, access) = place(config)?;
    let (clock, ids) = (Arc::clone(&deps.clock), Arc::clone(&deps.ids));
    runtime::wait(async { Account::open(access, clock, ids).await })
}

fn site(aws: &List) -> Result<Site> {
    let text = |name| field::<String>(aws, name);
    Ok(Site {
        stack: text("stack")?,
        region: text("region")?,
        cluster: text("cluster")?,
        subnets: field(aws, "subnets")?,
        security_group: text("security_group")?,
        execution_role: text("execution_role")?,
        task_role: text("task_role")?,
        log_group: text("log_group")?,
    })
}

fn wanted(config: &List, aws: &List) -> Result<Wanted> {
    let dollars = |name| field::<Nullable<f64>>(aws, name).map(Nullable::into_option);
    let spot: String = field(aws, "spot")?;
    Ok(Wanted {
        workers: field::<f64>(config, "workers")? as u32,
        cpu: field(config, "cpu")?,
        memory_mib: field::<f64>(config, "memory_mib")? as u64,
        instance_type: field::<Nullable<String>>(aws, "instance_type")?.into_option(),
        spot: match spot.as_str() {
            "only" => Spot::Only,
            "first" => Spot::First,
            _ => Spot::No,
        },
        arm: field(aws, "arm")?,
        image: field(aws, "image")?,
        ceiling: Ceiling {
            max_hourly_usd: dollars("max_hourly_cost")?,
            max_total_usd: dollars("max_total_cost")?,
            alert_usd: dollars("cost_alert_threshold")?,
        },
        auto_quota_request: field(aws, "auto_quota_request")?,
        store: field(config, "store")?,
        user: field(aws, "user")?,
        secrets: pairs(aws, "secret_names", "secret_arns")?,
    })
}
