//! Starting workers: RunTask, ten tasks a call, each call known by a token so that a lost answer starts nothing twice.
//!
//! A call that was given up without an answer may have been done. It is made again, unchanged, before any other, so that
//! its workers are found and not started once more.
use super::{CONTAINER, EcsLauncher, refused};
use crate::call::{Call, Service};
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, CapacityProviderStrategyItem, ContainerOverride, Failure,
    NetworkConfiguration, PropagateTags, Tag, TaskOverride,
};
use starburst_core::{
    clock::Monotonic,
    ids::WorkerId,
    launch::{LaunchError, LaunchSpec, Launched},
};
use std::time::Duration;

/// Tasks that one call starts (AWS, November 2026).
pub(super) const GROUP: usize = 10;
/// ECS knows a token for a day, or for an hour after the last of its tasks ended (AWS, November 2026).
const TOKEN_LASTS: Duration = Duration::from_secs(3_600);

/// Workers that one call starts.
#[derive(Debug, Clone)]
pub(super) struct Group {
    specs: Vec<LaunchSpec>,
    provider: String,
    token: String,
    since: Monotonic,
}

/// What came of a call, or of several.
#[derive(Debug, Default)]
pub(super) struct Started {
    pub(super) launched: Launched,
    /// What was refused was refused for lack of capacity, and another provider may have some.
    pub(super) no_capacity: bool,
}

impl Started {
    fn add(&mut self, more: Self) {
        self.launched.workers.extend(more.launched.workers);
        self.launched.refused = more.launched.refused;
        self.no_capacity = more.no_capacity;
    }
}

impl EcsLauncher {
    /// Starts a worker for each of these with one provider, as far as there is room.
    pub(super) async fn run(&self, specs: &[LaunchSpec], provider: &str) -> Started {
        let mut started = Started::default();
        for specs in specs.chunks(GROUP) {
            let group = Group {
                specs: specs.to_vec(),
                provider: provider.to_owned(),
                token: self.token(),
                since: self.clock.now(),
            };
            started.add(self.run_group(group).await);
            if started.launched.refused.is_some() {
                break;
            }
        }
        started
    }

    /// Makes the calls again that were given up without an answer. The workers they started are no news to the quota or
    /// a ceiling, which had room for them then.
    pub(super) async fn settle(&self) -> Started {
        let mut started = Started::default();
        let mut open = std::mem::take(&mut *self.unanswered.lock());
        let now = self.clock.now();
        open.retain(|group| now.since(group.since) < TOKEN_LASTS);
        for group in open {
            started.add(self.run_group(group).await);
        }
        started
    }

    async fn run_group(&self, group: Group) -> Started {
        let Group { specs, provider, token, .. } = &group;
        let Some(first) = specs.first() else {
            return Started::default();
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
            specs.len(),
        )));
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let mut request = self
            .account
            .ecs()
            .run_task()
            .cluster(&fleet.cluster)
            .task_definition(&fleet.task_definition)
            .count(i32::try_from(specs.len()).unwrap_or(1))
            .client_token(token)
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
            Ok(answer) => {
                let workers = answer.tasks().iter().filter_map(|task| worker_of(task.task_arn()?));
                let failure = answer.failures().first();
                Started {
                    launched: Launched {
                        workers: workers.collect(),
                        refused: failure.map(|failure| no_room(provider, failure)),
                    },
                    no_capacity: failure.and_then(Failure::reason).is_some_and(is_no_capacity),
                }
            }
            Err(error) => {
                let error = self.account.sdk_error(&call, &error);
                let no_capacity = is_no_capacity(&error.words());
                if error.meaning().passes() {
                    self.unanswered.lock().push(group);
                }
                let launched = Launched { workers: Vec::new(), refused: Some(refused(error)) };
                Started { launched, no_capacity }
            }
        }
    }
}

fn failed(message: String) -> Started {
    let launched = Launched { workers: Vec::new(), refused: Some(LaunchError::Failed { message }) };
    Started { launched, no_capacity: false }
}

/// Whether these words are about room, on Fargate or on the instances there are, and not about the account's quota.
fn is_no_capacity(words: &str) -> bool {
    words.starts_with("RESOURCE:") || words.to_lowercase().contains("capacity is unavailable")
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
    fn only_a_lack_of_room_is_a_lack_of_capacity() {
        assert!(is_no_capacity("Capacity is unavailable at this time. Please try again later"));
        assert!(is_no_capacity("RESOURCE:CPU"));
        assert!(!is_no_capacity("AGENT"));
        let quota = "You've reached the limit on the number of vCPUs you can run concurrently";
        assert!(!is_no_capacity(quota));
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
