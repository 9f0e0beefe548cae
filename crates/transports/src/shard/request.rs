//! From bytes to what is asked: heads, routes, and the beginning of a read.
//!
//! Only what is entirely plain is answered here; everything else goes to hyper with the bytes that were read, so that there
//! is one view of where a request ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Duration;

use bongsu_core::cursor::Since;
use bongsu_core::error::Retry;
use bongsu_core::event::{Encoding, EventType};
use bongsu_core::read::{From, ReadRequest, Way};
use bongsu_core::{ChannelName, Control, ErrorCode, Problem};
use bongsu_hub::{Found, Group, Place, Search};
use bongsu_wire::http1::{self, Head, Method, Parsed};
use bongsu_wire::websocket::handshake;
use bongsu_wire::{framing, query};
use bytes::Bytes;
use smallvec::SmallVec;

use super::answer::{self, Terms};
use super::conn::State;
use super::front::Route;
use super::thread::{READ_BYTES, Thread};
use super::wheel::{Tick, Wheel};
use super::{HandedOver, Key, Letter, poll};
use crate::connections::{Call, Entry};
use crate::{session, sse, websocket};

/// How often a connection is read before others get their turn.
const READS_MAX: usize = 4;

/// How long a body may take in all, as with hyper: nobody sends 64 KiB slower than that on purpose.
const BODY_TIME_MAX: Duration = Duration::from_secs(300);
/// How many requests of one connection are answered before others get their turn.
const REQUESTS_MAX: usize = 32;

/// What came and could not be looked at yet.
#[derive(Default)]
pub(crate) struct Stash {
    bytes: Vec<u8>,
    /// Up to here there is no end of a head.
    searched: usize,
    /// How many bytes the request has, once its head was read.
    wanted: usize,
    /// By when all of it must have come.
    until: Tick,
}

impl Stash {
    /// Bytes of heap held.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}

/// A read that was understood.
pub(crate) struct Asked {
    pub(crate) read: ReadRequest,
    /// See [`Front::marks`](super::Front::marks).
    pub(crate) marks: Bytes,
    pub(crate) keep_alive: bool,
    /// In the table of connections; not for polls, which are gone with their answer.
    pub(crate) entry: Option<Entry>,
    /// The answer to a WebSocket's handshake.
    pub(crate) accept: Vec<u8>,
    /// Of a poll for the newest events: what was asked, and how many each channel is to bring.
    pub(crate) newest: Option<(ReadRequest, usize)>,
}

/// A read whose beginning is looked up on the disk.
pub(crate) struct Opening {
    pub(crate) asked: Asked,
    pub(crate) places: SmallVec<[Place; 1]>,
}

impl Opening {
    /// Bytes of heap held, and held for it in its channels and in the table of connections.
    pub(crate) fn heap_bytes(&self) -> usize {
        let Asked { read, marks, entry, accept, newest, .. } = &self.asked;
        let newest = newest.as_ref().map_or(0, |(read, _)| read_bytes(read));
        let entry = entry.as_ref().map_or(0, Entry::heap_bytes);
        let places = if self.places.spilled() { self.places.capacity() * size_of::<Place>() } else { 0 };
        let members = self.places.len() * Group::PLACE_BYTES;
        read_bytes(read) + newest + marks.len() + accept.capacity() + entry + places + members
    }
}

/// Bytes of heap held by a read.
pub(super) fn read_bytes(read: &ReadRequest) -> usize {
    read.channels.capacity() * size_of::<ChannelName>() + read.types.capacity() * size_of::<Option<EventType>>()
}

/// What becomes of the bytes at the front.
enum Step {
    /// This many were a request; go on behind it.
    Used(usize),
    /// The request is not whole yet.
    Incomplete,
    /// Not for a shard.
    HandOver,
}

impl Thread {
    /// There is something to read.
    pub(super) fn on_readable(&mut self, index: u32) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for round in 0.. {
            let Some(conn) = self.conns.get_mut(index as usize).filter(|conn| conn.readable) else { break };
            if !conn.takes_input() {
                break;
            }
            if round == READS_MAX {
                self.queue(index);
                break;
            }
            match conn.read(&mut buffer) {
                Ok(Some(0)) | Err(_) => {
                    self.on_end(index);
                    break;
                }
                Ok(Some(count)) => {
                    // A short read is the end of what there is, unless it is the end of all; the kernel tells of that once.
                    conn.readable = count == buffer.len() || conn.read_closed;
                    self.on_bytes(index, &buffer[..count]);
                }
                Ok(None) => {
                    conn.readable = false;
                    break;
                }
            }
        }
        self.buffer = buffer;
    }

    /// The client has ended its side.
    fn on_end(&mut self, index: u32) {
        let Some(conn) = self.conns.get_mut(index as usize) else { return };
        conn.readable = false;
        match &conn.state {
            // Who sends whole requests and ends its side has them answered.
            State::Publishing(_) => conn.ended = true,
            State::Request if conn.queued || !conn.is_clear() => conn.ended = true,
            _ => self.close(index),
        }
    }

    fn on_bytes(&mut self, index: u32, bytes: &[u8]) {
        match &self.conns[index as usize].state {
            State::Request => self.requests(index, bytes),
            State::Socket(_) => self.hear(index, bytes),
            // A stream is the last answer of its connection.
            State::Streaming(_) | State::Lingering => {}
            State::Opening(_) | State::Publishing(_) | State::Polling(_) => self.conns[index as usize].stash(bytes),
        }
    }

    /// Looks at what came while an answer was being made.
    pub(super) fn read_stash(&mut self, index: u32) {
        if self.conns[index as usize].stash.is_some() {
            self.requests(index, &[]);
        }
    }

    fn requests(&mut self, index: u32, fresh: &[u8]) {
        self.give_time(index, fresh);
        self.answering = true;
        self.answer_stash(index, fresh);
        self.answering = false;
        // Nothing more will come.
        if self.conns.get(index as usize).is_some_and(|conn| conn.ended && conn.is_at_rest()) {
            self.finish(index);
        }
    }

    /// A head has its time from its first byte on, and a body as long as it goes on coming, up to a bound.
    fn give_time(&mut self, index: u32, fresh: &[u8]) {
        let due = self.tick.saturating_add(Wheel::ticks(self.context.limits.head_timeout));
        match &self.conns[index as usize].stash {
            _ if fresh.is_empty() => {}
            None => self.due_at(index, due),
            Some(stash) if stash.wanted > 0 => self.due_at(index, due.min(stash.until)),
            Some(_) => {}
        }
    }

    fn answer_stash(&mut self, index: u32, fresh: &[u8]) {
        let until = self.tick.saturating_add(Wheel::ticks(BODY_TIME_MAX));
        let Some(mut stash) = self.conns[index as usize].stash.take() else {
            let (used, searched, wanted) = self.answer_all(index, fresh, 0, 0);
            if used < fresh.len() {
                self.put_back(index, Box::new(Stash { bytes: fresh[used..].to_vec(), searched, wanted, until }));
            }
            return;
        };
        stash.bytes.extend_from_slice(fresh);
        if stash.bytes.len() < stash.wanted {
            self.conns[index as usize].stash = Some(stash);
            return;
        }
        let (used, searched, wanted) = self.answer_all(index, &stash.bytes, stash.searched, stash.wanted);
        self.expect(index, false);
        if used < stash.bytes.len() {
            stash.bytes.drain(..used);
            // The time of a body that was waited for before goes on.
            let until = if stash.wanted > 0 && used == 0 { stash.until } else { until };
            (stash.searched, stash.wanted, stash.until) = (searched, wanted, until);
            self.put_back(index, stash);
        }
    }

    /// Keeps what is left behind a request for its turn.
    fn put_back(&mut self, index: u32, stash: Box<Stash>) {
        let Some(conn) = self.conns.get_mut(index as usize) else { return };
        let wanted = stash.wanted > 0;
        match &conn.state {
            // A stream is the last answer of its connection.
            State::Streaming(_) | State::Lingering => return,
            // What a client sends right behind its handshake is its first frame.
            State::Socket(_) => self.queue(index),
            // As many requests were answered as one turn may.
            State::Request if conn.is_clear() && stash.searched == 0 && !wanted => self.queue(index),
            // The rest of this request will never come.
            State::Request if conn.is_clear() && conn.ended => return,
            _ => {}
        }
        self.conns[index as usize].stash = Some(stash);
        self.expect(index, wanted);
    }

    /// Answers what is whole in `bytes`, as long as answers are taken. Returns how much was used, and for the rest how far it
    /// was searched for the end of its head, and how long it must be to be looked at again.
    fn answer_all(&mut self, index: u32, bytes: &[u8], searched: usize, wanted: usize) -> (usize, usize, usize) {
        let (mut used, mut searched, mut wanted) = (0, searched, wanted);
        for _ in 0..REQUESTS_MAX {
            let rest = &bytes[used..];
            let Some(conn) = self.conns.get(index as usize) else { return (bytes.len(), 0, 0) };
            if rest.is_empty() || !matches!(conn.state, State::Request) || !conn.is_clear() || conn.closing {
                return (used, searched, wanted);
            }
            match self.step(index, rest, &mut searched, &mut wanted) {
                Step::Used(count) => {
                    used += count;
                    (searched, wanted) = (0, 0);
                }
                Step::Incomplete => return (used, searched, wanted),
                Step::HandOver => {
                    self.hand_over(index, rest.to_vec());
                    return (bytes.len(), 0, 0);
                }
            }
        }
        (used, searched, wanted)
    }

    fn step(&mut self, index: u32, bytes: &[u8], searched: &mut usize, wanted: &mut usize) -> Step {
        let whole = http1::head_end(bytes, *searched).is_some();
        let first = *searched == 0;
        *searched = if whole { *searched } else { bytes.len() };
        let head_bytes_max = self.context.limits.head_bytes_max.min(READ_BYTES);
        // The beginning of a head is looked at once, to see early what is no HTTP at all; then only when it is whole.
        if !whole && !first {
            return if bytes.len() >= head_bytes_max { Step::HandOver } else { Step::Incomplete };
        }
        let mut storage = http1::storage();
        match http1::parse(bytes, &mut storage, head_bytes_max) {
            Parsed::Plain(head) => self.request(index, &head, bytes, wanted),
            Parsed::Partial => Step::Incomplete,
            Parsed::Foreign => Step::HandOver,
        }
    }

    fn request(&mut self, index: u32, head: &Head<'_>, bytes: &[u8], wanted: &mut usize) -> Step {
        let route = self.front.route(head);
        let end = head.bytes + head.body_bytes;
        match route {
            Route::Read(channel) if head.method != Method::Post => {
                if self.read(index, head, channel) {
                    Step::Used(end)
                } else {
                    Step::HandOver
                }
            }
            Route::Publish(channel) if head.method == Method::Post => {
                if end > READ_BYTES || head.body_bytes > self.front.body_bytes_max(channel) {
                    return Step::HandOver;
                }
                let Some(body) = bytes.get(head.bytes..end) else {
                    *wanted = end;
                    return Step::Incomplete;
                };
                self.publish(index, head, channel, body);
                Step::Used(end)
            }
            Route::Echo if head.upgrade => match accept(head) {
                Some(accept) => {
                    self.open_echo(index, accept.into());
                    Step::Used(end)
                }
                None => Step::HandOver,
            },
            _ => Step::HandOver,
        }
    }

    fn hand_over(&mut self, index: u32, bytes: Vec<u8>) {
        self.expect(index, false);
        let mut conn = self.conns.remove(index as usize);
        // The poll must forget the socket while it is still open.
        if self.deregister(&mut conn.stream).is_ok() {
            let stream = std::net::TcpStream::from(std::os::fd::OwnedFd::from(conn.stream));
            (self.hand_over)(HandedOver { stream, bytes, admitted: conn.admitted });
        }
    }

    /// Begins a read. False if it is not for a shard.
    fn read(&mut self, index: u32, head: &Head<'_>, channel: Option<&str>) -> bool {
        let marks = self.front.marks(head, Route::Read(channel));
        let channels_max = self.context.limits.channels_per_connection_max;
        let read = self
            .front
            .check(head)
            .and_then(|()| query::read_request(head.method.as_str(), channel, head.query, head, channels_max));
        let read = match read {
            Ok(read) => read,
            Err(problem) => {
                self.refuse(index, head, channel, &marks, &problem, None);
                return true;
            }
        };
        let accept = match (read.way, accept(head)) {
            (Way::WebSocket, Some(accept)) => accept,
            // The refusal of a handshake has words of its own.
            (Way::WebSocket, None) => return false,
            _ => Vec::new(),
        };
        let accept = self.marked(accept, &marks);
        let entry = match self.enter(index, &read) {
            Ok(entry) => entry,
            Err(problem) => {
                self.refuse(index, head, channel, &marks, &problem, Some(read.way));
                return true;
            }
        };
        let status = if read.way == Way::WebSocket { 101 } else { 200 };
        if !read.way.is_polling() {
            self.front.answered(Route::Read(channel), head.method, status);
        }
        let newest = poll::is_newest(&read).then(|| (read.clone(), read.limit));
        let read = if newest.is_some() { poll::begin_of_newest(&read, read.limit) } else { read };
        self.figures.unanswered.fetch_add(1, Ordering::SeqCst);
        self.begin(index, Asked { read, marks, keep_alive: head.keep_alive, entry, accept, newest });
        true
    }

    /// The answer to a handshake with what every answer has.
    fn marked(&mut self, mut accept: Vec<u8>, marks: &[u8]) -> Vec<u8> {
        if let Some(end) = accept.len().checked_sub(2) {
            accept.truncate(end);
            accept.extend_from_slice(&self.date_line());
            accept.extend_from_slice(b"cache-control: no-store\r\n");
            accept.extend_from_slice(marks);
            accept.extend_from_slice(b"\r\n");
        }
        accept
    }

    /// A place in the table of connections, for those who stay.
    fn enter(&mut self, index: u32, read: &ReadRequest) -> Result<Option<Entry>, Problem> {
        let conn = &mut self.conns[index as usize];
        // Who was gone before it was looked at is not worth a token.
        if !conn.admitted
            && let Ok(address) = conn.stream.peer_addr()
        {
            self.context.admit(address.ip())?;
            conn.admitted = true;
        }
        if read.way == Way::Poll {
            return Ok(None);
        }
        let call = Call::Shard(self.mailbox.clone(), self.key(index));
        self.context.enter(read, call).map(Some)
    }

    fn refuse(
        &mut self,
        index: u32,
        head: &Head<'_>,
        channel: Option<&str>,
        marks: &Bytes,
        problem: &Problem,
        way: Option<Way>,
    ) {
        let date = self.date_line();
        let terms = Terms { date: &date, marks, keep_alive: head.keep_alive, head_only: head.method == Method::Head };
        // The browser's EventSource never comes back after an error status, so it is told in its own words.
        let (status, bytes) = if way == Some(Way::Sse) && problem.code.retry() == Retry::Later {
            let terms = Terms { keep_alive: false, ..terms };
            (200, answer::whole_stream(sse::CONTENT_TYPE, &terms, &self.last_words(problem)))
        } else {
            (problem.code.status(), answer::problem(&terms, problem, true))
        };
        let ends = !head.keep_alive || (status == 200);
        self.front.answered(Route::Read(channel), head.method, status);
        self.figures.unanswered.fetch_add(1, Ordering::SeqCst);
        self.answer(index, bytes, ends);
    }

    fn last_words(&self, problem: &Problem) -> Bytes {
        let mut close = session::close_for(problem);
        close.retry = problem.retry_after.unwrap_or_else(|| self.context.draw_retry());
        framing::control_bytes(&Control::Close(close), Encoding::Sse).unwrap_or_default()
    }

    /// Takes places in the channels, and looks up where the read begins, which counts as unanswered.
    pub(super) fn begin(&mut self, index: u32, asked: Asked) {
        let read = &asked.read;
        let places = self.group.join(index, read.way, &read.channels);
        let replays = !read.way.is_polling() && !matches!(read.from, From::Unsaid | From::Since(Since::Now));
        let search = self.group.search(&places, read.from, replays);
        match search.try_now() {
            Ok(found) => self.open(index, asked, places, &found),
            Err(_cold) => {
                self.conns[index as usize].state = State::Opening(Box::new(Opening { asked, places }));
                self.look_up(self.key(index), search);
            }
        }
    }

    fn look_up(&self, key: Key, search: Search) {
        self.on_disk(move || search.run(), move |found| Letter::Found(key, found));
    }

    /// Does what may wait for the disk on a thread made for that, and brings what came of it.
    pub(super) fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
        letter: impl FnOnce(Result<T, Problem>) -> Letter + Send + 'static,
    ) {
        let mailbox = self.mailbox.clone();
        self.runtime.spawn_blocking(move || {
            // A mistake there must not leave the connection waiting for ever.
            let done = catch_unwind(AssertUnwindSafe(work));
            let cut = |_| Err(Problem::new(ErrorCode::Internal, "a read of the log was cut short"));
            mailbox.post(letter(done.unwrap_or_else(cut)));
        });
    }

    /// Where a read begins was found.
    pub(super) fn on_found(&mut self, key: Key, found: Result<Found, Problem>) {
        let Some(conn) = self.conn(key) else { return };
        let State::Opening(opening) = std::mem::replace(&mut conn.state, State::Request) else { return };
        let Opening { asked, places } = *opening;
        match found {
            Ok(found) => self.open(key.index, asked, places, &found),
            Err(problem) => {
                self.group.leave(asked.read.way, places);
                let date = self.date_line();
                let Asked { read, marks, keep_alive, .. } = asked;
                let terms = Terms { date: &date, marks: &marks, keep_alive, head_only: read.head_only };
                let bytes = answer::problem(&terms, &problem, true);
                self.answer(key.index, bytes, !keep_alive);
            }
        }
    }

    fn open(&mut self, index: u32, asked: Asked, places: SmallVec<[Place; 1]>, found: &Found) {
        match asked.read.way {
            Way::Poll | Way::LongPoll => self.open_poll(index, asked, places, found),
            Way::Stream | Way::Sse => self.open_stream(index, asked, places, found),
            Way::WebSocket => self.open_socket(index, asked, places, found),
        }
    }

    /// Sends the whole answer to what counts as unanswered until it is taken; the connection then takes the next request, or
    /// ends.
    pub(super) fn answer(&mut self, index: u32, bytes: Bytes, ends: bool) {
        let conn = &mut self.conns[index as usize];
        conn.state = State::Request;
        conn.closing |= ends;
        conn.owed = true;
        if conn.send(bytes).is_err() {
            return self.close(index);
        }
        if conn.unsent.is_none() {
            conn.owed = false;
            self.figures.unanswered.fetch_sub(1, Ordering::SeqCst);
        }
        // Who has ended its side sends no other request; in a drain there is nothing to wait for between two.
        let last = conn.ended && conn.stash.is_none() && !self.answering;
        if conn.closing || self.draining || last {
            return self.finish(index);
        }
        self.due_in(index, self.context.limits.head_timeout);
        // Whatever came meanwhile gets its turn, but not deeper in this call.
        if self.conns[index as usize].stash.is_some() {
            self.queue(index);
        }
    }

    /// The line `date: …` of now.
    pub(super) fn date_line(&mut self) -> SmallVec<[u8; 48]> {
        let now = self.wall_clock();
        SmallVec::from_slice(self.date.line(now))
    }
}

/// The answer to a handshake that is right.
fn accept(head: &Head<'_>) -> Option<Vec<u8>> {
    let line = handshake::Request { method: head.method.as_str(), http_1_1: true };
    let accepted = handshake::accept(line, head.pairs(), websocket::PROTOCOLS);
    accepted.ok().map(|accepted| accepted.response_head())
}
