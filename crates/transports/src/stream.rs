//! HTTP streaming: one response without an end, a JSON object per line.

use bongsu_core::Problem;
use bongsu_core::read::ReadRequest;
use http::Response;

use crate::body::Body;
use crate::{Context, driver};

pub(crate) const CONTENT_TYPE: &str = "application/x-ndjson";

/// The stream.
pub(crate) async fn open(context: &Context, read: ReadRequest) -> Result<Response<Body>, Problem> {
    driver::open(context, read, CONTENT_TYPE).await
}
