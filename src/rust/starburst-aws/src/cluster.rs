//! A cluster as those see it who look after it: its tasks, and the capacity providers in it.
use crate::{
    account::Account,
    call::{Call, CallError, Meaning, Service},
    ecs,
};
use aws_sdk_ecs::types::Task;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use starburst_core::clock::UnixMillis;
use std::time::Duration;

/// Calls of StopTask under way at once.
const STOPS: usize = 8;
/// How long tasks are waited for: their stop timeout of two minutes, and the network interfaces that go after them.
const STOPPING: Duration = Duration::from_secs(300);
/// The wait between two looks at a cluster.
const LOOK: Duration = Duration::from_secs(2);

/// A task that runs or waits to.
#[derive(Debug, Clone, PartialEq)]
pub struct RunningTask {
    /// Its id: the last part of its ARN.
    pub id: String,
    /// What started it: the id of a session.
    pub started_by: Option<String>,
    /// The family of its task definition.
    pub family: String,
    /// The task definition, as an ARN.
    pub definition: String,
    /// The vCPU it has.
    pub vcpus: f64,
    /// The capacity provider it runs on, such as `FARGATE_SPOT`.
    pub provider: Option<String>,
    /// `FARGATE` or `EC2`.
    pub launch_type: Option<String>,
    /// When it was asked for.
    pub since: Option<UnixMillis>,
}

impl RunningTask {
    fn read(task: &Task) -> Option<Self> {
        let last = |arn: &str| arn.rsplit('/').next().map(ToOwned::to_owned);
        let definition = task.task_definition_arn().unwrap_or_default();
        let family = last(definition).unwrap_or_default();
        let since = task.created_at().and_then(|at| at.to_millis().ok());
        Some(Self {
            id: last(task.task_arn()?)?,
            started_by: task.started_by().map(ToOwned::to_owned),
            family: family.split(':').next().unwrap_or_default().to_owned(),
            definition: definition.to_owned(),
            // ECS counts 1024 units a vCPU.
            vcpus: task.cpu().and_then(|cpu| cpu.parse::<f64>().ok()).unwrap_or_default() / 1024.0,
            provider: task.capacity_provider_name().map(ToOwned::to_owned),
            launch_type: task.launch_type().map(|kind| kind.as_str().to_owned()),
            since: since.and_then(|ms| u64::try_from(ms).ok()).map(UnixMillis),
        })
    }

    /// Whether it counts against the quota of Fargate: `Some(true)` for that of Spot.
    pub fn on_fargate_spot(&self) -> Option<bool> {
        match (self.provider.as_deref(), self.launch_type.as_deref()) {
            (Some("FARGATE_SPOT"), _) => Some(true),
            (Some("FARGATE"), _) | (None, Some("FARGATE")) => Some(false),
            (_, _) => None,
        }
    }
}

/// What a cluster holds, by its own count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterState {
    /// Tasks that run or wait to.
    pub tasks: i32,
    /// Instances of EC2.
    pub instances: i32,
    /// Its capacity providers.
    pub providers: Vec<String>,
}

/// The tasks that run or wait to. A cluster that does not exist has none.
///
/// # Errors
/// [`CallError`].
pub async fn tasks(account: &Account, cluster: &str) -> Result<Vec<RunningTask>, CallError> {
    let arns = match ecs::tasks::list(account, cluster, None).await {
        Err(error) if error.meaning() == Meaning::Absent => return Ok(Vec::new()),
        listed => listed?,
    };
    let found = ecs::tasks::describe(account, cluster, &arns).await?;
    Ok(found.iter().filter_map(RunningTask::read).collect())
}

/// Stops tasks by their ids, and returns how many. Those that have ended count.
///
/// # Errors
/// [`CallError`].
pub async fn stop(
    account: &Account,
    cluster: &str,
    ids: &[String],
    reason: &str,
) -> Result<usize, CallError> {
    let stops: Vec<_> =
        ids.iter().map(|id| ecs::tasks::stop(account, cluster, id, reason)).collect();
    stream::iter(stops).buffer_unordered(STOPS).try_collect::<Vec<()>>().await?;
    Ok(ids.len())
}

/// Looks at a cluster. `None`: there is none of this name.
///
/// # Errors
/// [`CallError`].
pub async fn state(account: &Account, cluster: &str) -> Result<Option<ClusterState>, CallError> {
    let call = Call::new(Service::Ecs, "DescribeClusters").on(cluster);
    let request = account.ecs().describe_clusters().clusters(cluster);
    let answer = request.send().await.map_err(|e| account.sdk_error(&call, &e))?;
    let found = answer.clusters().iter().find(|found| found.status() != Some("INACTIVE"));
    Ok(found.map(|found| ClusterState {
        tasks: found.running_tasks_count() + found.pending_tasks_count(),
        instances: found.registered_container_instances_count(),
        providers: found.capacity_providers().to_vec(),
    }))
}

/// Waits until a cluster holds nothing that keeps it from being deleted, for five minutes at most. Returns whether it does.
///
/// # Errors
/// [`CallError`].
pub async fn empty(account: &Account, cluster: &str, instances: bool) -> Result<bool, CallError> {
    let start = account.clock.now();
    loop {
        let Some(now) = state(account, cluster).await? else { return Ok(true) };
        if now.tasks == 0 && (!instances || now.instances == 0) {
            return Ok(true);
        }
        if account.clock.now().since(start) > STOPPING {
            return Ok(false);
        }
        account.clock.sleep(LOOK).await;
    }
}

/// Puts capacity providers into a cluster, or takes them out of it, and leaves all others as they are.
///
/// # Errors
/// [`CallError`].
pub async fn change_providers(
    account: &Account,
    cluster: &str,
    add: &[String],
    take: &[String],
) -> Result<(), CallError> {
    let describe = Call::new(Service::Ecs, "DescribeClusters").on(cluster);
    let request = account.ecs().describe_clusters().clusters(cluster);
    let answer = request.send().await.map_err(|e| account.sdk_error(&describe, &e))?;
    let found = answer.clusters().iter().find(|found| found.status() != Some("INACTIVE"));
    let Some(found) = found else { return Ok(()) };
    let Some(wanted) = merged(found.capacity_providers(), add, take) else { return Ok(()) };
    let strategy = found.default_capacity_provider_strategy().iter();
    let strategy =
        strategy.filter(|item| !take.iter().any(|name| name == item.capacity_provider()));
    let call = Call::new(Service::Ecs, "PutClusterCapacityProviders").on(cluster);
    let start = account.clock.now();
    loop {
        let request = account
            .ecs()
            .put_cluster_capacity_providers()
            .cluster(cluster)
            .set_capacity_providers(Some(wanted.clone()))
            .set_default_capacity_provider_strategy(Some(strategy.clone().cloned().collect()));
        match request.send().await.map_err(|e| account.sdk_error(&call, &e)) {
            Ok(_) => return Ok(()),
            // A change that was made a moment ago is still being carried out.
            Err(error)
                if matches!(
                    error.code(),
                    Some("UpdateInProgressException" | "ResourceInUseException")
                ) && account.clock.now().since(start) < STOPPING =>
            {
                account.clock.sleep(LOOK).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The providers a cluster shall have; `None` if it has them already.
fn merged(now: &[String], add: &[String], take: &[String]) -> Option<Vec<String>> {
    let mut wanted: Vec<String> = now.iter().filter(|name| !take.contains(name)).cloned().collect();
    for name in add {
        if !wanted.contains(name) {
            wanted.push(name.clone());
        }
    }
    (wanted != now).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn other_providers_stay_and_nothing_is_put_twice() {
        let now = names("FARGATE FARGATE_SPOT other");
        assert_eq!(
            merged(&now, &names("a other"), &[]),
            Some(names("FARGATE FARGATE_SPOT other a"))
        );
        assert_eq!(merged(&now, &[], &names("other none")), Some(names("FARGATE FARGATE_SPOT")));
        assert_eq!(merged(&now, &names("other"), &names("none")), None);
    }

    #[test]
    fn a_task_tells_its_session_its_size_and_its_quota() {
        let task = Task::builder()
            .task_arn("arn:aws:ecs:us-east-1:1:task/starburst-Cluster/0123")
            .task_definition_arn("arn:aws:ecs:us-east-1:1:task-definition/starburst-abc:3")
            .started_by("session-1")
            .cpu("4096")
            .capacity_provider_name("FARGATE_SPOT")
            .build();
        let read = RunningTask::read(&task).unwrap();
        assert_eq!(
            (read.id.as_str(), read.family.as_str(), read.vcpus),
            ("0123", "starburst-abc", 4.0)
        );
        assert_eq!(read.on_fargate_spot(), Some(true));
        let on = |provider: Option<&str>, kind: Option<&str>| {
            let (provider, launch_type) = (provider.map(Into::into), kind.map(Into::into));
            RunningTask { provider, launch_type, ..read.clone() }.on_fargate_spot()
        };
        assert_eq!(on(None, Some("FARGATE")), Some(false));
        assert_eq!(on(Some("starburst-ec2-c7g-large-spot"), Some("EC2")), None);
    }
}
