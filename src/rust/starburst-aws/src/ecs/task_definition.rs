//! What a worker is: a task definition, named by the hash of its content, so that it is registered once and never changed.
use super::{CONTAINER, LOG_PREFIX};
use crate::{
    account::Account,
    call::{Call, CallError, Meaning, Service},
};
use aws_sdk_ecs::types::{
    Compatibility, ContainerDefinition, CpuArchitecture, EphemeralStorage, LogConfiguration,
    LogDriver, NetworkMode, OsFamily, RuntimePlatform, Secret, Tag,
};
use serde::Serialize;

/// Seconds between SIGTERM and SIGKILL: the longest that Fargate allows, as long as the notice of a Spot interruption
/// (AWS, November 2026).
const STOP_TIMEOUT: i32 = 120;
/// Fargate's own ephemeral storage in GiB, which need not be asked for (AWS, November 2026).
const FREE_STORAGE: u32 = 20;

/// What a worker is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkerTask {
    /// Whether it runs on Fargate; on an instance otherwise.
    pub fargate: bool,
    /// Virtual CPUs.
    pub cpu: f64,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Whether it runs on ARM.
    pub arm: bool,
    /// The image.
    pub image: String,
    /// The ARN of the role by which ECS pulls the image and writes the log.
    pub execution_role: String,
    /// The ARN of the worker's own role.
    pub task_role: String,
    /// Where its log goes.
    pub log_group: String,
    /// The region of the log group.
    pub region: String,
    /// Local disk in GiB.
    pub ephemeral_gib: u32,
    /// The stack it belongs to, as a tag.
    pub stack: String,
    /// Environment variables and the ARNs of the secrets that ECS puts into them.
    // Left out where there are none, so that such workers keep the name that they had.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<(String, String)>,
}

impl WorkerTask {
    /// The name of the task definition: the same for the same worker.
    pub fn family(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        let hash = blake3::hash(format!("{STOP_TIMEOUT} {text}").as_bytes()).to_hex();
        format!("starburst-{}", &hash.as_str()[..16])
    }
}

/// The ARN of the task definition for this worker, registered if there is none.
///
/// # Errors
/// [`CallError`].
pub async fn ensure(account: &Account, worker: &WorkerTask) -> Result<String, CallError> {
    let family = worker.family();
    let call = Call::new(Service::Ecs, "DescribeTaskDefinition").on(&family);
    let asked = account.ecs().describe_task_definition().task_definition(&family).send().await;
    match asked {
        Ok(answer) => {
            if let Some(arn) = answer.task_definition().and_then(|d| d.task_definition_arn()) {
                return Ok(arn.to_owned());
            }
        }
        Err(error) => {
            let error = account.sdk_error(&call, &error);
            // ECS says ClientException for one that is not there.
            if !matches!(error.meaning(), Meaning::Absent | Meaning::Invalid) {
                return Err(error);
            }
        }
    }
    register(account, worker, &family).await
}

async fn register(
    account: &Account,
    worker: &WorkerTask,
    family: &str,
) -> Result<String, CallError> {
    let call = Call::new(Service::Ecs, "RegisterTaskDefinition").on(family);
    let invalid = |e: aws_sdk_ecs::error::BuildError| account.unreadable(&call, &e.to_string());
    let log = LogConfiguration::builder()
        .log_driver(LogDriver::Awslogs)
        .options("awslogs-group", &worker.log_group)
        .options("awslogs-region", &worker.region)
        .options("awslogs-stream-prefix", LOG_PREFIX)
        .build()
        .map_err(invalid)?;
    let memory = i32::try_from(worker.memory_mib).unwrap_or(i32::MAX);
    let units = (worker.cpu * 1024.0).round() as i32;
    let secret = |(name, arn): &(String, String)| {
        Secret::builder().name(name).value_from(arn).build().map_err(invalid)
    };
    let secrets: Vec<Secret> = worker.secrets.iter().map(secret).collect::<Result<_, _>>()?;
    let container = ContainerDefinition::builder()
        .name(CONTAINER)
        .image(&worker.image)
        .essential(true)
        .cpu(units)
        .memory(memory)
        .stop_timeout(STOP_TIMEOUT)
        .log_configuration(log)
        .set_secrets((!secrets.is_empty()).then_some(secrets))
        .build();
    let (network, kind) = if worker.fargate {
        (NetworkMode::Awsvpc, Compatibility::Fargate)
    } else {
        // A task's own interface gets no public address on an instance; its instance's network has one.
        (NetworkMode::Host, Compatibility::Ec2)
    };
    let architecture = if worker.arm { CpuArchitecture::Arm64 } else { CpuArchitecture::X8664 };
    let platform = RuntimePlatform::builder()
        .cpu_architecture(architecture)
        .operating_system_family(OsFamily::Linux)
        .build();
    let mut request = account
        .ecs()
        .register_task_definition()
        .family(family)
        .network_mode(network)
        .requires_compatibilities(kind)
        .cpu(units.to_string())
        .memory(memory.to_string())
        .execution_role_arn(&worker.execution_role)
        .task_role_arn(&worker.task_role)
        .runtime_platform(platform)
        .container_definitions(container)
        .tags(Tag::builder().key("starburst:stack").value(&worker.stack).build());
    if worker.fargate && worker.ephemeral_gib > FREE_STORAGE {
        let size = i32::try_from(worker.ephemeral_gib).unwrap_or(i32::MAX);
        request = request.ephemeral_storage(EphemeralStorage::builder().size_in_gib(size).build());
    }
    let answer = request.send().await.map_err(|e| account.sdk_error(&call, &e))?;
    let arn = answer.task_definition().and_then(|d| d.task_definition_arn());
    arn.map(str::to_owned).ok_or_else(|| account.unreadable(&call, "it names no ARN"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker() -> WorkerTask {
        WorkerTask {
            fargate: true,
            cpu: 4.0,
            memory_mib: 8_192,
            arm: false,
            image: "image:1".into(),
            execution_role: "e".into(),
            task_role: "t".into(),
            log_group: "g".into(),
            region: "us-east-1".into(),
            ephemeral_gib: 20,
            stack: "starburst".into(),
            secrets: Vec::new(),
        }
    }

    #[test]
    fn the_same_worker_has_the_same_name_and_another_has_another() {
        let name = worker().family();
        assert_eq!(name, worker().family());
        assert!(name.starts_with("starburst-") && name.len() == 26);
        assert_ne!(name, WorkerTask { image: "image:2".into(), ..worker() }.family());
        assert_ne!(name, WorkerTask { cpu: 2.0, ..worker() }.family());
        let secrets = vec![("TOKEN".into(), "arn:1".into())];
        assert_ne!(name, WorkerTask { secrets, ..worker() }.family());
    }
}
