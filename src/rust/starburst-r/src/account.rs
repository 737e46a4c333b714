//! The way to AWS that R names by region and profile.
use crate::{
    error::{RError, Result, text_or_null},
    runtime,
};
use extendr_api::prelude::*;
use starburst_aws::{
    account::{Access, Account},
    quotas::QuotaCode,
    stack::StackOutputs,
};
use starburst_core::error::Error;
use starburst_local::{SystemClock, SystemIds};
use std::sync::Arc;

/// A text of a list that R has checked; `None` if it is `NULL` or not there.
pub(crate) fn text(list: &List, name: &str) -> Option<String> {
    let found = list.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    found.and_then(|value| value.as_str().map(ToOwned::to_owned))
}

/// Opens the way to AWS. `access` has `region` and `profile`, each a string or `NULL`.
pub(crate) fn open(access: &List) -> Result<Account> {
    let access = Access {
        region: text(access, "region"),
        profile: text(access, "profile"),
        ..Access::default()
    };
    let (clock, ids) = (Arc::new(SystemClock::default()), Arc::new(SystemIds));
    runtime::wait(async { Account::open(access, clock, ids).await })
}

/// What a stack tells of itself, under the names of R's configuration.
pub(crate) fn record(outputs: &StackOutputs) -> Vec<(&'static str, String)> {
    let mut known = vec![
        ("bucket", outputs.bucket.clone()),
        ("cluster", outputs.cluster.clone()),
        ("subnets", outputs.subnets.join(",")),
        ("security_group", outputs.security_group.clone()),
        ("execution_role", outputs.execution_role.clone()),
        ("task_role", outputs.task_role.clone()),
        ("log_group", outputs.log_group.clone()),
        ("repository", outputs.repository.clone()),
        ("instance_profile", outputs.instance_profile.clone()),
    ];
    known.extend(outputs.object_expiry_days.map(|days| ("object_expiry_days", days.to_string())));
    known
}

/// The limit that workers of a launch type count against.
pub(crate) fn quota_code(launch_type: &str, spot: bool) -> Result<QuotaCode> {
    match (launch_type, spot) {
        ("FARGATE", false) => Ok(QuotaCode::FargateOnDemand),
        ("FARGATE", true) => Ok(QuotaCode::FargateSpot),
        ("EC2", false) => Ok(QuotaCode::Ec2OnDemand),
        ("EC2", true) => Ok(QuotaCode::Ec2Spot),
        (other, _) => Err(RError::Core(Error::Internal {
            detail: format!("the launch type `{other}` has no quota"),
        })),
    }
}

/// Who the credentials belong to, and the region.
#[extendr]
fn rs_caller(access: List) -> Result<List> {
    let account = open(&access)?;
    let caller = runtime::wait(async { account.caller().await })??;
    let region = account.region().map(ToOwned::to_owned);
    Ok(list!(account = caller.account, arn = caller.arn, region = text_or_null(region)))
}

/// The region that calls go to, as far as anything says.
#[extendr]
fn rs_region(access: List) -> Result<Robj> {
    Ok(text_or_null(open(&access)?.region().map(ToOwned::to_owned)))
}

extendr_module! {
    mod account;
    fn rs_caller;
    fn rs_region;
}
