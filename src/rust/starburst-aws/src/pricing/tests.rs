use super::*;

/// A product in the shape that the Pricing API documents.
fn product(usage: &str, usd: &str) -> Value {
    json!({
        "product": {
            "productFamily": "Compute", "sku": "8CESGAFWKAJ98PME",
            "attributes": { "regionCode": "eu-west-1", "servicecode": "AmazonECS", "usagetype": usage }
        },
        "serviceCode": "AmazonECS",
        "terms": { "OnDemand": { "8CESGAFWKAJ98PME.JRTCKXETXF": {
            "priceDimensions": { "8CESGAFWKAJ98PME.JRTCKXETXF.6YS6EN2CT7": {
                "unit": "hours", "beginRange": "0", "endRange": "Inf", "appliesTo": [],
                "pricePerUnit": { "USD": usd }
            } },
            "sku": "8CESGAFWKAJ98PME", "effectiveDate": "2026-11-01T00:00:00Z", "termAttributes": {}
        } } }
    })
}

#[test]
fn fargate_prices_are_known_by_their_usage() {
    let mut prices = FargatePrices::default();
    for (usage, usd) in [
        ("EUW1-Fargate-vCPU-Hours:perCPU", "0.0404800000"),
        ("EUW1-Fargate-GB-Hours", "0.0044450000"),
        ("EUW1-Fargate-ARM-vCPU-Hours:perCPU", "0.0323800000"),
        ("EUW1-Fargate-ARM-GB-Hours", "0.0035600000"),
        ("EUW1-Fargate-Windows-vCPU-Hours:perCPU", "0.1"),
        ("EUW1-Fargate-EphemeralStorage-GB-Hours", "0.0001"),
        ("EUW1-ECS-Anywhere-Instance-hours", "0.01"),
    ] {
        prices.note(&product(usage, usd));
    }
    let expected = FargatePrices {
        x86_vcpu: Some(0.04048),
        x86_gb: Some(0.004445),
        arm_vcpu: Some(0.03238),
        arm_gb: Some(0.00356),
    };
    assert_eq!(prices, expected);
}

#[test]
fn a_price_list_is_documents_in_strings() {
    let text = Value::String(product("X-Fargate-GB-Hours", "0.5").to_string());
    assert_eq!(hourly_usd(&document(&text).unwrap()), Some(0.5));
    assert_eq!(document(&json!("not json")), None);
    for odd in [json!({}), json!([]), product("x", "0.0000"), product("x", "NaN"), product("x", "")]
    {
        assert_eq!(hourly_usd(&odd), None, "{odd}");
    }
}

#[test]
fn an_instance_type_has_a_price_and_a_size() {
    let with = |memory: &str| {
        let mut product = product("BoxUsage:u-6tb1.metal", "54.6");
        product["product"]["attributes"] = json!({ "vcpu": "448", "memory": memory });
        InstanceProduct::read(&product)
    };
    let large = InstanceProduct { usd_per_hour: 54.6, vcpu: 448, memory_gib: 6144.0 };
    assert_eq!(with("6,144 GiB"), Some(large));
    assert_eq!(with("0.5 GiB").unwrap().memory_gib, 0.5);
    for odd in ["", "NA", "-1 GiB", "NaN GiB", "much"] {
        assert_eq!(with(odd), None, "{odd}");
    }
}

#[test]
fn the_last_spot_price_of_each_zone_counts() {
    let row = |zone: &str, price: &str, at: &str| {
        format!(
            "<item><instanceType>c7i.large</instanceType><productDescription>Linux/UNIX</productDescription>\
             <spotPrice>{price}</spotPrice><timestamp>{at}</timestamp><availabilityZone>{zone}</availabilityZone></item>"
        )
    };
    let text = format!(
        "<DescribeSpotPriceHistoryResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><spotPriceHistorySet>\
         {}{}{}{}</spotPriceHistorySet><nextToken/></DescribeSpotPriceHistoryResponse>",
        row("eu-west-1a", "0.040000", "2026-11-24T10:00:00.000Z"),
        row("eu-west-1a", "0.050000", "2026-11-24T12:00:00.000Z"),
        row("eu-west-1b", "0.045000", "2026-11-24T11:00:00.000Z"),
        row("eu-west-1c", "free", "2026-11-24T11:00:00.000Z"),
    );
    let document = Xml::parse(text.as_bytes()).unwrap();
    let rows = document.items("DescribeSpotPriceHistoryResponse/spotPriceHistorySet");
    let found = latest(rows.iter().filter_map(read_spot).collect());
    let found: Vec<_> = found.iter().map(|p| (p.zone.as_str(), p.usd_per_hour)).collect();
    assert_eq!(found, [("eu-west-1b", 0.045), ("eu-west-1a", 0.05)]);
}
