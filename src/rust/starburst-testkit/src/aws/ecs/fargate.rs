//! What Fargate asks of a task definition.
use crate::aws::{failure::AwsFailure, input::Input};

/// A size in units of a 1,024th vCPU: `1024` or `1 vCPU`.
pub(super) fn cpu_units(text: &str) -> Option<u32> {
    let lower = text.trim().to_lowercase();
    match lower.strip_suffix("vcpu") {
        Some(number) => {
            let number: f64 = number.trim().parse().ok()?;
            Some((number * 1_024.0) as u32)
        }
        None => lower.parse().ok(),
    }
}

/// A size in MiB: `2048` or `2 GB`.
pub(super) fn mib(text: &str) -> Option<u32> {
    let lower = text.trim().to_lowercase();
    match lower.strip_suffix("gb") {
        Some(number) => {
            let number: f64 = number.trim().parse().ok()?;
            Some((number * 1_024.0) as u32)
        }
        None => lower.parse().ok(),
    }
}

/// Whether Fargate has tasks of that size (Amazon ECS developer guide, Fargate task definition, November 2026).
fn has_size(units: u32, mib: u32) -> bool {
    const GIB: u32 = 1_024;
    let steps = |from: u32, to: u32, step: u32| {
        (from * GIB..=to * GIB).contains(&mib) && (mib - from * GIB).is_multiple_of(step * GIB)
    };
    match units {
        256 => [GIB / 2, GIB, 2 * GIB].contains(&mib),
        512 => steps(1, 4, 1),
        1_024 => steps(2, 8, 1),
        2_048 => steps(4, 16, 1),
        4_096 => steps(8, 30, 1),
        8_192 => steps(16, 60, 4),
        16_384 => steps(32, 120, 8),
        _ => false,
    }
}

/// Refuses what Fargate refuses in RegisterTaskDefinition.
pub(super) fn check(input: Input<'_>) -> Result<(), AwsFailure> {
    if input.text("networkMode")? != Some("awsvpc") {
        return Err(AwsFailure::client("Fargate only supports network mode ‘awsvpc’."));
    }
    let missing = |what: &str| {
        AwsFailure::client(format!("Fargate requires that '{what}' be defined at the task level."))
    };
    let cpu = input.text("cpu")?.ok_or_else(|| missing("cpu"))?;
    let memory = input.text("memory")?.ok_or_else(|| missing("memory"))?;
    let size = cpu_units(cpu).zip(mib(memory));
    if !size.is_some_and(|(units, mib)| has_size(units, mib)) {
        return Err(AwsFailure::client(format!(
            "No Fargate configuration exists for given values: {cpu} CPU, {memory} memory. See the Amazon ECS documentation for the valid values."
        )));
    }
    if let Some(storage) = input.object("ephemeralStorage")? {
        let size = storage.number("sizeInGiB")?.unwrap_or(0);
        if !(21..=200).contains(&size) {
            return Err(AwsFailure::client(
                "EphemeralStorage size must be between 21 and 200 GiB for Fargate.",
            ));
        }
    }
    for container in input.objects("containerDefinitions")? {
        let stop_timeout = container.number("stopTimeout")?.unwrap_or(30);
        if !(0..=120).contains(&stop_timeout) {
            return Err(AwsFailure::client("stopTimeout must be at most 120 seconds on Fargate."));
        }
        let log = container.object("logConfiguration")?;
        let driver = log.map(|log| log.text("logDriver")).transpose()?.flatten();
        if driver == Some("awslogs") && input.text("executionRoleArn")?.is_none() {
            return Err(AwsFailure::client(
                "Fargate requires task definition to have execution role ARN to support log driver awslogs.",
            ));
        }
        let image = container.text("image")?.unwrap_or_default();
        if image.contains(".dkr.ecr.") && input.text("executionRoleArn")?.is_none() {
            return Err(AwsFailure::client(
                "Fargate requires task definition to have execution role ARN to support ECR images.",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_some_pairs_are_sizes() {
        for (units, mib, expected) in [
            (256, 512, true),
            (256, 3_072, false),
            (1_024, 2_048, true),
            (1_024, 1_024, false),
            (4_096, 30_720, true),
            (8_192, 20_480, true),
            (8_192, 18_432, false),
            (16_384, 122_880, true),
            (3_072, 8_192, false),
        ] {
            assert_eq!(has_size(units, mib), expected, "{units} {mib}");
        }
        assert_eq!((cpu_units("1 vCPU"), mib("2 GB")), (Some(1_024), Some(2_048)));
        assert_eq!((cpu_units(".25 vcpu"), mib("2048")), (Some(256), Some(2_048)));
    }
}
