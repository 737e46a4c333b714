//! Clusters.
use super::Ecs;
use crate::aws::{
    failure::{AwsFailure, set},
    input::{Input, page},
    names::short,
    time::now,
};
use serde_json::{Value, json};

/// A cluster, and what tasks on it may run on.
#[derive(Debug, Clone)]
pub(in crate::aws) struct Cluster {
    name: String,
    pub(in crate::aws) providers: Vec<String>,
    pub(super) default_strategy: Vec<Value>,
    pub(super) tags: Vec<Value>,
}

pub(super) const FARGATE: &str = "FARGATE";
pub(super) const FARGATE_SPOT: &str = "FARGATE_SPOT";

impl Cluster {
    /// With the providers of Fargate.
    pub(in crate::aws) fn on_fargate(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            providers: vec![FARGATE.to_owned(), FARGATE_SPOT.to_owned()],
            default_strategy: Vec::new(),
            tags: Vec::new(),
        }
    }
}

/// The cluster that a request names; AWS's default is called `default`.
pub(super) fn named(input: Input<'_>) -> Result<&str, AwsFailure> {
    Ok(short(input.text("cluster")?.unwrap_or("default")))
}

impl Ecs {
    fn cluster_json(&self, cluster: &Cluster) -> Value {
        let (running, pending) = self.tasks.running_and_pending(&cluster.name);
        json!({
            "clusterArn": self.names.cluster(&cluster.name),
            "clusterName": cluster.name,
            "status": "ACTIVE",
            "registeredContainerInstancesCount": self.fleet.registered(&cluster.name, now()),
            "runningTasksCount": running,
            "pendingTasksCount": pending,
            "activeServicesCount": 0,
            "statistics": [],
            "tags": cluster.tags,
            "settings": [],
            "capacityProviders": cluster.providers,
            "defaultCapacityProviderStrategy": cluster.default_strategy,
        })
    }

    pub(super) fn create_cluster(&mut self, input: Input<'_>) -> Result<Value, AwsFailure> {
        let name = input.text("clusterName")?.unwrap_or("default");
        let fresh = Cluster {
            name: name.to_owned(),
            providers: input.texts("capacityProviders")?.into_iter().map(str::to_owned).collect(),
            default_strategy: input.list("defaultCapacityProviderStrategy")?.to_vec(),
            tags: input.list("tags")?.to_vec(),
        };
        let cluster = self.clusters.entry(name.to_owned()).or_insert(fresh).clone();
        Ok(json!({ "cluster": self.cluster_json(&cluster) }))
    }

    pub(super) fn delete_cluster(&mut self, input: Input<'_>) -> Result<Value, AwsFailure> {
        let name = self.cluster(input)?;
        let (running, pending) = self.tasks.running_and_pending(&name);
        if running + pending > 0 {
            let message = "The Cluster cannot be deleted while Tasks are active.";
            return Err(AwsFailure::new("ClusterContainsTasksException", message));
        }
        let cluster = self.clusters.remove(&name).ok_or_else(AwsFailure::cluster_not_found)?;
        let mut told = self.cluster_json(&cluster);
        set(&mut told, "status", "INACTIVE".into());
        Ok(json!({ "cluster": told }))
    }

    pub(super) fn describe_clusters(&self, input: Input<'_>) -> Result<Value, AwsFailure> {
        let mut names = input.texts("clusters")?;
        if names.is_empty() {
            names.push("default");
        }
        let (mut clusters, mut failures) = (Vec::new(), Vec::new());
        for name in names.into_iter().map(short) {
            match self.clusters.get(name) {
                Some(cluster) => clusters.push(self.cluster_json(cluster)),
                None => {
                    failures.push(json!({ "arn": self.names.cluster(name), "reason": "MISSING" }))
                }
            }
        }
        Ok(json!({ "clusters": clusters, "failures": failures }))
    }

    pub(super) fn list_clusters(&self, input: Input<'_>) -> Result<Value, AwsFailure> {
        let all: Vec<String> = self.clusters.keys().map(|name| self.names.cluster(name)).collect();
        let page = page(all, input.text("nextToken")?, input.number("maxResults")?, 100)?;
        Ok(json!({ "clusterArns": page.elements, "nextToken": page.next }))
    }

    pub(super) fn put_cluster_capacity_providers(
        &mut self,
        input: Input<'_>,
    ) -> Result<Value, AwsFailure> {
        let name = self.cluster(input)?;
        let wanted = input.texts("capacityProviders")?;
        for provider in &wanted {
            let of_fargate = [FARGATE, FARGATE_SPOT].contains(provider);
            if !of_fargate && !self.providers.contains_key(*provider) {
                return Err(AwsFailure::parameter(
                    "The specified capacity provider was not found. Specify a valid name or ARN and try again.",
                ));
            }
        }
        let wanted: Vec<String> = wanted.into_iter().map(str::to_owned).collect();
        let used = |provider: &&String| self.tasks.uses_provider(&name, provider);
        let cluster = self.clusters.get(&name).ok_or_else(AwsFailure::cluster_not_found)?;
        let gone = cluster.providers.iter().filter(|provider| !wanted.contains(provider));
        if gone.into_iter().any(|provider| used(&provider)) {
            return Err(AwsFailure::new(
                "ResourceInUseException",
                "The specified capacity provider is in use and cannot be removed.",
            ));
        }
        let default_strategy = input.list("defaultCapacityProviderStrategy")?.to_vec();
        let cluster = Cluster { providers: wanted, default_strategy, ..cluster.clone() };
        let told = self.cluster_json(&cluster);
        self.clusters.insert(name, cluster);
        Ok(json!({ "cluster": told }))
    }
}
