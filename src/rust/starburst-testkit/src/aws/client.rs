//! Requests that the stand-in itself makes, to moto. Signed with nothing: moto looks only for the name of the service.
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::io;
use tokio::net::TcpStream;

/// The status and the body of an answer.
pub(super) type Answer = (u16, Bytes);

fn other(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}

/// Sends one request on a connection of its own.
async fn send(
    endpoint: &str,
    service: &str,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> io::Result<Answer> {
    let address = endpoint.trim_start_matches("http://").trim_end_matches('/');
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(other)?;
    tokio::spawn(connection);
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential=testing/20261101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    );
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, address)
        .header(AUTHORIZATION, authorization);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body)).map_err(other)?;
    let answer = sender.send_request(request).await.map_err(other)?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.map_err(other)?.to_bytes();
    Ok((status, body))
}

/// A request of the JSON protocol.
///
/// # Errors
/// If there is no answer.
pub(super) async fn json(
    endpoint: &str,
    service: &str,
    target: &str,
    body: &Value,
) -> io::Result<Answer> {
    let json = ("content-type", "application/x-amz-json-1.1");
    let headers = [json, ("x-amz-target", target)];
    send(endpoint, service, Method::POST, "/", &headers, body.to_string().into()).await
}

/// A request of the Query protocol.
///
/// # Errors
/// If there is no answer.
pub(super) async fn query(endpoint: &str, service: &str, body: &'static str) -> io::Result<Answer> {
    let headers = [(CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded")];
    send(endpoint, service, Method::POST, "/", &headers, Bytes::from_static(body.as_bytes())).await
}

/// Whether S3 there has the bucket.
///
/// # Errors
/// If there is no answer.
pub(super) async fn has_bucket(endpoint: &str, bucket: &str) -> io::Result<bool> {
    let path = format!("/{bucket}");
    Ok(send(endpoint, "s3", Method::HEAD, &path, &[], Bytes::new()).await?.0 == 200)
}
