//! The account's limits on vCPU: what they are, and asking for more.
use crate::{
    account::Account,
    call::{Call, CallError, Meaning, Service},
};
use serde::Deserialize;
use serde_json::{Value, json};
use starburst_core::clock::UnixMillis;

/// Pages of a history that are read.
const PAGES: usize = 20;

/// The limits that workers count against, all in vCPU (codes: AWS, November 2026).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuotaCode {
    /// Tasks on Fargate.
    FargateOnDemand,
    /// Tasks on Fargate Spot.
    FargateSpot,
    /// Running On-Demand instances of the standard families (A, C, D, H, I, M, R, T, Z).
    Ec2OnDemand,
    /// Spot instances of the standard families.
    Ec2Spot,
}

impl QuotaCode {
    /// All of them.
    pub const ALL: [QuotaCode; 4] = [
        QuotaCode::FargateOnDemand,
        QuotaCode::FargateSpot,
        QuotaCode::Ec2OnDemand,
        QuotaCode::Ec2Spot,
    ];

    /// The code, such as `L-3032A538`.
    pub fn code(self) -> &'static str {
        match self {
            QuotaCode::FargateOnDemand => "L-3032A538",
            QuotaCode::FargateSpot => "L-36FBB829",
            QuotaCode::Ec2OnDemand => "L-1216C47A",
            QuotaCode::Ec2Spot => "L-34B43A08",
        }
    }

    /// The service it belongs to, as Service Quotas names it.
    pub fn service_code(self) -> &'static str {
        match self {
            QuotaCode::FargateOnDemand | QuotaCode::FargateSpot => "fargate",
            QuotaCode::Ec2OnDemand | QuotaCode::Ec2Spot => "ec2",
        }
    }

    /// What it is called in messages.
    pub fn name(self) -> &'static str {
        match self {
            QuotaCode::FargateOnDemand => "Fargate On-Demand vCPU",
            QuotaCode::FargateSpot => "Fargate Spot vCPU",
            QuotaCode::Ec2OnDemand => "EC2 On-Demand vCPU",
            QuotaCode::Ec2Spot => "EC2 Spot vCPU",
        }
    }
}

/// One limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Quota {
    /// Which.
    pub code: QuotaCode,
    /// The limit in vCPU.
    pub limit: f64,
    /// Whether AWS raises it on request.
    pub adjustable: bool,
    /// Whether it is what every account begins with.
    pub is_default: bool,
    /// A request to raise it that AWS has not decided yet.
    pub pending: Option<Pending>,
}

/// A request that AWS has not decided yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// The limit asked for, in vCPU.
    pub desired: f64,
    /// The support case about it, once there is one.
    pub case_id: Option<String>,
    /// When it was made.
    pub since: Option<UnixMillis>,
    /// `PENDING` or `CASE_OPENED`.
    pub status: String,
}

/// A request to raise a limit, decided or not.
#[derive(Debug, Clone, PartialEq)]
pub struct QuotaRequest {
    /// The request's id.
    pub id: String,
    /// The limit asked for, in vCPU.
    pub desired: f64,
    /// The support case about it, once there is one.
    pub case_id: Option<String>,
    /// When it was made.
    pub since: Option<UnixMillis>,
    /// When AWS changed it last.
    pub updated: Option<UnixMillis>,
    /// Such as `PENDING`, `CASE_OPENED`, `APPROVED`, `DENIED`.
    pub status: String,
}

/// A limit as AWS writes it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Limit {
    value: Option<f64>,
    adjustable: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct LimitAnswer {
    quota: Option<Limit>,
}

/// A request as AWS writes it. Times are seconds since the epoch.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Change {
    id: String,
    case_id: Option<String>,
    desired_value: f64,
    status: String,
    created: Option<f64>,
    last_updated: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ChangeAnswer {
    requested_quota: Option<Change>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HistoryPage {
    requested_quotas: Vec<Change>,
    next_token: Option<String>,
}

impl From<Change> for QuotaRequest {
    fn from(change: Change) -> Self {
        // A negative number becomes 0.
        let time = |at: Option<f64>| at.map(|seconds| UnixMillis((seconds * 1_000.0) as u64));
        Self {
            id: change.id,
            desired: change.desired_value,
            case_id: change.case_id.filter(|id| !id.is_empty()),
            since: time(change.created),
            updated: time(change.last_updated),
            status: change.status,
        }
    }
}

impl QuotaRequest {
    /// Whether AWS has not decided yet.
    pub fn is_pending(&self) -> bool {
        matches!(self.status.as_str(), "PENDING" | "CASE_OPENED")
    }
}

/// What a limit is now. An account whose limit was never changed has the default.
///
/// # Errors
/// [`CallError`]. If only the history of requests may not be read, `pending` is `None`.
pub async fn get(account: &Account, code: QuotaCode) -> Result<Quota, CallError> {
    let call = Call::new(Service::ServiceQuotas, "GetServiceQuota").on(code.code());
    let which = which(code);
    let applied = match account.json_as::<LimitAnswer>(&call, &which).await {
        Ok(answer) => answer.quota,
        Err(absent) if absent.meaning() == Meaning::Absent => None,
        Err(other) => return Err(other),
    };
    let (found, is_default) = match applied {
        Some(quota) => (Some(quota), false),
        None => {
            let call = Call { operation: "GetAWSDefaultServiceQuota", ..call };
            let answer: LimitAnswer = account.json_as(&call, &which).await?;
            (answer.quota, true)
        }
    };
    let requests = match history(account, code).await {
        Ok(requests) => requests,
        Err(error) if error.meaning() == Meaning::Denied => Vec::new(),
        Err(error) => return Err(error),
    };
    found
        .and_then(|quota| read(code, &quota, is_default, &requests))
        .ok_or_else(|| account.unreadable(&call, "a quota without a value"))
}

fn which(code: QuotaCode) -> Value {
    json!({ "ServiceCode": code.service_code(), "QuotaCode": code.code() })
}

fn read(
    code: QuotaCode,
    quota: &Limit,
    is_default: bool,
    requests: &[QuotaRequest],
) -> Option<Quota> {
    let pending = requests.iter().find(|request| request.is_pending()).map(|request| Pending {
        desired: request.desired,
        case_id: request.case_id.clone(),
        since: request.since,
        status: request.status.clone(),
    });
    let limit = quota.value?;
    Some(Quota { code, limit, adjustable: quota.adjustable, is_default, pending })
}

/// Asks AWS to raise a limit to `vcpus`. AWS decides in minutes to days.
///
/// # Errors
/// [`CallError`]; [`Meaning::Exists`] if a request is pending already.
pub async fn request_increase(
    account: &Account,
    code: QuotaCode,
    vcpus: f64,
) -> Result<QuotaRequest, CallError> {
    let call = Call::new(Service::ServiceQuotas, "RequestServiceQuotaIncrease").on(code.code());
    let mut parameters = which(code);
    parameters["DesiredValue"] = vcpus.into();
    let answer: ChangeAnswer = account.json_as(&call, &parameters).await?;
    let change = answer.requested_quota;
    change
        .map(QuotaRequest::from)
        .ok_or_else(|| account.unreadable(&call, "no request in the answer"))
}

/// The requests to raise a limit, newest first.
///
/// # Errors
/// [`CallError`].
pub async fn history(account: &Account, code: QuotaCode) -> Result<Vec<QuotaRequest>, CallError> {
    let operation = "ListRequestedServiceQuotaChangeHistoryByQuota";
    let call = Call::new(Service::ServiceQuotas, operation).on(code.code());
    let mut requests = Vec::new();
    let mut next: Option<String> = None;
    for _ in 0..PAGES {
        let mut parameters = which(code);
        if let Some(next) = &next {
            parameters["NextToken"] = next.as_str().into();
        }
        let page: HistoryPage = match account.json_as(&call, &parameters).await {
            Ok(page) => page,
            Err(absent) if absent.meaning() == Meaning::Absent => break,
            Err(other) => return Err(other),
        };
        requests.extend(page.requested_quotas.into_iter().map(QuotaRequest::from));
        next = page.next_token;
        if next.is_none() {
            break;
        }
    }
    requests.sort_by_key(|request| std::cmp::Reverse(request.since.map(|at| at.0)));
    Ok(requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(status: &str, desired: f64) -> QuotaRequest {
        let change = json!({
            "Id": "r1",
            "CaseId": "",
            "ServiceCode": "fargate",
            "DesiredValue": desired,
            "Status": status,
            "Created": 1_000.25,
        });
        serde_json::from_value::<Change>(change).unwrap().into()
    }

    #[test]
    fn the_request_that_is_not_decided_is_pending() {
        let quota = Limit { value: Some(6.0), adjustable: true };
        let requests = [request("DENIED", 900.0), request("CASE_OPENED", 500.0)];
        let read = read(QuotaCode::FargateSpot, &quota, true, &requests).unwrap();
        assert_eq!((read.limit, read.adjustable, read.is_default), (6.0, true, true));
        let pending = Pending {
            desired: 500.0,
            case_id: None,
            since: Some(UnixMillis(1_000_250)),
            status: "CASE_OPENED".into(),
        };
        assert_eq!(read.pending, Some(pending));
    }

    #[test]
    fn a_quota_without_a_value_is_none() {
        assert_eq!(read(QuotaCode::Ec2Spot, &Limit::default(), false, &[]), None);
    }
}
