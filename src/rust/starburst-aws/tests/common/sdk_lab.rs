//! A cluster in the stand-in for ECS, driven by the SDK's own clients; a task runs `/bin/sh -c <its first argument>`.
use super::within_bounds;
use aws_sdk_ecs::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    operation::run_task::{RunTaskOutput, builders::RunTaskFluentBuilder},
    types::{
        AwsVpcConfiguration, CapacityProviderStrategyItem, Compatibility, ContainerDefinition,
        ContainerOverride, LaunchType, LogConfiguration, LogDriver, NetworkConfiguration,
        NetworkMode, Task, TaskField, TaskOverride,
    },
};
use aws_smithy_http_client::Builder;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use starburst_testkit::aws::{AwsServer, Settings};
use std::time::Duration;

pub(crate) const CLUSTER: &str = "lab";

pub(crate) struct Lab {
    pub(crate) server: AwsServer,
    pub(crate) ecs: Client,
}

/// A task runs `/bin/sh -c <its first argument>`.
pub(crate) fn settings() -> Settings {
    Settings {
        clusters: vec![CLUSTER.into()],
        program: vec!["/bin/sh".into(), "-c".into()],
        start_delay: Duration::from_millis(20),
        ..Settings::default()
    }
}

pub(crate) fn ecs_at(endpoint: &str) -> Client {
    let config = aws_sdk_ecs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(Builder::new().build_http())
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

impl Lab {
    pub(crate) async fn new(settings: Settings) -> Self {
        let server = AwsServer::start(settings).await.unwrap();
        let lab = Self { ecs: ecs_at(&server.endpoint()), server };
        lab.register("1024", "2048", 2).await;
        lab
    }

    pub(crate) async fn register(&self, cpu: &str, memory: &str, stop_timeout: i32) {
        let container = ContainerDefinition::builder()
            .name("worker")
            .image("registry/worker:1")
            .stop_timeout(stop_timeout)
            .log_configuration(
                LogConfiguration::builder()
                    .log_driver(LogDriver::Awslogs)
                    .options("awslogs-group", "starburst")
                    .options("awslogs-region", "us-east-1")
                    .options("awslogs-stream-prefix", "starburst")
                    .build()
                    .unwrap(),
            )
            .build();
        let request = self
            .ecs
            .register_task_definition()
            .family("starburst-test")
            .requires_compatibilities(Compatibility::Fargate)
            .network_mode(NetworkMode::Awsvpc)
            .execution_role_arn("arn:aws:iam::123456789012:role/execution")
            .cpu(cpu)
            .memory(memory)
            .container_definitions(container);
        request.send().await.unwrap();
    }

    /// RunTask of a script, without a launch type or a strategy.
    pub(crate) fn run(&self, script: &str, count: i32) -> RunTaskFluentBuilder {
        let container = ContainerOverride::builder().name("worker").command(script).build();
        let overrides = TaskOverride::builder().container_overrides(container).build();
        let network = AwsVpcConfiguration::builder().subnets("subnet-1").build().unwrap();
        let network = NetworkConfiguration::builder().awsvpc_configuration(network).build();
        self.ecs
            .run_task()
            .cluster(CLUSTER)
            .task_definition("starburst-test")
            .network_configuration(network)
            .overrides(overrides)
            .count(count)
    }

    pub(crate) async fn on_demand(&self, script: &str, count: i32) -> RunTaskOutput {
        self.run(script, count).launch_type(LaunchType::Fargate).send().await.unwrap()
    }

    pub(crate) async fn on(&self, provider: &str, script: &str, count: i32) -> RunTaskOutput {
        let item = CapacityProviderStrategyItem::builder().capacity_provider(provider).weight(1);
        let run = self.run(script, count).capacity_provider_strategy(item.build().unwrap());
        run.send().await.unwrap()
    }

    pub(crate) async fn describe(&self, arn: &str) -> Task {
        let request = self.ecs.describe_tasks().cluster(CLUSTER).tasks(arn);
        let answer = request.include(TaskField::Tags).send().await.unwrap();
        answer.tasks.unwrap().remove(0)
    }

    /// The task once it is in that status.
    pub(crate) async fn reach(&self, arn: &str, status: &str) -> Task {
        within_bounds(async || {
            let task = self.describe(arn).await;
            (task.last_status() == Some(status)).then_some(task)
        })
        .await
    }

    /// Waits for a line of a task.
    pub(crate) async fn line(&self, arn: &str, line: &str) {
        within_bounds(async || {
            self.server.output(id(arn)).iter().any(|found| found == line).then_some(())
        })
        .await;
    }

    pub(crate) async fn stop(&self, arn: &str) {
        let request = self.ecs.stop_task().cluster(CLUSTER).task(arn).reason("enough");
        request.send().await.unwrap();
    }
}

pub(crate) fn id(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap()
}

pub(crate) fn arns(output: &RunTaskOutput) -> Vec<String> {
    output.tasks().iter().map(|task| task.task_arn().unwrap().to_owned()).collect()
}

pub(crate) fn code<T, E: ProvideErrorMetadata, R>(result: Result<T, SdkError<E, R>>) -> String {
    let Err(error) = result else { panic!("it succeeded") };
    error.code().unwrap_or_default().to_owned()
}

pub(crate) fn exit_code(task: &Task) -> Option<i32> {
    task.containers()[0].exit_code()
}
