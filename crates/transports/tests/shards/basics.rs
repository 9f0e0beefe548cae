//! What shards answer, what they hand over, and that nobody loses or repeats an event.

use std::io::Read as _;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use bongsu_core::limits::Limits;
use bongsu_transports::{Held, Memory};

use crate::house::{Client, House, Setup, UPGRADE};

/// Bodies that come in chunks, without their frames.
fn unchunked(mut bytes: &str) -> String {
    let mut out = String::new();
    while let Some((length, rest)) = bytes.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        out.push_str(&rest[..length]);
        bytes = &rest[length + 2..];
    }
    out
}

#[test]
fn an_event_arrives_by_every_way() {
    for count in [1, 2] {
        let house = House::new(Limits::default(), count);
        let mut sse = house.get("/v1/channels/x", "Accept: text/event-stream\r\n");
        let mut stream = house.get("/v1/channels/x", "Accept: application/x-ndjson\r\n");
        let mut waiting = house.get("/v1/channels/x?wait=20", "");
        let mut socket = house.get("/v1/channels/x", UPGRADE);
        for client in [&mut sse, &mut stream, &mut socket] {
            client.until("$live");
        }
        while house.hub.channel(&"x".parse().unwrap()).1.total() < 4 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut publisher = house.connect();
        publisher.post("/v1/channels/x", "{\"n\":1}");
        let (head, receipt) = publisher.answer();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("x-mark: here\r\n"), "{head}");
        assert!(receipt.contains("\"offset\":1") && receipt.contains("\"subscribers\":4"), "{receipt}");
        for client in [&mut sse, &mut stream, &mut socket] {
            client.until("\"data\":{\"n\":1}}");
        }
        let (head, answer) = waiting.answer();
        assert!(head.contains("etag: \""), "{head}");
        assert!(answer.contains("\"data\":{\"n\":1}"), "{answer}");
        // The connection of a poll takes the next one.
        waiting.get("/v1/channels/x?since=start", "");
        assert!(waiting.answer().1.contains("\"data\":{\"n\":1}"));
    }
}

#[test]
fn requests_may_come_in_any_pieces() {
    let house = House::new(Limits::default(), 1);
    let mut all = String::new();
    for n in 1..=3 {
        all += &format!("POST /v1/channels/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n{n}");
        all += "GET /v1/channels/x?last=1 HTTP/1.1\r\nHost: h\r\n\r\n";
    }
    for size in [1, 2, 7, 64, all.len()] {
        let mut client = house.connect();
        for piece in all.as_bytes().chunks(size) {
            client.write(piece);
        }
        for n in 1..=3 {
            assert!(client.answer().1.contains("\"offset\""), "pieces of {size}");
            let (_, answer) = client.answer();
            assert!(answer.contains(&format!("\"data\":{n}")), "pieces of {size}: {answer}");
        }
    }
}

#[test]
fn what_is_not_plain_goes_over_with_every_byte() {
    let (sender, handed_over) = channel();
    let hand_over = Arc::new(move |handed| sender.send(handed).unwrap());
    let house = House::with(Setup { hand_over, ..Setup::default() });
    let foreign = [
        "DELETE /v1/channels/x HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /v1/channels/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /v1/channels/x HTTP/1.1\r\n\r\n",
        "no http at all",
    ];
    for foreign in foreign {
        for before in ["", "GET /v1/channels/x HTTP/1.1\r\nHost: h\r\n\r\n"] {
            let mut client = house.connect();
            client.write([before, foreign].concat());
            let handed = handed_over.recv_timeout(Duration::from_secs(20)).expect(foreign);
            let mut bytes = handed.bytes;
            // What comes later is still in the socket.
            handed.stream.set_nonblocking(false).unwrap();
            let mut rest = vec![0; foreign.len() - bytes.len()];
            (&handed.stream).read_exact(&mut rest).unwrap();
            bytes.extend_from_slice(&rest);
            assert_eq!(String::from_utf8(bytes).unwrap(), foreign);
            if !before.is_empty() {
                assert!(client.answer().1.contains("\"events\""), "the first is answered");
            }
        }
    }
}

#[test]
fn a_reader_that_stops_reading_misses_nothing() {
    // A ring that holds little, so that a part of it comes from the log.
    let limits = Limits { ring_bytes_max: 4 << 20, ..Limits::default() };
    let house = House::new(limits, 1);
    for accept in ["text/event-stream", "application/x-ndjson"] {
        let mut slow = house.get("/v1/channels/x", &format!("Accept: {accept}\r\n"));
        slow.until("$live");
        let filler = "x".repeat(2_000);
        const EVENTS: usize = 10_000;
        for n in 0..EVENTS {
            house.publish("x", format!("{{\"n\":{n},\"filler\":\"{filler}\"}}"));
        }
        let all = slow.until(&format!("{{\"n\":{},", EVENTS - 1));
        let numbers: Vec<usize> = all
            .split("\"data\":{\"n\":")
            .skip(1)
            .map(|rest| rest.split(',').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(numbers, (0..EVENTS).collect::<Vec<_>>(), "{accept}");
    }
}

#[test]
fn a_replay_comes_out_of_the_log() {
    let house = House::new(Limits { ring_bytes_max: 1, ..Limits::default() }, 1);
    for n in 0..1_000 {
        house.publish("x", n.to_string());
        house.publish("y", n.to_string());
    }
    let mut stream = house.get("/v1/events?channel=x&channel=y&since=start", "Accept: application/x-ndjson\r\n");
    stream.until("\r\n\r\n");
    let body = stream.until("$live");
    let open = body.split("\"replay\":").nth(1).unwrap().split('}').next().unwrap();
    assert_eq!((open, body.matches("\"data\":").count()), ("2000", 2_000), "{body}");
    let mut poll = house.get("/v1/channels/x?since=start&limit=1000", "");
    assert_eq!(poll.answer().1.matches("\"data\":").count(), 1_000);
    let mut newest = house.get("/v1/events?channel=x&channel=y&limit=10", "");
    let (_, newest) = newest.answer();
    assert_eq!((newest.matches("\"data\":").count(), newest.matches("\"data\":999").count()), (10, 2), "{newest}");
}

#[test]
fn a_publish_of_a_client_that_leaves_is_taken() {
    let house = House::new(Limits::default(), 1);
    for n in 1..=20 {
        let mut client = house.connect();
        client.post("/v1/channels/x", "1");
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert!(client.answer().1.contains(&format!("\"offset\":{n}")));
        assert_eq!(client.read_to_end(), "");
    }
}

/// Connections that were opened for a count, with the name under which they are counted.
type Opened = (&'static str, Vec<Client>);

/// As many connections as `count` of every kind that can be kept open.
fn of_every_kind(house: &House, count: usize) -> Vec<Opened> {
    let many = |open: &dyn Fn() -> Client| -> Vec<Client> { (0..count).map(|_| open()).collect() };
    let streams = |accept: &'static str| {
        move || {
            let mut client = house.get("/v1/channels/some:channel", &format!("Accept: {accept}\r\n"));
            client.until("$live");
            client
        }
    };
    let kept = || {
        let mut client = house.get("/v1/channels/some:channel", "");
        client.answer();
        client
    };
    let socket = || {
        let mut client = house.get("/v1/channels/some:channel", UPGRADE);
        client.until("$live");
        client
    };
    vec![
        ("longpoll", many(&|| house.get("/v1/channels/some:channel?wait=60", ""))),
        ("stream", many(&streams("application/x-ndjson"))),
        ("sse", many(&streams("text/event-stream"))),
        ("websocket", many(&socket)),
        ("none", many(&kept)),
    ]
}

impl House {
    fn held(&self, kind: &str) -> Held {
        let mut found = Held::default();
        self.runtime.block_on(self.transports.memory()).each(|name, held| {
            if name == kind {
                found = held;
            }
        });
        found
    }

    /// What is held by connections of a kind once it is as it should be.
    fn held_when(&self, kind: &str, right: impl Fn(Held) -> bool) -> usize {
        for _ in 0..4_000 {
            let held = self.held(kind);
            if right(held) {
                return held.bytes;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("{kind}: {:?}", self.held(kind));
    }
}

#[test]
fn what_connections_hold_is_told_and_given_back() {
    const COUNT: usize = 40;
    let house = House::new(Limits::default(), 2);
    assert_eq!(house.held_when("none", |held| held.connections == 0), 0);
    let opened = of_every_kind(&house, COUNT);
    for (kind, clients) in opened {
        // In a debug build the sockets of mio are larger.
        let (least, most) = match kind {
            "none" => (56, 100),
            "longpoll" => (350, 480),
            "websocket" => (440, 560),
            _ => (340, 460),
        };
        let each = house.held_when(kind, |held| held.connections == COUNT) / COUNT;
        assert!((least..=most).contains(&each), "{kind}: {each} bytes each");
        drop(clients);
        assert_eq!(house.held_when(kind, |held| held.connections == 0), 0, "{kind}");
    }
    assert_eq!(house.runtime.block_on(house.transports.memory()), Memory::default());
}

#[test]
fn what_is_unread_and_unsent_counts() {
    const EVENT_BYTES: usize = 64 << 10;
    let house = House::new(Limits::default(), 1);
    for _ in 0..120 {
        house.publish("a", format!("\"{}\"", "x".repeat(EVENT_BYTES)));
    }
    let mut halves = house.connect();
    halves.write(format!("GET /v1/channels/a HTTP/1.1\r\nHost: h\r\nX: {}", "x".repeat(5_000)));
    house.held_when("none", |held| held.bytes > 5_000);
    drop(halves);
    assert_eq!(house.held_when("none", |held| held.connections == 0), 0);
    // An answer of several MiB, of which the kernel takes a part.
    let mut slow = house.get("/v1/channels/a?since=start", "");
    slow.until("\r\n\r\n");
    house.held_when("none", |held| held.bytes > 1 << 20);
    slow.until("\"retry_ms\"");
    house.held_when("none", |held| held.bytes < 200);
}

#[test]
fn a_drain_tells_everybody() {
    let mut house = House::new(Limits::default(), 2);
    let mut idle = house.connect();
    let mut sse = house.get("/v1/channels/x", "Accept: text/event-stream\r\n");
    let mut stream = house.get("/v1/channels/x", "Accept: application/x-ndjson\r\n");
    let mut waiting = house.get("/v1/channels/x?wait=20", "");
    sse.until("$live");
    stream.until("$live");
    while house.transports.connections().len() < 3 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let shards = house.shards.take().unwrap();
    house.transports.drain();
    shards.drain();
    assert_eq!(idle.read_to_end(), "");
    assert!(sse.read_to_end().contains("\"code\":1001"));
    let end = stream.read_to_end();
    assert!(end.contains("\"code\":1001") && end.ends_with("0\r\n\r\n"), "{end}");
    assert!(waiting.answer().1.contains("\"events\":[]"));
    house.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), shards.idle()).await.unwrap() });
    // Who comes now is told when to come back.
    let (head, _) = house.get("/v1/channels/x?wait=20", "").answer();
    assert!(head.starts_with("HTTP/1.1 503") && head.contains("retry-after: "), "{head}");
    let late = house.get("/v1/channels/x", "Accept: text/event-stream\r\n").read_to_end();
    assert!(late.starts_with("HTTP/1.1 200") && late.contains("retry: ") && late.contains("$close"), "{late}");
    shards.stop();
    assert_eq!(house.transports.connections().len(), 0);
}

#[test]
fn chunks_are_what_they_say() {
    let house = House::new(Limits::default(), 1);
    let mut sse = house.get("/v1/channels/x?heartbeat=5", "Accept: text/event-stream\r\n");
    let head = sse.until("\r\n\r\n");
    assert!(
        head.contains("transfer-encoding: chunked\r\n") && head.contains("content-type: text/event-stream\r\n"),
        "{head}"
    );
    for n in 0..100 {
        house.publish("x", n.to_string());
    }
    let body = sse.until("\"data\":99}\n\n\r\n");
    assert_eq!(unchunked(&body).matches("\ndata: {").count(), 102, "{body}");
    // Nothing comes: a beat does.
    assert!(sse.until("\n\n\r\n").contains("$beat"));
}
