//! All tasks, those that have ended too: DescribeTasks, ListTasks, StopTask.
use super::{
    Ecs,
    task::{Order, Purchase, Status, Task},
};
use crate::aws::{failure::AwsFailure, input::Input, names::short};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

/// The most tasks in one DescribeTasks, and on a page of ListTasks (AWS API reference, November 2026).
const MOST: usize = 100;

/// Tasks in the order in which they were launched.
#[derive(Debug, Default)]
pub(in crate::aws) struct Tasks {
    by_number: BTreeMap<u64, Task>,
    numbers: HashMap<String, u64>,
    most_in_use: BTreeMap<Purchase, u32>,
}

impl Tasks {
    pub(super) fn add(&mut self, task: Task) {
        let number = self.by_number.last_key_value().map_or(0, |(number, _)| number + 1);
        self.numbers.insert(task.id.clone(), number);
        let purchase = task.purchase;
        self.by_number.insert(number, task);
        let units = self.units_in_use(purchase);
        let most = self.most_in_use.entry(purchase).or_default();
        *most = units.max(*most);
    }

    pub(in crate::aws) fn get(&self, id: &str) -> Option<&Task> {
        self.by_number.get(self.numbers.get(id)?)
    }

    pub(in crate::aws) fn get_mut(&mut self, id: &str) -> Option<&mut Task> {
        self.by_number.get_mut(self.numbers.get(id)?)
    }

    pub(in crate::aws) fn all(&self) -> impl Iterator<Item = &Task> {
        self.by_number.values()
    }

    pub(in crate::aws) fn running_and_pending(&self, cluster: &str) -> (usize, usize) {
        let here = || self.all().filter(|task| task.cluster == cluster);
        let running = here().filter(|task| task.status == Status::Running).count();
        let pending = here().filter(|task| task.status < Status::Running).count();
        (running, pending)
    }

    pub(super) fn uses_provider(&self, cluster: &str, provider: &str) -> bool {
        let mut all = self.all();
        all.any(|task| {
            task.cluster == cluster
                && task.provider.as_deref() == Some(provider)
                && task.status != Status::Stopped
        })
    }

    /// 1,024ths of a vCPU of the tasks that have not ended.
    pub(in crate::aws) fn units_in_use(&self, purchase: Purchase) -> u32 {
        let active =
            self.all().filter(|task| task.purchase == purchase && task.status != Status::Stopped);
        active.map(|task| task.cpu_units).sum()
    }

    /// The most that these units have ever been.
    pub(in crate::aws) fn most_units(&self, purchase: Purchase) -> u32 {
        self.most_in_use.get(&purchase).copied().unwrap_or(0)
    }
}

impl Ecs {
    pub(super) fn describe_tasks(&self, input: Input<'_>) -> Result<Value, AwsFailure> {
        let cluster = self.cluster(input)?;
        let wanted = input.texts("tasks")?;
        if wanted.is_empty() {
            return Err(AwsFailure::parameter("Tasks cannot be empty."));
        }
        if wanted.len() > MOST {
            return Err(AwsFailure::parameter("Tasks cannot be more than 100."));
        }
        let with_tags = input.texts("include")?.contains(&"TAGS");
        let (mut tasks, mut failures) = (Vec::new(), Vec::new());
        for id in wanted.into_iter().map(short) {
            match self.tasks.get(id).filter(|task| task.cluster == cluster) {
                Some(task) => tasks.push(task.json(&self.names, with_tags)),
                None => failures
                    .push(json!({ "arn": self.names.task(&cluster, id), "reason": "MISSING" })),
            }
        }
        Ok(json!({ "tasks": tasks, "failures": failures }))
    }

    pub(super) fn list_tasks(&self, input: Input<'_>) -> Result<Value, AwsFailure> {
        let cluster = self.cluster(input)?;
        let family = input.text("family")?;
        let started_by = input.text("startedBy")?;
        let launch_type = input.text("launchType")?;
        let instance = input.text("containerInstance")?.map(short);
        let desired = input.text("desiredStatus")?.unwrap_or("RUNNING");
        let asked = usize::try_from(input.number("maxResults")?.unwrap_or(MOST as i64));
        let asked = asked.ok().filter(|asked| (1..=MOST).contains(asked));
        let asked =
            asked.ok_or_else(|| AwsFailure::parameter("maxResults must be between 1 and 100."))?;
        // The number of the last task that was told, so that tasks that end between two pages hide no others.
        let token = input.text("nextToken")?.map(str::parse::<u64>).transpose();
        let token = token.map_err(|_| AwsFailure::parameter("Invalid token."))?;
        let from = token.map_or(0, |last| last + 1);
        let mut found = self.tasks.by_number.range(from..).filter(|(_, task)| {
            task.cluster == cluster
                && task.matches_desired(desired)
                && family.is_none_or(|it| it == task.definition.family)
                && started_by.is_none_or(|it| Some(it) == task.started_by.as_deref())
                && launch_type.is_none_or(|it| it == task.launch_type())
                && instance.is_none_or(|it| Some(it) == task.instance.as_deref())
        });
        let page: Vec<(&u64, &Task)> = found.by_ref().take(asked).collect();
        let last = page.last().map(|(number, _)| number.to_string());
        let next = last.filter(|_| found.next().is_some());
        let arns: Vec<String> =
            page.iter().map(|(_, task)| self.names.task(&cluster, &task.id)).collect();
        Ok(json!({ "taskArns": arns, "nextToken": next }))
    }

    pub(super) fn stop_task(&mut self, input: Input<'_>) -> Result<Value, AwsFailure> {
        let cluster = self.cluster(input)?;
        let id = short(input.required_text("task")?);
        let reason = input.text("reason")?.unwrap_or("Task stopped by user");
        let task = self.tasks.get(id).filter(|task| task.cluster == cluster);
        let task =
            task.ok_or_else(|| AwsFailure::parameter("The referenced task was not found."))?;
        // Stopping twice, or what has ended, is no error.
        task.order(Order::user(reason));
        Ok(json!({ "task": task.json(&self.names, true) }))
    }
}
