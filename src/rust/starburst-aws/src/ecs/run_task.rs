//! Starting workers: RunTask, ten tasks a call, each call known by a token so that a lost answer starts nothing twice.
use super::{CONTAINER, EcsLauncher, refused};
use crate::call::{Call, Service};
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, CapacityProviderStrategyItem, ContainerOverride, Failure,
    NetworkConfiguration, PropagateTags, Tag, TaskOverride,
};
use starburst_core::{
    ids::WorkerId,
    launch::{LaunchError, LaunchSpec, Launched},
};

/// Tasks that one call starts (AWS, November 2026).
pub(super) const GROUP: usize = 10;

impl EcsLauncher {
    /// Starts a worker for each of these with one provider, as far as there is room.
    pub(super) async fn run(&self, specs: &[LaunchSpec], provider: &str) -> Launched {
        let mut launched = Launched::default();
        for group in specs.chunks(GROUP) {
            let one = self.run_group(group, provider).await;
            launched.workers.extend(one.workers);
            if one.refused.is_some() {
                launched.refused = one.refused;
                break;
            }
        }
        launched
    }

    async fn run_group(&self, group: &[LaunchSpec], provider: &str) -> Launched {
        let Some(first) = group.first() else {
            return Launched::default();
        };
        let fleet = &self.fleet;
        let call = Call::new(Service::Ecs, "RunTask").on(&fleet.cluster);
        let strategy =
            CapacityProviderStrategyItem::builder().capacity_provider(provider).weight(1);
        let strategy = match strategy.build() {
            Ok(strategy) => strategy,
            Err(error) => return failed(error.to_string()),
        };
        let container = ContainerOverride::builder().name(CONTAINER).set_command(Some(command(
            &fleet.store,
            &fleet.region,
            first,
            group.len(),
        )));
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let mut request = self
            .account
            .ecs()
            .run_task()
            .cluster(&fleet.cluster)
            .task_definition(&fleet.task_definition)
            .count(i32::try_from(group.len()).unwrap_or(1))
            .client_token(self.token())
            .started_by(first.session.as_str())
            .capacity_provider_strategy(strategy)
            .overrides(TaskOverride::builder().container_overrides(container.build()).build())
            .propagate_tags(PropagateTags::TaskDefinition)
            .tags(tag("starburst:session", first.session.as_str()))
            .tags(tag("starburst:user", &fleet.user));
        // Tasks that use their instance's network have no interface of their own to configure.
        if !fleet.subnets.is_empty() {
            match network(&fleet.subnets, &fleet.security_groups) {
                Ok(network) => request = request.network_configuration(network),
                Err(error) => return failed(error.to_string()),
            }
        }
        match request.send().await {
            Ok(answer) => Launched {
                workers: answer
                    .tasks()
                    .iter()
                    .filter_map(|task| worker_of(task.task_arn()?))
                    .collect(),
                refused: answer.failures().first().map(|failure| no_room(provider, failure)),
            },
            Err(error) => {
                let error = self.account.sdk_error(&call, &error);
                Launched { workers: Vec::new(), refused: Some(refused(error)) }
            }
        }
    }
}

fn failed(message: String) -> Launched {
    Launched { workers: Vec::new(), refused: Some(LaunchError::Failed { message }) }
}

fn network(
    subnets: &[String],
    groups: &[String],
) -> Result<NetworkConfiguration, aws_sdk_ecs::error::BuildError> {
    let vpc = AwsVpcConfiguration::builder()
        .set_subnets(Some(subnets.to_vec()))
        .set_security_groups(Some(groups.to_vec()))
        // Public subnets without a NAT: the image and the bucket are reached by an address of the task's own.
        .assign_public_ip(AssignPublicIp::Enabled)
        .build()?;
    Ok(NetworkConfiguration::builder().awsvpc_configuration(vpc).build())
}

/// The command line of all workers of a group; each finds its id, and its place in the group, by its task.
fn command(store: &str, region: &str, first: &LaunchSpec, group: usize) -> Vec<String> {
    let mut words = vec!["--on-ecs".to_owned()];
    let mut pair = |name: &str, value: String| words.extend([name.to_owned(), value]);
    pair("--store", store.to_owned());
    pair("--region", region.to_owned());
    pair("--session", first.session.to_string());
    pair("--rank", first.rank.to_string());
    pair("--ranks", group.to_string());
    pair("--cpu", first.cpu.to_string());
    words
}

/// The worker that a task is: the last part of its ARN.
pub(super) fn worker_of(arn: &str) -> Option<WorkerId> {
    WorkerId::parse(arn.rsplit('/').next()?).ok()
}

/// A task that was not started, as ECS says it (AWS, November 2026: `RESOURCE:CPU`, `RESOURCE:MEMORY`, `RESOURCE:ENI`,
/// `AGENT`, and sentences about capacity and about the quota).
fn no_room(provider: &str, failure: &Failure) -> LaunchError {
    let reason = failure.reason().unwrap_or("no reason given");
    let detail = failure.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
    let words = match reason {
        r if r.starts_with("RESOURCE:") => {
            let what = r.trim_start_matches("RESOURCE:").to_lowercase();
            format!(
                "no instance of {provider} has enough {what} free; more are started as they are needed"
            )
        }
        "AGENT" => format!("an instance of {provider} does not answer"),
        r if r.contains("vCPU") => {
            format!("the account's vCPU quota is used up ({r}); workers start as others end")
        }
        r if r.to_lowercase().contains("capacity") => {
            format!(
                "AWS has no capacity for {provider} in this region now ({r}); it is tried again"
            )
        }
        r => format!("{provider}: {r}"),
    };
    LaunchError::Refused { message: format!("{words}{detail}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use starburst_core::ids::SessionId;

    fn words(reason: &str) -> String {
        no_room("FARGATE_SPOT", &Failure::builder().reason(reason).build()).to_string()
    }

    #[test]
    fn what_keeps_a_task_from_starting_is_said_in_words() {
        assert_eq!(
            words(
                "Capacity is unavailable at this time. Please try again later or in a different availability zone"
            ),
            "no room to start a worker: AWS has no capacity for FARGATE_SPOT in this region now (Capacity is unavailable \
             at this time. Please try again later or in a different availability zone); it is tried again"
        );
        assert!(words("RESOURCE:MEMORY").contains("has enough memory free"));
        assert!(
            words("You've reached the limit on the number of vCPUs you can run concurrently")
                .contains("quota is used up")
        );
        assert!(words("AGENT").contains("does not answer"));
    }

    #[test]
    fn the_overrides_of_ten_workers_fit_their_limit() {
        let spec = LaunchSpec {
            session: SessionId::parse(&"s".repeat(64)).unwrap(),
            worker: WorkerId::parse("w").unwrap(),
            rank: 990,
            cpu: 0.25,
            detached: true,
        };
        let bucket = format!("s3://{}/{}", "b".repeat(63), "f".repeat(200));
        let length: usize =
            command(&bucket, "ap-southeast-1", &spec, GROUP).iter().map(String::len).sum();
        // AWS, November 2026.
        assert!(length < 8_192 / 2);
    }

    #[test]
    fn a_worker_is_named_by_its_task() {
        let arn =
            "arn:aws:ecs:us-east-1:123456789012:task/starburst/0123456789abcdef0123456789abcdef";
        assert_eq!(worker_of(arn).unwrap().as_str(), "0123456789abcdef0123456789abcdef");
    }
}
