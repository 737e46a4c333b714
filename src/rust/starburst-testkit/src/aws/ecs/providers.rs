//! Capacity providers on EC2.
use super::Ecs;
use crate::aws::{
    failure::AwsFailure,
    input::{Input, page},
    names::short,
    pricing::INSTANCE_TYPES,
};
use serde_json::{Value, json};

/// A capacity provider of an Auto Scaling group.
#[derive(Debug, Clone)]
pub(in crate::aws) struct Provider {
    name: String,
    group: Value,
    tags: Vec<Value>,
    /// Of one instance.
    pub(super) vcpus: u32,
    pub(super) mib: u32,
    pub(super) spot: bool,
}

/// ECS keeps about this for itself on each instance.
const RESERVED_MIB: u32 = 256;

impl Provider {
    fn new(name: &str, group: Value, tags: Vec<Value>, description: &str) -> Self {
        // ECS is not told what the instances are. Names of providers and Auto Scaling groups have the type in them.
        let text = format!("{name} {group} {description}");
        let is_named = |kind: &str| text.contains(kind) || text.contains(&kind.replace('.', "-"));
        let kind = INSTANCE_TYPES.iter().rev().find(|kind| is_named(kind.name));
        Self {
            name: name.to_owned(),
            vcpus: kind.map_or(4, |kind| kind.vcpus),
            mib: kind.map_or(8_192, |kind| kind.gib * 1_024) - RESERVED_MIB,
            spot: text.to_lowercase().contains("spot"),
            group,
            tags,
        }
    }

    /// One that somebody else made, with whatever says what its instances are.
    pub(in crate::aws) fn known(name: &str, description: &str) -> Self {
        let group = json!({
            "autoScalingGroupArn": format!("arn:aws:autoscaling:us-east-1:123456789012:autoScalingGroup:0:autoScalingGroupName/{name}"),
            "managedScaling": { "status": "ENABLED", "targetCapacity": 100 },
            "managedTerminationProtection": "DISABLED",
            "managedDraining": "ENABLED",
        });
        Self::new(name, group, Vec::new(), description)
    }

    fn json(&self, arn: String) -> Value {
        json!({
            "capacityProviderArn": arn,
            "name": self.name,
            "status": "ACTIVE",
            "autoScalingGroupProvider": self.group,
            "tags": self.tags,
            "type": "EC2_AUTOSCALING",
        })
    }
}

impl Ecs {
    pub(super) fn create_capacity_provider(
        &mut self,
        input: Input<'_>,
    ) -> Result<Value, AwsFailure> {
        let name = input.required_text("name")?;
        let reserved = ["aws", "ecs", "fargate"];
        if reserved.iter().any(|prefix| name.to_lowercase().starts_with(prefix)) {
            return Err(AwsFailure::parameter(
                "The specified capacity provider name is invalid. Up to 255 characters are allowed, and the name cannot be prefixed with 'aws', 'ecs', or 'fargate'.",
            ));
        }
        let group = input.object("autoScalingGroupProvider")?;
        let group =
            group.ok_or_else(|| AwsFailure::parameter("autoScalingGroupProvider is missing."))?;
        group.required_text("autoScalingGroupArn")?;
        if self.providers.contains_key(name) {
            return Err(AwsFailure::parameter(
                "The specified capacity provider already exists. To change the configuration of an existing capacity provider, update the capacity provider.",
            ));
        }
        let provider = Provider::new(name, group.0.clone(), input.list("tags")?.to_vec(), "");
        let told = provider.json(self.names.provider(name));
        self.providers.insert(name.to_owned(), provider);
        Ok(json!({ "capacityProvider": told }))
    }

    pub(super) fn describe_capacity_providers(
        &self,
        input: Input<'_>,
    ) -> Result<Value, AwsFailure> {
        let wanted: Vec<&str> = input.texts("capacityProviders")?.into_iter().map(short).collect();
        let all = self.providers.values();
        let found: Vec<Value> = all
            .filter(|it| wanted.is_empty() || wanted.contains(&it.name.as_str()))
            .map(|it| it.json(self.names.provider(&it.name)))
            .collect();
        let is_missing =
            |name: &&str| !self.providers.contains_key(*name) && !name.starts_with("FARGATE");
        let failures: Vec<Value> = wanted
            .into_iter()
            .filter(is_missing)
            .map(|name| json!({ "arn": self.names.provider(name), "reason": "MISSING" }))
            .collect();
        let page = page(found, input.text("nextToken")?, input.number("maxResults")?, 10)?;
        Ok(
            json!({ "capacityProviders": page.elements, "failures": failures, "nextToken": page.next }),
        )
    }

    pub(super) fn delete_capacity_provider(
        &mut self,
        input: Input<'_>,
    ) -> Result<Value, AwsFailure> {
        let name = short(input.required_text("capacityProvider")?);
        if self.clusters.values().any(|cluster| cluster.providers.iter().any(|it| it == name)) {
            return Err(AwsFailure::parameter(
                "The specified capacity provider is in use and cannot be removed from the cluster or deleted.",
            ));
        }
        let provider = self.providers.remove(name).ok_or_else(|| {
            AwsFailure::parameter("The specified capacity provider does not exist. Specify a valid name or ARN and try again.")
        })?;
        let mut told = provider.json(self.names.provider(name));
        crate::aws::failure::set(&mut told, "status", "INACTIVE".into());
        Ok(json!({ "capacityProvider": told }))
    }
}
