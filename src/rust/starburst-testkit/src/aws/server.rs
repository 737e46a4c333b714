//! One request: counted, recorded, perhaps broken, and answered by its service.
use super::{
    control, ecs,
    failure::{AwsFailure, success},
    faults::{Fault, Stage},
    input::Input,
    metadata, moto,
    operation::Service,
    state::State,
    time::now,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    header::{AUTHORIZATION, HeaderMap},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{fmt, sync::Arc};
use tokio::{net::TcpListener, task::JoinSet};

/// Ends the connection.
#[derive(Debug)]
struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the connection is closed on purpose")
    }
}

impl std::error::Error for Closed {}

/// Serves until it is dropped, and its connections with it.
pub(super) async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // An error here is about that one connection.
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                let state = state.clone();
                connections.spawn(async move {
                    let service = service_fn(|request| answer(&state, request));
                    let io = TokioIo::new(stream);
                    let _ = http1::Builder::new().serve_connection(io, service).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(
    state: &Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Closed> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
    if control::is_for(head.uri.path()) {
        return Ok(control::answer(state, &head.method, &head.uri).map(Full::new));
    }
    if let Some((id, what)) = metadata::asked(head.uri.path()) {
        return Ok(metadata::answer(state, id, what).map(Full::new));
    }
    let target = head.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let Some((service, operation)) =
        target.filter(|_| head.method == Method::POST).and_then(Service::of)
    else {
        let message = format!("the stand-in knows no {}", target.unwrap_or("such request"));
        let failure = AwsFailure::new("UnknownOperationException", message);
        return Ok(failure.answer(None).map(Full::new));
    };
    let result = handle(state, service, operation, &head.headers, &body).await;
    let answer = match result {
        Ok(Some(body)) => success(&body),
        Ok(None) => return Err(Closed),
        Err(failure) => failure.answer(Some(service)),
    };
    Ok(answer.map(Full::new))
}

/// The answer; `None` if it is lost on its way.
async fn handle(
    state: &Arc<State>,
    service: Service,
    operation: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Option<Value>, AwsFailure> {
    state.counts.request(operation);
    check_scope(service, headers)?;
    let body = if body.is_empty() { b"{}" } else { body };
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| AwsFailure::serialization(error.to_string()))?;
    state.record.add(service.name(), operation, &body, headers);
    let fault = state.rules.lock().choose(Stage::Request, operation, None, now());
    let lost = fault == Some(Fault::LostAnswer);
    if let Some(failure) =
        fault.and_then(|fault| exception(state, service, operation, &body, fault))
    {
        return Err(failure);
    }
    let answer = match service {
        Service::Ecs => {
            moto::adopt(state, operation, &body).await;
            ecs::handle(state, operation, &body)?
        }
        Service::Quotas => state.quotas.lock().handle(operation, &body)?,
        Service::Pricing => state.pricing.lock().handle(operation, &body)?,
    };
    Ok((!lost).then_some(answer))
}

/// Refuses a request that is not signed, or for another service. The signature itself is not checked.
fn check_scope(service: Service, headers: &HeaderMap) -> Result<(), AwsFailure> {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let missing =
        || AwsFailure::new("MissingAuthenticationTokenException", "Missing Authentication Token");
    let value = value.ok_or_else(missing)?;
    if value.contains(&format!("/{}/aws4_request", service.name())) {
        return Ok(());
    }
    Err(AwsFailure::new(
        "InvalidSignatureException",
        format!("Credential should be scoped to correct service: '{}'.", service.name()),
    ))
}

fn exception(
    state: &State,
    service: Service,
    operation: &str,
    body: &Value,
    fault: Fault,
) -> Option<AwsFailure> {
    let denied = |message| AwsFailure::new("AccessDeniedException", message);
    match fault {
        Fault::Throttle => Some(AwsFailure::throttled()),
        Fault::AccessDenied { message } if message.is_empty() => {
            let permission = format!("{}:{operation}", service.name());
            Some(denied(not_allowed(state, &permission, "*")))
        }
        Fault::AccessDenied { message } => Some(denied(message)),
        Fault::PassRole => {
            let role = Input(body).text("executionRoleArn").ok().flatten();
            let role = role.map_or_else(
                || format!("arn:aws:iam::{}:role/starburst-execution", state.settings.account),
                str::to_owned,
            );
            Some(denied(not_allowed(state, "iam:PassRole", &role)))
        }
        Fault::ExpiredToken => Some(AwsFailure::new(
            "ExpiredTokenException",
            "The security token included in the request is expired",
        )),
        Fault::InternalError => {
            let code = if service == Service::Ecs { "ServerException" } else { "ServiceException" };
            Some(AwsFailure::new(code, "Service Unavailable. Please try again later."))
        }
        Fault::Exception { code, message } => Some(AwsFailure::new(&code, message)),
        Fault::LostAnswer
        | Fault::Refused { .. }
        | Fault::PullFailure
        | Fault::EniFailure
        | Fault::NetworkFailure
        | Fault::RoleFailure
        | Fault::OutOfMemory { .. } => None,
    }
}

fn not_allowed(state: &State, permission: &str, resource: &str) -> String {
    let user = state.ecs.lock().names.user();
    format!(
        "User: {user} is not authorized to perform: {permission} on resource: {resource} because no identity-based policy allows the {permission} action"
    )
}
