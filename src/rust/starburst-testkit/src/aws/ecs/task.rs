//! One task.
use super::definitions::Definition;
use crate::aws::{
    faults::Fault,
    names::{Names, uuid},
    time::timestamp,
};
use serde_json::{Map, Value, json};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::sync::watch;

/// What a task runs on, as quotas tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::aws) enum Purchase {
    FargateOnDemand,
    FargateSpot,
    Ec2OnDemand,
    Ec2Spot,
}

impl Purchase {
    pub(in crate::aws) fn is_fargate(self) -> bool {
        matches!(self, Self::FargateOnDemand | Self::FargateSpot)
    }

    pub(in crate::aws) fn is_spot(self) -> bool {
        matches!(self, Self::FargateSpot | Self::Ec2Spot)
    }
}

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::aws) enum Status {
    Provisioning,
    Pending,
    Running,
    Deactivating,
    Stopping,
    Deprovisioning,
    Stopped,
}

impl Status {
    pub(in crate::aws) const ALL: [Self; 7] = [
        Self::Provisioning,
        Self::Pending,
        Self::Running,
        Self::Deactivating,
        Self::Stopping,
        Self::Deprovisioning,
        Self::Stopped,
    ];

    pub(in crate::aws) fn name(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        }
    }
}

/// An order to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::aws) struct Order {
    pub(in crate::aws) code: &'static str,
    pub(in crate::aws) reason: String,
    /// The longest from SIGTERM to SIGKILL, if it is shorter than the container's stop timeout. Zero kills at once.
    pub(in crate::aws) grace: Option<Duration>,
    /// Why the container ended, as if by itself.
    pub(in crate::aws) container_reason: Option<String>,
}

impl Order {
    pub(in crate::aws) fn user(reason: &str) -> Self {
        let reason = reason.to_owned();
        Self { code: "UserInitiated", reason, grace: None, container_reason: None }
    }

    pub(in crate::aws) fn out_of_memory() -> Self {
        Self {
            code: "EssentialContainerExited",
            reason: "Essential container in task exited".to_owned(),
            grace: Some(Duration::ZERO),
            container_reason: Some(
                "OutOfMemoryError: Container killed due to memory usage".to_owned(),
            ),
        }
    }
}

/// The latest lines that the processes wrote.
pub(in crate::aws) type Lines = VecDeque<String>;

/// A task of any status.
#[derive(Debug)]
pub(in crate::aws) struct Task {
    pub(in crate::aws) id: String,
    pub(in crate::aws) cluster: String,
    pub(super) definition: Arc<Definition>,
    pub(in crate::aws) purchase: Purchase,
    /// `None` if it was launched with a launch type.
    pub(in crate::aws) provider: Option<String>,
    pub(in crate::aws) started_by: Option<String>,
    pub(super) group: String,
    pub(super) subnet: Option<String>,
    pub(super) overrides: Value,
    pub(super) tags: Vec<Value>,
    pub(super) cpu_units: u32,
    pub(super) mib: u32,
    pub(in crate::aws) status: Status,
    pub(in crate::aws) exit_code: Option<i32>,
    pub(super) container_reason: Option<String>,
    /// Members of the answer that come with time: `startedAt`, `stopCode`, ...
    pub(super) told: Map<String, Value>,
    pub(super) version: u64,
    pub(super) instance: Option<String>,
    pub(super) fate: Option<Fault>,
    pub(super) orders: watch::Sender<Option<Order>>,
    pub(in crate::aws) lines: Lines,
}

impl Task {
    /// Remembers the time of something that happens once.
    pub(super) fn stamp(&mut self, name: &str) {
        self.told.entry(name).or_insert_with(|| timestamp().into());
    }

    pub(super) fn set_status(&mut self, status: Status) {
        self.status = status;
        self.version += 1;
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.orders.borrow().is_none() && self.status < Status::Deactivating
    }

    /// The first order holds.
    pub(in crate::aws) fn order(&self, order: Order) {
        self.orders.send_if_modified(|there| {
            let first = there.is_none();
            if first {
                *there = Some(order);
            }
            first
        });
    }

    pub(in crate::aws) fn stop_code(&self) -> &str {
        self.told.get("stopCode").and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn launch_type(&self) -> &'static str {
        if self.purchase.is_fargate() { "FARGATE" } else { "EC2" }
    }

    fn desired(&self) -> &'static str {
        if self.is_wanted() { "RUNNING" } else { "STOPPED" }
    }

    pub(super) fn matches_desired(&self, desired: &str) -> bool {
        self.desired() == desired
    }

    pub(super) fn container_text(&self, name: &str) -> &str {
        self.definition.container().get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// How long the container may take to stop; 30 s unless its definition says otherwise (AWS, November 2026).
    pub(super) fn stop_timeout(&self) -> Duration {
        let seconds = self.definition.container().get("stopTimeout").and_then(Value::as_u64);
        Duration::from_secs(seconds.unwrap_or(30))
    }

    /// The container's part of the overrides.
    pub(super) fn container_override(&self) -> &Value {
        self.overrides.pointer("/containerOverrides/0").unwrap_or(&Value::Null)
    }

    fn container_json(&self, names: &Names) -> Value {
        let status = match self.status {
            Status::Provisioning | Status::Pending => "PENDING",
            Status::Running | Status::Deactivating | Status::Stopping => "RUNNING",
            Status::Deprovisioning | Status::Stopped => "STOPPED",
        };
        let mut told = json!({
            "containerArn": names.container(&self.cluster, &self.id),
            "taskArn": names.task(&self.cluster, &self.id),
            "name": self.container_text("name"),
            "image": self.container_text("image"),
            "lastStatus": status,
            "networkBindings": [],
            "networkInterfaces": [],
            "healthStatus": "UNKNOWN",
            "cpu": "0",
        });
        if let Some(members) = told.as_object_mut() {
            if let Some(code) = self.exit_code {
                members.insert("exitCode".to_owned(), code.into());
            }
            if let Some(reason) = &self.container_reason {
                members.insert("reason".to_owned(), reason.clone().into());
            }
        }
        told
    }

    fn attachments(&self) -> Value {
        let Some(subnet) = &self.subnet else { return json!([]) };
        let status = match self.status {
            Status::Provisioning => "PRECREATED",
            Status::Deprovisioning | Status::Stopped => "DELETED",
            Status::Pending | Status::Running | Status::Deactivating | Status::Stopping => {
                "ATTACHED"
            }
        };
        json!([{
            "id": uuid(&self.id),
            "type": "ElasticNetworkInterface",
            "status": status,
            "details": [{ "name": "subnetId", "value": subnet }]
        }])
    }

    /// As DescribeTasks tells of it.
    pub(super) fn json(&self, names: &Names, with_tags: bool) -> Value {
        let definition = &self.definition;
        let mut told = self.told.clone();
        for (name, value) in [
            ("taskArn", names.task(&self.cluster, &self.id).into()),
            ("clusterArn", names.cluster(&self.cluster).into()),
            ("taskDefinitionArn", names.definition(&definition.family, definition.revision).into()),
            ("lastStatus", self.status.name().into()),
            ("desiredStatus", self.desired().into()),
            ("launchType", self.launch_type().into()),
            ("group", self.group.clone().into()),
            ("cpu", self.cpu_units.to_string().into()),
            ("memory", self.mib.to_string().into()),
            ("overrides", self.overrides.clone()),
            ("containers", json!([self.container_json(names)])),
            ("attachments", self.attachments()),
            ("attributes", json!([])),
            ("availabilityZone", format!("{}a", names.region).into()),
            ("healthStatus", "UNKNOWN".into()),
            ("enableExecuteCommand", false.into()),
            ("version", self.version.into()),
            ("tags", if with_tags { json!(self.tags) } else { json!([]) }),
        ] {
            told.insert(name.to_owned(), value);
        }
        let instance = self.instance.as_ref().map(|id| names.instance(&self.cluster, id));
        for (name, value) in [
            ("startedBy", self.started_by.clone()),
            ("capacityProviderName", self.provider.clone()),
            ("containerInstanceArn", instance),
        ] {
            if let Some(value) = value {
                told.insert(name.to_owned(), value.into());
            }
        }
        if self.purchase.is_fargate() {
            told.insert("platformVersion".to_owned(), "1.4.0".into());
            told.insert("platformFamily".to_owned(), "Linux".into());
        }
        Value::Object(told)
    }
}
