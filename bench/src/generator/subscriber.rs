//! A subscriber: a connection, the next offset it must get, and where it stands in what arrives.
//!
//! It takes bytes and gives the bytes to be sent in return; it must not know sockets.

#[cfg(test)]
mod tests;

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
