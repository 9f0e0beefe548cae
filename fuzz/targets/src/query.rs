//! Queries and headers of reads: the same request out of a header map and out of slices, within all limits.
//!
//! The first line of the input is the channel in the path, or empty; the second is the query; each further one is a header.

use bongsu_core::Problem;
use bongsu_core::limits::{HEARTBEAT_MAX, HEARTBEAT_MIN, LAST_EVENTS_MAX, POLL_EVENTS_MAX, WAIT_MAX};
use bongsu_core::read::{From, ReadRequest, Way};
use bongsu_wire::HeaderLookup;
use bongsu_wire::query::read_request;
use http::{HeaderMap, HeaderName, HeaderValue};

const CHANNELS_MAX: usize = 4;

/// What may be shown of a mistake, in bytes.
const DETAIL_BYTES_MAX: usize = 2048;

/// The target.
pub fn query(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut text = || std::str::from_utf8(lines.next().unwrap_or_default()).ok();
    let (Some(channel), Some(query)) = (text(), text()) else { return };
    let channel = (!channel.is_empty()).then_some(channel);
    let Some(pairs) = lines.map(header).collect::<Option<Vec<_>>>() else { return };
    let map: HeaderMap = pairs.iter().cloned().fold(HeaderMap::new(), |mut map, (name, value)| {
        map.append(name, value);
        map
    });
    for method in ["GET", "HEAD"] {
        let by_map = read(method, channel, query, &map);
        let by_slices = read(method, channel, query, &&pairs[..]);
        assert_eq!(by_map, by_slices, "two drivers read {method} differently");
        match &by_map {
            Ok(request) => check(request, method),
            Err(problem) => check_problem(problem),
        }
    }
}

fn read(method: &str, channel: Option<&str>, query: &str, headers: &dyn HeaderLookup) -> Result<ReadRequest, Problem> {
    read_request(method, channel, query, headers, CHANNELS_MAX)
}

/// `None` for what no driver would hand on.
fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let value = line[colon + 1..].trim_ascii();
    Some((HeaderName::from_bytes(&line[..colon]).ok()?, HeaderValue::from_bytes(value).ok()?))
}

fn check(request: &ReadRequest, method: &str) {
    let channels = &request.channels;
    assert!(channels.len() <= CHANNELS_MAX && (!channels.is_empty() || request.way == Way::WebSocket), "{request:?}");
    for (index, channel) in channels.iter().enumerate() {
        assert!(!channels[..index].contains(channel), "{channel:?} twice");
    }
    assert!((1..=POLL_EVENTS_MAX).contains(&request.limit), "{request:?}");
    assert!((HEARTBEAT_MIN..=HEARTBEAT_MAX).contains(&request.heartbeat), "{request:?}");
    assert!(!request.wait.is_zero() && request.wait <= WAIT_MAX, "{request:?}");
    assert!(!matches!(request.from, From::Last(last) if !(1..=LAST_EVENTS_MAX).contains(&last)), "{request:?}");
    assert!(!request.conditional || request.way.is_polling(), "{request:?}");
    assert_eq!(request.head_only, method == "HEAD");
}

fn check_problem(problem: &Problem) {
    let bytes = problem.detail.len() + problem.hint.as_ref().map_or(0, String::len);
    assert!(bytes <= DETAIL_BYTES_MAX, "a problem of {bytes} bytes: {problem}");
}
