//! The processes of a task. They are in one group, and all that they start knows the task by its environment.
use super::task::Task;
use crate::aws::state::State;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use std::{io, process::Stdio};
use tokio::process::{Child, Command};

/// Where the container finds its metadata.
pub(super) const METADATA: &str = "ECS_CONTAINER_METADATA_URI_V4";

/// What a container has from this machine: enough to find programs and a place for temporary files.
const INHERITED: [&str; 6] = ["PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH"];

fn pairs<'a>(
    container: &'a Value,
    list: &str,
    value: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let list = container.get(list).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(move |pair| {
        let text = |name: &str| pair.get(name).and_then(Value::as_str);
        Some((text("name")?, text(value)?))
    })
}

fn environment(container: &Value) -> impl Iterator<Item = (&str, &str)> {
    pairs(container, "environment", "value")
}

/// Variables and the ARNs of the secrets that they are to hold.
pub(super) fn secrets(container: &Value) -> impl Iterator<Item = (&str, &str)> {
    pairs(container, "secrets", "valueFrom")
}

/// The command that the container's image would run, with everything that ECS gives it.
pub(super) fn command(state: &State, task: &Task) -> io::Result<Command> {
    let mut words = state.settings.program.iter();
    let program = words.next().ok_or_else(|| io::Error::other("there is no program to run"))?;
    let given = |container: &Value| {
        let list = container.get("command").and_then(Value::as_array).cloned();
        list.filter(|list| !list.is_empty())
    };
    let arguments = given(task.container_override())
        .or_else(|| given(task.definition.container()))
        .unwrap_or_default();
    let mut command = Command::new(program);
    command
        .args(words)
        .args(arguments.iter().filter_map(Value::as_str))
        .env_clear()
        .envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .envs(state.settings.environment.iter().cloned());
    if task.purchase.is_fargate() {
        command
            .env("AWS_REGION", &state.settings.region)
            .env("AWS_DEFAULT_REGION", &state.settings.region)
            .env("AWS_EXECUTION_ENV", "AWS_ECS_FARGATE");
    } else {
        command.env("AWS_EXECUTION_ENV", "AWS_ECS_EC2");
    }
    command
        .envs(environment(task.definition.container()))
        .envs(environment(task.container_override()))
        .envs(
            secrets(task.definition.container())
                .filter_map(|(name, arn)| Some((name, state.settings.secrets.get(arn)?))),
        )
        .env(METADATA, format!("{}/v4/{}", state.endpoint, task.id))
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    Ok(command)
}

/// As when a container is stopped: only its first process is told.
pub(super) fn terminate(child: &Child) {
    if let Some(pid) = pid(child) {
        let _ = kill_process(pid, Signal::TERM);
    }
}

fn pid(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
}

/// All processes of a running task. None is left when this is dropped, also when a test ends in the middle.
#[derive(Debug)]
pub(super) struct Processes {
    /// `None` once the group was killed: its number may be another's later.
    group: Option<Pid>,
    task: String,
    swept: bool,
}

impl Processes {
    pub(super) fn of(child: &Child, task: &str) -> Self {
        Self { group: pid(child), task: task.to_owned(), swept: false }
    }

    pub(super) fn task(&self) -> &str {
        &self.task
    }

    /// As when a container ends: nothing of it is left.
    pub(super) fn sweep(&mut self) {
        self.swept = true;
        if let Some(group) = self.group.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
        kill_marked(&self.task);
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        if !self.swept {
            self.sweep();
        }
    }
}

/// A process that left the group still has the task's name in its environment.
fn kill_marked(id: &str) {
    let Ok(processes) = std::fs::read_dir("/proc") else { return };
    let mark = format!("/v4/{id}");
    for process in processes.flatten() {
        let name = process.file_name();
        let pid = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        let Some(pid) = pid else { continue };
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        let is_of_task = |entry: &[u8]| {
            entry.starts_with(METADATA.as_bytes()) && entry.ends_with(mark.as_bytes())
        };
        if environment.split(|byte| *byte == 0).any(is_of_task) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}
