//! One try of a signed request.
use super::{
    Call, CallError, Meaning,
    answer::{self, Reply},
};
use crate::{
    account::{Account, TRY_LIMIT},
    refusal::{Answer, innermost},
};
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_runtime_api::{
    client::{
        http::HttpConnector as _,
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::Headers,
};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use starburst_core::clock::Clock as _;
use std::{
    error::Error as StdError,
    time::{Duration, UNIX_EPOCH},
};

/// The longest answer that is read, in bytes.
const LONGEST: usize = 16 << 20;

/// Why one try failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: CallError,
    /// The signature's time was refused, and the answer told a better one.
    pub(super) better_time: bool,
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self { error, better_time: false }
    }
}

impl Account {
    pub(super) async fn one_try(
        &self,
        call: &Call<'_>,
        headers: &[(&'static str, String)],
        body: &str,
    ) -> Result<Reply, Failure> {
        let Some(region) = self.region_of(call.service) else {
            let words = "no region in the arguments, the environment, or the profile";
            let answer = Answer { words, ..Answer::default() };
            return Err(self.told(call, Meaning::NoRegion, answer).into());
        };
        let now = self.shared.time.wall();
        let credentials = self.shared.identity.at(now).await.map_err(|error| {
            let problem = crate::refusal::credentials_problem(&error);
            self.no_credentials(call, &problem.unwrap_or_else(|| error.to_string()))
        })?;
        let (address, signed_for) = call.service.address(&region);
        let address = self.other_server(call.service).unwrap_or(address);
        let request = Unsigned { address: &address, region: &signed_for, headers, body };
        let request = request
            .signed(call, credentials, Duration::from_millis(now.0))
            .map_err(|words| self.told_words(call, Meaning::Invalid, &words))?;
        let sent = async {
            let response = self.connector().call(request).await.map_err(|e| lost(&e))?;
            read(response).await
        };
        // A call without an answer is over at the limit, and its connection closed.
        let reply = match tokio::time::timeout(TRY_LIMIT, sent).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(words)) => {
                let words = format!("{words} ({address})");
                return Err(self.told_words(call, Meaning::Unreachable, &words).into());
            }
            Err(_) => {
                let words = format!("no answer in {} s ({address})", TRY_LIMIT.as_secs());
                return Err(self.told_words(call, Meaning::Unreachable, &words).into());
            }
        };
        let news = reply.date.as_deref().is_some_and(|date| self.shared.time.learn_date(date));
        if (200..300).contains(&reply.status) {
            return Ok(reply);
        }
        let (code, words) = answer::refusal(&reply);
        let answer = Answer { status: Some(reply.status), code: code.as_deref(), words: &words };
        let error = self.refused(call, answer);
        let better_time = news && error.meaning() == Meaning::Skewed;
        Err(Failure { error, better_time })
    }

    fn told_words(&self, call: &Call<'_>, meaning: Meaning, words: &str) -> CallError {
        self.told(call, meaning, Answer { words, ..Answer::default() })
    }
}

struct Unsigned<'a> {
    address: &'a str,
    region: &'a str,
    headers: &'a [(&'static str, String)],
    body: &'a str,
}

impl Unsigned<'_> {
    fn signed(
        &self,
        call: &Call<'_>,
        credentials: Credentials,
        since_epoch: Duration,
    ) -> Result<HttpRequest, String> {
        let address = format!("{}/", self.address.trim_end_matches('/'));
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(call.service.prefix())
            .time(UNIX_EPOCH + since_epoch)
            .settings(SigningSettings::default())
            .build()
            .map_err(|e| e.to_string())?
            .into();
        let headers = self.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let body = SignableBody::Bytes(self.body.as_bytes());
        let signable = SignableRequest::new("POST", &address, headers, body).map_err(words)?;
        let (instructions, _) = sign(signable, &parameters).map_err(words)?.into_parts();
        let (signatures, _) = instructions.into_parts();

        let mut request = HttpRequest::new(SdkBody::from(self.body));
        request.set_method("POST").map_err(words)?;
        request.set_uri(address.as_str()).map_err(words)?;
        let set = request.headers_mut();
        for (name, value) in self.headers {
            set.insert(*name, value.clone());
        }
        set.insert("user-agent", concat!("starburst/", env!("CARGO_PKG_VERSION")));
        for header in signatures {
            set.insert(header.name(), header.value().to_owned());
        }
        Ok(request)
    }
}

fn words(error: impl StdError + 'static) -> String {
    innermost(&error)
}

fn lost(error: &ConnectorError) -> String {
    innermost(error)
}

async fn read(response: HttpResponse) -> Result<Reply, String> {
    let header = |headers: &Headers, name: &str| headers.get(name).map(ToOwned::to_owned);
    let status = response.status().as_u16();
    let error_type = header(response.headers(), "x-amzn-errortype");
    let date = header(response.headers(), "date");
    let mut stream = ByteStream::new(response.into_body());
    let mut body = Vec::new();
    while let Some(piece) = stream.try_next().await.map_err(words)? {
        if body.len() + piece.len() > LONGEST {
            return Err(format!("the answer is longer than {} MB", LONGEST >> 20));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Reply { status, error_type, date, body })
}
