//! Answers: whole ones, broken ones, and the errors of S3 as XML.
use super::counts::InFlight;
use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Response, StatusCode,
    body::{Body, Frame, SizeHint},
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// The region that [`super::Fault::WrongRegion`] names.
const OTHER_REGION: &str = "eu-north-1";

/// The connection ends here, without an answer or in the middle of one.
#[derive(Debug)]
pub(super) struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed on purpose")
    }
}

impl std::error::Error for Closed {}

/// What comes behind the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    End,
    Stall,
    Close,
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct AnswerBody {
    data: Bytes,
    /// What is still promised by the length in the headers.
    promised: u64,
    then: Then,
    flushed: bool,
    /// The request is in flight until its answer is sent.
    _in_flight: Option<InFlight>,
}

impl AnswerBody {
    pub(super) fn whole(data: Bytes, in_flight: Option<InFlight>) -> Self {
        let promised = data.len() as u64;
        Self { data, promised, then: Then::End, flushed: false, _in_flight: in_flight }
    }

    /// Half of it, and then nothing for ever.
    pub(super) fn stalled(data: &Bytes, in_flight: InFlight) -> Self {
        Self::half(data, Then::Stall, in_flight)
    }

    /// Half of it, and then the end of the connection.
    pub(super) fn truncated(data: &Bytes, in_flight: InFlight) -> Self {
        Self::half(data, Then::Close, in_flight)
    }

    fn half(data: &Bytes, then: Then, in_flight: InFlight) -> Self {
        let promised = data.len() as u64;
        let data = data.slice(..data.len() / 2);
        Self { data, promised, then, flushed: false, _in_flight: Some(in_flight) }
    }

    /// Bytes that are really sent.
    pub(super) fn len(&self) -> usize {
        self.data.len()
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Closed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Closed>>> {
        if !self.data.is_empty() {
            let data = std::mem::take(&mut self.data);
            self.promised -= data.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match self.then {
            Then::End => Poll::Ready(None),
            Then::Stall => Poll::Pending,
            // hyper flushes what it has when a body is not ready, and forgets it when a body fails.
            Then::Close if !self.flushed => {
                self.flushed = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Then::Close => Poll::Ready(Some(Err(Closed))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.then == Then::End
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised)
    }
}

/// An error of S3.
#[derive(Debug, Clone, Copy)]
pub(super) struct S3Failure {
    status: StatusCode,
    code: &'static str,
    message: &'static str,
}

impl S3Failure {
    pub(super) const INTERNAL_ERROR: Self = Self {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        code: "InternalError",
        message: "We encountered an internal error. Please try again.",
    };
    pub(super) const SLOW_DOWN: Self = Self {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: "SlowDown",
        message: "Please reduce your request rate.",
    };
    pub(super) const CONFLICT: Self = Self {
        status: StatusCode::CONFLICT,
        code: "ConditionalRequestConflict",
        message: "The conditional request cannot succeed due to a conflicting operation against this resource.",
    };
    pub(super) const ACCESS_DENIED: Self =
        Self { status: StatusCode::FORBIDDEN, code: "AccessDenied", message: "Access Denied" };
    pub(super) const EXPIRED_TOKEN: Self = Self {
        status: StatusCode::BAD_REQUEST,
        code: "ExpiredToken",
        message: "The provided token has expired.",
    };
    pub(super) const WRONG_REGION: Self = Self {
        status: StatusCode::BAD_REQUEST,
        code: "AuthorizationHeaderMalformed",
        message: "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-north-1'",
    };

    /// Headers and body. An answer to HEAD has no body, so only the status and the headers tell what is wrong.
    pub(super) fn answer(self, method: &Method, resource: &str) -> Response<Bytes> {
        let wrong_region = self.code == Self::WRONG_REGION.code;
        let region =
            if wrong_region { format!("<Region>{OTHER_REGION}</Region>") } else { String::new() };
        let xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message>{region}<Resource>{}</Resource></Error>",
            self.code,
            self.message,
            escaped(resource)
        );
        let head = method == Method::HEAD;
        let mut answer = Response::new(if head { Bytes::new() } else { xml.into() });
        *answer.status_mut() =
            if head && wrong_region { StatusCode::MOVED_PERMANENTLY } else { self.status };
        let headers: &mut HeaderMap = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        if wrong_region {
            headers.insert(
                HeaderName::from_static("x-amz-bucket-region"),
                HeaderValue::from_static(OTHER_REGION),
            );
        }
        answer
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_xml_and_for_head_only_a_status() {
        let answer = S3Failure::WRONG_REGION.answer(&Method::GET, "/bucket/a&b");
        assert_eq!(answer.status(), 400);
        let xml = String::from_utf8(answer.body().to_vec()).unwrap();
        assert!(xml.contains("<Code>AuthorizationHeaderMalformed</Code>"), "{xml}");
        assert!(xml.contains("<Region>eu-north-1</Region>"), "{xml}");
        assert!(xml.contains("/bucket/a&amp;b"), "{xml}");
        let answer = S3Failure::WRONG_REGION.answer(&Method::HEAD, "/bucket");
        assert_eq!((answer.status().as_u16(), answer.body().len()), (301, 0));
        assert_eq!(answer.headers()["x-amz-bucket-region"], "eu-north-1");
        assert_eq!(S3Failure::SLOW_DOWN.answer(&Method::HEAD, "/bucket").status(), 503);
    }
}
