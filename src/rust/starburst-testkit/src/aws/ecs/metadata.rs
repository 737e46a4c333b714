//! A task as its container sees it (Amazon ECS developer guide, task metadata endpoint version 4, November 2026).
use super::task::Task;
use crate::aws::names::Names;
use serde_json::{Value, json};

impl Task {
    /// The container.
    pub(in crate::aws) fn container_metadata(&self, names: &Names) -> Value {
        let definition = &self.definition;
        json!({
            "DockerId": format!("{}-{}", self.id, self.version),
            "Name": self.container_text("name"),
            "DockerName": self.container_text("name"),
            "Image": self.container_text("image"),
            "ImageID": "sha256:0",
            "Labels": {
                "com.amazonaws.ecs.cluster": names.cluster(&self.cluster),
                "com.amazonaws.ecs.container-name": self.container_text("name"),
                "com.amazonaws.ecs.task-arn": names.task(&self.cluster, &self.id),
                "com.amazonaws.ecs.task-definition-family": definition.family,
                "com.amazonaws.ecs.task-definition-version": definition.revision.to_string(),
            },
            "DesiredStatus": "RUNNING",
            "KnownStatus": "RUNNING",
            "Limits": { "CPU": self.cpu_units, "Memory": self.mib },
            "Type": "NORMAL",
            "ContainerARN": names.container(&self.cluster, &self.id),
        })
    }

    /// The task.
    pub(in crate::aws) fn metadata(&self, names: &Names) -> Value {
        let definition = &self.definition;
        json!({
            "Cluster": names.cluster(&self.cluster),
            "TaskARN": names.task(&self.cluster, &self.id),
            "Family": definition.family,
            "Revision": definition.revision.to_string(),
            "DesiredStatus": "RUNNING",
            "KnownStatus": self.status.name(),
            "Limits": { "CPU": f64::from(self.cpu_units) / 1_024.0, "Memory": self.mib },
            "AvailabilityZone": format!("{}a", names.region),
            "LaunchType": self.launch_type(),
            "Containers": [self.container_metadata(names)],
        })
    }
}
