//! What the processes of a task write: kept, and shipped to CloudWatch Logs.
use super::task::Task;
use crate::aws::{
    client,
    state::State,
    time::{milliseconds, pause},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::Child,
    sync::mpsc,
    task::JoinHandle,
};

/// Lines wait so long for others to be sent with.
const BATCH: Duration = Duration::from_millis(200);
/// The most events of one PutLogEvents is 10,000 (AWS API reference, November 2026); this is well below its limit of bytes too.
const MOST_EVENTS: usize = 500;
/// So many of the latest lines are kept.
const MOST_KEPT: usize = 2_000;

type Event = (u64, String);

/// Where the lines of a task go.
#[derive(Debug, Clone)]
struct Stream {
    endpoint: String,
    group: String,
    stream: String,
}

impl Stream {
    fn of(state: &State, task: &Task) -> Option<Self> {
        let endpoint = state.settings.logs_endpoint.clone()?;
        let log = task.definition.container().get("logConfiguration")?;
        if log.get("logDriver")? != "awslogs" {
            return None;
        }
        let option = |name: &str| log.get("options")?.get(name)?.as_str();
        let prefix = option("awslogs-stream-prefix")?;
        let stream = format!("{prefix}/{}/{}", task.container_text("name"), task.id);
        Some(Self { endpoint, group: option("awslogs-group")?.to_owned(), stream })
    }

    async fn send(&self, operation: &str, mut body: Value) {
        crate::aws::failure::set(&mut body, "logGroupName", self.group.clone().into());
        crate::aws::failure::set(&mut body, "logStreamName", self.stream.clone().into());
        let target = format!("Logs_20140328.{operation}");
        // Who reads the log sees what is missing; the agent of AWS does not stop for it either.
        let _ = client::json(&self.endpoint, "logs", &target, &body).await;
    }
}

/// Reads both outputs of the child until all that hold them have ended.
pub(super) fn collect(state: &Arc<State>, id: &str, child: &mut Child) -> JoinHandle<()> {
    let (lines, received) = mpsc::unbounded_channel();
    if let Some(output) = child.stdout.take() {
        tokio::spawn(read(output, lines.clone()));
    }
    if let Some(output) = child.stderr.take() {
        tokio::spawn(read(output, lines));
    }
    tokio::spawn(ship(state.clone(), id.to_owned(), received))
}

async fn read(output: impl AsyncRead + Unpin, lines: mpsc::UnboundedSender<Event>) {
    let mut reader = BufReader::new(output);
    let mut bytes = Vec::new();
    while matches!(reader.read_until(b'\n', &mut bytes).await, Ok(1..)) {
        let line = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
        bytes.clear();
        if lines.send((milliseconds(), line)).is_err() {
            return;
        }
    }
}

async fn ship(state: Arc<State>, id: String, mut lines: mpsc::UnboundedReceiver<Event>) {
    let stream = state.ecs.lock().tasks.get(&id).and_then(|task| Stream::of(&state, task));
    if let Some(stream) = &stream {
        stream.send("CreateLogStream", json!({})).await;
    }
    let mut events = Vec::new();
    while lines.recv_many(&mut events, MOST_EVENTS).await > 0 {
        if let Some(task) = state.ecs.lock().tasks.get_mut(&id) {
            task.lines.extend(events.iter().map(|(_, line)| line.clone()));
            let surplus = task.lines.len().saturating_sub(MOST_KEPT);
            task.lines.drain(..surplus);
        }
        // CloudWatch refuses an event without text.
        let told: Vec<Value> = events
            .drain(..)
            .filter(|(_, line)| !line.is_empty())
            .map(|(time, line)| json!({ "timestamp": time, "message": line }))
            .collect();
        if let Some(stream) = stream.as_ref().filter(|_| !told.is_empty()) {
            stream.send("PutLogEvents", json!({ "logEvents": told })).await;
            if lines.is_empty() && !lines.is_closed() {
                pause(BATCH).await;
            }
        }
    }
}
