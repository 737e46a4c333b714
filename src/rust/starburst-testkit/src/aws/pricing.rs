//! The price list: Fargate, and On-Demand prices of some EC2 instances.
use super::{
    failure::{AwsFailure, set},
    input::{Input, page},
};
use serde_json::{Value, json};

/// Dollars an hour for one vCPU or one GB (<https://aws.amazon.com/fargate/pricing/>, us-east-1, November 2026).
const FARGATE: [(&str, &str, f64); 5] = [
    ("Fargate-vCPU-Hours:perCPU", "perCPU", 0.040_48),
    ("Fargate-GB-Hours", "perGB", 0.004_445),
    ("Fargate-ARM-vCPU-Hours:perCPU", "perCPU", 0.032_38),
    ("Fargate-ARM-GB-Hours", "perGB", 0.003_56),
    // Beside what is asked for, as in the real list: who filters too little must notice.
    ("Fargate-Windows-vCPU-Hours:perCPU", "perCPU", 0.091_48),
];

/// An instance type: vCPUs, GiB, dollars an hour (EC2 On-Demand, Linux, us-east-1, November 2026).
#[derive(Debug, Clone, Copy)]
pub(super) struct InstanceType {
    pub(super) name: &'static str,
    pub(super) vcpus: u32,
    pub(super) gib: u32,
    usd: f64,
}

const fn instance(name: &'static str, vcpus: u32, gib: u32, usd: f64) -> InstanceType {
    InstanceType { name, vcpus, gib, usd }
}

/// The instance types that the stand-in knows.
pub(super) const INSTANCE_TYPES: [InstanceType; 18] = [
    instance("c7g.large", 2, 4, 0.0725),
    instance("c7g.xlarge", 4, 8, 0.145),
    instance("c7g.2xlarge", 8, 16, 0.29),
    instance("c7g.4xlarge", 16, 32, 0.58),
    instance("c7i.large", 2, 4, 0.089_25),
    instance("c7i.xlarge", 4, 8, 0.178_5),
    instance("c7i.2xlarge", 8, 16, 0.357),
    instance("c6a.large", 2, 4, 0.076_5),
    instance("c6a.xlarge", 4, 8, 0.153),
    instance("c6i.large", 2, 4, 0.085),
    instance("c6i.xlarge", 4, 8, 0.17),
    instance("c6i.2xlarge", 8, 16, 0.34),
    instance("m7g.large", 2, 8, 0.081_6),
    instance("m7g.xlarge", 4, 16, 0.163_2),
    instance("m6i.large", 2, 8, 0.096),
    instance("m6i.xlarge", 4, 16, 0.192),
    instance("r7g.large", 2, 16, 0.107_1),
    instance("r6i.large", 2, 16, 0.126),
];

/// The most products on a page (AWS API reference, November 2026).
const MOST_ON_A_PAGE: usize = 100;

/// Prices with a factor, so that a test can tell a fresh price from one that a client knew before.
#[derive(Debug)]
pub(super) struct Pricing {
    pub(super) region: String,
    pub(super) factor: f64,
}

impl Pricing {
    pub(super) fn handle(&self, operation: &str, body: &Value) -> Result<Value, AwsFailure> {
        if operation != "GetProducts" {
            return Err(AwsFailure::new("UnknownOperationException", ""));
        }
        let input = Input(body);
        let filters = input.objects("Filters")?;
        let wanted: Vec<(&str, &str)> = filters
            .iter()
            .map(|filter| {
                let kind = filter.required_text("Type")?;
                if kind != "TERM_MATCH" {
                    return Err(invalid(format!("Input Type {kind} is not known here")));
                }
                Ok((filter.required_text("Field")?, filter.required_text("Value")?))
            })
            .collect::<Result<_, _>>()?;
        let all = match input.required_text("ServiceCode")? {
            "AmazonECS" => self.fargate(),
            "AmazonEC2" => self.ec2(),
            other => return Err(invalid(format!("ServiceCode: {other} is not valid"))),
        };
        let matching = all.into_iter().filter(|product| is_wanted(product, &wanted));
        let texts: Vec<String> = matching.map(|product| product.to_string()).collect();
        let token = input.text("NextToken")?;
        let page = page(texts, token, input.number("MaxResults")?, MOST_ON_A_PAGE)
            .map_err(|_| invalid("MaxResults or NextToken".to_owned()))?;
        let mut answer = json!({ "FormatVersion": "aws_v1", "PriceList": page.elements });
        if let Some(next) = page.next {
            set(&mut answer, "NextToken", next.into());
        }
        Ok(answer)
    }

    fn fargate(&self) -> Vec<Value> {
        FARGATE
            .iter()
            .map(|(usage, what, usd)| {
                let per_cpu = *what == "perCPU";
                let mut attributes = json!({
                    "servicecode": "AmazonECS",
                    "servicename": "Amazon Elastic Container Service",
                    "regionCode": self.region,
                    "locationType": "AWS Region",
                    "tenancy": "Shared",
                    "operation": "",
                    "usagetype": format!("{}-{usage}", usage_prefix(&self.region)),
                });
                set(&mut attributes, if per_cpu { "cputype" } else { "memorytype" }, json!(what));
                if usage.contains("ARM") {
                    set(&mut attributes, "cpuArchitecture", json!("ARM"));
                }
                self.product("AmazonECS", "Compute", attributes, "hours", *usd)
            })
            .collect()
    }

    fn ec2(&self) -> Vec<Value> {
        let variants = [
            ("Linux", "Used", 1.0),
            ("Windows", "Used", 2.0),
            ("Linux", "AllocatedCapacityReservation", 0.0),
        ];
        let each = |kind: &InstanceType| {
            let kind = *kind;
            variants.map(|(system, capacity, factor)| {
                let attributes = json!({
                    "servicecode": "AmazonEC2",
                    "servicename": "Amazon Elastic Compute Cloud",
                    "regionCode": self.region,
                    "locationType": "AWS Region",
                    "instanceType": kind.name,
                    "operatingSystem": system,
                    "tenancy": "Shared",
                    "preInstalledSw": "NA",
                    "capacitystatus": capacity,
                    "licenseModel": "No License required",
                    "marketoption": "OnDemand",
                    "operation": if system == "Linux" { "RunInstances" } else { "RunInstances:0002" },
                    "vcpu": kind.vcpus.to_string(),
                    "memory": format!("{} GiB", kind.gib),
                    "usagetype": format!("BoxUsage:{}", kind.name),
                });
                self.product("AmazonEC2", "Compute Instance", attributes, "Hrs", kind.usd * factor)
            })
        };
        INSTANCE_TYPES.iter().flat_map(each).collect()
    }

    fn product(
        &self,
        service: &str,
        family: &str,
        attributes: Value,
        unit: &str,
        usd: f64,
    ) -> Value {
        let text = |name: &str| attributes.get(name).and_then(Value::as_str).unwrap_or_default();
        let described = [text("usagetype"), text("operatingSystem"), text("capacitystatus")];
        let sku = sku(&described.concat());
        let term = format!("{sku}.JRTCKXETXF");
        let rate = format!("{term}.6YS6EN2CT7");
        let usd = format!("{:.10}", usd * self.factor);
        json!({
            "product": { "productFamily": family, "attributes": attributes, "sku": sku },
            "serviceCode": service,
            "terms": { "OnDemand": { term: {
                "priceDimensions": { &rate: {
                    "rateCode": rate,
                    "unit": unit,
                    "beginRange": "0",
                    "endRange": "Inf",
                    "appliesTo": [],
                    "description": format!("${usd} per {unit}"),
                    "pricePerUnit": { "USD": usd }
                } },
                "sku": sku,
                "effectiveDate": "2026-11-01T00:00:00Z",
                "offerTermCode": "JRTCKXETXF",
                "termAttributes": {}
            } } },
            "version": "20261101000000",
            "publicationDate": "2026-11-01T00:00:00Z"
        })
    }
}

fn invalid(message: String) -> AwsFailure {
    AwsFailure::new("InvalidParameterException", message)
}

fn is_wanted(product: &Value, wanted: &[(&str, &str)]) -> bool {
    wanted.iter().all(|(field, value)| {
        let found = match *field {
            "productFamily" => product.pointer("/product/productFamily"),
            "sku" => product.pointer("/product/sku"),
            "ServiceCode" => product.get("serviceCode"),
            other => product.pointer("/product/attributes").and_then(|it| it.get(other)),
        };
        found.and_then(Value::as_str).is_some_and(|found| found.eq_ignore_ascii_case(value))
    })
}

/// The short name of a region in usage types; those of other regions than these are not needed.
fn usage_prefix(region: &str) -> &'static str {
    match region {
        "eu-west-1" => "EU",
        "eu-central-1" => "EUC1",
        "us-west-2" => "USW2",
        _ => "USE1",
    }
}

/// Sixteen characters, the same for the same product.
fn sku(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016X}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices(body: &Value) -> Vec<String> {
        let pricing = Pricing { region: "us-east-1".into(), factor: 1.0 };
        let answer = pricing.handle("GetProducts", body).unwrap();
        let list = answer["PriceList"].as_array().unwrap().clone();
        list.iter()
            .map(|text| {
                let product: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
                let term = product["terms"]["OnDemand"].as_object().unwrap();
                let term = term.values().next().unwrap()["priceDimensions"].clone();
                let rate = term.as_object().unwrap().values().next().unwrap().clone();
                rate["pricePerUnit"]["USD"].as_str().unwrap().to_owned()
            })
            .collect()
    }

    #[test]
    fn filters_find_one_price() {
        let by = |field, value| json!({ "Type": "TERM_MATCH", "Field": field, "Value": value });
        let fargate = json!({
            "ServiceCode": "AmazonECS",
            "Filters": [by("regionCode", "us-east-1"), by("usagetype", "USE1-Fargate-GB-Hours")]
        });
        assert_eq!(prices(&fargate), ["0.0044450000"]);
        let ec2 = json!({
            "ServiceCode": "AmazonEC2",
            "Filters": [
                by("instanceType", "c7g.xlarge"),
                by("operatingSystem", "Linux"),
                by("capacitystatus", "Used"),
            ]
        });
        assert_eq!(prices(&ec2), ["0.1450000000"]);
        let elsewhere =
            json!({ "ServiceCode": "AmazonECS", "Filters": [by("regionCode", "eu-north-1")] });
        assert!(prices(&elsewhere).is_empty());
    }
}
