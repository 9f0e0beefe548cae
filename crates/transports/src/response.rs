//! Heads that all ways share.

use bongsu_core::Problem;
use bongsu_core::cursor::Cursor;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::response::Builder;
use http::{Response, StatusCode};

use crate::body::Body;

/// A head with what every read says: nothing is to be cached, and the answer depends on these headers.
pub(crate) fn head(status: StatusCode) -> Builder {
    Response::builder()
        .status(status)
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::VARY, "Accept, Prefer, Origin")
}

/// The head of a streaming answer.
pub(crate) fn stream_head(content_type: &'static str) -> Builder {
    Response::builder()
        .status(StatusCode::OK)
        .header(header::CONTENT_TYPE, content_type)
        // `no-transform`: a proxy that compresses would hold events back.
        .header(header::CACHE_CONTROL, "no-store, no-transform")
        .header(header::VARY, "Accept, Prefer, Origin")
        // nginx buffers whole answers unless it is told not to.
        .header("x-accel-buffering", "no")
}

/// The entity tag of a position.
pub(crate) fn etag(cursor: Cursor) -> HeaderValue {
    let text = format!("\"{cursor}\"");
    HeaderValue::try_from(text).expect("a cursor has only letters, digits and a hyphen")
}

/// A refusal as problem details (RFC 9457).
pub(crate) fn problem(problem: &Problem) -> Response<Body> {
    let status = StatusCode::from_u16(problem.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut builder = head(status).header(header::CONTENT_TYPE, "application/problem+json");
    if let Some(after) = problem.retry_after {
        // Whole seconds, rounded up: who comes too early is refused again.
        let seconds = after.as_millis().div_ceil(1000).max(1);
        builder = builder.header(header::RETRY_AFTER, seconds.to_string());
    }
    finish(builder, Body::full(bongsu_wire::problem::encode(problem)))
}

/// The response; every header above is valid, so a builder cannot have failed.
pub(crate) fn finish(builder: Builder, body: Body) -> Response<Body> {
    builder.body(body).expect("all headers are valid")
}

/// An answer whole in memory. For HEAD the length is told and the bytes are not sent.
pub(crate) fn full(builder: Builder, bytes: Bytes, head_only: bool) -> Response<Body> {
    if head_only {
        return finish(builder.header(header::CONTENT_LENGTH, bytes.len()), Body::empty());
    }
    finish(builder, Body::full(bytes))
}
