//! Service Quotas.
use super::{
    failure::AwsFailure,
    input::{Input, page},
    names::{Names, fresh_id},
    settings::{EC2_ON_DEMAND, EC2_SPOT, FARGATE_ON_DEMAND, FARGATE_SPOT},
    time::timestamp,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A quota that the stand-in knows.
#[derive(Debug, Clone, Copy)]
struct Known {
    code: &'static str,
    service: &'static str,
    service_name: &'static str,
    name: &'static str,
    /// vCPUs of an account that never asked for more (AWS Batch and EC2 user guides, November 2026).
    default: f64,
}

const KNOWN: [Known; 4] = [
    Known {
        code: FARGATE_ON_DEMAND,
        service: "fargate",
        service_name: "AWS Fargate",
        name: "Fargate On-Demand vCPU resource count",
        default: 6.0,
    },
    Known {
        code: FARGATE_SPOT,
        service: "fargate",
        service_name: "AWS Fargate",
        name: "Fargate Spot vCPU resource count",
        default: 6.0,
    },
    Known {
        code: EC2_ON_DEMAND,
        service: "ec2",
        service_name: "Amazon Elastic Compute Cloud (Amazon EC2)",
        name: "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        default: 5.0,
    },
    Known {
        code: EC2_SPOT,
        service: "ec2",
        service_name: "Amazon Elastic Compute Cloud (Amazon EC2)",
        name: "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
        default: 5.0,
    },
];

impl Known {
    fn json(self, names: &Names, value: f64) -> Value {
        json!({
            "ServiceCode": self.service,
            "ServiceName": self.service_name,
            "QuotaArn": names.quota(self.service, self.code),
            "QuotaCode": self.code,
            "QuotaName": self.name,
            "Value": value,
            "Unit": "None",
            "Adjustable": true,
            "GlobalQuota": false,
            "QuotaAppliedAtLevel": "ACCOUNT",
            "UsageMetric": {
                "MetricNamespace": "AWS/Usage",
                "MetricName": "ResourceCount",
                "MetricDimensions": {
                    "Class": self.name,
                    "Resource": "vCPU",
                    "Service": self.service_name,
                    "Type": "Resource"
                },
                "MetricStatisticRecommendation": "Maximum"
            }
        })
    }
}

#[derive(Debug, Clone)]
struct Increase {
    id: String,
    known: Known,
    desired: f64,
    status: &'static str,
    created: f64,
    updated: f64,
}

impl Increase {
    fn json(&self, names: &Names) -> Value {
        json!({
            "Id": self.id,
            "RequestType": "AutomaticManagement",
            "ServiceCode": self.known.service,
            "ServiceName": self.known.service_name,
            "QuotaCode": self.known.code,
            "QuotaName": self.known.name,
            "DesiredValue": self.desired,
            "Status": self.status,
            "Created": self.created,
            "LastUpdated": self.updated,
            "Requester": format!("{{\"accountId\":\"{}\",\"callerArn\":\"{}\"}}", names.account, names.user()),
            "QuotaArn": names.quota(self.known.service, self.known.code),
            "GlobalQuota": false,
            "Unit": "None",
            "QuotaRequestedAtLevel": "ACCOUNT"
        })
    }
}

/// The quotas of the account, and what was asked for.
#[derive(Debug)]
pub(super) struct Quotas {
    names: Names,
    values: BTreeMap<String, Option<f64>>,
    increases: Vec<Increase>,
}

/// The most elements on a page (AWS API reference, November 2026).
const MOST_ON_A_PAGE: usize = 100;

impl Quotas {
    pub(super) fn new(names: Names, values: BTreeMap<String, Option<f64>>) -> Self {
        Self { names, values, increases: Vec::new() }
    }

    /// The value in force.
    pub(super) fn value(&self, code: &str) -> f64 {
        let default = KNOWN.iter().find(|known| known.code == code).map_or(0.0, |it| it.default);
        self.values.get(code).copied().flatten().unwrap_or(default)
    }

    /// Changes a quota; `None` makes it one that was never changed. A pending request that the value satisfies is approved.
    pub(super) fn set(&mut self, code: &str, value: Option<f64>) {
        self.values.insert(code.to_owned(), value);
        let in_force = self.value(code);
        for increase in &mut self.increases {
            if increase.known.code == code && is_open(increase) && increase.desired <= in_force {
                increase.status = "APPROVED";
                increase.updated = timestamp();
            }
        }
    }

    pub(super) fn handle(&mut self, operation: &str, body: &Value) -> Result<Value, AwsFailure> {
        let input = Input(body);
        match operation {
            "GetServiceQuota" => {
                let known = find(input)?;
                let value = self.values.get(known.code).copied().flatten();
                let value = value.ok_or_else(no_such_quota)?;
                Ok(json!({ "Quota": known.json(&self.names, value) }))
            }
            "GetAWSDefaultServiceQuota" => {
                let known = find(input)?;
                Ok(json!({ "Quota": known.json(&self.names, known.default) }))
            }
            "ListServiceQuotas" => self.list(input),
            "RequestServiceQuotaIncrease" => self.request(input),
            "ListRequestedServiceQuotaChangeHistoryByQuota" => self.history(input),
            _ => Err(AwsFailure::new("UnknownOperationException", "")),
        }
    }

    fn list(&self, input: Input<'_>) -> Result<Value, AwsFailure> {
        let service = input.required_text("ServiceCode")?;
        let all: Vec<Value> = KNOWN
            .iter()
            .filter(|known| known.service == service)
            .filter_map(|known| {
                let value = self.values.get(known.code).copied().flatten()?;
                Some(known.json(&self.names, value))
            })
            .collect();
        answer("Quotas", all, input)
    }

    fn request(&mut self, input: Input<'_>) -> Result<Value, AwsFailure> {
        let known = find(input)?;
        let desired = input.value("DesiredValue").and_then(Value::as_f64);
        let desired = desired.ok_or_else(|| illegal("DesiredValue is missing"))?;
        if self.increases.iter().any(|it| it.known.code == known.code && is_open(it)) {
            let message = "Only one open service quota increase request is allowed per quota.";
            return Err(AwsFailure::new("ResourceAlreadyExistsException", message));
        }
        if desired <= self.value(known.code) {
            return Err(illegal("You must provide a quota value greater than the current value."));
        }
        let now = timestamp();
        let increase = Increase {
            id: fresh_id(),
            known,
            desired,
            status: "PENDING",
            created: now,
            updated: now,
        };
        let told = increase.json(&self.names);
        self.increases.push(increase);
        Ok(json!({ "RequestedQuota": told }))
    }

    fn history(&self, input: Input<'_>) -> Result<Value, AwsFailure> {
        let known = find(input)?;
        let status = input.text("Status")?;
        let all: Vec<Value> = self
            .increases
            .iter()
            .filter(|it| it.known.code == known.code)
            .filter(|it| status.is_none_or(|status| status == it.status))
            .map(|it| it.json(&self.names))
            .collect();
        answer("RequestedQuotas", all, input)
    }
}

fn answer(name: &str, all: Vec<Value>, input: Input<'_>) -> Result<Value, AwsFailure> {
    let page = page(all, input.text("NextToken")?, input.number("MaxResults")?, MOST_ON_A_PAGE)?;
    let mut answer = json!({ name: page.elements });
    if let Some(next) = page.next {
        super::failure::set(&mut answer, "NextToken", next.into());
    }
    Ok(answer)
}

fn is_open(increase: &Increase) -> bool {
    increase.status == "PENDING"
}

fn find(input: Input<'_>) -> Result<Known, AwsFailure> {
    let service = input.required_text("ServiceCode")?;
    let code = input.required_text("QuotaCode")?;
    let found = KNOWN.iter().find(|known| known.code == code && known.service == service);
    found.copied().ok_or_else(no_such_quota)
}

fn no_such_quota() -> AwsFailure {
    let message = "The request failed because the specified service quota does not exist.";
    AwsFailure::new("NoSuchResourceException", message)
}

fn illegal(message: &str) -> AwsFailure {
    AwsFailure::new("IllegalArgumentException", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(values: &[(&str, Option<f64>)]) -> Quotas {
        let names = Names { account: "123456789012".into(), region: "us-east-1".into() };
        let values = values.iter().map(|(code, value)| ((*code).to_owned(), *value)).collect();
        Quotas::new(names, values)
    }

    fn of(code: &str) -> Value {
        json!({ "ServiceCode": "fargate", "QuotaCode": code })
    }

    #[test]
    fn a_quota_that_was_never_changed_has_only_a_default() {
        let mut quotas = quotas(&[(FARGATE_ON_DEMAND, None)]);
        let failed = quotas.handle("GetServiceQuota", &of(FARGATE_ON_DEMAND)).unwrap_err();
        assert_eq!(failed.code(), "NoSuchResourceException");
        let found = quotas.handle("GetAWSDefaultServiceQuota", &of(FARGATE_ON_DEMAND)).unwrap();
        assert_eq!(found["Quota"]["Value"], 6.0);
        assert_eq!(quotas.value(FARGATE_ON_DEMAND), 6.0);
        quotas.set(FARGATE_ON_DEMAND, Some(64.0));
        let found = quotas.handle("GetServiceQuota", &of(FARGATE_ON_DEMAND)).unwrap();
        assert_eq!(found["Quota"]["Value"], 64.0);
        let list = quotas.handle("ListServiceQuotas", &json!({ "ServiceCode": "fargate" }));
        assert_eq!(list.unwrap()["Quotas"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn only_one_increase_is_open_at_a_time() {
        let mut quotas = quotas(&[(FARGATE_SPOT, Some(10.0))]);
        let mut body = of(FARGATE_SPOT);
        super::super::failure::set(&mut body, "DesiredValue", json!(20.0));
        let asked = quotas.handle("RequestServiceQuotaIncrease", &body).unwrap();
        assert_eq!(asked["RequestedQuota"]["Status"], "PENDING");
        let again = quotas.handle("RequestServiceQuotaIncrease", &body).unwrap_err();
        assert_eq!(again.code(), "ResourceAlreadyExistsException");
        let history = |quotas: &mut Quotas| {
            let name = "ListRequestedServiceQuotaChangeHistoryByQuota";
            let found = quotas.handle(name, &of(FARGATE_SPOT)).unwrap();
            found["RequestedQuotas"][0]["Status"].as_str().unwrap().to_owned()
        };
        assert_eq!(history(&mut quotas), "PENDING");
        quotas.set(FARGATE_SPOT, Some(20.0));
        assert_eq!(history(&mut quotas), "APPROVED");
    }
}
