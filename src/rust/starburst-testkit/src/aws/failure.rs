//! Errors as AWS sends them in its JSON protocol.
use super::operation::Service;
use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde_json::{Value, json};

/// An exception of AWS.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AwsFailure {
    status: StatusCode,
    code: String,
    message: String,
    resources: Vec<String>,
}

impl AwsFailure {
    pub(super) fn new(code: &str, message: impl Into<String>) -> Self {
        let status = match code {
            "ServerException" | "ServiceException" | "InternalFailure" => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            _ => StatusCode::BAD_REQUEST,
        };
        Self { status, code: code.to_owned(), message: message.into(), resources: Vec::new() }
    }

    pub(super) fn parameter(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    pub(super) fn client(message: impl Into<String>) -> Self {
        Self::new("ClientException", message)
    }

    pub(super) fn serialization(message: impl Into<String>) -> Self {
        Self::new("SerializationException", message)
    }

    pub(super) fn cluster_not_found() -> Self {
        Self::new("ClusterNotFoundException", "Cluster not found.")
    }

    pub(super) fn throttled() -> Self {
        Self::new("ThrottlingException", "Rate exceeded")
    }

    /// With the tasks that a client token has already.
    pub(super) fn conflict(message: impl Into<String>, tasks: Vec<String>) -> Self {
        Self { resources: tasks, ..Self::new("ConflictException", message) }
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> &str {
        &self.code
    }

    #[cfg(test)]
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Headers and body. ECS writes `message`, Service Quotas and Pricing write `Message`.
    pub(super) fn answer(&self, service: Option<Service>) -> Response<Bytes> {
        let mut body = json!({ "__type": self.code });
        let name = match service {
            Some(Service::Quotas | Service::Pricing) => "Message",
            Some(Service::Ecs) | None => "message",
        };
        set(&mut body, name, self.message.clone().into());
        if !self.resources.is_empty() {
            set(&mut body, "resourceIds", json!(self.resources));
        }
        let mut answer = success(&body);
        *answer.status_mut() = self.status;
        if let Ok(code) = HeaderValue::try_from(&self.code) {
            answer.headers_mut().insert(HeaderName::from_static("x-amzn-errortype"), code);
        }
        answer
    }
}

/// Sets a member of an object.
pub(super) fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value);
    }
}

/// An answer of the JSON protocol.
pub(super) fn success(body: &Value) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(body.to_string()));
    let json = HeaderValue::from_static("application/x-amz-json-1.1");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}
