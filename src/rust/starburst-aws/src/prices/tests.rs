use super::*;
use std::collections::HashSet;

fn fargate(region: &str) -> WorkerShape {
    WorkerShape {
        launch_type: LaunchType::Fargate,
        cpu: 4.0,
        memory_gib: 8.0,
        architecture: Architecture::X86,
        spot: false,
        instance_type: None,
        region: region.into(),
        ephemeral_gib: 20,
    }
}

fn ec2(instance: &str, cpu: f64, memory_gib: f64) -> WorkerShape {
    WorkerShape {
        launch_type: LaunchType::Ec2,
        cpu,
        memory_gib,
        instance_type: Some(instance.into()),
        ..fargate("us-east-1")
    }
}

fn usd(shape: &WorkerShape) -> f64 {
    worker_price(shape).unwrap().usd_per_hour
}

#[test]
fn fifty_workers_cost_what_aws_asks() {
    let shape = fargate("us-east-1");
    let price = worker_price(&shape).unwrap();
    assert!((50.0 * (price.usd_per_hour - PUBLIC_IPV4) - 9.874).abs() < 1e-9);
    assert_eq!(price.minimum, Duration::from_secs(60));
    assert_eq!(price.what, "a worker of 4 vCPU and 8 GB on Fargate in us-east-1");
    let arm = WorkerShape { architecture: Architecture::Arm, ..shape.clone() };
    assert!((50.0 * (usd(&arm) - PUBLIC_IPV4) - 7.9).abs() < 1e-9);
    let large = WorkerShape { ephemeral_gib: 120, ..shape };
    assert!((usd(&large) - price.usd_per_hour - 0.0111).abs() < 1e-9);
}

#[test]
fn spot_is_dearer_than_it_was_seen_and_cheaper_than_on_demand() {
    let spot = WorkerShape { spot: true, ..fargate("us-east-2") };
    // The dearest share of On-Demand that was seen: us-east-2 in September 2026.
    assert!(usd(&spot) > 4.0 * 0.01539807 + 8.0 * 0.00169082 + PUBLIC_IPV4);
    assert!(usd(&spot) < usd(&fargate("us-east-2")));
    assert_eq!(
        worker_price(&spot).unwrap().what,
        "a worker of 4 vCPU and 8 GB on Fargate Spot in us-east-2 (an estimate: Spot is taken to cost \
         half of On-Demand)"
    );
}

#[test]
fn an_unknown_region_is_dearer_than_any_known_and_says_so() {
    for architecture in [Architecture::X86, Architecture::Arm] {
        for ephemeral_gib in [20, 200] {
            let at = |region| WorkerShape { architecture, ephemeral_gib, ..fargate(region) };
            let unknown = worker_price(&at("moon-north-1")).unwrap();
            assert!(unknown.what.contains("an estimate: the table has no prices of moon-north-1"));
            for row in FARGATE {
                assert!(usd(&at(row.name)) < unknown.usd_per_hour, "{}", row.name);
            }
        }
    }
}

#[test]
fn arm_is_never_dearer_than_x86_nor_estimated_below_what_is_known() {
    for row in FARGATE {
        let x86 = fargate_rates(row.name, Architecture::X86);
        let arm = fargate_rates(row.name, Architecture::Arm);
        assert!(arm.vcpu < x86.vcpu && arm.memory_gib < x86.memory_gib, "{}", row.name);
        assert_eq!((x86.estimated, arm.estimated.is_none()), (None, row.arm.is_some()));
        if let Some((vcpu, memory)) = row.arm {
            assert!(vcpu <= row.x86.0 * ARM_SHARE && memory <= row.x86.1 * ARM_SHARE);
        }
    }
}

#[test]
fn workers_share_an_instance() {
    // 16 vCPU and 32 GiB, of which 29.4 are left: three workers of 8 GB, seven of 4 GB.
    let rate = instance_rate("c7g.4xlarge", "us-east-1").unwrap();
    assert_eq!(workers_per_instance(&ec2("c7g.4xlarge", 4.0, 8.0), &rate), 3);
    assert_eq!(workers_per_instance(&ec2("c7g.4xlarge", 2.0, 4.0), &rate), 7);
    assert_eq!(workers_per_instance(&ec2("c7g.4xlarge", 4.0, 4.0), &rate), 4);
    assert!((usd(&ec2("c7g.4xlarge", 4.0, 4.0)) - 0.585 / 4.0).abs() < 1e-9);
    assert_eq!(
        worker_price(&ec2("c7g.4xlarge", 4.0, 4.0)).unwrap().what,
        "a worker of 4 vCPU and 4 GB on ARM on c7g.4xlarge, 4 to an instance in us-east-1"
    );
    assert_eq!(worker_price(&ec2("c7i.large", 4.0, 8.0)), None);
    assert_eq!(worker_price(&ec2("q1.large", 1.0, 1.0)), None);
    assert_eq!(worker_price(&WorkerShape { instance_type: None, ..ec2("", 1.0, 1.0) }), None);
}

#[test]
fn instances_elsewhere_are_estimated_on_the_dear_side() {
    let at = |region: &str| instance_rate("c7i.large", region).unwrap();
    assert_eq!((at("us-east-1").usd, at("us-east-1").estimated), (0.0893, None));
    for row in FARGATE.iter().filter(|row| row.name != HOME) {
        let rate = at(row.name);
        assert!(rate.usd >= 0.0893 * SAFETY * 0.999 && rate.estimated.is_some(), "{}", row.name);
        assert!(rate.usd <= at("moon-north-1").usd * 1.000_001);
    }
    let spot = WorkerShape { spot: true, ..ec2("c7i.xlarge", 1.0, 1.0) };
    assert_eq!(usd(&spot), usd(&ec2("c7i.xlarge", 1.0, 1.0)));
}

#[test]
fn a_size_that_is_none_has_no_price() {
    for (cpu, memory_gib) in [(0.0, 8.0), (4.0, -1.0), (f64::NAN, 8.0), (4.0, f64::INFINITY)] {
        let shape = WorkerShape { cpu, memory_gib, ..fargate("us-east-1") };
        assert_eq!(worker_price(&shape), None);
        let shape = WorkerShape { launch_type: LaunchType::Ec2, ..shape };
        let shape = WorkerShape { instance_type: Some("c7i.large".into()), ..shape };
        assert_eq!(worker_price(&shape), None);
    }
}

#[test]
fn the_tables_are_whole() {
    let regions: HashSet<&str> = FARGATE.iter().map(|row| row.name).collect();
    let instances: HashSet<&str> = EC2.iter().map(|row| row.name).collect();
    assert_eq!((regions.len(), instances.len()), (FARGATE.len(), EC2.len()));
    for row in EC2 {
        // A family costs the same for each vCPU in all its sizes, but for the last digit.
        let family = row.name.split('.').next().unwrap();
        let same = EC2.iter().filter(|other| other.name.starts_with(&format!("{family}.")));
        let each = |row: &Instance| row.usd / f64::from(row.vcpu);
        let odd = same.filter(|other| (each(other) / each(row) - 1.0).abs() > 0.01).count();
        assert!(odd == 0 || family == "t4g", "{}", row.name);
        assert!(row.vcpu > 0 && row.memory_gib >= row.vcpu && row.usd > 0.0);
        // Families that run on ARM have a `g` behind their generation.
        assert_eq!(row.architecture == Architecture::Arm, family.ends_with('g'), "{}", row.name);
    }
}
