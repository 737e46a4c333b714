//! Tags of tasks.
use super::Ecs;
use crate::aws::{failure::AwsFailure, input::Input, names::short};
use serde_json::{Value, json};

/// The most tags of one resource (AWS, November 2026).
const MOST: usize = 50;

/// Refuses what AWS refuses.
pub(super) fn check(tags: &[Value]) -> Result<(), AwsFailure> {
    if tags.len() > MOST {
        return Err(AwsFailure::parameter("The maximum number of tags is 50."));
    }
    for tag in tags {
        let tag = Input(tag);
        let (key, value) = (tag.required_text("key")?, tag.text("value")?.unwrap_or_default());
        if key.len() > 128 || value.len() > 256 || key.to_lowercase().starts_with("aws:") {
            return Err(AwsFailure::parameter(format!("The tag {key} is not valid.")));
        }
    }
    Ok(())
}

/// Puts tags over those that are there.
pub(super) fn merge(there: &mut Vec<Value>, fresh: &[Value]) {
    for tag in fresh {
        there.retain(|old| old.get("key") != tag.get("key"));
        there.push(tag.clone());
    }
}

impl Ecs {
    pub(super) fn tag_resource(&mut self, input: Input<'_>) -> Result<Value, AwsFailure> {
        let arn = input.required_text("resourceArn")?;
        let fresh = input.list("tags")?;
        check(fresh)?;
        let missing = || {
            AwsFailure::new("ResourceNotFoundException", "The specified resource was not found.")
        };
        let there = if arn.contains(":cluster/") {
            &mut self.clusters.get_mut(short(arn)).ok_or_else(missing)?.tags
        } else {
            &mut self.tasks.get_mut(short(arn)).ok_or_else(missing)?.tags
        };
        merge(there, fresh);
        Ok(json!({}))
    }
}
