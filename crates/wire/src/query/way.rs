//! By which of the five ways a request wants to be answered: `?transport=`, `Upgrade`, `Accept`, `Prefer`, `?wait=`.

use std::time::Duration;

use bongsu_core::limits::{WAIT_DEFAULT, WAIT_MAX};
use bongsu_core::read::Way;
use bongsu_core::{ErrorCode, Problem};

use super::params::{Query, bad_parameter, bad_value};
use crate::headers::{HeaderLookup, each_element, split_unquoted};
use crate::nearest::all;

/// The way, and how long a long poll waits.
///
/// `?transport=` wins over `Accept`, for clients that cannot set headers. `wait` makes a poll a long poll; its parameter
/// wins over the header.
pub(super) fn choose(query: &Query<'_>, headers: &dyn HeaderLookup, is_get: bool) -> Result<(Way, Duration), Problem> {
    let wait = query.number("wait", 1..=WAIT_MAX.as_secs())?.map(Duration::from_secs);
    let way = match (transport(query)?, is_get && upgrades_to_websocket(headers)) {
        (Some(Way::WebSocket), false) => return Err(no_upgrade()),
        (Some(way), true) if way != Way::WebSocket => return Err(contradiction(way)),
        (Some(way), _) => way,
        (None, true) => Way::WebSocket,
        (None, false) => match accepted(headers)? {
            Way::Poll if wait.or(preferred_wait(headers)).is_some() => Way::LongPoll,
            way => way,
        },
    };
    if wait.is_some() && way != Way::LongPoll {
        let detail = format!("`wait` is for long polling; this request asks for `{}`", way.as_str());
        return Err(bad_parameter(detail).hint("Leave `wait` out, or ask for `transport=longpoll`."));
    }
    Ok((way, wait.or_else(|| preferred_wait(headers)).unwrap_or(WAIT_DEFAULT)))
}

fn transport(query: &Query<'_>) -> Result<Option<Way>, Problem> {
    let Some(name) = query.one("transport")? else { return Ok(None) };
    Way::from_name(name).map(Some).ok_or_else(|| {
        let names = Way::ALL.map(Way::as_str);
        bad_value("transport", name, &all("one of", &names))
    })
}

fn no_upgrade() -> Problem {
    Problem::new(ErrorCode::UpgradeRequired, "`transport=websocket` needs a WebSocket handshake (RFC 6455)")
        .hint("Open it with a WebSocket client, or choose another `transport`.")
}

fn contradiction(way: Way) -> Problem {
    let detail = format!("`transport` is `{}`, but the request upgrades to WebSocket", way.as_str());
    bad_parameter(detail).hint("Leave `transport` out.")
}

fn upgrades_to_websocket(headers: &dyn HeaderLookup) -> bool {
    let mut found = false;
    each_element(headers, "upgrade", &mut |protocol| {
        found = protocol.eq_ignore_ascii_case("websocket");
        !found
    });
    found
}

/// The wait of a `Prefer` header (RFC 7240 §4.3): how long the client is willing to wait, at most.
///
/// What cannot be understood is ignored, as §2 there demands. A longer time than the server's is no error either:
/// answering earlier is within what the client said.
fn preferred_wait(headers: &dyn HeaderLookup) -> Option<Duration> {
    let mut wait = None;
    each_element(headers, "prefer", &mut |preference| {
        let first = preference.split(';').next().unwrap_or_default();
        let (name, value) = first.split_once('=').unwrap_or((first, ""));
        // "If any preference is specified more than once, only the first instance is to be considered."
        let is_wait = name.trim().eq_ignore_ascii_case("wait");
        if is_wait {
            wait = value.trim().trim_matches('"').parse().ok().filter(|&seconds: &u64| seconds > 0);
        }
        !is_wait
    });
    wait.map(|seconds| Duration::from_secs(seconds).min(WAIT_MAX))
}

/// What the three media types are named, and the way each means. The first wins when the client has no preference.
const ANSWERS: [(Way, &[&str]); 3] = [
    (Way::Poll, &["application/json"]),
    (Way::Sse, &["text/event-stream"]),
    (Way::Stream, &["application/x-ndjson", "application/ndjson"]),
];

/// How much the client wants one answer; greater is more.
///
/// First the quality, then whether the type was named or only covered by a wildcard, then who was named first.
type Wish = (u16, Specificity, std::cmp::Reverse<usize>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    Anything,
    Kind,
    Exact,
}

/// The way that `Accept` asks for (RFC 9110 §12.5.1); [`Way::Poll`] if it asks for nothing.
fn accepted(headers: &dyn HeaderLookup) -> Result<Way, Problem> {
    // For each answer the quality by the most specific range that covers it.
    let mut wishes: [Option<Wish>; ANSWERS.len()] = [None; ANSWERS.len()];
    let mut count = 0;
    each_element(headers, "accept", &mut |element| {
        count += 1;
        let Some((range, quality)) = media_range(element) else { return true };
        for (wish, (_, names)) in wishes.iter_mut().zip(ANSWERS) {
            let covers = names.iter().filter_map(|name| covers(range, name)).max();
            if covers.is_some() && covers > wish.map(|(_, known, _)| known) {
                *wish = covers.map(|specificity| (quality, specificity, std::cmp::Reverse(count)));
            }
        }
        true
    });
    if count == 0 {
        return Ok(Way::Poll);
    }
    let candidates = wishes.into_iter().zip(ANSWERS).rev();
    let candidates = candidates.filter_map(|(wish, (way, _))| Some((wish.filter(|wish| wish.0 > 0)?, way)));
    let best = candidates.max_by_key(|(wish, _)| *wish);
    best.map(|(_, way)| way).ok_or_else(not_acceptable)
}

fn not_acceptable() -> Problem {
    Problem::new(ErrorCode::NotAcceptable, "`Accept` allows none of the media types that events come in")
        .hint("Accept `application/json`, `text/event-stream` or `application/x-ndjson`, or use `?transport=`.")
}

/// The media range and its quality in thousandths; `None` if it cannot be understood.
fn media_range(element: &str) -> Option<(&str, u16)> {
    let mut parts = split_unquoted(element, ';').map(str::trim);
    let range = parts.next()?;
    let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    Some((range, quality.map_or(Some(1000), thousandths)?))
}

/// A quality value: 0 to 1 with up to three decimals (RFC 9110 §12.4.2).
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" => (thousandths == 0).then_some(1000),
        _ => None,
    }
}

/// How specifically `range` covers the media type `name`, if it does.
fn covers(range: &str, name: &str) -> Option<Specificity> {
    let kind = name.split('/').next().unwrap_or_default();
    if range.eq_ignore_ascii_case(name) {
        Some(Specificity::Exact)
    } else if range == "*/*" {
        Some(Specificity::Anything)
    } else {
        let wanted = range.strip_suffix("/*")?;
        wanted.eq_ignore_ascii_case(kind).then_some(Specificity::Kind)
    }
}

#[cfg(test)]
mod tests {
    use super::super::PARAMETERS;
    use super::*;

    type Headers = [(&'static str, &'static str)];

    fn chosen(query: &str, headers: &[(&str, &str)]) -> Result<(Way, u64), Problem> {
        let query = Query::parse(query, PARAMETERS)?;
        choose(&query, &headers, true).map(|(way, wait)| (way, wait.as_secs()))
    }

    #[test]
    fn accept_chooses_the_way() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let cases = [
            ("", Some(Way::Poll)),
            ("*/*", Some(Way::Poll)),
            (browser, Some(Way::Poll)),
            ("application/json", Some(Way::Poll)),
            ("application/*", Some(Way::Poll)),
            ("text/event-stream", Some(Way::Sse)),
            ("Text/Event-Stream; charset=utf-8", Some(Way::Sse)),
            ("text/*", Some(Way::Sse)),
            ("application/x-ndjson", Some(Way::Stream)),
            ("application/ndjson", Some(Way::Stream)),
            ("application/json, text/event-stream", Some(Way::Poll)),
            ("text/event-stream, application/json", Some(Way::Sse)),
            ("text/event-stream, */*", Some(Way::Sse)),
            ("*/*, text/event-stream", Some(Way::Sse)),
            ("text/event-stream;q=0.5, application/json;q=0.4", Some(Way::Sse)),
            ("text/event-stream;q=0.5, */*", Some(Way::Poll)),
            ("application/x-ndjson;q=0.9, text/event-stream;q=0.95", Some(Way::Sse)),
            ("*/*, application/json;q=0", Some(Way::Sse)),
            ("*/*;q=0.1, application/json;q=0, text/*;q=0", Some(Way::Stream)),
            ("text/event-stream;q=2, application/json", Some(Way::Poll)),
            ("image/png", None),
            ("*/*;q=0", None),
            ("text/event-stream;q=0.0001", None),
        ];
        for (accept, way) in cases {
            let chosen = chosen("", &[("accept", accept)]);
            assert_eq!(chosen.as_ref().map(|chosen| chosen.0).ok(), way, "{accept}: {chosen:?}");
        }
    }

    #[test]
    fn wait_makes_a_poll_a_long_poll() {
        let cases: [(&str, &Headers, (Way, u64)); 14] = [
            ("", &[("prefer", "wait=7")], (Way::LongPoll, 7)),
            ("", &[("prefer", "respond-async, Wait = \"7\"; x=1")], (Way::LongPoll, 7)),
            ("", &[("prefer", "respond-async"), ("prefer", "wait=7,wait=8")], (Way::LongPoll, 7)),
            ("", &[("prefer", "wait=600")], (Way::LongPoll, 60)),
            ("", &[("prefer", "wait=0")], (Way::Poll, 25)),
            ("", &[("prefer", "wait=soon")], (Way::Poll, 25)),
            ("wait=9", &[], (Way::LongPoll, 9)),
            ("wait=9", &[("prefer", "wait=7")], (Way::LongPoll, 9)),
            ("wait=60", &[("accept", "application/json")], (Way::LongPoll, 60)),
            ("transport=longpoll", &[], (Way::LongPoll, 25)),
            ("transport=longpoll", &[("prefer", "wait=7")], (Way::LongPoll, 7)),
            ("transport=longpoll&wait=1", &[("accept", "text/event-stream")], (Way::LongPoll, 1)),
            ("transport=poll", &[("prefer", "wait=7")], (Way::Poll, 7)),
            ("", &[("prefer", "wait=7"), ("accept", "text/event-stream")], (Way::Sse, 7)),
        ];
        for (query, headers, expected) in cases {
            assert_eq!(chosen(query, headers), Ok(expected), "{query} {headers:?}");
        }
    }

    #[test]
    fn transport_wins_over_headers() {
        let cases: [(&str, &Headers, Result<Way, ErrorCode>); 11] = [
            ("transport=sse", &[("accept", "application/json")], Ok(Way::Sse)),
            ("transport=stream", &[("accept", "image/png")], Ok(Way::Stream)),
            ("transport=poll", &[("accept", "text/event-stream")], Ok(Way::Poll)),
            ("", &[("upgrade", "WebSocket"), ("accept", "image/png")], Ok(Way::WebSocket)),
            ("", &[("upgrade", "h2c, websocket")], Ok(Way::WebSocket)),
            ("", &[("upgrade", "h2c")], Ok(Way::Poll)),
            ("transport=websocket", &[("upgrade", "websocket")], Ok(Way::WebSocket)),
            ("transport=websocket", &[], Err(ErrorCode::UpgradeRequired)),
            ("transport=sse", &[("upgrade", "websocket")], Err(ErrorCode::BadParameter)),
            ("transport=SSE", &[], Err(ErrorCode::BadParameter)),
            ("wait=5", &[("accept", "text/event-stream")], Err(ErrorCode::BadParameter)),
        ];
        for (query, headers, expected) in cases {
            let way = chosen(query, headers).map(|chosen| chosen.0).map_err(|problem| problem.code);
            assert_eq!(way, expected, "{query} {headers:?}");
        }
    }

    #[test]
    fn a_head_request_upgrades_nothing() {
        let query = Query::parse("", PARAMETERS).unwrap();
        let headers = &[("upgrade", "websocket")][..];
        assert_eq!(choose(&query, &headers, false).map(|(way, _)| way), Ok(Way::Poll));
    }
}
