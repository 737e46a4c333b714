//! One request to a registry: tried again while that may help, redirected, bounded in time and length.
use crate::{error::fail, reference::is_loopback};
use aws_smithy_http_client::{
    Connector,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector as _, HttpConnectorSettings},
    orchestrator::{HttpRequest, HttpResponse},
};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use bytes::Bytes;
use starburst_core::{
    clock::Clock,
    error::{Error, ErrorKind},
    ids::Ids,
    pace::Backoff,
};
use std::{
    error::Error as StdError,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use url::Url;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take, beside the time that the bytes take at 64 KB a second.
const ANSWER: Duration = Duration::from_secs(60);
/// How long a body may stand still.
const STALLED: Duration = Duration::from_secs(30);
/// The first and the longest wait before another try.
pub(crate) const WAITS: (Duration, Duration) =
    (Duration::from_millis(300), Duration::from_secs(10));
/// Tries in all; the last comes after about half a minute of failing.
pub(crate) const TRIES: u32 = 8;
/// Tries where nobody has ever answered: the address may be wrong.
const FIRST_TRIES: u32 = 4;
const REDIRECTS: usize = 5;

/// The way to all registries.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    connector: Arc<Connector>,
    /// Whether there was an answer from anywhere.
    answered: Arc<AtomicBool>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
}

/// What is asked. It may have a password in it, so it is never shown.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// What is answered.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Where it was answered, after redirections.
    pub(crate) url: Url,
    pub(crate) raw: HttpResponse,
}

/// Why there is no answer, in words.
#[derive(Debug)]
pub(crate) struct Lost(pub(crate) String);

impl Request {
    pub(crate) fn get(url: Url) -> Self {
        Self { method: "GET", url, headers: Vec::new(), body: Vec::new() }
    }
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.raw.headers().get(name)
    }

    /// The whole body, which has at most `limit` bytes.
    pub(crate) async fn bytes(self, limit: usize) -> Result<Vec<u8>, Lost> {
        let mut body = self.body();
        let mut bytes = Vec::new();
        loop {
            let piece = body.next_at_most(limit).await?;
            if piece.is_empty() {
                return Ok(bytes);
            }
            if bytes.len() + piece.len() > limit {
                return Err(Lost(format!("the answer is longer than {limit} bytes")));
            }
            bytes.extend_from_slice(&piece);
        }
    }

    pub(crate) fn body(self) -> Body {
        Body::new(self.raw)
    }
}

/// A body as it arrives.
#[derive(Debug)]
pub(crate) struct Body {
    stream: ByteStream,
    /// What came and was not wanted yet.
    left: Bytes,
}

impl Body {
    fn new(response: HttpResponse) -> Self {
        Self { stream: ByteStream::new(response.into_body()), left: Bytes::new() }
    }

    /// The next bytes; none at the end.
    pub(crate) async fn next_at_most(&mut self, most: usize) -> Result<Bytes, Lost> {
        while self.left.is_empty() {
            let next = tokio::time::timeout(STALLED, self.stream.try_next()).await;
            let next =
                next.map_err(|_| Lost(format!("nothing came for {} s", STALLED.as_secs())))?;
            match next.map_err(|error| Lost(innermost(&error)))? {
                Some(piece) => self.left = piece,
                None => break,
            }
        }
        Ok(self.left.split_to(most.min(self.left.len())))
    }
}

impl Http {
    pub(crate) fn new(clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT).build();
        let tls = Provider::Rustls(CryptoMode::Ring);
        let connector = Connector::builder().tls_provider(tls).connector_settings(settings).build();
        Self { connector: Arc::new(connector), answered: Arc::default(), clock, ids }
    }

    pub(crate) fn backoff() -> Backoff {
        Backoff::new(WAITS.0, WAITS.1)
    }

    /// Waits before another try.
    pub(crate) async fn wait(&self, backoff: &mut Backoff) {
        self.clock.sleep(backoff.step(self.ids.random())).await;
    }

    /// Asks until there is an answer that another try would not better. For requests that may be done twice.
    pub(crate) async fn tried(&self, request: &Request) -> Result<Response, Error> {
        safe(&request.url).map_err(|lost| unreachable(&request.url, &lost.0))?;
        let mut backoff = Self::backoff();
        let mut tries = 1;
        loop {
            let said = match self.once(request).await {
                Ok(response) if !passes(response.status) || tries >= TRIES => return Ok(response),
                Ok(response) => format!("HTTP status {}", response.status),
                Err(Lost(said)) => said,
            };
            let most = if self.answered.load(Relaxed) { TRIES } else { FIRST_TRIES };
            if tries >= most {
                return Err(unreachable(&request.url, &said));
            }
            tries += 1;
            self.wait(&mut backoff).await;
        }
    }

    /// One try. What is read elsewhere is read there, and who gives it is not told who asks.
    pub(crate) async fn once(&self, request: &Request) -> Result<Response, Lost> {
        let mut url = request.url.clone();
        for _ in 0..REDIRECTS {
            let response = self.send(request, &url).await?;
            let moved = matches!(response.status, 301 | 302 | 303 | 307 | 308);
            match response.header("location") {
                Some(to) if moved && request.method == "GET" => {
                    url = url.join(to).map_err(|error| Lost(format!("{to}: {error}")))?;
                }
                Some(_) | None => return Ok(response),
            }
        }
        Err(Lost(format!("redirected more than {REDIRECTS} times")))
    }

    async fn send(&self, request: &Request, url: &Url) -> Result<Response, Lost> {
        safe(url)?;
        let length = request.body.len() as u64;
        let mut raw = HttpRequest::new(SdkBody::from(request.body.clone()));
        raw.set_method(request.method).map_err(|error| Lost(innermost(&error)))?;
        raw.set_uri(url.as_str()).map_err(|error| Lost(innermost(&error)))?;
        let headers = raw.headers_mut();
        headers.insert("user-agent", concat!("starburst/", env!("CARGO_PKG_VERSION")));
        if matches!(request.method, "POST" | "PUT" | "PATCH") {
            headers.insert("content-length", length.to_string());
        }
        let same_server = url.origin() == request.url.origin();
        for (name, value) in &request.headers {
            if same_server || *name != "authorization" {
                headers.try_insert(*name, value.clone()).map_err(|e| Lost(innermost(&e)))?;
            }
        }
        let limit = ANSWER + Duration::from_secs(length / (64 << 10));
        let answer = tokio::time::timeout(limit, self.connector.call(raw)).await;
        let raw = answer
            .map_err(|_| Lost(format!("no answer in {} s", limit.as_secs())))?
            .map_err(|error| Lost(innermost(&error)))?;
        self.answered.store(true, Relaxed);
        Ok(Response { status: raw.status().as_u16(), url: url.clone(), raw })
    }
}

/// Passwords, and what is run later, go through encryption, or do not leave this machine.
fn safe(url: &Url) -> Result<(), Lost> {
    let host = url.host_str().unwrap_or_default();
    if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(host)) {
        return Ok(());
    }
    Err(Lost(format!("{host} is not asked without encryption")))
}

/// Whether what a status tells may pass.
pub(crate) fn passes(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// There was no answer, or none that says anything, after all tries.
pub(crate) fn unreachable(url: &Url, said: &str) -> Error {
    let host = url.host_str().unwrap_or_default();
    let place = url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
    fail(
        ErrorKind::Unavailable,
        format!("no answer from the registry `{place}`"),
        &place,
        said,
        "check the address and the network; what was sent stays there, so another try goes on",
    )
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}
