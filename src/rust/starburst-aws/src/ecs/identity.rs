//! Who a process is that runs as an ECS task.
use crate::account::connector;
use aws_smithy_runtime_api::client::{http::HttpConnector as _, orchestrator::HttpRequest};
use aws_smithy_types::body::SdkBody;
use starburst_core::ids::WorkerId;
use std::time::Duration;

/// Where a task asks who it is (AWS, November 2026).
const METADATA: &str = "ECS_CONTAINER_METADATA_URI_V4";
/// How long the answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The worker that this process is: the id of its task.
///
/// # Errors
/// Why it cannot be found out, in words.
pub async fn this_worker() -> Result<WorkerId, String> {
    let address = std::env::var(METADATA)
        .map_err(|_| format!("{METADATA} is not set: this is no ECS task"))?;
    let answer = tokio::time::timeout(ANSWER_LIMIT, ask(&address));
    let answer = answer.await.unwrap_or_else(|_| Err("no answer".into()));
    answer.map_err(|why| format!("cannot ask {address} which task this is: {why}"))
}

async fn ask(address: &str) -> Result<WorkerId, String> {
    let mut request = HttpRequest::new(SdkBody::empty());
    request.set_uri(format!("{address}/task")).map_err(|e| e.to_string())?;
    let response = connector().call(request).await.map_err(|e| e.to_string())?;
    let body = aws_smithy_types::byte_stream::ByteStream::new(response.into_body());
    let body = body.collect().await.map_err(|e| e.to_string())?.into_bytes();
    let task: serde_json::Value = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
    let arn = task.get("TaskARN").and_then(|arn| arn.as_str()).ok_or("it names no task")?;
    super::run_task::worker_of(arn).ok_or_else(|| format!("`{arn}` is not the ARN of a task"))
}
