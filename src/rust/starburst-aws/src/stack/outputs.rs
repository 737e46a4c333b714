//! What the stack tells of itself, which is the configuration of everything else.
use super::{Stack, StackError};

/// The outputs of a stack made from this package's template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackOutputs {
    /// The bucket's name.
    pub bucket: String,
    /// The ECS cluster's name.
    pub cluster: String,
    /// The ids of the subnets workers start in.
    pub subnets: Vec<String>,
    /// The id of the workers' security group.
    pub security_group: String,
    /// The ARN of the role that ECS starts workers with.
    pub execution_role: String,
    /// The ARN of the role that workers have.
    pub task_role: String,
    /// The name of the log group.
    pub log_group: String,
    /// The address of the repository for images, without a tag.
    pub repository: String,
    /// The ARN of the instance profile for workers on EC2.
    pub instance_profile: String,
    /// Days after which objects of sessions are deleted; templates before version 2 do not say it.
    pub object_expiry_days: Option<u32>,
    /// The version of the template.
    pub template_version: String,
}

impl StackOutputs {
    /// Reads the outputs of a stack.
    ///
    /// # Errors
    /// [`StackError::MissingOutput`]: the stack comes from an older template, or from another one.
    pub fn read(stack: &Stack) -> Result<Self, StackError> {
        let text = |output: &'static str| {
            let found = stack.outputs.get(output).filter(|value| !value.is_empty());
            found.cloned().ok_or_else(|| StackError::MissingOutput {
                name: stack.name.clone(),
                output,
                version: stack.template_version.clone(),
            })
        };
        let subnets = text("Subnets")?;
        let subnets = subnets.split(',').map(str::trim).filter(|id| !id.is_empty());
        Ok(Self {
            bucket: text("Bucket")?,
            cluster: text("Cluster")?,
            subnets: subnets.map(ToOwned::to_owned).collect(),
            security_group: text("SecurityGroup")?,
            execution_role: text("ExecutionRole")?,
            task_role: text("TaskRole")?,
            log_group: text("LogGroup")?,
            repository: text("Repository")?,
            instance_profile: text("InstanceProfile")?,
            object_expiry_days: stack
                .outputs
                .get("ObjectExpiryDays")
                .and_then(|days| days.parse().ok()),
            template_version: text("TemplateVersion")?,
        })
    }
}
