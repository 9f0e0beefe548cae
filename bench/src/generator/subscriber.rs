//! A subscriber: a connection, the next offset it must get, and where it stands in what arrives.
//!
//! It takes bytes and gives the bytes to be sent in return; it must not know sockets.

use std::time::Duration;

use super::Way;
use super::desk::Desk;
use super::dialect::{self, Dialect};
use super::link::Link;
use crate::Fallible;
use crate::parse::http::{self, Body};
use crate::parse::object::{Answer, Object};
use crate::parse::websocket::{self, Frame};
use crate::parse::{Malformed, lines, sse};
use crate::payload::{self, PAYLOAD_BYTES};

/// Where a subscriber stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Not connected yet.
    Connecting,
    /// Between an answer and the next request.
    Resting,
    /// Before or in the head of an answer that was asked for.
    Head,
    /// In the body of an answer of this status.
    Body(u16, Body),
}

/// What a subscriber does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It reads on.
    Read,
    /// It asks again at once.
    Ask,
    /// It asks again at its next time.
    AskLater,
    /// The server has ended the stream.
    Ended,
    /// The server has refused it and told it when to come back.
    ComeBack(Duration),
}

/// A subscriber.
pub(crate) struct Subscriber {
    /// Its connection, if it has one.
    pub(crate) link: Option<Link>,
    /// Its channel.
    pub(crate) channel: usize,
    /// The offset it must get next.
    pub(crate) next_offset: u64,
    /// Where it stands.
    pub(crate) stage: Stage,
    /// Whether it is surely subscribed: events published from now on reach it.
    pub(crate) ready: bool,
    /// The newest cursor; kept where it is needed.
    cursor: Vec<u8>,
    /// What arrived of an item that is not whole.
    rest: Vec<u8>,
    /// When the server told it to come back.
    told: Option<Duration>,
}

/// What subscribers share while bytes are taken.
pub(crate) struct Context<'a> {
    /// What the server speaks.
    pub(crate) dialect: Dialect,
    /// The way of all.
    pub(crate) way: Way,
    /// Whether the streaming ways keep their cursor.
    pub(crate) keeps_cursor: bool,
    /// Takes the events.
    pub(crate) desk: &'a mut Desk,
    /// Room for the content of a body.
    pub(crate) content: &'a mut Vec<u8>,
    /// What is to be sent in return.
    pub(crate) out: &'a mut Vec<u8>,
}

impl Subscriber {
    /// A subscriber of a channel that has no events yet.
    pub(crate) fn new(channel: usize) -> Self {
        Self {
            link: None,
            channel,
            next_offset: 1,
            stage: Stage::Connecting,
            ready: false,
            cursor: Vec::new(),
            rest: Vec::new(),
            told: None,
        }
    }

    /// Forgets the connection, not the position.
    pub(crate) fn disconnect(&mut self) {
        self.link = None;
        self.stage = Stage::Connecting;
        self.ready = false;
        self.rest.clear();
    }

    /// Appends the request that begins or goes on.
    pub(crate) fn ask(&mut self, dialect: Dialect, way: Way, keeps_cursor: bool, out: &mut Vec<u8>) {
        let cursor = (keeps_cursor || way.polls()).then_some(self.cursor.as_slice());
        dialect.write_ask(out, way, self.channel, cursor);
        self.stage = Stage::Head;
        // A first long poll of ours gives a cursor; one of another server waits, and nothing says that it does.
        self.ready |= way == Way::LongPoll && !dialect.is_ours();
    }

    /// Takes what has arrived for subscriber number `who`.
    pub(crate) fn take(&mut self, who: usize, arrived: &[u8], context: &mut Context<'_>) -> Fallible<Then> {
        let mut bytes = arrived;
        let mut then = Then::Read;
        context.desk.bytes += bytes.len() as u64;
        let joined;
        if self.stage == Stage::Head && !self.rest.is_empty() {
            self.rest.extend_from_slice(bytes);
            joined = std::mem::take(&mut self.rest);
            bytes = &joined;
        }
        loop {
            match self.stage {
                Stage::Head => {
                    let Some((head, used)) = http::head(bytes)? else {
                        self.rest.extend_from_slice(bytes);
                        return Ok(then);
                    };
                    if let Some(pause) = pause(&head, &bytes[..used]) {
                        return Ok(Then::ComeBack(pause));
                    }
                    self.begins(context, &bytes[..used]);
                    bytes = &bytes[used..];
                    check_status(context.way, &head, bytes)?;
                    self.stage = Stage::Body(head.status, head.body);
                }
                Stage::Body(status, mut body) => {
                    context.content.clear();
                    context.content.append(&mut self.rest);
                    let used = body.decode(bytes, context.content)?;
                    bytes = &bytes[used..];
                    self.stage = Stage::Body(status, body);
                    if context.way.polls() {
                        then = self.polled(who, status, body, context)?;
                    } else {
                        self.streamed(who, context)?;
                        if let Some(pause) = self.told.take() {
                            return Ok(Then::ComeBack(pause));
                        }
                    }
                }
                Stage::Connecting | Stage::Resting => return Err(Malformed("what nobody asked for").into()),
            }
            let body_is_done = matches!(self.stage, Stage::Body(_, body) if body.is_done());
            if body_is_done && !context.way.polls() {
                return Ok(Then::Ended);
            }
            // A body of no bytes, as of a 304, is whole without more bytes.
            if bytes.is_empty() && !body_is_done {
                return Ok(then);
            }
        }
    }

    /// The head of an answer of another server: a stream is subscribed, a poll has its next cursor.
    fn begins(&mut self, context: &Context<'_>, head: &[u8]) {
        if context.dialect.is_ours() {
            return;
        }
        self.ready = true;
        if context.way == Way::LongPoll
            && let Some(cursor) = dialect::poll_cursor(head)
        {
            self.cursor = cursor;
        }
    }

    /// What has come of an answer: when it is whole, its events.
    fn polled(&mut self, who: usize, status: u16, body: Body, context: &mut Context<'_>) -> Fallible<Then> {
        if !body.is_done() {
            self.rest.extend_from_slice(context.content);
            return Ok(Then::Read);
        }
        self.stage = Stage::Resting;
        self.ready = true;
        let before = self.next_offset;
        let more = status == 200 && self.answer(who, context)?;
        context.desk.answers.0 += 1;
        context.desk.answers.1 += u64::from(self.next_offset == before);
        Ok(if more || context.way == Way::LongPoll { Then::Ask } else { Then::AskLater })
    }

    /// Takes the events of a whole answer and says whether it was cut.
    fn answer(&mut self, who: usize, context: &mut Context<'_>) -> Fallible<bool> {
        if !context.dialect.is_ours() {
            self.bare(who, context.content, context.desk)?;
            return Ok(false);
        }
        let Self { next_offset, channel, cursor, .. } = self;
        // The scanner is borrowed while the desk takes events, so these are noted first.
        let mut events = Vec::new();
        let Answer { cursor: newest, more, gaps } =
            context.desk.scanner.answer(context.content, |event| events.push(event))?;
        for event in &events {
            context.desk.delivered(who, *channel, next_offset, event);
        }
        context.desk.ledger.gaps(gaps);
        cursor.clear();
        cursor.extend_from_slice(newest);
        Ok(more)
    }

    /// Takes the whole items of what has come on a stream and keeps the rest.
    fn streamed(&mut self, who: usize, context: &mut Context<'_>) -> Fallible<()> {
        let content = std::mem::take(context.content);
        let mut used = 0;
        loop {
            let bytes = &content[used..];
            let begin = used;
            let object = match context.way {
                Way::WebSocket => match websocket::next(bytes)? {
                    None => break,
                    Some((frame, count)) => {
                        used += count;
                        match frame {
                            Frame::Text(text) => text,
                            Frame::Ping(text) => {
                                websocket::write_pong(context.out, text);
                                continue;
                            }
                            Frame::Pong | Frame::Close => continue,
                        }
                    }
                },
                way => match if way == Way::Sse { sse::next(bytes)? } else { lines::next(bytes)? } {
                    None => break,
                    Some((object, count)) => {
                        used += count;
                        object
                    }
                },
            };
            if context.dialect.is_ours() {
                self.object(who, object, context)?;
            } else {
                let (id, payload) = match context.way {
                    Way::Sse if context.keeps_cursor => (sse::id(&content[begin..used]), object),
                    Way::WebSocket => dialect::meta(object),
                    _ => (&b""[..], object),
                };
                if context.keeps_cursor {
                    self.cursor.clear();
                    self.cursor.extend_from_slice(id);
                }
                self.bare(who, payload, context.desk)?;
            }
        }
        self.rest.extend_from_slice(&content[used..]);
        *context.content = content;
        Ok(())
    }

    /// An event that is nothing but its payload.
    fn bare(&mut self, who: usize, payload: &[u8], desk: &mut Desk) -> Fallible<()> {
        let stamp = payload::read(payload).filter(|_| payload.len() == PAYLOAD_BYTES);
        let stamp = stamp.ok_or(Malformed("an event that is not of the bench"))?;
        desk.delivered_bare(who, self.channel, &mut self.next_offset, stamp);
        Ok(())
    }

    fn object(&mut self, who: usize, bytes: &[u8], context: &mut Context<'_>) -> Fallible<()> {
        match context.desk.scanner.object(bytes)? {
            Object::Event(event) => {
                context.desk.delivered(who, self.channel, &mut self.next_offset, &event);
                if context.keeps_cursor {
                    self.cursor.clear();
                    self.cursor.extend_from_slice(event.cursor);
                }
            }
            Object::Live(cursor) => {
                self.ready = true;
                if context.keeps_cursor {
                    self.cursor.clear();
                    self.cursor.extend_from_slice(cursor);
                }
            }
            Object::Close(retry_ms) => self.told = Some(Duration::from_millis(retry_ms)),
            Object::Gap => context.desk.ledger.gaps(1),
            Object::Control => {}
        }
        Ok(())
    }
}

/// When a refusal says to come back: `Retry-After` in seconds (RFC 9110 §10.2.3) of a 429 or 503.
fn pause(head: &http::Head, bytes: &[u8]) -> Option<Duration> {
    let seconds = matches!(head.status, 429 | 503).then(|| http::value_of(bytes, b"retry-after")).flatten()?;
    payload::number(seconds).map(Duration::from_secs)
}

fn check_status(way: Way, head: &http::Head, rest: &[u8]) -> Fallible<()> {
    let good = match way {
        Way::WebSocket => head.status == 101,
        Way::Sse | Way::Stream => head.status == 200,
        Way::LongPoll | Way::Poll => matches!(head.status, 200 | 304),
    };
    if good {
        return Ok(());
    }
    Err(format!("a subscription ({}) was answered {}: {}", way.name(), head.status, String::from_utf8_lossy(rest))
        .into())
}

#[cfg(test)]
mod tests {
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
                assert_eq!(
                    fresh.desk.ledger.tally(),
                    Tally { delivered: 2, ..Tally::default() },
                    "{way:?} cut at {cut}"
                );
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
}
