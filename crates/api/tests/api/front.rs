//! What socket shards are told, held to what the router answers.

use std::collections::BTreeMap;

use bongsu_api::Cors;
use bongsu_core::Problem;
use bongsu_transports::shard::{Front, Route};
use bongsu_wire::http1::{Head, Parsed, parse, storage};
use bongsu_wire::query::read_request;
use bytes::Bytes;

use crate::support::{Server, Setup};

const HEAD_BYTES_MAX: usize = 16 << 10;
const PAGE: &str = "Origin: https://page.example";
const STRANGE: &str = "Origin: https://strange.example";
const OWN: &str = "Origin: http://own.example";
const SOCKET: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

/// What is asked: the line before `HTTP/1.1`, more headers, a body, and whether a shard answers it.
type Case = (&'static str, &'static [&'static str], &'static str, bool);

const CASES: &[Case] = &[
    ("GET /v1/channels/a", &[], "", true),
    ("GET /v1/channels/a", &[PAGE], "", true),
    ("GET /v1/channels/a", &[STRANGE], "", true),
    ("HEAD /v1/channels/a", &[PAGE], "", true),
    ("GET /v1/channels/a?since=start&limit=5", &[], "", true),
    ("GET /v1/channels/a?surprise=1", &[PAGE], "", true),
    ("GET /v1/channels/a?limit=0", &[], "", true),
    ("GET /v1/channels/%ff", &[], "", true),
    ("GET /v1/channels/$x", &[], "", true),
    ("GET /v1/channels/a", &["Accept: text/event-stream", PAGE], "", true),
    ("GET /v1/channels/a", &["Accept: image/png"], "", true),
    ("GET /v1/channels/a%2Fb", &[], "", true),
    ("GET /v1/events?channel=a&channel=b", &[PAGE], "", true),
    ("HEAD /v1/events?channel=a", &[], "", true),
    ("GET /v1/events", &[], "", true),
    ("GET /v1/channels/a", &[SOCKET], "", true),
    ("GET /v1/channels/a", &[SOCKET, PAGE], "", true),
    ("GET /v1/channels/a", &[SOCKET, STRANGE], "", true),
    ("GET /v1/channels/a", &[SOCKET, OWN], "", true),
    ("GET /v1/channels/a?transport=sse", &[SOCKET], "", true),
    ("POST /v1/channels/a", &[], "1", true),
    ("POST /v1/channels/a", &[PAGE], "{}", true),
    ("POST /v1/channels/a", &[STRANGE, "Content-Type: application/json"], "{", true),
    ("POST /v1/channels/a?type=x&key=k", &["Idempotency-Key: 7"], "", true),
    ("POST /v1/channels/a?limit=1", &[], "1", true),
    ("POST /v1/channels/$x", &[], "", true),
    ("POST /v1/channels/%2", &[], "", true),
    ("POST /v1/channels/a", &["Content-Encoding: gzip"], "1", true),
    ("POST /v1/channels/small:1", &[], "0123456789", true),
    ("GET /test/echo", &[SOCKET], "", true),
    ("GET /test/echo", &[SOCKET, STRANGE], "", true),
    // What the router answers: other paths, other methods, and what is not plain.
    ("GET /test/echo", &[], "", false),
    ("GET /test/echo?x=1", &[SOCKET], "", false),
    ("POST /v1/events", &["Content-Type: application/json"], "[]", false),
    ("GET /v1/channels", &[], "", false),
    ("GET /v1/channels/", &[], "", false),
    ("GET /v1/channels/a/", &[], "", false),
    ("GET /v1/channels/a/info", &[PAGE], "", false),
    ("GET /v1/channels/a/b", &[], "", false),
    ("GET //v1/channels/a", &[], "", false),
    ("GET /V1/channels/a", &[], "", false),
    ("GET /v1/channelsa", &[], "", false),
    ("GET /v1/events/", &[], "", false),
    ("POST /v1/channels/a/info", &[], "1", false),
    ("GET /", &[], "", false),
    ("GET /healthz", &[SOCKET, STRANGE], "", false),
    ("POST /healthz", &[], "", false),
    ("GET /nowhere", &[], "", false),
    ("DELETE /v1/channels/gone", &[], "", false),
    ("PUT /v1/channels/a", &[], "1", false),
    ("OPTIONS /v1/channels/a", &[PAGE, "Access-Control-Request-Method: POST"], "", false),
    ("GET /v1/channels/a", &["Upgrade: websocket"], "", false),
    ("GET /v1/channels/a", &["Host: own.example"], "", false),
    ("POST /v1/channels/a", &["Expect: 100-continue"], "1", false),
];

#[tokio::test]
async fn shards_are_told_what_the_router_answers() {
    let only = Cors::Only(vec!["https://page.example".into(), "https://other.example".into()]);
    for cors in [Cors::Any, Cors::None, only] {
        let setup = Setup { cors: cors.clone(), test_endpoints: true, ..Setup::default() };
        let server = Server::start_with(setup).await;
        let front = server.app.front();
        for (line, headers, body, expected) in CASES {
            let context = format!("{line} {headers:?} {cors:?}");
            let request = request(line, headers, body);
            let before = counts(&server).await;
            let answer = Heads::of(&server, &request).await;
            let label = risen(&before, &counts(&server).await);
            let mut storage = storage();
            let Parsed::Plain(head) = parse(request.as_bytes(), &mut storage, HEAD_BYTES_MAX) else {
                assert!(!expected, "not plain: {context}");
                continue;
            };
            let route = front.route(&head);
            assert_eq!(route != Route::Other, *expected, "{context}");
            if route == Route::Other {
                continue;
            }
            let status = status(&*front, &head, route, body).unwrap_or(answer.status);
            assert_eq!(status, answer.status, "{context}");
            agree(&marks(&*front, &head, route), &answer, route, &context);
            let before = counts(&server).await;
            front.answered(route, head.method, status);
            assert_eq!(risen(&before, &counts(&server).await), label, "{context}");
        }
    }
}

#[tokio::test]
async fn the_echo_is_for_tests_only() {
    let server = Server::start().await;
    let request = request("GET /test/echo", &[SOCKET], "");
    let mut storage = storage();
    let Parsed::Plain(head) = parse(request.as_bytes(), &mut storage, HEAD_BYTES_MAX) else { panic!() };
    assert_eq!(server.app.front().route(&head), Route::Other);
}

#[tokio::test]
async fn bodies_are_bounded_as_the_router_bounds_them() {
    let setup = Setup::default();
    let payload_bytes_max = setup.limits.payload_bytes_max;
    let server = Server::start_with(setup).await;
    let front = server.app.front();
    let cases = [("a", payload_bytes_max), ("small:1", 10), ("small%3A1", 10), ("%ff", 0), ("$x", 0)];
    for (channel, expected) in cases {
        assert_eq!(front.body_bytes_max(channel), expected, "{channel}");
    }
    for (bytes, status) in [(10, 200), (11, 413)] {
        let answer = server.post("/v1/channels/small:1", "text/plain", &"x".repeat(bytes)).await;
        assert_eq!(answer.status, status);
    }
}

#[tokio::test]
async fn the_time_of_a_publish_is_counted_with_the_others() {
    let server = Server::start().await;
    server.publish("a", "1").await;
    server.app.front().published(std::time::Duration::from_micros(300));
    let page = server.get("/metrics").await;
    let page = std::str::from_utf8(&page.body).unwrap();
    assert!(page.contains("\nbongsu_publish_duration_seconds_count 2\n"), "{page}");
}

fn request(line: &str, headers: &[&str], body: &str) -> String {
    let mut request = format!("{line} HTTP/1.1\r\nHost: own.example\r\n");
    for header in headers {
        request += &format!("{header}\r\n");
    }
    if !matches!(line.split_once(' '), Some(("GET" | "HEAD", _))) {
        request += &format!("Content-Length: {}\r\n", body.len());
    }
    request + "\r\n" + body
}

/// What a shard would answer before it asks the hub; `None`: what the hub says.
fn status(front: &dyn Front, head: &Head<'_>, route: Route<'_>, body: &str) -> Option<u16> {
    let refused = |problem: Problem| problem.code.status();
    if let Err(problem) = front.check(head) {
        return Some(refused(problem));
    }
    match route {
        Route::Read(channel) => {
            let read = read_request(head.method.as_str(), channel, head.query, head, 100);
            Some(read.map_or_else(refused, |_| if head.upgrade { 101 } else { 200 }))
        }
        Route::Publish(channel) => {
            let draft = front.draft(head, channel, Bytes::from(body.to_owned()));
            Some(draft.map_or_else(refused, |_| 200))
        }
        Route::Echo => Some(101),
        Route::Other => None,
    }
}

fn marks(front: &dyn Front, head: &Head<'_>, route: Route<'_>) -> BTreeMap<String, Vec<String>> {
    let lines = front.marks(head, route);
    let lines = std::str::from_utf8(&lines).unwrap();
    assert!(lines.is_empty() || lines.ends_with("\r\n"), "{lines:?}");
    fields(lines)
}

/// Whether the marks are in the answer, and all of it that is not of its own kind is in the marks.
fn agree(marks: &BTreeMap<String, Vec<String>>, answer: &Heads, route: Route<'_>, context: &str) {
    for (name, values) in marks {
        assert_eq!(answer.fields.get(name), Some(values), "{name}: {context}");
    }
    let around = |name: &str| match route {
        Route::Publish(_) => ["access-control-", "cache-control", "vary"].iter().any(|mark| name.starts_with(mark)),
        _ => name.starts_with("access-control-"),
    };
    for name in answer.fields.keys().filter(|name| around(name)) {
        assert!(marks.contains_key(name), "{name}: {context}");
    }
}

/// The head of an answer.
struct Heads {
    status: u16,
    fields: BTreeMap<String, Vec<String>>,
}

impl Heads {
    async fn of(server: &Server, request: &str) -> Self {
        let text = server.raw(request.as_bytes()).await.read_until("\r\n\r\n").await;
        let (line, rest) = text.split_once("\r\n").unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, fields: fields(rest) }
    }
}

fn fields(lines: &str) -> BTreeMap<String, Vec<String>> {
    let mut fields = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in lines.split("\r\n").filter(|line| !line.is_empty()).map(|line| line.split_once(": ").unwrap())
    {
        fields.entry(name.to_owned()).or_default().push(value.to_owned());
    }
    fields
}

/// How many requests were answered, by label; asking for it is not counted among them.
async fn counts(server: &Server) -> BTreeMap<String, u64> {
    let page = server.get("/metrics").await;
    let lines = std::str::from_utf8(&page.body).unwrap().lines();
    let lines = lines.filter(|line| line.starts_with("bongsu_http_requests_total{") && !line.contains("\"/metrics\""));
    let pairs = lines.map(|line| line.rsplit_once(' ').unwrap());
    pairs.map(|(label, count)| (label.to_owned(), count.parse().unwrap())).collect()
}

/// The one label whose count has risen, by one.
fn risen(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> String {
    let by = |label: &String| after[label] - before.get(label).copied().unwrap_or_default();
    let risen: Vec<_> = after.keys().filter(|label| by(label) > 0).collect();
    assert!(risen.len() == 1 && by(risen[0]) == 1, "{risen:?}");
    risen[0].clone()
}
