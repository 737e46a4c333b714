//! What a container is told about itself, below `/v4/<task id>`.
use super::{
    ecs::task::Task,
    failure::{AwsFailure, success},
    state::State,
};
use bytes::Bytes;
use hyper::{Response, StatusCode};

const BELOW: &str = "/v4/";

/// The task, and what is asked of it; `None` if the request is for something else.
pub(super) fn asked(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix(BELOW)?;
    Some(rest.split_once('/').unwrap_or((rest, "")))
}

pub(super) fn answer(state: &State, id: &str, what: &str) -> Response<Bytes> {
    let ecs = state.ecs.lock();
    let told = match (ecs.tasks.get(id), what) {
        (Some(task), "") => Some(Task::container_metadata(task, &ecs.names)),
        (Some(task), "task") => Some(Task::metadata(task, &ecs.names)),
        (Some(_) | None, _) => None,
    };
    if let Some(told) = told {
        return success(&told);
    }
    let mut answer = AwsFailure::client("there is no such metadata").answer(None);
    *answer.status_mut() = StatusCode::NOT_FOUND;
    answer
}
