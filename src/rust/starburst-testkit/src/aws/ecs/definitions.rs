//! Task definitions: families of revisions.
use super::fargate;
use crate::aws::{
    failure::{AwsFailure, set},
    input::{Input, page},
    names::{Names, short},
    time::timestamp,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// One revision.
#[derive(Debug, Clone)]
pub(super) struct Definition {
    pub(super) json: Value,
    pub(super) family: String,
    pub(super) revision: usize,
    tags: Vec<Value>,
    status: Status,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Active,
    Inactive,
    Deleting,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::Deleting => "DELETE_IN_PROGRESS",
        }
    }
}

impl Definition {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.json.get(name).and_then(Value::as_str)
    }

    pub(super) fn is_active(&self) -> bool {
        self.status == Status::Active
    }

    pub(super) fn tags(&self) -> &[Value] {
        &self.tags
    }

    /// The container that is run: the first.
    pub(super) fn container(&self) -> &Value {
        self.json.pointer("/containerDefinitions/0").unwrap_or(&Value::Null)
    }

    pub(super) fn supports(&self, launch_type: &str) -> bool {
        let all = self.json.get("compatibilities").and_then(Value::as_array);
        all.is_some_and(|all| all.iter().any(|it| it == launch_type))
    }

    fn set_status(&mut self, status: Status) {
        self.status = status;
        set(&mut self.json, "status", status.name().into());
        let time = if status == Status::Deleting { "deleteRequestedAt" } else { "deregisteredAt" };
        set(&mut self.json, time, timestamp().into());
    }
}

/// All families; revision n is at n - 1.
#[derive(Debug, Default)]
pub(super) struct Definitions(BTreeMap<String, Vec<Arc<Definition>>>);

fn check_family(family: &str) -> Result<(), AwsFailure> {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if family.len() <= 255 && family.chars().all(valid) {
        return Ok(());
    }
    Err(AwsFailure::client(
        "Family should be a combination of letters, numbers, hyphens and underscores, of at most 255 characters.",
    ))
}

fn check_containers(input: Input<'_>) -> Result<(), AwsFailure> {
    let containers = input.objects("containerDefinitions")?;
    if containers.is_empty() {
        return Err(AwsFailure::client("Container list cannot be empty."));
    }
    let mut essential = false;
    for container in &containers {
        let blank = |what: &str| {
            AwsFailure::client(format!("Container.{what} should not be null or empty."))
        };
        let name = container.text("name")?.ok_or_else(|| blank("name"))?;
        container.text("image")?.filter(|it| !it.is_empty()).ok_or_else(|| blank("image"))?;
        essential |= container.value("essential").is_none() || container.flag("essential")?;
        let own = container.number("memory")?.or(container.number("memoryReservation")?);
        if own.is_none() && input.text("memory")?.is_none() {
            return Err(AwsFailure::client(format!(
                "Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be specified."
            )));
        }
        if let Some(log) = container.object("logConfiguration")? {
            let driver = log.text("logDriver")?.unwrap_or_default();
            let has = |option: &str| log.0.pointer(&format!("/options/{option}")).is_some();
            if driver == "awslogs" && !(has("awslogs-group") && has("awslogs-region")) {
                return Err(AwsFailure::client(
                    "Log driver awslogs requires options: awslogs-region, awslogs-group",
                ));
            }
        }
    }
    if essential {
        Ok(())
    } else {
        Err(AwsFailure::client("At least one container must be essential."))
    }
}

impl Definitions {
    pub(super) fn register(
        &mut self,
        names: &Names,
        input: Input<'_>,
    ) -> Result<Value, AwsFailure> {
        let family = input
            .text("family")?
            .filter(|family| !family.is_empty())
            .ok_or_else(|| AwsFailure::client("Family should not be null or empty."))?;
        check_family(family)?;
        check_containers(input)?;
        let required = input.texts("requiresCompatibilities")?;
        if required.contains(&"FARGATE") {
            fargate::check(input)?;
        }
        let mut compatibilities = vec!["EC2"];
        if required.contains(&"FARGATE") || (required.is_empty() && fargate::check(input).is_ok()) {
            compatibilities.push("FARGATE");
        }
        let tags = input.list("tags")?.to_vec();
        let revisions = self.0.entry(family.to_owned()).or_default();
        let revision = revisions.len() + 1;
        let mut json = input.0.clone();
        if let Some(members) = json.as_object_mut() {
            members.remove("tags");
        }
        for (name, value) in [
            ("taskDefinitionArn", names.definition(family, revision).into()),
            ("revision", revision.into()),
            ("status", Status::Active.name().into()),
            ("compatibilities", json!(compatibilities)),
            ("requiresAttributes", json!([])),
            ("registeredAt", timestamp().into()),
            ("registeredBy", names.user().into()),
        ] {
            set(&mut json, name, value);
        }
        let definition =
            Definition { json, family: family.to_owned(), revision, tags, status: Status::Active };
        let told = json!({ "taskDefinition": definition.json, "tags": definition.tags });
        revisions.push(Arc::new(definition));
        Ok(told)
    }

    /// By family, family and revision, or ARN. A family alone is its newest active revision.
    pub(super) fn find(&self, name: &str) -> Option<&Arc<Definition>> {
        let (family, revision) = match short(name).split_once(':') {
            Some((family, revision)) => (family, Some(revision)),
            None => (short(name), None),
        };
        let revisions = self.0.get(family)?;
        match revision {
            Some(revision) => revisions.get(revision.parse::<usize>().ok()?.checked_sub(1)?),
            None => revisions.iter().rev().find(|it| it.is_active()),
        }
    }

    fn change(&mut self, name: &str, status: Status) -> Option<Value> {
        let (family, revision) = short(name).split_once(':')?;
        let index = revision.parse::<usize>().ok()?.checked_sub(1)?;
        let definition = self.0.get_mut(family)?.get_mut(index)?;
        let definition = Arc::make_mut(definition);
        definition.set_status(status);
        Some(definition.json.clone())
    }

    pub(super) fn describe(&self, input: Input<'_>) -> Result<Value, AwsFailure> {
        let found = self.find(input.required_text("taskDefinition")?);
        let found = found.ok_or_else(unknown)?;
        let tags = input.texts("include")?.contains(&"TAGS");
        let mut answer = json!({ "taskDefinition": found.json });
        if tags {
            set(&mut answer, "tags", json!(found.tags));
        }
        Ok(answer)
    }

    pub(super) fn list(&self, names: &Names, input: Input<'_>) -> Result<Value, AwsFailure> {
        let family = input.text("familyPrefix")?;
        let status = input.text("status")?.unwrap_or("ACTIVE");
        let mut all: Vec<String> = self
            .0
            .iter()
            .filter(|(name, _)| family.is_none_or(|family| family == name.as_str()))
            .flat_map(|(_, revisions)| revisions)
            .filter(|it| it.status.name() == status)
            .map(|it| names.definition(&it.family, it.revision))
            .collect();
        if input.text("sort")? == Some("DESC") {
            all.reverse();
        }
        let page = page(all, input.text("nextToken")?, input.number("maxResults")?, 100)?;
        Ok(json!({ "taskDefinitionArns": page.elements, "nextToken": page.next }))
    }

    pub(super) fn deregister(&mut self, input: Input<'_>) -> Result<Value, AwsFailure> {
        let name = input.required_text("taskDefinition")?;
        let told = self.change(name, Status::Inactive).ok_or_else(unknown)?;
        Ok(json!({ "taskDefinition": told }))
    }

    pub(super) fn delete(&mut self, input: Input<'_>) -> Result<Value, AwsFailure> {
        let names = input.texts("taskDefinitions")?;
        if !(1..=10).contains(&names.len()) {
            return Err(AwsFailure::parameter(
                "You can specify up to 10 task definitions as a parameter.",
            ));
        }
        let (mut deleted, mut failures) = (Vec::new(), Vec::new());
        for name in names {
            match self.find(name).map(|it| it.status) {
                None => failures.push(json!({ "arn": name, "reason": "MISSING" })),
                Some(Status::Active) => failures.push(json!({
                    "arn": name,
                    "reason": "The specified task definition is still in ACTIVE status. Please deregister the target and try again."
                })),
                Some(Status::Inactive | Status::Deleting) => {
                    deleted.extend(self.change(name, Status::Deleting));
                }
            }
        }
        Ok(json!({ "taskDefinitions": deleted, "failures": failures }))
    }
}

fn unknown() -> AwsFailure {
    AwsFailure::client("Unable to describe task definition.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> Value {
        json!({
            "family": "starburst-1",
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "cpu": "1024",
            "memory": "2048",
            "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
            "containerDefinitions": [{ "name": "worker", "image": "worker:1" }]
        })
    }

    #[test]
    fn revisions_count_up_and_end_in_three_steps() {
        let names = Names { account: "123456789012".into(), region: "us-east-1".into() };
        let mut all = Definitions::default();
        all.register(&names, Input(&body())).unwrap();
        let second = all.register(&names, Input(&body())).unwrap();
        assert_eq!(second["taskDefinition"]["revision"], 2);
        assert_eq!(all.find("starburst-1").unwrap().revision, 2);
        let name = json!({ "taskDefinition": "starburst-1:2" });
        let both = json!({ "taskDefinitions": ["starburst-1:2"] });
        assert_eq!(all.delete(Input(&both)).unwrap()["taskDefinitions"], json!([]));
        all.deregister(Input(&name)).unwrap();
        assert_eq!(all.find("starburst-1").unwrap().revision, 1);
        let deleted = all.delete(Input(&both)).unwrap();
        assert_eq!(deleted["taskDefinitions"][0]["status"], "DELETE_IN_PROGRESS");
    }

    #[test]
    fn what_fargate_refuses_is_refused() {
        let names = Names { account: "123456789012".into(), region: "us-east-1".into() };
        let refused = |change: &dyn Fn(&mut Value)| {
            let mut body = body();
            change(&mut body);
            let failed = Definitions::default().register(&names, Input(&body)).unwrap_err();
            failed.message().to_owned()
        };
        let found = refused(&|body| set(body, "memory", json!("1024")));
        assert!(found.contains("No Fargate configuration exists"), "{found}");
        let found = refused(&|body| set(body, "networkMode", json!("bridge")));
        assert!(found.contains("awsvpc"), "{found}");
        let found = refused(&|body| {
            set(body, "executionRoleArn", Value::Null);
            let logs = json!({ "logDriver": "awslogs", "options": { "awslogs-group": "g", "awslogs-region": "r" } });
            set(&mut body["containerDefinitions"][0], "logConfiguration", logs);
        });
        assert!(found.contains("execution role ARN"), "{found}");
    }
}
