//! Server-sent events, as the HTML standard defines them (§9.2): one response without an end that a browser's own
//! `EventSource` understands, resumes and re-opens.

use bongsu_core::event::Encoding;
use bongsu_core::read::ReadRequest;
use bongsu_core::{Control, Problem};
use bongsu_wire::framing;
use http::Response;

use crate::body::Body;
use crate::{Context, driver, response, session};

pub(crate) const CONTENT_TYPE: &str = "text/event-stream";

/// The stream.
pub(crate) async fn open(context: &Context, read: ReadRequest) -> Result<Response<Body>, Problem> {
    driver::open(context, read, CONTENT_TYPE).await
}

/// A refusal that will pass. An error status would make `EventSource` give up for good, so it gets a stream that tells
/// it when to come back, and ends.
pub(crate) fn refuse(context: &Context, problem: &Problem) -> Response<Body> {
    let mut close = session::close_for(problem);
    close.retry = problem.retry_after.unwrap_or_else(|| context.draw_retry());
    let bytes = framing::control_bytes(&Control::Close(close), Encoding::Sse).unwrap_or_default();
    response::finish(response::stream_head(CONTENT_TYPE), Body::full(bytes))
}
