//! Prices as AWS tells them today: Fargate and EC2 from the Pricing API, Spot from EC2's history.
use crate::{
    account::Account,
    call::{Call, CallError, Service, Xml},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Pages of one listing that are read.
const PAGES: usize = 20;

/// What Fargate costs in one region, in US dollars an hour. `None`: the API did not say.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FargatePrices {
    /// One vCPU on x86.
    pub x86_vcpu: Option<f64>,
    /// One GB of memory on x86.
    pub x86_gb: Option<f64>,
    /// One vCPU on ARM.
    pub arm_vcpu: Option<f64>,
    /// One GB of memory on ARM.
    pub arm_gb: Option<f64>,
}

/// An instance type as the price list has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InstanceProduct {
    /// On-Demand with Linux, in US dollars an hour.
    pub usd_per_hour: f64,
    /// Its vCPU.
    pub vcpu: u32,
    /// Its memory in GiB, as AWS announces it.
    pub memory_gib: f64,
}

/// What a Spot instance costs in one zone.
#[derive(Debug, Clone, PartialEq)]
pub struct SpotPrice {
    /// The availability zone.
    pub zone: String,
    /// US dollars an hour.
    pub usd_per_hour: f64,
    /// Since when, as EC2 writes it: `2026-11-24T12:00:00.000Z`.
    pub since: String,
}

/// On-Demand prices of Fargate with Linux.
///
/// # Errors
/// [`CallError`].
pub async fn fargate(account: &Account, region: &str) -> Result<FargatePrices, CallError> {
    let filters = [("regionCode", region), ("productFamily", "Compute")];
    let mut prices = FargatePrices::default();
    for product in products(account, "AmazonECS", &filters).await? {
        prices.note(&product);
    }
    Ok(prices)
}

/// What an instance type costs On-Demand with Linux, and what it has. `None`: it is not sold there.
///
/// # Errors
/// [`CallError`].
pub async fn ec2_on_demand(
    account: &Account,
    region: &str,
    instance_type: &str,
) -> Result<Option<InstanceProduct>, CallError> {
    let filters = [
        ("regionCode", region),
        ("instanceType", instance_type),
        ("operatingSystem", "Linux"),
        ("tenancy", "Shared"),
        ("preInstalledSw", "NA"),
        ("capacitystatus", "Used"),
    ];
    let products = products(account, "AmazonEC2", &filters).await?;
    let products = products.iter().filter_map(InstanceProduct::read);
    Ok(products.min_by(|a, b| a.usd_per_hour.total_cmp(&b.usd_per_hour)))
}

/// What an instance type costs on Spot with Linux now, in each zone, cheapest first.
///
/// # Errors
/// [`CallError`].
pub async fn ec2_spot(account: &Account, instance_type: &str) -> Result<Vec<SpotPrice>, CallError> {
    let call = Call::new(Service::Ec2, "DescribeSpotPriceHistory").on(instance_type);
    // A history that begins now has the price that holds now, for each zone.
    let now = aws_smithy_types::DateTime::from_millis(
        i64::try_from(starburst_core::clock::Clock::wall(&account.time()).0).unwrap_or_default(),
    );
    let now = now.fmt(aws_smithy_types::date_time::Format::DateTime);
    let now = now.map_err(|e| account.unreadable(&call, &e.to_string()))?;
    let parameters = |next: Option<String>| {
        let mut all: Vec<(String, String)> = vec![
            ("InstanceType.1".into(), instance_type.into()),
            ("ProductDescription.1".into(), "Linux/UNIX".into()),
            ("StartTime".into(), now.clone()),
        ];
        all.extend(next.map(|token| ("NextToken".into(), token)));
        all
    };
    let (mut prices, mut next) = (Vec::new(), None);
    for _ in 0..PAGES {
        let answer = account.query(&call, &parameters(next)).await?;
        let rows = answer.items("DescribeSpotPriceHistoryResponse/spotPriceHistorySet");
        prices.extend(rows.iter().filter_map(read_spot));
        next = answer.text("DescribeSpotPriceHistoryResponse/nextToken").map(ToOwned::to_owned);
        if next.is_none() {
            break;
        }
    }
    Ok(latest(prices))
}

/// All products of a service that match, each as the document that the API hides in a string.
async fn products(
    account: &Account,
    service_code: &str,
    filters: &[(&str, &str)],
) -> Result<Vec<Value>, CallError> {
    let call = Call::new(Service::Pricing, "GetProducts").on(service_code);
    let filter = |(field, value): &(&str, &str)| json!({ "Type": "TERM_MATCH", "Field": field, "Value": value });
    let filters: Vec<Value> = filters.iter().map(filter).collect();
    let mut parameters = json!({
        "ServiceCode": service_code, "FormatVersion": "aws_v1", "MaxResults": 100, "Filters": filters,
    });
    let mut found = Vec::new();
    for _ in 0..PAGES {
        let answer = account.json(&call, &parameters).await?;
        let page = answer["PriceList"].as_array();
        found.extend(page.into_iter().flatten().filter_map(document));
        match answer["NextToken"].as_str() {
            Some(token) if !token.is_empty() => parameters["NextToken"] = token.into(),
            Some(_) | None => break,
        }
    }
    Ok(found)
}

fn document(item: &Value) -> Option<Value> {
    match item {
        Value::String(text) => serde_json::from_str(text).ok(),
        Value::Object(_) => Some(item.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

/// The On-Demand price of a product in US dollars. Free rows, such as those of reserved capacity, are none.
fn hourly_usd(product: &Value) -> Option<f64> {
    let terms = product["terms"]["OnDemand"].as_object()?;
    let dimensions = terms.values().filter_map(|term| term["priceDimensions"].as_object());
    let usd = |dimension: &Value| match &dimension["pricePerUnit"]["USD"] {
        Value::String(text) => text.parse::<f64>().ok(),
        Value::Number(number) => number.as_f64(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let prices = dimensions.flat_map(|all| all.values()).filter_map(usd);
    prices.filter(|price| price.is_finite() && *price > 0.0).min_by(f64::total_cmp)
}

impl InstanceProduct {
    /// Sizes are texts: `16`, and `32 GiB` or `1,024 GiB`.
    fn read(product: &Value) -> Option<Self> {
        let text = |name: &str| product["product"]["attributes"][name].as_str();
        let memory = text("memory")?.trim_end_matches("GiB").trim().replace(',', "");
        let memory_gib = memory.parse().ok().filter(|gib: &f64| gib.is_finite() && *gib > 0.0)?;
        Some(Self {
            usd_per_hour: hourly_usd(product)?,
            vcpu: text("vcpu")?.parse().ok()?,
            memory_gib,
        })
    }
}

impl FargatePrices {
    /// Takes the price of a product whose usage is one of ours: `EUW1-Fargate-ARM-vCPU-Hours:perCPU` and the like.
    fn note(&mut self, product: &Value) {
        let usage = product["product"]["attributes"]["usagetype"].as_str().unwrap_or_default();
        let Some((_, usage)) = usage.split_once("Fargate-") else { return };
        let place = match usage.split(':').next().unwrap_or(usage) {
            "vCPU-Hours" => &mut self.x86_vcpu,
            "GB-Hours" => &mut self.x86_gb,
            "ARM-vCPU-Hours" => &mut self.arm_vcpu,
            "ARM-GB-Hours" => &mut self.arm_gb,
            _ => return,
        };
        if let Some(price) = hourly_usd(product) {
            *place = Some(price);
        }
    }
}

fn read_spot(row: &Xml) -> Option<SpotPrice> {
    let price: f64 = row.text("spotPrice")?.parse().ok()?;
    let (zone, since) =
        (row.text("availabilityZone")?.to_owned(), row.text("timestamp")?.to_owned());
    (price.is_finite() && price > 0.0).then_some(SpotPrice { zone, usd_per_hour: price, since })
}

/// The last price of each zone, cheapest first. The times are all in one form, so they sort as texts.
fn latest(prices: Vec<SpotPrice>) -> Vec<SpotPrice> {
    let mut zones: BTreeMap<String, SpotPrice> = BTreeMap::new();
    for price in prices {
        match zones.get(&price.zone) {
            Some(known) if known.since >= price.since => {}
            Some(_) | None => {
                zones.insert(price.zone.clone(), price);
            }
        }
    }
    let mut latest: Vec<SpotPrice> = zones.into_values().collect();
    latest.sort_by(|a, b| a.usd_per_hour.total_cmp(&b.usd_per_hour));
    latest
}

#[cfg(test)]
mod tests;
