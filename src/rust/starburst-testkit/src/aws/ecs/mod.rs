//! ECS: clusters, task definitions, capacity providers and tasks, and the agent that runs the tasks.
pub(super) mod agent;
mod clusters;
mod definitions;
mod fargate;
pub(super) mod fleet;
mod limits;
mod metadata;
mod output;
mod process;
mod providers;
mod run_task;
mod strategy;
mod tags;
pub(super) mod task;
pub(super) mod tasks;

pub(super) use clusters::Cluster;
pub(super) use providers::Provider;

use super::{failure::AwsFailure, input::Input, names::Names, settings::Settings, state::State};
use definitions::Definitions;
use fleet::Fleet;
use limits::Limits;
use run_task::Launched;
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};
use tasks::Tasks;

/// All that ECS knows, behind one lock.
#[derive(Debug)]
pub(super) struct Ecs {
    pub(super) names: Names,
    pub(super) clusters: BTreeMap<String, Cluster>,
    pub(super) providers: BTreeMap<String, Provider>,
    definitions: Definitions,
    pub(super) tasks: Tasks,
    /// What was launched with a client token, by cluster and token.
    tokens: HashMap<(String, String), Launched>,
    pub(super) fleet: Fleet,
    pub(super) limits: Limits,
    /// Every Spot task is interrupted until then.
    pub(super) storm: Option<Instant>,
}

impl Ecs {
    pub(super) fn new(settings: &Settings, names: Names, now: Instant) -> Self {
        let mut ecs = Self {
            names,
            clusters: BTreeMap::new(),
            providers: BTreeMap::new(),
            definitions: Definitions::default(),
            tasks: Tasks::default(),
            tokens: HashMap::new(),
            fleet: Fleet::new(settings),
            limits: Limits::new(settings.limits, now),
            storm: None,
        };
        for name in &settings.clusters {
            ecs.clusters.insert(name.clone(), Cluster::on_fargate(name));
        }
        for name in &settings.capacity_providers {
            ecs.providers.insert(name.clone(), Provider::known(name, ""));
        }
        ecs
    }

    /// The name of the cluster that a request is about.
    fn cluster(&self, input: Input<'_>) -> Result<String, AwsFailure> {
        let name = clusters::named(input)?;
        if self.clusters.contains_key(name) {
            Ok(name.to_owned())
        } else {
            Err(AwsFailure::cluster_not_found())
        }
    }
}

/// The rates of launches, full at first; none if off.
pub(super) fn limits(on: bool, now: Instant) -> Limits {
    Limits::new(on, now)
}

/// Answers one request.
pub(super) fn handle(
    state: &Arc<State>,
    operation: &str,
    body: &Value,
) -> Result<Value, AwsFailure> {
    let input = Input(body);
    if operation == "RunTask" {
        return run_task::run_task(state, input);
    }
    let ecs = &mut *state.ecs.lock();
    match operation {
        "CreateCluster" => ecs.create_cluster(input),
        "DeleteCluster" => ecs.delete_cluster(input),
        "DescribeClusters" => ecs.describe_clusters(input),
        "ListClusters" => ecs.list_clusters(input),
        "PutClusterCapacityProviders" => ecs.put_cluster_capacity_providers(input),
        "CreateCapacityProvider" => ecs.create_capacity_provider(input),
        "DescribeCapacityProviders" => ecs.describe_capacity_providers(input),
        "DeleteCapacityProvider" => ecs.delete_capacity_provider(input),
        "RegisterTaskDefinition" => ecs.definitions.register(&ecs.names, input),
        "DescribeTaskDefinition" => ecs.definitions.describe(input),
        "ListTaskDefinitions" => ecs.definitions.list(&ecs.names, input),
        "DeregisterTaskDefinition" => ecs.definitions.deregister(input),
        "DeleteTaskDefinitions" => ecs.definitions.delete(input),
        "DescribeTasks" => ecs.describe_tasks(input),
        "ListTasks" => ecs.list_tasks(input),
        "StopTask" => ecs.stop_task(input),
        "TagResource" => ecs.tag_resource(input),
        _ => Err(AwsFailure::new(
            "UnknownOperationException",
            format!("the stand-in does not know ecs {operation}"),
        )),
    }
}
