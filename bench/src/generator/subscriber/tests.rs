//! What subscribers make of what arrives, cut anywhere.

use super::*;
use crate::ledger::Tally;
use crate::payload::Stamp;

const LIVE: &str = r#"{"type":"$live","cursor":"e.0"}"#;

fn event(offset: u32) -> String {
    let mut data = Vec::new();
    payload::write(&mut data, Stamp { id: offset + 10, sent_ns: 1 });
    let data = String::from_utf8(data).expect("ASCII");
    format!(r#"{{"id":"e.{offset}","channel":"bench:0","offset":{offset},"time":1,"data":{data}}}"#)
}

fn chunked(parts: &[String]) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    let text = parts.iter().fold(head, |text, part| text + &format!("{:x}\r\n{part}\r\n", part.len()));
    text.into_bytes()
}

fn frame(text: &str) -> Vec<u8> {
    let length = match u8::try_from(text.len()).expect("short") {
        short @ ..126 => vec![short],
        long => vec![126, 0, long],
    };
    [&[0x81], length.as_slice(), text.as_bytes()].concat()
}

fn whole(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// What two events look like by each way, and what a subscriber does at the end.
fn transcripts() -> Vec<(Way, Vec<u8>, Then)> {
    let sse = |object: &str| format!("id: x\ndata: {object}\n\n");
    let line = |object: &str| format!("{object}\n");
    let (one, two) = (event(1), event(2));
    let answer = whole(&format!(r#"{{"events":[{one},{two}],"cursor":"e.2","more":false,"retry_ms":9}}"#));
    let upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n".to_vec();
    let ended = [chunked(&[line(LIVE), line(&one), line(&two)]), b"0\r\n\r\n".to_vec()].concat();
    vec![
        (Way::Sse, chunked(&[sse(LIVE), sse(&one) + &sse(&two)]), Then::Read),
        (Way::Sse, chunked(&[sse(LIVE) + &sse(&one), ": beat\n\n".to_owned(), sse(&two)]), Then::Read),
        (Way::Stream, chunked(&[line(LIVE), line(&one) + &line(&two)]), Then::Read),
        (Way::WebSocket, [upgrade, frame(LIVE), frame(&one), frame(&two)].concat(), Then::Read),
        (Way::LongPoll, answer.clone(), Then::Ask),
        (Way::Poll, answer, Then::AskLater),
        (Way::Stream, ended, Then::Ended),
    ]
}

/// A subscriber with all that it works with.
struct Fresh {
    subscriber: Subscriber,
    dialect: Dialect,
    way: Way,
    desk: Desk,
    out: Vec<u8>,
}

impl Fresh {
    fn new(way: Way, stage: Stage) -> Self {
        let mut subscriber = Subscriber::new(0);
        subscriber.stage = stage;
        Self { subscriber, dialect: Dialect::Bongsu, way, desk: Desk::new(1, true), out: Vec::new() }
    }

    fn take(&mut self, bytes: &[u8]) -> Fallible<Then> {
        let mut context = Context {
            dialect: self.dialect,
            way: self.way,
            keeps_cursor: true,
            desk: &mut self.desk,
            content: &mut Vec::new(),
            out: &mut self.out,
        };
        self.subscriber.take(0, bytes, &mut context)
    }
}

#[test]
fn every_way_at_every_cut() {
    for (way, bytes, expected) in transcripts() {
        for cut in 1..bytes.len() {
            let mut fresh = Fresh::new(way, Stage::Head);
            fresh.take(&bytes[..cut]).expect("well-formed");
            assert_eq!(fresh.take(&bytes[cut..]).expect("well-formed"), expected, "{way:?} cut at {cut}");
            assert_eq!(fresh.desk.ledger.tally(), Tally { delivered: 2, ..Tally::default() }, "{way:?} cut at {cut}");
            let Subscriber { next_offset, ready, cursor, .. } = fresh.subscriber;
            assert_eq!((next_offset, ready, cursor.as_slice()), (3, true, &b"e.2"[..]), "{way:?} cut at {cut}");
        }
    }
}

fn payload(id: u32) -> String {
    let mut data = Vec::new();
    payload::write(&mut data, Stamp { id, sent_ns: 1 });
    String::from_utf8(data).expect("ASCII")
}

/// What two events of Nchan look like by each way, and the cursor after them.
fn transcripts_of_nchan() -> Vec<(Way, Vec<u8>, &'static str)> {
    let (one, two) = (payload(0), payload(1));
    let sse = |id, data: &str| format!("id: 17:{id}\ndata: {data}\n\n");
    let meta = |id, data: &str| frame(&format!("id: 17:{id}\ncontent-type: a/b\n\n{data}"));
    let upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n".to_vec();
    let raw = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{one}\n{two}\n");
    vec![
        (Way::Sse, chunked(&[": hi\n\n".to_owned(), sse(0, &one) + &sse(1, &two)]), "17:1"),
        (Way::WebSocket, [upgrade.clone(), meta(0, &one), meta(1, &two)].concat(), "17:1"),
        (Way::WebSocket, [upgrade, frame(&one), frame(&two)].concat(), ""),
        (Way::Stream, raw.into_bytes(), ""),
    ]
}

impl Fresh {
    /// One that reads from Nchan, where two events were published.
    fn of_nchan(way: Way) -> Self {
        let mut fresh = Self::new(way, Stage::Head);
        fresh.dialect = Dialect::Nchan;
        fresh.desk = Desk::new(1, false);
        fresh.desk.publishers(1);
        fresh.desk.leaves(0, 0, 1);
        fresh.desk.leaves(0, 0, 1);
        fresh
    }
}

#[test]
fn every_way_of_nchan_at_every_cut() {
    for (way, bytes, cursor) in transcripts_of_nchan() {
        for cut in 1..bytes.len() {
            let mut fresh = Fresh::of_nchan(way);
            fresh.take(&bytes[..cut]).expect("well-formed");
            assert_eq!(fresh.take(&bytes[cut..]).expect("well-formed"), Then::Read, "{way:?} cut at {cut}");
            let expected = Tally { delivered: 2, ..Tally::default() };
            assert_eq!(fresh.desk.ledger.tally(), expected, "{way:?} cut at {cut}");
            let seen = (fresh.subscriber.ready, fresh.subscriber.cursor.as_slice());
            assert_eq!(seen, (true, cursor.as_bytes()), "{way:?} cut at {cut}");
        }
    }
}

#[test]
fn long_polls_of_nchan_carry_their_cursor_in_fields() {
    let mut fresh = Fresh::of_nchan(Way::LongPoll);
    for id in 0..2 {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 100\r\nLast-Modified: now\r\nEtag: {id}\r\n\r\n");
        assert_eq!(fresh.take((head + &payload(id)).as_bytes()).expect("well-formed"), Then::Ask);
        let mut out = Vec::new();
        fresh.subscriber.ask(Dialect::Nchan, Way::LongPoll, true, &mut out);
        let expected = format!("If-Modified-Since: now\r\nIf-None-Match: {id}\r\n");
        assert!(String::from_utf8_lossy(&out).contains(&expected));
    }
    assert_eq!(fresh.desk.ledger.tally(), Tally { delivered: 2, ..Tally::default() });
}

#[test]
fn who_is_told_to_come_back_knows_when() {
    let busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 2\r\nContent-Length: 4\r\n\r\nbusy";
    for way in [Way::Sse, Way::Stream, Way::WebSocket, Way::LongPoll, Way::Poll] {
        let then = Fresh::new(way, Stage::Head).take(busy).expect("a refusal");
        assert_eq!(then, Then::ComeBack(Duration::from_secs(2)));
    }
    let close = r#"{"type":"$close","code":4013,"reason":"overloaded","reconnect":true,"retry_ms":250}"#;
    let refusal = chunked(&[format!("retry: 250\n\ndata: {close}\n\n")]);
    let then = Fresh::new(Way::Sse, Stage::Head).take(&refusal).expect("a refusal");
    assert_eq!(then, Then::ComeBack(Duration::from_millis(250)));
}

#[test]
fn nothing_new_keeps_the_cursor() {
    let first = whole(r#"{"events":[],"cursor":"e.7","more":false}"#);
    for nothing in [&b"HTTP/1.1 304 Not Modified\r\netag: \"e.7\"\r\n\r\n"[..], &first] {
        let mut fresh = Fresh::new(Way::LongPoll, Stage::Head);
        fresh.take(&first).expect("well-formed");
        fresh.subscriber.ask(Dialect::Bongsu, Way::LongPoll, true, &mut Vec::new());
        assert_eq!(fresh.take(nothing).expect("well-formed"), Then::Ask);
        assert_eq!((fresh.subscriber.cursor.as_slice(), fresh.desk.answers), (&b"e.7"[..], (2, 2)));
    }
}

#[test]
fn an_answer_that_was_cut_is_gone_on_with_at_once() {
    let mut fresh = Fresh::new(Way::Poll, Stage::Head);
    let answer = whole(r#"{"events":[],"cursor":"e.7","more":true}"#);
    assert_eq!(fresh.take(&answer).expect("well-formed"), Then::Ask);
}

#[test]
fn refusals_are_told_with_the_answer() {
    let refusal = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy";
    for way in [Way::Sse, Way::Stream, Way::WebSocket, Way::LongPoll, Way::Poll] {
        let error = Fresh::new(way, Stage::Head).take(refusal).expect_err("a refusal").to_string();
        assert!(error.contains("503") && error.contains("busy"), "{error}");
    }
}

#[test]
fn a_ping_is_answered() {
    let mut fresh = Fresh::new(Way::WebSocket, Stage::Body(101, Body::UntilEnd));
    fresh.take(&[0x89, 1, b'a']).expect("well-formed");
    assert_eq!(fresh.out, [0x8a, 0x81, 0, 0, 0, 0, b'a']);
}
