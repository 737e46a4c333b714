//! Tasks of a cluster: listed and described page by page, and stopped.
use crate::{
    account::Account,
    call::{Call, CallError, Meaning, Service},
};
use aws_sdk_ecs::types::{DesiredStatus, Task};

/// Tasks that are described by one call (AWS, November 2026).
const DESCRIBED: usize = 100;

/// The tasks of these ids or ARNs that ECS still knows. Stopped ones are known for about an hour.
///
/// # Errors
/// [`CallError`].
pub async fn describe(
    account: &Account,
    cluster: &str,
    tasks: &[String],
) -> Result<Vec<Task>, CallError> {
    let call = Call::new(Service::Ecs, "DescribeTasks").on(cluster);
    let (ecs, mut found) = (account.ecs(), Vec::new());
    for page in tasks.chunks(DESCRIBED) {
        let asked = ecs.describe_tasks().cluster(cluster).set_tasks(Some(page.to_vec()));
        let answer = asked.send().await.map_err(|e| account.sdk_error(&call, &e))?;
        found.extend(answer.tasks.unwrap_or_default());
    }
    Ok(found)
}

/// The ARNs of all tasks of a cluster that are to run, or of one session.
///
/// # Errors
/// [`CallError`].
pub async fn list(
    account: &Account,
    cluster: &str,
    session: Option<&str>,
) -> Result<Vec<String>, CallError> {
    let call = Call::new(Service::Ecs, "ListTasks").on(cluster);
    let mut pages = account
        .ecs()
        .list_tasks()
        .cluster(cluster)
        .set_started_by(session.map(str::to_owned))
        .desired_status(DesiredStatus::Running)
        .into_paginator()
        .items()
        .send();
    let mut arns = Vec::new();
    while let Some(arn) = pages.next().await {
        arns.push(arn.map_err(|e| account.sdk_error(&call, &e))?);
    }
    Ok(arns)
}

/// vCPU of these tasks with one capacity provider. ECS counts 1,024 units a vCPU.
pub fn vcpu(tasks: &[Task], provider: &str) -> f64 {
    let same = tasks.iter().filter(|task| task.capacity_provider_name() == Some(provider));
    same.filter_map(|task| task.cpu()?.parse::<f64>().ok()).sum::<f64>() / 1024.0
}

/// Stops a task: SIGTERM, and SIGKILL when its time to stop is over. One that has stopped, or is forgotten, stays so.
///
/// # Errors
/// [`CallError`].
pub async fn stop(
    account: &Account,
    cluster: &str,
    task: &str,
    reason: &str,
) -> Result<(), CallError> {
    let call = Call::new(Service::Ecs, "StopTask").on(task);
    let asked = account.ecs().stop_task().cluster(cluster).task(task).reason(reason);
    match asked.send().await.map_err(|e| account.sdk_error(&call, &e)) {
        Ok(_) => Ok(()),
        // ECS says so of a task that it has forgotten.
        Err(error) if error.words().contains("task was not found") => Ok(()),
        Err(error) if error.meaning() == Meaning::Absent => Ok(()),
        Err(error) => Err(error),
    }
}
