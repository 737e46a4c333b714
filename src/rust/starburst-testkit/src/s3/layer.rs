//! What happens to a request before and after `s3s` answers it: counts, latency, limits, faults.
use super::{
    answer::{AnswerBody, Closed, S3Failure},
    control,
    counts::InFlight,
    faults::Fault,
    link::Link,
    operation::Operation,
    state::{State, now},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{HeaderName, HeaderValue},
};
use s3s::Body;

/// A fault that changes what is done with the answer of S3.
#[derive(Debug, Clone, Copy)]
enum Afterwards {
    Send,
    Reset,
    Stall,
    Truncate,
    FlipBit,
}

/// What a fault makes of a request.
enum Instead {
    Answer(S3Failure),
    Reset,
    Do(Afterwards),
}

fn instead(fault: Option<Fault>) -> Instead {
    match fault {
        None => Instead::Do(Afterwards::Send),
        Some(Fault::InternalError) => Instead::Answer(S3Failure::INTERNAL_ERROR),
        Some(Fault::SlowDown) => Instead::Answer(S3Failure::SLOW_DOWN),
        Some(Fault::Conflict) => Instead::Answer(S3Failure::CONFLICT),
        Some(Fault::AccessDenied) => Instead::Answer(S3Failure::ACCESS_DENIED),
        Some(Fault::ExpiredToken) => Instead::Answer(S3Failure::EXPIRED_TOKEN),
        Some(Fault::WrongRegion) => Instead::Answer(S3Failure::WRONG_REGION),
        Some(Fault::ResetBefore) => Instead::Reset,
        Some(Fault::ResetAfter) => Instead::Do(Afterwards::Reset),
        Some(Fault::StallBody) => Instead::Do(Afterwards::Stall),
        Some(Fault::Truncate) => Instead::Do(Afterwards::Truncate),
        Some(Fault::FlipBit) => Instead::Do(Afterwards::FlipBit),
    }
}

/// Answers one request, or closes the connection.
pub(super) async fn answer(
    state: &State,
    link: &Link,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Closed> {
    let for_test = control::is_for(request.uri());
    link.set_control(for_test);
    if for_test {
        let answer = control::answer(state, request.method(), request.uri());
        return Ok(answer.map(|text| AnswerBody::whole(text.into(), None)));
    }
    if !state.network() {
        return Err(Closed);
    }
    let (operation, key) = Operation::of(request.method(), request.uri());
    let bucket = request.uri().path().trim_start_matches('/').split('/').next();
    let bucket = bucket.unwrap_or_default().to_owned();
    state.observe(operation, &bucket, &key, request.headers());
    let in_flight = state.tally.request(operation);
    // The whole body first, so that an early answer does not meet a client that is still sending.
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
    state.tally.read(body.len());
    wait(state).await;
    if !state.pace.lock().admits(operation.is_write(), now()) {
        let answer = S3Failure::SLOW_DOWN.answer(&head.method, head.uri.path());
        return Ok(send(state, answer, in_flight));
    }
    let fault = state.rules.lock().choose(operation, &key);
    let afterwards = match instead(fault) {
        Instead::Answer(failure) => {
            let answer = failure.answer(&head.method, head.uri.path());
            return Ok(send(state, answer, in_flight));
        }
        Instead::Reset => {
            link.reset();
            return Err(Closed);
        }
        Instead::Do(afterwards) => afterwards,
    };
    state.adopt(&bucket).await;
    let method = head.method.clone();
    let answer = ask(state, &method, Request::from_parts(head, Body::from(body))).await?;
    match afterwards {
        Afterwards::Send => Ok(send(state, answer, in_flight)),
        Afterwards::FlipBit => Ok(send(state, flipped(state, answer), in_flight)),
        Afterwards::Reset => {
            link.reset();
            Err(Closed)
        }
        // Without a body there is nothing to be half of: what is missing is the answer.
        Afterwards::Stall if answer.body().is_empty() => std::future::pending().await,
        Afterwards::Truncate if answer.body().is_empty() => Err(Closed),
        Afterwards::Stall => {
            Ok(counted(state, answer.map(|body| AnswerBody::stalled(&body, in_flight))))
        }
        Afterwards::Truncate => {
            Ok(counted(state, answer.map(|body| AnswerBody::truncated(&body, in_flight))))
        }
    }
}

async fn wait(state: &State) {
    let time = state.pace.lock().wait();
    if !time.is_zero() {
        #[allow(clippy::disallowed_methods)] // a real server is slow in real time
        tokio::time::sleep(time).await;
    }
}

/// What S3 answers, whole.
async fn ask(
    state: &State,
    method: &Method,
    request: Request<Body>,
) -> Result<Response<Bytes>, Closed> {
    let answer = state.service.call(request).await.map_err(|_| Closed)?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
    // The errors of `s3s` have a body even where HTTP allows none.
    let bare = method == Method::HEAD || head.status == StatusCode::NOT_MODIFIED;
    Ok(Response::from_parts(head, if bare { Bytes::new() } else { body }))
}

fn flipped(state: &State, answer: Response<Bytes>) -> Response<Bytes> {
    if !answer.status().is_success() || answer.body().is_empty() {
        return answer;
    }
    let (byte, mask) = state.rules.lock().choose_bit(answer.body().len());
    answer.map(|body| {
        let mut bytes = body.to_vec();
        if let Some(byte) = bytes.get_mut(byte) {
            *byte ^= mask;
        }
        bytes.into()
    })
}

fn send(state: &State, answer: Response<Bytes>, in_flight: InFlight) -> Response<AnswerBody> {
    counted(state, answer.map(|body| AnswerBody::whole(body, Some(in_flight))))
}

fn counted(state: &State, mut answer: Response<AnswerBody>) -> Response<AnswerBody> {
    state.tally.sent(answer.body().len());
    if let Ok(id) = HeaderValue::try_from(state.request_id()) {
        answer.headers_mut().insert(HeaderName::from_static("x-amz-request-id"), id);
    }
    answer
}
