use bongsu_core::{Epoch, Seq};
use proptest::prelude::*;

use super::*;

type Headers = [(&'static str, &'static str)];

const NONE: &Headers = &[];
const SSE: &Headers = &[("accept", "text/event-stream")];

fn cursor(seq: u64) -> Cursor {
    Cursor::new(Epoch::from_random(1), Seq(seq))
}

/// The request of channel `a`.
fn read(query: &str, headers: &[(&str, &str)]) -> Result<ReadRequest, Problem> {
    read_request("GET", Some("a"), query, &headers, 3)
}

#[test]
fn a_plain_get_is_a_poll() {
    let expected = ReadRequest {
        way: Way::Poll,
        channels: vec![ChannelName::new("a").unwrap()],
        from: From::Unsaid,
        conditional: false,
        limit: 100,
        types: vec![],
        heartbeat: Duration::from_secs(20),
        wait: Duration::from_secs(25),
        format: Format::Object,
        head_only: false,
    };
    assert_eq!(read("", NONE), Ok(expected));
}

#[test]
fn every_parameter_is_read() {
    let query = "transport=longpoll&last=7&limit=5&type=offer&type=message&type=offer&heartbeat=5&wait=60&format=data";
    let read = read_request("HEAD", None, &format!("channel=a&{query}&channel=b&channel=a"), &NONE, 2).unwrap();
    let expected = ReadRequest {
        way: Way::LongPoll,
        channels: vec![ChannelName::new("a").unwrap(), ChannelName::new("b").unwrap()],
        from: From::Last(7),
        conditional: false,
        limit: 5,
        types: vec![Some(EventType::new("offer").unwrap()), None],
        heartbeat: Duration::from_secs(5),
        wait: Duration::from_secs(60),
        format: Format::Data,
        head_only: true,
    };
    assert_eq!(read, expected);
}

#[test]
fn where_a_read_begins() {
    let at = |seq| From::Since(Since::At(cursor(seq)));
    let last_id = ("last-event-id", "00000001-5");
    let tag = ("if-none-match", "\"00000001-6\"");
    let sse = ("accept", "text/event-stream");
    let cases: [(&str, &Headers, (From, bool)); 13] = [
        ("since=start", NONE, (From::Since(Since::Start), false)),
        ("since=now", NONE, (From::Since(Since::Now), false)),
        ("since=00000001-4", NONE, (at(4), false)),
        ("last=1000", NONE, (From::Last(1000), false)),
        ("since=start", &[last_id, sse], (at(5), false)),
        ("last=10", &[last_id, sse], (at(5), false)),
        ("since=start", &[last_id], (at(5), false)),
        ("since=00000001-4", &[tag], (at(6), true)),
        ("", &[tag, last_id], (at(6), true)),
        ("", &[("if-none-match", "W/\"00000001-6\"")], (at(6), true)),
        ("", &[("if-none-match", "00000001-6")], (at(6), true)),
        ("", &[tag, sse], (From::Unsaid, false)),
        ("", &[("last-event-id", ""), sse], (From::Unsaid, false)),
    ];
    for (query, headers, (from, conditional)) in cases {
        let read = read(query, headers).unwrap();
        assert_eq!((read.from, read.conditional), (from, conditional), "{query} {headers:?}");
    }
}

#[test]
fn refusals_name_what_is_wrong() {
    let cases = [
        ("last=1&since=start", NONE, "bad_parameter: `last` and `since` both say where to begin"),
        ("last=0", NONE, "bad_parameter: `last` is `0`; it must be a whole number from 1 to 1000"),
        ("last=1001", NONE, "bad_parameter: `last` is `1001`; it must be a whole number from 1 to 1000"),
        ("limit=0", NONE, "bad_parameter: `limit` is `0`; it must be a whole number from 1 to 1000"),
        ("limit=5", SSE, "bad_parameter: `limit` is for answers that end; `sse` does not"),
        ("heartbeat=4", SSE, "bad_parameter: `heartbeat` is `4`; it must be a whole number from 5 to 300"),
        ("heartbeat=301", NONE, "bad_parameter: `heartbeat` is `301`; it must be a whole number from 5 to 300"),
        ("wait=0", NONE, "bad_parameter: `wait` is `0`; it must be a whole number from 1 to 60"),
        ("wait=61", NONE, "bad_parameter: `wait` is `61`; it must be a whole number from 1 to 60"),
        ("format=json", NONE, "bad_parameter: `format` is `json`; it must be one of: `object`, `data`"),
        ("type=$gap", NONE, "reserved: `type` is `$gap`: it cannot begin with `$`"),
        ("type=", NONE, "bad_parameter: `type` is ``; it must be the type of events: it needs at least one character"),
        ("since=latest", NONE, "bad_cursor: `since` is `latest`: not a cursor"),
        ("since=", NONE, "bad_cursor: `since` is ``: not a cursor"),
        ("", &[("last-event-id", "start")], "bad_cursor: `Last-Event-ID` is `start`: not a cursor"),
        ("", &[("if-none-match", "*")], "bad_cursor: `If-None-Match` is `*`: not a cursor"),
        (
            "",
            &[("if-none-match", "\"a\", \"b\"")],
            "bad_cursor: `If-None-Match` is `\\\"a\\\", \\\"b\\\"`: not a cursor",
        ),
        ("channel=b", NONE, "bad_parameter: `channel` cannot be given beside the channel in the path"),
        ("sicne=start", NONE, "unknown_parameter: there is no parameter `sicne`; did you mean `since`?"),
        ("since=start&since=now", NONE, "bad_parameter: `since` is given more than once"),
        ("transport=ws", NONE, "bad_parameter: `transport` is `ws`; it must be one of: `poll`, `longpoll`"),
    ];
    for (query, headers, expected) in cases {
        let problem = read(query, headers).unwrap_err().to_string();
        assert!(problem.starts_with(expected), "{query} {headers:?}: {problem}");
    }
}

#[test]
fn channels_are_counted_and_checked() {
    let cases = [
        ("channel=a&channel=b&channel=c&channel=a", Ok(3)),
        ("channel=a&channel=b&channel=c&channel=d", Err(ErrorCode::TooManyChannels)),
        ("channel=a&channel=%24user:1", Err(ErrorCode::Reserved)),
        ("channel=a+b", Err(ErrorCode::BadChannel)),
        ("channel=", Err(ErrorCode::BadChannel)),
        ("", Err(ErrorCode::BadParameter)),
    ];
    for (query, expected) in cases {
        let read = read_request("GET", None, query, &NONE, 3);
        assert_eq!(read.map(|read| read.channels.len()).map_err(|problem| problem.code), expected, "{query}");
    }
    let websocket = &[("upgrade", "websocket"), ("connection", "upgrade")][..];
    assert_eq!(read_request("GET", None, "", &websocket, 3).map(|read| read.channels), Ok(vec![]));
}

#[test]
fn only_get_and_head_read() {
    for method in ["POST", "get", "OPTIONS", ""] {
        let problem = read_request(method, Some("a"), "", &NONE, 3).unwrap_err();
        assert_eq!(problem.code, ErrorCode::MethodNotAllowed, "{method}");
    }
}

proptest! {
    #[test]
    fn any_request_is_taken_or_refused(
        path in prop::option::of(any::<String>()),
        query in prop_oneof![
            any::<String>(),
            "((since|last|limit|type|channel|wait|transport|format)=[a-z0-9%$+-]{0,6}&){0,4}",
        ],
        name in "accept|prefer|upgrade|if-none-match|last-event-id",
        value in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..48),
            "[a-z*/;=,\"\\\\ .0-9q-]{0,48}".prop_map(String::into_bytes),
        ],
    ) {
        let headers: &[(&str, &[u8])] = &[(&name, &value)];
        if let Ok(read) = read_request("GET", path.as_deref(), &query, &headers, 3) {
            prop_assert!(read.channels.len() <= 3);
            prop_assert!((1..=1000).contains(&read.limit));
        }
    }
}
