//! RunTask: what is refused, what is refused for now, and what is launched.
use super::{
    Ecs, agent,
    clusters::{FARGATE, FARGATE_SPOT},
    definitions::Definition,
    fargate, fleet, strategy, tags,
    task::{Lines, Purchase, Status, Task},
};
use crate::aws::{
    failure::AwsFailure,
    faults::Stage,
    input::Input,
    names::fresh_id,
    settings::{FARGATE_ON_DEMAND as QUOTA_ON_DEMAND, FARGATE_SPOT as QUOTA_SPOT},
    state::State,
    time::{now, timestamp},
};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio::sync::watch;

/// The most tasks of one call (Amazon ECS service quotas, November 2026).
const MOST_TASKS: i64 = 10;
/// The most characters of all overrides, as JSON (AWS API reference, November 2026).
const MOST_OVERRIDES: usize = 8_192;
/// The longest client token, by the same page.
const MOST_TOKEN: usize = 64;
/// The longest `startedBy`, by the same page.
const MOST_STARTED_BY: usize = 128;

/// AWS tells that a vCPU quota is used up in `failures` of an answer that otherwise succeeds: programs that handle it look there,
/// and the text is that of the service events in the developer guide (Amazon ECS developer guide, service event messages,
/// November 2026). The API reference documents no exception for it.
const OVER_QUOTA: &str = "You've reached the limit on the number of vCPUs you can run concurrently";

/// What a client token stands for.
#[derive(Debug, Clone)]
pub(super) struct Launched {
    request: Value,
    answer: Value,
    tasks: Vec<String>,
}

/// A request that AWS would accept.
struct Asked<'a> {
    cluster: String,
    definition: Arc<Definition>,
    /// The capacity provider of each task, `None` for a launch type.
    providers: Vec<Option<String>>,
    subnet: Option<&'a str>,
    overrides: Value,
    tags: Vec<Value>,
    started_by: Option<&'a str>,
    group: String,
    cpu_units: u32,
    mib: u32,
}

pub(super) fn run_task(state: &Arc<State>, input: Input<'_>) -> Result<Value, AwsFailure> {
    let (answer, fresh) = {
        let mut ecs = state.ecs.lock();
        if !ecs.limits.call(now()) {
            return Err(AwsFailure::throttled());
        }
        let asked = ecs.check(input)?;
        let token = token(input)?.map(|token| (asked.cluster.clone(), token.to_owned()));
        if let Some(launched) = token.as_ref().and_then(|token| ecs.tokens.get(token)) {
            return replay(launched, input);
        }
        let (answer, fresh) = ecs.launch(state, &asked)?;
        // A call that launched nothing may be tried again with its token.
        if let Some(token) = token.filter(|_| !fresh.is_empty()) {
            let tasks = fresh.iter().map(|id| ecs.names.task(&asked.cluster, id)).collect();
            let (request, answer) = (input.0.clone(), answer.clone());
            ecs.tokens.insert(token, Launched { request, answer, tasks });
        }
        (answer, fresh)
    };
    for id in fresh {
        tokio::spawn(agent::live(state.clone(), id, state.alive()));
    }
    Ok(answer)
}

fn token(input: Input<'_>) -> Result<Option<&str>, AwsFailure> {
    let token = input.text("clientToken")?;
    let valid = |it: &str| it.len() <= MOST_TOKEN && it.chars().all(|c| c.is_ascii_graphic());
    match token {
        Some(token) if !valid(token) => Err(AwsFailure::parameter("Invalid clientToken.")),
        other => Ok(other),
    }
}

fn replay(launched: &Launched, input: Input<'_>) -> Result<Value, AwsFailure> {
    if launched.request == *input.0 {
        return Ok(launched.answer.clone());
    }
    let message = "The clientToken was used before with other parameters.";
    Err(AwsFailure::conflict(message, launched.tasks.clone()))
}

impl Ecs {
    fn check<'a>(&self, input: Input<'a>) -> Result<Asked<'a>, AwsFailure> {
        let cluster = self.cluster(input)?;
        let name = input.required_text("taskDefinition")?;
        let definition = self.definitions.find(name);
        let definition =
            definition.ok_or_else(|| AwsFailure::client("TaskDefinition not found."))?;
        if !definition.is_active() {
            return Err(AwsFailure::client("TaskDefinition is inactive"));
        }
        let count = input.number("count")?.unwrap_or(1);
        if !(1..=MOST_TASKS).contains(&count) {
            return Err(AwsFailure::parameter(format!(
                "count must be between 1 and {MOST_TASKS}; {count} was given."
            )));
        }
        let count = usize::try_from(count).unwrap_or(1);
        let providers = self.providers_of(&cluster, input, count)?;
        let on_fargate = providers.iter().flatten().any(|it| it.starts_with(FARGATE))
            || input.text("launchType")? == Some(FARGATE);
        if on_fargate && !definition.supports(FARGATE) {
            return Err(AwsFailure::parameter(
                "Task definition does not support launch_type FARGATE.",
            ));
        }
        let overrides = check_overrides(input, definition)?;
        let started_by = input.text("startedBy")?;
        if started_by.is_some_and(|it| it.chars().count() > MOST_STARTED_BY) {
            return Err(AwsFailure::parameter("startedBy is longer than 128 characters."));
        }
        let group = input.text("group")?.map(str::to_owned);
        let size = |name: &str| {
            let text = Input(&overrides).text(name)?.or_else(|| definition.text(name));
            Ok(text.unwrap_or_default().to_owned())
        };
        Ok(Asked {
            cluster,
            providers,
            subnet: check_network(input, definition, on_fargate)?,
            tags: self.tags_of(input, definition)?,
            started_by,
            group: group.unwrap_or_else(|| format!("family:{}", definition.family)),
            cpu_units: fargate::cpu_units(&size("cpu")?).unwrap_or(256),
            mib: fargate::mib(&size("memory")?).unwrap_or(512),
            overrides,
            definition: definition.clone(),
        })
    }

    fn providers_of(
        &self,
        cluster: &str,
        input: Input<'_>,
        count: usize,
    ) -> Result<Vec<Option<String>>, AwsFailure> {
        let strategy = input.objects("capacityProviderStrategy")?;
        let launch_type = input.text("launchType")?;
        let known = self.clusters.get(cluster).ok_or_else(AwsFailure::cluster_not_found)?;
        match launch_type {
            Some(_) if !strategy.is_empty() => {
                return Err(AwsFailure::parameter(
                    "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.",
                ));
            }
            Some(FARGATE) => return Ok(vec![None; count]),
            Some("EC2") => {
                return Err(AwsFailure::parameter(
                    "No Container Instances were found in your cluster.",
                ));
            }
            Some(other) => {
                return Err(AwsFailure::parameter(format!("launchType {other} is not known.")));
            }
            None => {}
        }
        let elements = if strategy.is_empty() {
            known.default_strategy.iter().map(Input).collect()
        } else {
            strategy
        };
        if elements.is_empty() {
            // Without either, AWS looks for EC2 instances that joined the cluster by themselves.
            return Err(AwsFailure::parameter(
                "No Container Instances were found in your cluster.",
            ));
        }
        let shares = strategy::parse(elements, &known.providers)?;
        Ok(strategy::divide(&shares, count).into_iter().map(Some).collect())
    }

    fn tags_of(&self, input: Input<'_>, definition: &Definition) -> Result<Vec<Value>, AwsFailure> {
        let own = input.list("tags")?;
        tags::check(own)?;
        let mut all = match input.text("propagateTags")? {
            Some("TASK_DEFINITION") => definition.tags().to_vec(),
            None | Some("NONE") => Vec::new(),
            Some(other) => {
                return Err(AwsFailure::parameter(format!(
                    "propagateTags {other} is not valid for RunTask."
                )));
            }
        };
        tags::merge(&mut all, own);
        if input.flag("enableECSManagedTags")? {
            let cluster = super::clusters::named(input)?;
            all.push(json!({ "key": "aws:ecs:clusterName", "value": cluster }));
        }
        Ok(all)
    }

    /// The answer, and the tasks whose life begins.
    fn launch(
        &mut self,
        state: &State,
        asked: &Asked<'_>,
    ) -> Result<(Value, Vec<String>), AwsFailure> {
        let (mut tasks, mut failures) = (Vec::new(), Vec::new());
        for provider in &asked.providers {
            let purchase = match provider.as_deref() {
                None | Some(FARGATE) => Purchase::FargateOnDemand,
                Some(FARGATE_SPOT) => Purchase::FargateSpot,
                Some(provider) => fleet::purchase(self, provider),
            };
            let place = provider.as_deref().unwrap_or(FARGATE);
            let waiting = tasks.iter().filter(|task: &&Task| task.purchase == purchase).count();
            match self.refusal(state, asked, purchase, place, waiting) {
                Some(reason) => failures.push(json!({
                    "arn": self.names.cluster(&asked.cluster),
                    "reason": reason
                })),
                None => tasks.push(asked.task(provider.clone(), purchase, None)),
            }
        }
        for purchase in [Purchase::FargateOnDemand, Purchase::FargateSpot] {
            let number = tasks.iter().filter(|task| task.purchase == purchase).count();
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            if number > 0 && !self.limits.launch(purchase, number, now()) {
                return Err(AwsFailure::throttled());
            }
        }
        let mut rules = state.rules.lock();
        let mut told = Vec::new();
        let mut fresh = Vec::new();
        for mut task in tasks {
            let place = task.provider.as_deref().unwrap_or(FARGATE);
            task.fate = rules.choose(Stage::Task, "RunTask", Some(place), now());
            told.push(task.json(&self.names, true));
            fresh.push(task.id.clone());
            self.tasks.add(task);
        }
        Ok((json!({ "tasks": told, "failures": failures }), fresh))
    }

    /// Why there is no room for one more task when so many others of the call are already let in.
    fn refusal(
        &self,
        state: &State,
        asked: &Asked<'_>,
        purchase: Purchase,
        place: &str,
        waiting: usize,
    ) -> Option<String> {
        let fault = state.rules.lock().choose(Stage::Placement, "RunTask", Some(place), now());
        if let Some(crate::aws::Fault::Refused { reason }) = fault {
            return Some(reason);
        }
        let code = match purchase {
            Purchase::FargateOnDemand => QUOTA_ON_DEMAND,
            Purchase::FargateSpot => QUOTA_SPOT,
            // The quota of EC2 holds for instances, and tasks wait for those.
            Purchase::Ec2OnDemand | Purchase::Ec2Spot => return None,
        };
        let quota = state.quotas.lock().value(code);
        let others = u64::from(self.tasks.units_in_use(purchase))
            + waiting as u64 * u64::from(asked.cpu_units);
        let wanted = others + u64::from(asked.cpu_units);
        (wanted as f64 > quota * 1_024.0).then(|| OVER_QUOTA.to_owned())
    }
}

impl Asked<'_> {
    fn task(
        &self,
        provider: Option<String>,
        purchase: Purchase,
        fate: Option<crate::aws::Fault>,
    ) -> Task {
        let mut told = Map::new();
        told.insert("createdAt".to_owned(), timestamp().into());
        Task {
            id: fresh_id(),
            cluster: self.cluster.clone(),
            definition: self.definition.clone(),
            purchase,
            provider,
            started_by: self.started_by.map(str::to_owned),
            group: self.group.clone(),
            subnet: self.subnet.map(str::to_owned),
            overrides: self.overrides.clone(),
            tags: self.tags.clone(),
            cpu_units: self.cpu_units,
            mib: self.mib,
            status: Status::Provisioning,
            exit_code: None,
            container_reason: None,
            told,
            version: 1,
            instance: None,
            fate,
            orders: watch::channel(None).0,
            lines: Lines::new(),
        }
    }
}

fn check_overrides(input: Input<'_>, definition: &Definition) -> Result<Value, AwsFailure> {
    let Some(overrides) = input.object("overrides")? else {
        return Ok(json!({ "containerOverrides": [], "inferenceAcceleratorOverrides": [] }));
    };
    if overrides.0.to_string().chars().count() > MOST_OVERRIDES {
        return Err(AwsFailure::parameter("Container Overrides length must be at most 8192"));
    }
    let known = definition.container().get("name").and_then(Value::as_str).unwrap_or_default();
    for container in overrides.objects("containerOverrides")? {
        let name = container.text("name")?.unwrap_or_default();
        if name != known {
            return Err(AwsFailure::parameter(format!(
                "Override for container named {name} is not a container in the TaskDefinition."
            )));
        }
        container.texts("command")?;
    }
    Ok(overrides.0.clone())
}

/// The first subnet.
fn check_network<'a>(
    input: Input<'a>,
    definition: &Definition,
    on_fargate: bool,
) -> Result<Option<&'a str>, AwsFailure> {
    let network = input.object("networkConfiguration")?;
    if definition.text("networkMode") != Some("awsvpc") {
        return match network {
            None => Ok(None),
            Some(_) => Err(AwsFailure::parameter(
                "Network Configuration is not valid for the given networkMode of this task definition.",
            )),
        };
    }
    let vpc = network.map(|it| it.object("awsvpcConfiguration")).transpose()?.flatten();
    let vpc = vpc.ok_or_else(|| {
        AwsFailure::parameter(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        )
    })?;
    let subnets = vpc.texts("subnets")?;
    if subnets.is_empty() || subnets.len() > 16 {
        return Err(AwsFailure::parameter("subnets must be 1 to 16 subnets."));
    }
    if vpc.texts("securityGroups")?.len() > 5 {
        return Err(AwsFailure::parameter("securityGroups can have at most 5 items."));
    }
    if !on_fargate && vpc.text("assignPublicIp")? == Some("ENABLED") {
        return Err(AwsFailure::parameter(
            "Assign public IP is not supported for this launch type.",
        ));
    }
    Ok(subnets.first().copied())
}
