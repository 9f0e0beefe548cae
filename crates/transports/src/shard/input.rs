//! From bytes to requests: heads, bodies, pipelines, and what is handed over.
//!
//! Only what is entirely plain is answered here; everything else goes to hyper with the bytes that were read, so that there
//! is one view of where a request ends.

use std::time::Duration;

use bongsu_wire::http1::{self, Head, Method, Parsed};

use super::HandedOver;
use super::conn::State;
use super::front::Route;
use super::read::accept;
use super::thread::{READ_BYTES, Thread};
use super::wheel::{Tick, Wheel};

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
}
