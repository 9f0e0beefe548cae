//! Refusals as HTTP answers: RFC 9457 problem details.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bongsu_core::{ErrorCode, Problem};
use http::{HeaderValue, StatusCode, header};

/// What a handler gives: the answer, or why there is none.
pub(crate) type Answer = Result<Response, Refusal>;

/// A problem on its way to becoming an answer.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) Problem);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = bongsu_wire::problem::encode(&self.0);
        respond(&self.0, body)
    }
}

/// The answer with the head that `problem` asks for, and `body`, which is the problem as JSON and perhaps more.
pub(crate) fn respond(problem: &Problem, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(problem.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(bongsu_wire::problem::MEDIA_TYPE));
    if let Some(seconds) = retry_after(problem) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if problem.code == ErrorCode::RequestTimeout {
        // RFC 9110 §15.5.9: the rest of the request may still be on its way, so this connection is of no use any more.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whole seconds, rounded up: who comes too early is refused again. 429 and 503 always say when.
fn retry_after(problem: &Problem) -> Option<u64> {
    let seconds = problem.retry_after.map(|after| u64::try_from(after.as_millis().div_ceil(1000)).unwrap_or(u64::MAX));
    match (seconds, problem.code.status()) {
        (Some(seconds), _) => Some(seconds.max(1)),
        (None, 429 | 503) => Some(1),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_head_follows_from_the_problem() {
        let cases = [
            (ErrorCode::BadCursor, None, 400, None),
            (ErrorCode::Overloaded, None, 503, Some("1")),
            (ErrorCode::RateLimited, Some(1_001), 429, Some("2")),
            (ErrorCode::Draining, Some(0), 503, Some("1")),
            (ErrorCode::DiskFull, Some(5_000), 507, Some("5")),
        ];
        for (code, millis, status, after) in cases {
            let mut problem = Problem::new(code, "x");
            problem.retry_after = millis.map(Duration::from_millis);
            let response = Refusal(problem).into_response();
            let header = |name| response.headers().get(name).map(|value: &HeaderValue| value.to_str().unwrap());
            assert_eq!(response.status().as_u16(), status, "{code:?}");
            assert_eq!(header(header::RETRY_AFTER), after, "{code:?}");
            assert_eq!(header(header::CONTENT_TYPE), Some("application/problem+json"));
        }
    }

    #[test]
    fn every_code_has_a_status_of_http() {
        for code in ErrorCode::ALL {
            let response = Refusal(Problem::new(*code, "x")).into_response();
            assert_eq!(response.status().as_u16(), code.status(), "{}", code.name());
        }
    }
}
