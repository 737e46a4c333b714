//! Quotas, and what workers printed on AWS.
use crate::{
    account::{open, quota_code},
    convert,
    error::{RError, Result},
    runtime,
};
use extendr_api::prelude::*;
use starburst_aws::{
    cluster,
    logs::{self, Tail},
    quotas::{self, QuotaCode, QuotaRequest},
};
use starburst_core::error::{Error, ErrorKind};
use starburst_core::store::Advised;

/// The limits, column by column; with a cluster, also what its tasks use of those of Fargate.
#[extendr]
fn rs_quotas(access: List, cluster: Nullable<String>) -> Result<List> {
    let account = open(&access)?;
    let (quotas, tasks) = runtime::wait(async {
        let mut found = Vec::with_capacity(QuotaCode::ALL.len());
        for code in QuotaCode::ALL {
            found.push(quotas::get(&account, code).await?);
        }
        let tasks = match cluster.into_option() {
            Some(cluster) => Some(cluster::tasks(&account, &cluster).await?),
            None => None,
        };
        Ok::<_, RError>((found, tasks))
    })??;
    let used = |code: QuotaCode| {
        let spot = match code {
            QuotaCode::FargateOnDemand => Some(false),
            QuotaCode::FargateSpot => Some(true),
            QuotaCode::Ec2OnDemand | QuotaCode::Ec2Spot => None,
        };
        let tasks = tasks.as_ref().filter(|_| spot.is_some())?;
        let counted = tasks.iter().filter(|task| task.on_fargate_spot() == spot);
        Some(counted.map(|task| task.vcpus).sum::<f64>())
    };
    let pending = quotas.iter().map(|quota| quota.pending.as_ref());
    Ok(list!(
        code = quotas.iter().map(|quota| quota.code.code()).collect::<Vec<_>>(),
        limit = quotas.iter().map(|quota| quota.limit).collect::<Vec<_>>(),
        in_use = quotas.iter().map(|quota| used(quota.code)).collect::<Vec<_>>(),
        pending = pending.map(|pending| pending.map(|p| p.desired)).collect::<Vec<_>>()
    ))
}

/// Asks for a higher limit.
#[extendr]
fn rs_quota_request(access: List, launch_type: &str, spot: bool, vcpus: f64) -> Result<List> {
    let (account, code) = (open(&access)?, quota_code(launch_type, spot)?);
    let request = runtime::wait(async {
        let now = quotas::get(&account, code).await?;
        refuse(&now, vcpus)?;
        Ok::<_, RError>(quotas::request_increase(&account, code, vcpus).await?)
    })??;
    Ok(requests(&[request]))
}

/// What AWS would refuse, told with what to do.
fn refuse(now: &quotas::Quota, vcpus: f64) -> Result<()> {
    let name = now.code.name();
    let (message, advice) = if let Some(pending) = &now.pending {
        (
            format!("{} {name} have been asked for already", pending.desired),
            "wait for AWS: `starburst_check_quota_request()` tells how it stands".to_owned(),
        )
    } else if now.limit >= vcpus {
        (
            format!("the quota is {} {name} already", now.limit),
            format!("ask for more than {}", now.limit),
        )
    } else {
        return Ok(());
    };
    let source = Box::new(Advised { said: format!("`{}`", now.code.code()), advice });
    let subject = Some(now.code.code().to_owned());
    Err(RError::Core(Error::Service { kind: ErrorKind::InvalidInput, message, subject, source }))
}

/// The requests for a higher limit, newest first, column by column.
#[extendr]
fn rs_quota_history(access: List, launch_type: &str, spot: bool) -> Result<List> {
    let (account, code) = (open(&access)?, quota_code(launch_type, spot)?);
    let found = runtime::wait(async { quotas::history(&account, code).await })??;
    Ok(requests(&found))
}

fn requests(all: &[QuotaRequest]) -> List {
    list!(
        id = all.iter().map(|request| request.id.clone()).collect::<Vec<_>>(),
        vcpus = all.iter().map(|request| request.desired).collect::<Vec<_>>(),
        status = all.iter().map(|request| request.status.clone()).collect::<Vec<_>>(),
        case_id = all.iter().map(|request| request.case_id.clone()).collect::<Vec<_>>(),
        requested_at =
            all.iter().map(|request| request.since.map(convert::seconds)).collect::<Vec<_>>()
    )
}

/// The last lines of streams of a log group, column by column.
#[extendr]
fn rs_log_tails(access: List, group: &str, streams: Vec<String>, last: f64) -> Result<List> {
    let account = open(&access)?;
    let tail = Tail::Lines(last as usize);
    let texts = runtime::wait(async {
        let mut texts = Vec::with_capacity(streams.len());
        for stream in &streams {
            texts.push(logs::tail(&account, group, stream, tail).await?);
        }
        Ok::<_, RError>(texts)
    })??;
    let (mut names, mut at, mut lines) = (vec![], vec![], vec![]);
    for (stream, text) in streams.iter().zip(texts) {
        for line in text.lines {
            names.push(stream.clone());
            at.push(line.at_ms as f64 / 1e3);
            lines.push(line.text);
        }
    }
    Ok(list!(stream = names, at = at, line = lines))
}

extendr_module! {
    mod quota;
    fn rs_quotas;
    fn rs_quota_request;
    fn rs_quota_history;
    fn rs_log_tails;
}
