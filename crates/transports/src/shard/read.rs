//! Reading by the five ways, as far as they are alike: what is asked, whether it is let in, and where it begins.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use bongsu_core::cursor::Since;
use bongsu_core::error::Retry;
use bongsu_core::event::{Encoding, EventType};
use bongsu_core::read::{From, ReadRequest, Way};
use bongsu_core::{ChannelName, Control, ErrorCode, Problem};
use bongsu_hub::{Found, Group, Place, Search};
use bongsu_wire::http1::{Head, Method};
use bongsu_wire::websocket::handshake;
use bongsu_wire::{framing, query};
use bytes::Bytes;
use smallvec::SmallVec;

use super::answer::{self, Terms};
use super::conn::{State, Unanswered};
use super::front::Route;
use super::thread::Thread;
use super::{Key, Letter, poll};
use crate::connections::{Call, Entry};
use crate::{session, sse, websocket};

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

impl Thread {
    /// Begins a read. False if it is not for a shard.
    pub(super) fn read(&mut self, index: u32, head: &Head<'_>, channel: Option<&str>) -> bool {
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
        conn.unanswered.put(Unanswered::ANSWER, true);
        if conn.send(bytes).is_err() {
            return self.close(index);
        }
        if conn.unsent.is_none() {
            conn.unanswered.put(Unanswered::ANSWER, false);
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
pub(super) fn accept(head: &Head<'_>) -> Option<Vec<u8>> {
    let line = handshake::Request { method: head.method.as_str(), http_1_1: true };
    let accepted = handshake::accept(line, head.pairs(), websocket::PROTOCOLS);
    accepted.ok().map(|accepted| accepted.response_head())
}
