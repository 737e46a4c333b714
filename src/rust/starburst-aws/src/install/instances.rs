//! EC2 instances of a type for a stack's cluster: a small stack for each type and way to pay, and its capacity provider.
use super::{Said, Tell, line};
use crate::{
    account::Account,
    cluster,
    stack::{self, Deployment, StackError, StackOutputs},
};
use std::collections::BTreeMap;

/// Instances there shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instances {
    /// The name of the stack they belong to.
    pub stack: String,
    /// The template of this package for them.
    pub template: String,
    /// Such as `c7g.4xlarge`.
    pub kinds: Vec<String>,
    /// Whether they are Spot instances.
    pub spot: bool,
    /// The most there may be of each type.
    pub most: u32,
}

/// The name of the stack for instances of one type, which is also that of its capacity provider.
pub(super) fn stack_name(stack: &str, kind: &str, spot: bool) -> String {
    let how = if spot { "spot" } else { "ondemand" };
    format!("{stack}-ec2-{}-{how}", kind.replace('.', "-"))
}

/// What the names of all such stacks begin with.
pub(super) fn prefix(stack: &str) -> String {
    format!("{stack}-ec2-")
}

/// Whether a type has processors of ARM: AWS marks Graviton by a `g` behind the generation, such as in `c7g` and
/// `c8gn`, and the first one was `a1` (AWS, November 2026). The `g` of `g5` and the `gd` of `g4dn` come before it.
fn is_arm(kind: &str) -> bool {
    let family = kind.split('.').next().unwrap_or_default();
    let after = family.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let options = after.trim_start_matches(|c: char| c.is_ascii_digit());
    family == "a1" || options.starts_with('g')
}

/// Whether a type has NVIDIA GPUs, whose drivers are in another image.
fn has_gpu(kind: &str) -> bool {
    let family = kind.split('.').next().unwrap_or_default();
    let series = family.trim_end_matches(|c: char| c.is_ascii_lowercase() || c == '-');
    let letters: String = series.chars().take_while(char::is_ascii_lowercase).collect();
    matches!(letters.as_str(), "g" | "gr" | "p") && !is_arm(kind) && !family.starts_with("g4ad")
}

/// Makes the stacks be there, puts their capacity providers into the cluster, and returns their names.
///
/// # Errors
/// [`StackError`].
pub async fn setup_instances(
    account: &Account,
    outputs: &StackOutputs,
    instances: &Instances,
    tell: Tell<'_>,
) -> Result<Vec<String>, StackError> {
    let mut names = Vec::with_capacity(instances.kinds.len());
    for kind in &instances.kinds {
        let name = stack_name(&instances.stack, kind, instances.spot);
        tell(Said::Step(format!("instances of the type {kind}: stack `{name}`")));
        let deployment = deployment(&name, outputs, instances, kind);
        stack::deploy(account, &deployment, &mut |event| tell(Said::Step(line(event)))).await?;
        // One by one, so that what was made is used although the next one fails.
        cluster::change_providers(account, &outputs.cluster, std::slice::from_ref(&name), &[])
            .await?;
        names.push(name);
    }
    Ok(names)
}

fn deployment(name: &str, outputs: &StackOutputs, instances: &Instances, kind: &str) -> Deployment {
    let arm = is_arm(kind);
    let mut values = BTreeMap::from([
        ("Stack", instances.stack.clone()),
        ("Cluster", outputs.cluster.clone()),
        ("Subnets", outputs.subnets.join(",")),
        ("SecurityGroup", outputs.security_group.clone()),
        ("InstanceProfile", outputs.instance_profile.clone()),
        ("InstanceType", kind.to_owned()),
        ("Architecture", if arm { "arm64" } else { "x86_64" }.to_owned()),
        ("Spot", instances.spot.to_string()),
        ("MaxInstances", instances.most.to_string()),
    ]);
    if has_gpu(kind) {
        let image = "/aws/service/ecs/optimized-ami/amazon-linux-2023/gpu/recommended/image_id";
        values.insert("ImageX86", image.to_owned());
    }
    Deployment {
        name: name.to_owned(),
        template: instances.template.clone(),
        parameters: values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        tags: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graviton_and_gpus_are_told_by_the_name_of_the_type() {
        for kind in [
            "c7g.4xlarge",
            "c8gn.large",
            "m6gd.metal",
            "a1.large",
            "t4g.micro",
            "x2gd.large",
            "g5g.xlarge",
        ] {
            assert!(is_arm(kind) && !has_gpu(kind), "{kind}");
        }
        for kind in
            ["c7i.large", "m5.large", "c5n.large", "r7iz.large", "u-6tb1.metal", "hpc7a.96xlarge"]
        {
            assert!(!is_arm(kind) && !has_gpu(kind), "{kind}");
        }
        for kind in
            ["g5.xlarge", "g4dn.xlarge", "p5.48xlarge", "p4d.24xlarge", "g6e.xlarge", "gr6.4xlarge"]
        {
            assert!(!is_arm(kind) && has_gpu(kind), "{kind}");
        }
        assert!(!has_gpu("g4ad.xlarge"));
    }

    #[test]
    fn a_stack_is_named_after_its_type_and_way_to_pay() {
        assert_eq!(stack_name("starburst", "c7g.4xlarge", true), "starburst-ec2-c7g-4xlarge-spot");
        assert!(stack_name("a", "m5.large", false).starts_with(&prefix("a")));
    }
}
