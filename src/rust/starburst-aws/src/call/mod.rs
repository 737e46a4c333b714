//! Signed calls to services that are called too rarely for an SDK crate of their own.
//!
//! 1. A request is signed for the service, the region and the server's time ([`crate::ServerTime`]).
//! 2. Throttling, failures of the service and of the connection are tried again, five tries in all, after waits that
//!    double and are spread. So is a refusal of the time, at once, if the answer told a better one.
//! 3. Everything else is a [`CallError`] that says what to do.
//!
//! A call that got no answer may have been done. So what changes something carries a token, or may be done twice.
mod answer;
mod send;
mod service;
mod xml;

pub use crate::refusal::{CallError, Meaning};
pub use service::Service;
pub use xml::{BadXml, Xml};

use crate::account::{Account, TRIES};
use answer::Reply;
use serde::de::DeserializeOwned;
use serde_json::Value;
use service::Protocol;
use starburst_core::pace::Backoff;
use std::{fmt, time::Duration};

/// The first and the longest wait before another try.
const WAITS: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(10));

/// What is called, and what it is about, for requests and for errors.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The service.
    pub service: Service,
    /// The operation, as the service names it.
    pub operation: &'a str,
    /// The name of the thing it is about.
    pub resource: Option<&'a str>,
}

impl<'a> Call<'a> {
    /// A call that is about nothing in particular.
    pub fn new(service: Service, operation: &'a str) -> Self {
        Self { service, operation, resource: None }
    }
    /// The same call, about this.
    #[must_use]
    pub fn on(self, resource: &'a str) -> Self {
        Self { resource: Some(resource), ..self }
    }
}

impl fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.service.name(), self.operation)?;
        match self.resource {
            Some(resource) => write!(f, " on `{resource}`"),
            None => Ok(()),
        }
    }
}

impl Account {
    /// Calls an operation of a service that speaks AWS JSON.
    ///
    /// # Errors
    /// [`CallError`], after the tries that may help.
    pub async fn json(&self, call: &Call<'_>, parameters: &Value) -> Result<Value, CallError> {
        let Protocol::Json { target, version } = call.service.protocol() else {
            return Err(self.unreadable(call, "this service does not speak AWS JSON"));
        };
        let headers = [
            ("content-type", format!("application/x-amz-json-{version}")),
            ("x-amz-target", format!("{target}.{}", call.operation)),
        ];
        let body = self.tried(call, &headers, parameters.to_string()).await?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|e| self.unreadable(call, &e.to_string()))
    }

    /// As [`Account::json`], with the answer read as what it should be. What it has besides is passed over.
    ///
    /// # Errors
    /// [`CallError`], also for an answer that is something else.
    pub async fn json_as<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        parameters: &Value,
    ) -> Result<T, CallError> {
        let answer = self.json(call, parameters).await?;
        serde_json::from_value(answer).map_err(|e| self.unreadable(call, &e.to_string()))
    }

    /// Calls an operation of a service that speaks the Query protocol; the answer is its document, with one child.
    ///
    /// # Errors
    /// [`CallError`], after the tries that may help.
    pub async fn query(
        &self,
        call: &Call<'_>,
        parameters: &[(String, String)],
    ) -> Result<Xml, CallError> {
        let Protocol::Query { version } = call.service.protocol() else {
            return Err(self.unreadable(call, "this service does not speak the Query protocol"));
        };
        let headers =
            [("content-type", "application/x-www-form-urlencoded; charset=utf-8".to_owned())];
        let mut form = format!("Action={}&Version={version}", call.operation);
        for (name, value) in parameters {
            form.push('&');
            percent_encode(name, &mut form);
            form.push('=');
            percent_encode(value, &mut form);
        }
        let body = self.tried(call, &headers, form).await?;
        Xml::parse(&body).map_err(|e| self.unreadable(call, &e.to_string()))
    }

    async fn tried(
        &self,
        call: &Call<'_>,
        headers: &[(&'static str, String)],
        body: String,
    ) -> Result<Vec<u8>, CallError> {
        let mut backoff = Backoff::new(WAITS.0, WAITS.1);
        let mut tries = 1;
        loop {
            let error = match self.one_try(call, headers, &body).await {
                Ok(Reply { body, .. }) => return Ok(body),
                Err(failure) => failure,
            };
            if error.error.meaning() == Meaning::BadCredentials {
                self.shared.identity.forget().await;
            }
            let again = error.better_time || error.error.meaning().passes();
            if !again || tries >= TRIES {
                return Err(error.error);
            }
            if !error.better_time {
                self.clock.sleep(backoff.step(self.ids.random())).await;
            }
            tries += 1;
        }
    }
}

/// Encodes all but what needs no encoding anywhere (RFC 3986).
fn percent_encode(text: &str, into: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded_byte_by_byte() {
        let mut text = String::new();
        percent_encode("a b+c/ü~\n", &mut text);
        assert_eq!(text, "a%20b%2Bc%2F%C3%BC~%0A");
    }
}
