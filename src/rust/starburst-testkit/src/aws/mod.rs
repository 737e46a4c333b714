//! The rest of AWS for tests: ECS whose tasks are real processes, Service Quotas, and prices.
//!
//! One endpoint answers AWS's JSON protocol for all three. It refuses what AWS refuses, as far as that is documented, and is broken
//! on demand. What it does not know is `UnknownOperationException`. Unsigned GET requests below `/-/` look into it and disturb it
//! from other languages: `counts`, `reset-counts`, `statuses`, `tasks`, `output`, `rule`, `clear`, `interrupt-spot`,
//! `out-of-memory`, `quota`, `limits`, `delays`, `prices`.
mod client;
mod control;
mod counts;
mod ecs;
mod failure;
mod faults;
mod input;
mod metadata;
mod moto;
mod names;
mod operation;
mod pricing;
mod quotas;
mod record;
mod server;
mod settings;
mod state;
mod time;

pub use faults::{Fault, NO_CAPACITY, Rule};
pub use settings::{EC2_ON_DEMAND, EC2_SPOT, FARGATE_ON_DEMAND, FARGATE_SPOT, Settings};

use crate::s3::S3Server;
use state::{Interrupted, State};
use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, task::JoinHandle};

/// A stand-in on this machine. It serves on the runtime that started it.
///
/// Dropped, it stops serving and orders all its tasks to end, but waits for none: see [`AwsServer::shut_down`].
#[derive(Debug)]
pub struct AwsServer {
    state: Arc<State>,
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl AwsServer {
    /// Serves on a free port.
    ///
    /// # Errors
    /// If there is no port, or the file of the record cannot be opened.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        Self::start_on(0, settings).await
    }

    /// Serves on this port of 127.0.0.1; 0 is a free one.
    ///
    /// # Errors
    /// If the port cannot be had, or the file of the record cannot be opened.
    pub async fn start_on(port: u16, settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::new(settings, format!("http://{address}"))?);
        let serving = tokio::spawn(server::serve(listener, state.clone()));
        Ok(Self { state, address, serving })
    }

    /// Where it serves, `http://127.0.0.1:PORT`, for all services.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds a rule behind those that are there.
    pub fn add_rule(&self, rule: Rule) {
        self.state.rules.lock().add(rule, time::now());
    }

    /// No more faults.
    pub fn clear_rules(&self) {
        self.state.rules.lock().clear();
        self.state.ecs.lock().storm = None;
    }

    /// Changes a quota, in vCPUs; `None` makes it one that was never changed.
    pub fn set_quota(&self, code: &str, value: Option<f64>) {
        self.state.quotas.lock().set(code, value);
    }

    /// Multiplies every price from now on.
    pub fn set_price_factor(&self, factor: f64) {
        self.state.pricing.lock().factor = factor;
    }

    /// Interrupts all running tasks on Spot, and returns how many those were.
    pub fn interrupt_spot(&self) -> usize {
        self.state.interrupt(Interrupted::All)
    }

    /// Interrupts all running tasks on Spot, and for so long each one that starts.
    pub fn interrupt_spot_for(&self, time: Duration) -> usize {
        self.state.interrupt(Interrupted::AllFor(time))
    }

    /// Requests by operation since the start or the last reset; those that failed count too.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.state.counts.all()
    }

    /// Counts from nothing.
    pub fn reset_counts(&self) {
        self.state.counts.reset();
    }

    /// Tasks by status; a status that no task has is absent.
    pub fn statuses(&self) -> BTreeMap<&'static str, usize> {
        let mut found = BTreeMap::new();
        for task in self.state.ecs.lock().tasks.all() {
            *found.entry(task.status.name()).or_default() += 1;
        }
        found
    }

    /// EC2 instances that are ready at present.
    pub fn instances(&self) -> usize {
        let mut ecs = self.state.ecs.lock();
        let now = time::now();
        ecs.fleet.retire(now);
        ecs.fleet.counts(now).0
    }

    /// The latest lines that the processes of a task wrote.
    pub fn output(&self, task: &str) -> Vec<String> {
        let ecs = self.state.ecs.lock();
        ecs.tasks.get(task).map(|task| task.lines.iter().cloned().collect()).unwrap_or_default()
    }

    /// Makes an S3 part of this stand-in: its requests go into the same record, and it takes over buckets that moto has.
    pub fn attach(&self, s3: &S3Server) {
        let state = self.state.clone();
        s3.set_observer(move |operation, bucket, key, headers| {
            let body = serde_json::json!({ "Bucket": bucket, "Key": key });
            state.record.add("s3", operation.name(), &body, headers);
        });
        if let Some(moto) = self.state.settings.moto.clone() {
            s3.set_origin(move |bucket| {
                let moto = moto.clone();
                async move { client::has_bucket(&moto, &bucket).await.unwrap_or(false) }
            });
        }
    }

    /// Stops all tasks, by SIGKILL after this grace, and returns when the last process has ended.
    pub async fn shut_down(self, grace: Duration) {
        self.state.end_all(grace);
        self.state.all_ended().await;
    }
}

impl Drop for AwsServer {
    fn drop(&mut self) {
        self.serving.abort();
        self.state.end_all(Duration::ZERO);
    }
}
