//! `POST /v1/channels/{channel}`: the body is the payload, the query says what else there is to say.

use std::time::Duration;

use bongsu_core::limits::TTL_SECONDS_MAX;
use bongsu_core::log::Draft;
use bongsu_core::{ErrorCode, Problem};
use bytes::Bytes;

use super::{About, Publisher, cloudevents, header_key, key, kind, payload};
use crate::HeaderLookup;
use crate::query::{Query, path_channel};

const PARAMETERS: &[&str] = &["type", "key", "ttl", "store"];

/// Reads one event out of a request.
///
/// `channel` is the segment of the path, still percent-encoded; `query` what stands after the `?`. The payload keeps
/// `body` alive: give a copy if it is a small part of something large.
///
/// # Errors
/// The problem names the parameter, header or place in the body, what was said and what is allowed.
pub fn channel_body(
    publisher: &Publisher<'_>,
    channel: &str,
    query: &str,
    headers: &dyn HeaderLookup,
    body: Bytes,
) -> Result<Draft, Problem> {
    let channel = path_channel(channel)?;
    let mut about = about(query, headers)?;
    if let Some(attributes) = cloudevents::Attributes::from_headers(headers)? {
        about.kind = about.kind.or(attributes.kind);
        about.idempotency_key = about.idempotency_key.or(Some(attributes.idempotency_key));
    }
    payload::check_size(&channel, body.len(), (publisher.payload_bytes_max)(&channel))?;
    Ok(about.draft(publisher, channel, payload::from_body(headers, body)?))
}

fn about(query: &str, headers: &dyn HeaderLookup) -> Result<About, Problem> {
    const CODE: ErrorCode = ErrorCode::BadParameter;
    let query = Query::parse(query, PARAMETERS)?;
    Ok(About {
        kind: query.one("type")?.map(|text| kind("type", text, CODE)).transpose()?.flatten(),
        key: query.one("key")?.map(|text| key("key", text, CODE)).transpose()?,
        ttl: query.number("ttl", 1..=TTL_SECONDS_MAX)?.map(Duration::from_secs),
        live_only: query.choice("store", &[("true", false), ("false", true)])?.unwrap_or_default(),
        idempotency_key: header_key(headers)?,
    })
}
