//! Where the workers of a session run, and what they may cost: all that whoever leads the session needs to start more,
//! be it the client or, when no client is attached, one of the workers.
use crate::cost::{Ceiling, Price};
use serde::{Deserialize, Serialize};

/// Where workers run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Compute {
    /// As processes of the client's machine; only clients start them.
    #[default]
    Local,
    /// As tasks of an ECS cluster.
    Ecs(Box<EcsFleet>),
}

/// How to start workers on ECS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EcsFleet {
    /// The AWS region.
    pub region: String,
    /// The cluster's name.
    pub cluster: String,
    /// The task definition with its revision, as an ARN.
    pub task_definition: String,
    /// Subnets for tasks with a network interface of their own; empty for tasks that use their instance's.
    pub subnets: Vec<String>,
    /// Security groups, likewise.
    pub security_groups: Vec<String>,
    /// The capacity provider that workers are asked of.
    pub provider: String,
    /// The one that is asked when that has no room.
    pub fallback: Option<String>,
    /// vCPU of each worker, as AWS counts them.
    pub vcpu_each: f64,
    /// What the account's quota for such workers is called, such as `Fargate Spot`.
    pub quota_name: String,
    /// The account's quota in vCPU when the session was made; none when it could not be read.
    pub vcpu_quota: Option<f64>,
    /// The store, as a worker's command line names it.
    pub store: String,
    /// The log group of the workers.
    pub log_group: String,
    /// Who made the session, for tags.
    pub user: String,
}

impl EcsFleet {
    /// Whether workers run on spare capacity: by the names of AWS's providers and of the stacks of instances.
    pub fn is_spot(&self) -> bool {
        self.provider == "FARGATE_SPOT" || self.provider.ends_with("-spot")
    }

    /// Whether workers run on Fargate, and not on instances of the account.
    pub fn is_fargate(&self) -> bool {
        self.provider.starts_with("FARGATE")
    }
}

/// What a session's workers cost, and may cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// What one worker costs.
    pub price: Price,
    /// What the user allows.
    pub ceiling: Ceiling,
}
