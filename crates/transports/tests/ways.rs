//! The ways without sockets: requests in, responses and their bodies out, over a hub with the memory log.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bongsu_core::control::Close;
use bongsu_core::limits::Limits;
use bongsu_core::log::Draft;
use bongsu_core::policy::{Policy, Rules};
use bongsu_core::read::Way;
use bongsu_core::{Chance, Clock, Millis, Payload, PayloadKind};
use bongsu_hub::{Hub, Running};
use bongsu_log::{LogConfig, MemoryLog};
use bongsu_transports::{Body, Transports};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Millis {
        Millis(1_000)
    }
}

/// Counts up, so that ids differ and delays are known.
#[derive(Default)]
struct Counting(AtomicU64);

impl Chance for Counting {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

struct House {
    hub: Hub,
    transports: Transports,
    _running: Running,
}

impl House {
    fn new(limits: Limits) -> Self {
        let rules = Arc::new(Rules::new(Vec::new(), Policy::default()));
        let log = Arc::new(MemoryLog::new(rules.clone(), LogConfig::default()));
        let (hub, running) = Hub::start(log, rules, &limits, Arc::new(Fixed)).unwrap();
        let transports = Transports::new(hub.clone(), limits, Arc::new(Counting::default()));
        Self { hub, transports, _running: running }
    }

    async fn publish(&self, data: &'static str) {
        let bytes = Bytes::from_static(data.as_bytes());
        let draft = Draft {
            channel: "x".parse().unwrap(),
            kind: None,
            key: None,
            user: None,
            ttl: None,
            store: true,
            payload: Payload { kind: PayloadKind::Json, content_type: None, bytes },
            idempotency: None,
            subscribers: 0,
        };
        let (done, answer) = tokio::sync::oneshot::channel();
        self.hub.publish(vec![draft], move |result| done.send(result).unwrap()).unwrap();
        answer.await.unwrap().unwrap();
    }

    async fn read(&self, method: Method, query: &str, headers: &[(&str, &str)]) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(format!("/v1/channels/x?{query}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.transports.read(Some("x"), request.body(()).unwrap()).await
    }

    async fn get(&self, query: &str) -> Response<Body> {
        self.read(Method::GET, query, &[]).await
    }
}

async fn json(response: Response<Body>) -> Value {
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

/// What the body gives next, as text; `None` at its end.
async fn piece(body: &mut Body) -> Option<String> {
    let frame = tokio::time::timeout(Duration::from_secs(60), body.frame()).await.expect("nothing came")?;
    Some(String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap())
}

/// The `data` of the events of an answer.
fn data(answer: &Value) -> Vec<u64> {
    answer["events"].as_array().unwrap().iter().map(|event| event["data"].as_u64().unwrap()).collect()
}

const STREAMS: [&str; 2] = ["stream", "sse"];

#[tokio::test]
async fn a_poll_answers_what_lies_after_its_position() {
    let house = House::new(Limits::default());
    for event in ["1", "2", "3"] {
        house.publish(event).await;
    }
    let cases: &[(&str, &[u64], bool)] = &[
        ("", &[1, 2, 3], false),
        ("limit=2", &[2, 3], false),
        ("since=start&limit=2", &[1, 2], true),
        ("since=start", &[1, 2, 3], false),
        ("since=now", &[], false),
        ("last=1", &[3], false),
    ];
    for (query, expected, more) in cases {
        let answer = json(house.get(query).await).await;
        assert_eq!(data(&answer), *expected, "{query}");
        assert_eq!(answer["more"], *more, "{query}");
        let hint = answer["retry_ms"].as_u64().unwrap();
        assert_eq!(*more, hint == 0, "{query}: come back at once if there is more, else in about a second: {hint}");
    }
}

#[tokio::test]
async fn nothing_new_is_304_with_the_clients_own_tag() {
    let house = House::new(Limits::default());
    house.publish("1").await;
    let tag = house.get("").await.headers()["etag"].to_str().unwrap().to_owned();
    for way in ["poll", "longpoll&wait=1"] {
        let same = house.read(Method::GET, &format!("transport={way}"), &[("if-none-match", &tag)]).await;
        assert_eq!(
            (same.status(), same.headers()["etag"].to_str().unwrap()),
            (StatusCode::NOT_MODIFIED, &*tag),
            "{way}"
        );
    }
    house.publish("2").await;
    let new = house.read(Method::GET, "", &[("if-none-match", &tag)]).await;
    assert_eq!(data(&json(new).await), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_waits_as_long_as_it_was_asked_to() {
    let house = House::new(Limits::default());
    let before = tokio::time::Instant::now();
    let empty = json(house.get("since=now&wait=30").await).await;
    assert_eq!((data(&empty).len(), before.elapsed().as_secs()), (0, 30));
}

#[tokio::test]
async fn a_long_poll_is_answered_by_the_first_event() {
    let house = House::new(Limits::default());
    let waiting = house.get("since=now&wait=30");
    let (answer, ()) = tokio::join!(waiting, async {
        while house.transports.connections().by_way()[Way::LongPoll as usize] == 0 {
            tokio::task::yield_now().await;
        }
        house.publish("1").await;
    });
    assert_eq!(data(&json(answer).await), [1]);
    assert!(house.transports.connections().is_empty(), "the place was not given up");
}

#[tokio::test]
async fn a_stream_opens_replays_goes_live_and_follows() {
    for way in STREAMS {
        let house = House::new(Limits::default());
        house.publish("1").await;
        let mut body = house.get(&format!("transport={way}&since=start")).await.into_body();
        let first = piece(&mut body).await.unwrap();
        let at = |text: &str| first.find(text).unwrap_or_else(|| panic!("{way}: no {text} in {first}"));
        assert!(at("\"type\":\"$open\"") < at("\"offset\":1"), "{way}");
        assert!(at("\"offset\":1") < at("\"type\":\"$live\""), "{way}");
        assert!(first.contains("\"replay\":1"), "{way}: {first}");
        assert_eq!(way == "sse", first.starts_with("retry: "), "{way}: {first}");
        house.publish("2").await;
        assert!(piece(&mut body).await.unwrap().contains("\"data\":2"), "{way}");
        assert_eq!(house.transports.connections().len(), 1);
        drop(body);
        assert!(house.transports.connections().is_empty(), "{way}: the place was not given up");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_beats() {
    let house = House::new(Limits::default());
    for way in STREAMS {
        let mut body = house.get(&format!("transport={way}&heartbeat=5")).await.into_body();
        piece(&mut body).await.unwrap();
        let before = tokio::time::Instant::now();
        assert!(piece(&mut body).await.unwrap().contains("\"type\":\"$beat\",\"time\":1000"), "{way}");
        assert_eq!(before.elapsed().as_secs(), 5, "{way}");
    }
}

#[tokio::test]
async fn a_connection_can_be_ended_and_is_told_so() {
    let house = House::new(Limits::default());
    for way in STREAMS {
        let mut body = house.get(&format!("transport={way}")).await.into_body();
        piece(&mut body).await.unwrap();
        let id = house.transports.connections().list(None, 10).remove(0).id;
        house.publish("7").await;
        let close = Close { code: 4003, reason: "enough".into(), reconnect: false, retry: Duration::ZERO };
        assert!(house.transports.connections().close(&id, close.clone()));
        assert!(!house.transports.connections().close(&id, close), "{way}: it is ending already");
        let last = piece(&mut body).await.unwrap();
        let (event, end) = (last.find("\"data\":7"), last.find("\"type\":\"$close\",\"code\":4003"));
        assert!(event.is_some() && event < end, "{way}: what is at hand goes first: {last}");
        assert_eq!(piece(&mut body).await, None, "{way}");
    }
}

#[tokio::test]
async fn a_drain_ends_the_streams_and_tells_newcomers_when_to_come_back() {
    let house = House::new(Limits::default());
    let mut open = house.get("transport=sse").await.into_body();
    piece(&mut open).await.unwrap();
    house.transports.drain();
    assert!(piece(&mut open).await.unwrap().contains("\"code\":1001"));
    assert_eq!(piece(&mut open).await, None);

    let mut sse = house.get("transport=sse").await;
    assert_eq!(sse.status(), StatusCode::OK, "an error status would make EventSource give up for good");
    let goodbye = piece(sse.body_mut()).await.unwrap();
    assert!(goodbye.contains("retry: ") && goodbye.contains("\"type\":\"$close\""), "{goodbye}");
    assert_eq!(piece(sse.body_mut()).await, None);
    for way in ["stream", "longpoll"] {
        let refused = house.get(&format!("transport={way}")).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE, "{way}");
        assert!(refused.headers().contains_key("retry-after"), "{way}");
        assert_eq!(json(refused).await["code"], "draining", "{way}");
    }
}

#[tokio::test]
async fn a_full_house_names_its_limit() {
    let house = House::new(Limits { connections_max: 1, ..Limits::default() });
    let first = house.get("transport=stream").await;
    let refused = house.get("transport=stream").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let problem = json(refused).await;
    assert_eq!(problem["code"], "overloaded");
    assert!(problem["detail"].as_str().unwrap().contains("connections_max"), "{problem}");
    assert_eq!(house.get("").await.status(), StatusCode::OK, "polls hold no place");
    drop(first);
    assert_eq!(house.get("transport=stream").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn answers_that_nobody_reads_are_bounded() {
    let house = House::new(Limits::default());
    let large: &'static str = String::leak(format!("\"{}\"", "x".repeat(1 << 20)));
    for _ in 0..9 {
        house.publish(large).await;
    }
    let mut unread = Vec::new();
    let refused = loop {
        let answer = house.get("since=start").await;
        if answer.status() != StatusCode::OK {
            break json(answer).await;
        }
        unread.push(answer);
        assert!(unread.len() < 100, "{} answers of 8 MiB each wait unread", unread.len());
    };
    assert!(refused["detail"].as_str().unwrap().contains("answer_bytes_in_flight_max"), "{refused}");
    unread.pop();
    assert_eq!(house.get("since=start").await.status(), StatusCode::OK, "room was given back");
}

#[tokio::test]
async fn head_is_the_head_of_get_and_holds_nothing() {
    let house = House::new(Limits::default());
    house.publish("1").await;
    for way in ["poll", "longpoll&wait=30", "stream", "sse"] {
        let head = house.read(Method::HEAD, &format!("transport={way}"), &[]).await;
        let get = house.get(&format!("transport={way}&since=start")).await;
        assert_eq!(head.status(), get.status(), "{way}");
        for name in ["content-type", "cache-control", "vary", "x-accel-buffering"] {
            assert_eq!(head.headers().get(name), get.headers().get(name), "{way}: {name}");
        }
        let body = head.into_body().collect().await.unwrap().to_bytes();
        assert!(body.is_empty(), "{way}: {body:?}");
    }
}
