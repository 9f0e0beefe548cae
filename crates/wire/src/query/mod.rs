//! What a reader asks for: the request of a read, from its method, path, query and headers to a [`ReadRequest`].
//!
//! All five ways are asked for here, by the same parameters, so that none of them can differ. It must not know who may
//! read what.

mod params;
mod way;

use std::time::Duration;

use bongsu_core::cursor::BadCursor;
use bongsu_core::event::{BadLabel, EventType};
use bongsu_core::limits::{
    HEARTBEAT_DEFAULT, HEARTBEAT_MAX, HEARTBEAT_MIN, LAST_EVENTS_MAX, POLL_EVENTS_DEFAULT, POLL_EVENTS_MAX,
};
use bongsu_core::read::{Format, From, ReadRequest, Way};
use bongsu_core::{ChannelName, Cursor, ErrorCode, Problem, Since};

pub use self::params::{Query, client_channel, path_channel};
use self::params::{bad_parameter, bad_value};
use crate::event::DEFAULT_TYPE;
use crate::headers::HeaderLookup;

/// The parameters of a read.
const PARAMETERS: &[&str] = &["since", "last", "limit", "type", "heartbeat", "wait", "format", "transport", "channel"];

/// Reads the request of a read.
///
/// - `channel` is the segment of `/v1/channels/{channel}`, still percent-encoded; `None` for `/v1/events`.
/// - `query` is what stands after the `?`; empty if nothing does.
/// - `channels_max` is [`Limits::channels_per_connection_max`](bongsu_core::limits::Limits).
///
/// A position in a header wins over `since` and `last`: `If-None-Match` on the polling ways, `Last-Event-ID` on all of
/// them. A browser's EventSource comes back to the address it was given first, with the header for where it stands now.
///
/// # Errors
/// The problem names the parameter or header, what was said and what is allowed.
pub fn read_request(
    method: &str,
    channel: Option<&str>,
    query: &str,
    headers: &dyn HeaderLookup,
    channels_max: usize,
) -> Result<ReadRequest, Problem> {
    let head_only = match method {
        "GET" => false,
        "HEAD" => true,
        other => return Err(method_not_allowed(other)),
    };
    let query = Query::parse(query, PARAMETERS)?;
    let (way, wait) = way::choose(&query, headers, !head_only)?;
    let (from, conditional) = from(&query, headers, way)?;
    Ok(ReadRequest {
        way,
        channels: channels(&query, channel, way, channels_max)?,
        from,
        conditional,
        limit: limit(&query, way)?,
        types: types(&query)?,
        heartbeat: heartbeat(&query)?,
        wait,
        format: query.choice("format", &[("object", Format::Object), ("data", Format::Data)])?.unwrap_or_default(),
        head_only,
    })
}

fn method_not_allowed(method: &str) -> Problem {
    let method: String = method.chars().take(32).collect();
    Problem::new(ErrorCode::MethodNotAllowed, format!("`{method}` cannot read")).hint("Read with GET or HEAD.")
}

fn channels(
    query: &Query<'_>,
    in_path: Option<&str>,
    way: Way,
    channels_max: usize,
) -> Result<Vec<ChannelName>, Problem> {
    let mut channels = Vec::new();
    if let Some(segment) = in_path {
        if query.many("channel").next().is_some() {
            return Err(bad_parameter("`channel` cannot be given beside the channel in the path")
                .hint("Read several channels with `/v1/events?channel=a&channel=b`."));
        }
        channels.push(path_channel(segment)?);
    }
    for name in query.many("channel") {
        add_once(&mut channels, client_channel(name)?, channels_max)?;
    }
    // A WebSocket can subscribe later; on the other ways there would be nothing to say, ever.
    if channels.is_empty() && way != Way::WebSocket {
        return Err(bad_parameter("`channel` is missing").hint("Name what to read, as in `?channel=a&channel=b`."));
    }
    Ok(channels)
}

/// Adds `channel` unless it is there, up to a bound.
pub(crate) fn add_once(
    channels: &mut Vec<ChannelName>,
    channel: ChannelName,
    channels_max: usize,
) -> Result<(), Problem> {
    if channels.contains(&channel) {
        return Ok(());
    }
    if channels.len() == channels_max {
        let detail = format!("at most {channels_max} channels are allowed in one request");
        return Err(Problem::new(ErrorCode::TooManyChannels, detail).hint("Spread them over several."));
    }
    channels.push(channel);
    Ok(())
}

/// Where the read begins, and whether that came as `If-None-Match`.
fn from(query: &Query<'_>, headers: &dyn HeaderLookup, way: Way) -> Result<(From, bool), Problem> {
    if way.is_polling()
        && let Some(cursor) = position(headers, "if-none-match", "If-None-Match")?
    {
        return Ok((From::Since(Since::At(cursor)), true));
    }
    if let Some(cursor) = position(headers, "last-event-id", "Last-Event-ID")? {
        return Ok((From::Since(Since::At(cursor)), false));
    }
    let since = query.one("since")?.map(|text| since("since", text)).transpose()?;
    let last = query.number("last", 1..=LAST_EVENTS_MAX as u64)?;
    let from = match (since, last) {
        (Some(_), Some(_)) => {
            return Err(bad_parameter("`last` and `since` both say where to begin").hint("Leave one of them out."));
        }
        (Some(since), None) => From::Since(since),
        (None, Some(last)) => From::Last(usize::try_from(last).unwrap_or(LAST_EVENTS_MAX)),
        (None, None) => From::Unsaid,
    };
    Ok((from, false))
}

/// A cursor in a header; bare, or as an entity tag (RFC 9110 §8.8.3), which proxies may have weakened.
fn position(headers: &dyn HeaderLookup, name: &str, shown: &str) -> Result<Option<Cursor>, Problem> {
    let Some(value) = headers.first_value(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    let text = String::from_utf8_lossy(value);
    let tag = text.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let cursor = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag);
    cursor.parse().map(Some).map_err(|why| bad_cursor(shown, &text, why))
}

/// A position as a client names it: `start`, `now` or a cursor. `name` is the field it stands in.
pub(crate) fn since(name: &str, text: &str) -> Result<Since, Problem> {
    text.parse().map_err(|why| bad_cursor(name, text, why).hint("Or use `start` or `now`."))
}

fn bad_cursor(name: &str, text: &str, why: BadCursor) -> Problem {
    let text: String = text.chars().take(64).collect();
    Problem::new(ErrorCode::BadCursor, format!("`{name}` is `{}`: {why}", text.escape_debug()))
}

fn limit(query: &Query<'_>, way: Way) -> Result<usize, Problem> {
    let limit = query.number("limit", 1..=POLL_EVENTS_MAX as u64)?;
    match limit {
        Some(_) if !way.is_polling() => {
            let detail = format!("`limit` is for answers that end; `{}` does not", way.as_str());
            Err(bad_parameter(detail).hint("Leave `limit` out, or use `last` to begin with the newest events."))
        }
        limit => Ok(limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(POLL_EVENTS_DEFAULT)),
    }
}

fn types(query: &Query<'_>) -> Result<Vec<Option<EventType>>, Problem> {
    let mut types = Vec::new();
    for name in query.many("type") {
        let kind = event_type(name).map_err(|why| match why {
            BadLabel::Reserved => Problem::new(ErrorCode::Reserved, format!("`type` is `{name}`: it {why}"))
                .hint("Control objects are sent whatever `type` says."),
            why => bad_value("type", name, &format!("the type of events: it {why}")),
        })?;
        if !types.contains(&kind) {
            types.push(kind);
        }
    }
    Ok(types)
}

/// The type of that name; `None` for the default type.
pub(crate) fn event_type(name: &str) -> Result<Option<EventType>, BadLabel> {
    if name == DEFAULT_TYPE { Ok(None) } else { EventType::new(name).map(Some) }
}

fn heartbeat(query: &Query<'_>) -> Result<Duration, Problem> {
    let seconds = query.number("heartbeat", HEARTBEAT_MIN.as_secs()..=HEARTBEAT_MAX.as_secs())?;
    Ok(seconds.map_or(HEARTBEAT_DEFAULT, Duration::from_secs))
}

#[cfg(test)]
mod tests;
