//! What moto has and the stand-in does not know yet: a stack of CloudFormation makes its cluster there.
use super::{
    client,
    ecs::{Cluster, Provider},
    input::Input,
    names::short,
    state::State,
};
use serde_json::{Value, json};

/// Takes over the clusters and capacity providers that a request names, if they are unknown here and moto has them.
pub(super) async fn adopt(state: &State, operation: &str, body: &Value) {
    let Some(moto) = state.settings.moto.as_deref() else { return };
    let input = Input(body);
    let mut clusters = input.texts("clusters").unwrap_or_default();
    clusters.extend(input.text("cluster").ok().flatten());
    for name in clusters.into_iter().map(short) {
        let unknown = !state.ecs.lock().clusters.contains_key(name);
        if unknown && let Some(cluster) = cluster(moto, name).await {
            state.ecs.lock().clusters.entry(name.to_owned()).or_insert(cluster);
        }
    }
    if !["PutClusterCapacityProviders", "DescribeCapacityProviders"].contains(&operation) {
        return;
    }
    for name in input.texts("capacityProviders").unwrap_or_default().into_iter().map(short) {
        let unknown =
            !name.starts_with("FARGATE") && !state.ecs.lock().providers.contains_key(name);
        if unknown && let Some(provider) = provider(moto, name).await {
            state.ecs.lock().providers.entry(name.to_owned()).or_insert(provider);
        }
    }
}

async fn ask(moto: &str, operation: &str, body: Value) -> Option<Value> {
    let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
    let (status, answer) = client::json(moto, "ecs", &target, &body).await.ok()?;
    if status == 200 { serde_json::from_slice(&answer).ok() } else { None }
}

async fn cluster(moto: &str, name: &str) -> Option<Cluster> {
    let answer = ask(moto, "DescribeClusters", json!({ "clusters": [name] })).await?;
    let found = answer.pointer("/clusters/0")?;
    if found.get("status")? != "ACTIVE" {
        return None;
    }
    let mut cluster = Cluster::on_fargate(name);
    for provider in found.get("capacityProviders").and_then(Value::as_array).into_iter().flatten() {
        let provider = provider.as_str().unwrap_or_default().to_owned();
        if !cluster.providers.contains(&provider) {
            cluster.providers.push(provider);
        }
    }
    Some(cluster)
}

/// moto's CloudFormation does not make capacity providers. So one that is an output of a stack, or has the stack's name, counts as
/// made, and the stack's parameters tell what its instances are.
async fn provider(moto: &str, name: &str) -> Option<Provider> {
    let answer = ask(moto, "DescribeCapacityProviders", json!({ "capacityProviders": [name] }));
    if let Some(answer) = answer.await
        && let Some(found) = answer.pointer("/capacityProviders/0")
    {
        return Some(Provider::known(name, &found.to_string()));
    }
    let body = "Action=DescribeStacks&Version=2010-05-15";
    let (_, stacks) = client::query(moto, "cloudformation", body).await.ok()?;
    let stacks = String::from_utf8_lossy(&stacks).into_owned();
    let marks = ["OutputValue", "StackName"].map(|tag| format!("<{tag}>{name}</{tag}>"));
    let is_its = |stack: &&str| marks.iter().any(|mark| stack.contains(mark));
    let stack = stacks.split("<StackId>").find(is_its)?;
    Some(Provider::known(name, stack))
}
