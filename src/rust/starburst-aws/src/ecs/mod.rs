//! Workers as tasks of an ECS cluster, on Fargate or on instances.
//!
//! A worker's id is the id of its task, so whoever knows the worker can ask ECS about it, stop it and find its log.
//! 1. [`task_definition`]: what a worker is; found by the hash of its content, or registered.
//! 2. [`run_task`]: starts workers, ten a call.
//! 3. [`watch`]: what became of them, asked for in hundreds; [`reasons`] says it in words.
//! 4. [`usage`]: what the cluster's tasks use of the account's quota.
pub mod identity;
mod marked;
pub mod prepare;
mod reasons;
mod run_task;
pub mod task_definition;
pub mod tasks;
mod usage;
mod watch;

use crate::{
    account::Account,
    call::{CallError, Meaning},
    logs,
};
use async_trait::async_trait;
use parking_lot::Mutex;
use starburst_core::{
    clock::Clock,
    compute::EcsFleet,
    heartbeat::ProcessId,
    ids::{Ids, SessionId, WorkerId},
    launch::{Fate, Fates, LaunchError, LaunchSpec, Launched, Launcher, LogPart},
    waves::Limits,
};
use std::{sync::Arc, time::Duration};
use watch::Watch;

/// The name of the one container of a task.
pub const CONTAINER: &str = "worker";
/// What the names of log streams begin with.
pub const LOG_PREFIX: &str = "starburst";
/// The use of the quota is asked for this often at most: for each patrol anew, as a worker that has ended since would
/// count as one of another session.
const USAGE_LASTS: Duration = Duration::from_secs(10);
/// Clocks differ, and lines take a moment: a task's output is looked for this much around it, in milliseconds. What is
/// its own, marks tell.
const LOG_SLACK_MS: u64 = 5_000;

/// Starts and watches workers of sessions in one cluster.
#[derive(Debug)]
pub struct EcsLauncher {
    account: Account,
    fleet: EcsFleet,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    watch: Mutex<Watch>,
    /// Calls that were given up without an answer.
    unanswered: Mutex<Vec<run_task::Group>>,
    /// What the quota's use was, and when it was asked for.
    used: Mutex<Option<(Duration, f64)>>,
}

impl EcsLauncher {
    /// A launcher of such workers.
    pub fn new(
        account: Account,
        fleet: EcsFleet,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Self {
        let account = account.in_region(&fleet.region);
        let (watch, unanswered, used) = Default::default();
        Self { account, fleet, clock, ids, watch, unanswered, used }
    }
}

/// The name of a worker's log stream.
pub fn log_stream(worker: &WorkerId) -> String {
    format!("{LOG_PREFIX}/{CONTAINER}/{worker}")
}

/// A refusal of ECS as the launcher's: one that passes, or one that does not.
fn refused(error: CallError) -> LaunchError {
    if error.meaning().passes() || error.meaning() == Meaning::Full {
        return LaunchError::Refused { message: format!("{error} ({})", error.words()) };
    }
    let (kind, message) = (error.kind(), error.to_string());
    // Its words are the message already: what is left to say is what AWS said, and what to do.
    LaunchError::Denied { kind, message, source: error.into_source() }
}

#[async_trait]
impl Fates for EcsLauncher {
    async fn fate(&self, worker: &WorkerId, _: Option<&ProcessId>) -> Fate {
        self.watched(worker).await
    }
}

#[async_trait]
impl Launcher for EcsLauncher {
    async fn launch(&self, spec: &LaunchSpec) -> Result<(), LaunchError> {
        match self.launch_all(std::slice::from_ref(spec)).await.refused {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    async fn launch_all(&self, specs: &[LaunchSpec]) -> Launched {
        let mut launched = self.settle().await.launched;
        let rest = specs.get(launched.workers.len()..).unwrap_or_default();
        if self.unanswered.lock().is_empty() && !rest.is_empty() {
            let started = self.run(rest, &self.fleet.provider).await;
            let rest = rest.get(started.launched.workers.len()..).unwrap_or_default();
            launched.workers.extend(started.launched.workers);
            launched.refused = started.launched.refused;
            if let (Some(fallback), true) = (&self.fleet.fallback, started.no_capacity) {
                let more = self.run(rest, fallback).await.launched;
                launched.workers.extend(more.workers);
                launched.refused = more.refused;
            }
        }
        let now = self.clock.now();
        self.watch.lock().started(&launched.workers, now);
        launched
    }

    async fn workers_of(&self, session: &SessionId) -> Result<Vec<WorkerId>, LaunchError> {
        let listed = tasks::list(&self.account, &self.fleet.cluster, Some(session.as_str())).await;
        let workers: Vec<WorkerId> =
            listed.map_err(refused)?.iter().filter_map(|arn| run_task::worker_of(arn)).collect();
        // Known from here on, so that all of them are described together and not one by one.
        let now = self.clock.now();
        self.watch.lock().started(&workers, now);
        Ok(workers)
    }

    async fn limits(&self) -> Limits {
        let used = self.vcpu_used().await;
        Limits { vcpu: self.fleet.vcpu_quota, used_by_others: used, most_workers: None }
    }

    async fn stop(&self, worker: &WorkerId, _: Option<&ProcessId>) {
        let account = &self.account;
        let _ =
            tasks::stop(account, &self.fleet.cluster, worker.as_str(), "its session ended").await;
    }

    async fn log(&self, _: &SessionId, worker: &WorkerId, part: LogPart) -> String {
        let (group, stream) = (self.fleet.log_group.as_str(), log_stream(worker));
        let read = match part {
            LogPart::Tail(bytes) => {
                let bytes = logs::Tail::Bytes(usize::try_from(bytes).unwrap_or(logs::MOST));
                logs::tail(&self.account, group, &stream, bytes).await
            }
            LogPart::Task { from, to, .. } => {
                let ms = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
                let (from, to) = (from.0.saturating_sub(LOG_SLACK_MS), to.0 + LOG_SLACK_MS);
                logs::between(&self.account, group, &stream, ms(from), ms(to)).await
            }
        };
        // A log that cannot be read is no reason to fail: whoever asks has the result or the error already.
        let lines = read.map(|text| text.lines).unwrap_or_default();
        let lines: Vec<String> = lines.into_iter().map(|line| line.text).collect();
        match part {
            LogPart::Task { span, .. } => marked::of_task(&lines, span),
            LogPart::Tail(_) => marked::without_marks(&lines),
        }
    }

    /// Logs go when their time is over: streams cost next to nothing, and what a dead session said may be wanted.
    async fn forget_logs(&self, _: &SessionId) {}
}

impl EcsLauncher {
    /// Knows a call again that is made twice.
    fn token(&self) -> String {
        format!("{:016x}{:016x}", self.ids.random(), self.ids.random())
    }
}
