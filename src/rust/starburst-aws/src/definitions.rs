//! The task definitions of one stack: those of a family `starburst-*` that use its execution role.
use crate::{
    account::Account,
    call::{Call, CallError, Meaning, Service},
};
use aws_sdk_ecs::types::TaskDefinitionStatus;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use starburst_core::clock::UnixMillis;

/// What the families begin with.
const FAMILIES: &str = "starburst-";
/// Pages of one listing that are read.
const PAGES: usize = 1_000;
/// Task definitions that one call deletes at most (AWS, November 2026).
const DELETED_AT_ONCE: usize = 10;
/// Calls under way at once.
const AT_ONCE: usize = 4;

/// A task definition of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition {
    /// Its ARN, with the revision.
    pub(crate) arn: String,
    /// Whether tasks can be started from it.
    pub(crate) active: bool,
    /// When it was registered.
    pub(crate) since: Option<UnixMillis>,
}

/// The task definitions that use this execution role.
pub(crate) async fn of_role(account: &Account, role: &str) -> Result<Vec<Definition>, CallError> {
    let mut found = Vec::new();
    for status in [TaskDefinitionStatus::Active, TaskDefinitionStatus::Inactive] {
        let active = status == TaskDefinitionStatus::Active;
        let arns = list(account, status).await?;
        let looks = arns.into_iter().map(|arn| described(account, role, arn, active));
        let some: Vec<_> = stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
        found.extend(some.into_iter().flatten());
    }
    Ok(found)
}

async fn list(account: &Account, status: TaskDefinitionStatus) -> Result<Vec<String>, CallError> {
    let (client, call) = (account.ecs(), Call::new(Service::Ecs, "ListTaskDefinitions"));
    let (mut found, mut next) = (Vec::new(), None);
    for _ in 0..PAGES {
        let page = client.list_task_definitions().status(status.clone()).set_next_token(next);
        let answer = page.send().await.map_err(|e| account.sdk_error(&call, &e))?;
        found.extend(answer.task_definition_arns().iter().filter(|arn| is_ours(arn)).cloned());
        next = answer.next_token;
        if next.is_none() {
            break;
        }
    }
    Ok(found)
}

fn is_ours(arn: &str) -> bool {
    arn.rsplit('/').next().is_some_and(|name| name.starts_with(FAMILIES))
}

async fn described(
    account: &Account,
    role: &str,
    arn: String,
    active: bool,
) -> Result<Option<Definition>, CallError> {
    let call = Call::new(Service::Ecs, "DescribeTaskDefinition").on(&arn);
    let request = account.ecs().describe_task_definition().task_definition(&arn);
    let answer = match request.send().await.map_err(|e| account.sdk_error(&call, &e)) {
        Ok(answer) => answer,
        // Another process may be deleting it.
        Err(error)
            if error.meaning() == Meaning::Absent || error.code() == Some("ClientException") =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let found = answer.task_definition();
    let since = found.and_then(|found| found.registered_at()).and_then(|at| at.to_millis().ok());
    let since = since.and_then(|ms| u64::try_from(ms).ok()).map(UnixMillis);
    let same = found.and_then(|found| found.execution_role_arn()) == Some(role);
    Ok(same.then_some(Definition { arn, active, since }))
}

/// Retires and deletes task definitions, and returns how many. Tasks that run go on.
pub(crate) async fn remove(
    account: &Account,
    definitions: &[Definition],
) -> Result<usize, CallError> {
    let client = account.ecs();
    for Definition { arn, .. } in definitions.iter().filter(|definition| definition.active) {
        let call = Call::new(Service::Ecs, "DeregisterTaskDefinition").on(arn);
        let request = client.deregister_task_definition().task_definition(arn);
        request.send().await.map_err(|e| account.sdk_error(&call, &e))?;
    }
    for some in definitions.chunks(DELETED_AT_ONCE) {
        let call = Call::new(Service::Ecs, "DeleteTaskDefinitions");
        let arns = some.iter().map(|definition| definition.arn.clone()).collect();
        let request = client.delete_task_definitions().set_task_definitions(Some(arns));
        match request.send().await.map_err(|e| account.sdk_error(&call, &e)) {
            Ok(_) => {}
            // One that is only retired starts nothing, and costs nothing.
            Err(error) if matches!(error.meaning(), Meaning::Denied | Meaning::Invalid) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(definitions.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_families_of_ours_are_looked_at() {
        assert!(is_ours("arn:aws:ecs:us-east-1:1:task-definition/starburst-0a1b:7"));
        assert!(!is_ours("arn:aws:ecs:us-east-1:1:task-definition/web:7"));
        assert!(!is_ours("arn:aws:ecs:us-east-1:1:task-definition/my-starburst-0a1b:7"));
    }
}
