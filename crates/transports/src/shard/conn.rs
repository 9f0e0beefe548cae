//! One connection of a shard: its socket, what the socket did not take, and what is going on.
//!
//! What is idle must be small: no buffers, no task, no timer of its own. What is seldom needed is in a box.

use std::io;

use bongsu_core::read::Way;
use bongsu_hub::Place;
use bytes::Bytes;
use mio::net::TcpStream;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use smallvec::SmallVec;

use super::input::Stash;
use super::poll::Polling;
use super::publish::Publishing;
use super::read::Opening;
use super::socket::Socket;
use super::stream::Streaming;
use super::wheel::{Tick, Wheel};
use crate::SocketPlace;

/// What is left of a write and is not longer than this is copied, so that it does not hold the larger buffer it was in,
/// in bytes.
const COPIED_BYTES_MAX: usize = 16 << 10;

/// How much is read ahead of its turn, in bytes.
const STASH_BYTES_MAX: usize = 64 << 10;

/// A connection.
pub(crate) struct Conn {
    pub(crate) stream: TcpStream,
    /// Counts the socket.
    _place: SocketPlace,
    pub(crate) generation: u32,
    /// When something is to be done if nothing happens before.
    pub(crate) due: Tick,
    /// When the wheel's entry for it fires; a later `due` is then found.
    pub(crate) scheduled: Tick,
    /// The kernel has told that there is more to read than was read.
    pub(crate) readable: bool,
    /// The kernel has told that the client has ended its side.
    pub(crate) read_closed: bool,
    /// The last write was cut short: wait for the kernel to tell that there is room.
    pub(crate) blocked: bool,
    /// The client has ended its side, and is still owed answers.
    pub(crate) ended: bool,
    /// Ends when everything is written.
    pub(crate) closing: bool,
    /// Why it is counted as unanswered.
    pub(crate) unanswered: Unanswered,
    /// Has passed the admission of handshakes: later requests on the connection are none.
    pub(crate) admitted: bool,
    /// Is on the list of those who get another turn.
    pub(crate) queued: bool,
    /// What the socket had no room for.
    pub(crate) unsent: Option<Box<Bytes>>,
    /// What came and could not be looked at yet: half a request, or the next one.
    pub(crate) stash: Option<Box<Stash>>,
    pub(crate) state: State,
}

// Thousands of idle connections hold one each. Debug builds of mio's sockets are larger.
const _: () = assert!(size_of::<Conn>() <= 64 || cfg!(debug_assertions));

/// Why a connection is counted as unanswered, beside its state: two flags in one byte.
#[derive(Clone, Copy, Default)]
pub(crate) struct Unanswered(u8);

impl Unanswered {
    /// A part of its request has come.
    pub(crate) const REQUEST: u8 = 1;
    /// A part of its answer is unsent.
    pub(crate) const ANSWER: u8 = 2;

    /// Sets a flag; returns what it was.
    pub(crate) fn put(&mut self, flag: u8, set: bool) -> bool {
        let was = self.0 & flag != 0;
        self.0 = if set { self.0 | flag } else { self.0 & !flag };
        was
    }
}

/// What a connection is at.
pub(crate) enum State {
    /// Between two requests, or in the head of one.
    Request,
    /// A reader is looked up on the disk.
    Opening(Box<Opening>),
    /// A publish is on its way through the hub.
    Publishing(Box<Publishing>),
    /// A poll or long poll.
    Polling(Box<Polling>),
    /// Server-sent events or a stream of lines.
    Streaming(Box<Streaming>),
    /// A WebSocket.
    Socket(Box<Socket>),
    /// All is said; what still comes is read and thrown away until the client ends it too.
    Lingering,
}

impl Conn {
    pub(crate) fn new(stream: TcpStream, generation: u32, place: SocketPlace) -> Self {
        Self {
            stream,
            _place: place,
            generation,
            due: Tick::MAX,
            scheduled: Tick::MAX,
            readable: false,
            read_closed: false,
            blocked: false,
            ended: false,
            closing: false,
            unanswered: Unanswered::default(),
            admitted: false,
            queued: false,
            unsent: None,
            stash: None,
            state: State::Request,
        }
    }

    /// Whether nobody waits for anything here.
    pub(crate) fn is_between_requests(&self) -> bool {
        matches!(self.state, State::Request) && self.stash.is_none() && self.unsent.is_none()
    }

    /// Whether nothing is to be answered or written.
    pub(crate) fn is_at_rest(&self) -> bool {
        matches!(self.state, State::Request) && self.stash.is_none() && self.is_clear()
    }

    /// Whether what comes can be taken now. What cannot waits in the kernel, which makes the client wait.
    pub(crate) fn takes_input(&self) -> bool {
        match &self.state {
            State::Request => self.is_clear() && !self.closing && self.has_stash_room(),
            // Read on for a while, because that is how the end of a connection is noticed.
            State::Opening(_) | State::Publishing(_) | State::Polling(_) => self.has_stash_room(),
            State::Socket(socket) => self.stash.is_none() && socket.takes_input(self.unsent_bytes()),
            State::Streaming(_) | State::Lingering => true,
        }
    }

    fn has_stash_room(&self) -> bool {
        self.stash.as_ref().is_none_or(|stash| stash.len() < STASH_BYTES_MAX)
    }

    /// Keeps what comes before its turn.
    pub(crate) fn stash(&mut self, bytes: &[u8]) {
        self.stash.get_or_insert_default().push(bytes);
    }

    /// The places that the state holds in channels, and the way they are counted by.
    pub(crate) fn places(&mut self) -> Option<(Way, SmallVec<[Place; 1]>)> {
        let (way, member) = match &mut self.state {
            State::Opening(opening) => return Some((opening.asked.read.way, std::mem::take(&mut opening.places))),
            State::Polling(polling) => (polling.way(), &mut polling.member),
            State::Streaming(streaming) => (streaming.way, &mut streaming.member),
            State::Socket(socket) => {
                let streaming = socket.reading_mut()?;
                (streaming.way, &mut streaming.member)
            }
            State::Request | State::Publishing(_) | State::Lingering => return None,
        };
        Some((way, member.remove(|_| true).into()))
    }

    /// By which way it reads, if it does.
    pub(crate) fn way(&self) -> Option<Way> {
        match &self.state {
            State::Opening(opening) => Some(opening.asked.read.way),
            State::Polling(polling) => Some(polling.way()),
            State::Streaming(streaming) => Some(streaming.way),
            State::Socket(socket) => socket.is_reader().then_some(Way::WebSocket),
            State::Request | State::Publishing(_) | State::Lingering => None,
        }
    }

    /// Bytes held for it and for nobody else, its entry among the connections and that in the wheel included.
    pub(crate) fn bytes(&self) -> usize {
        let timer = if self.scheduled == Tick::MAX { 0 } else { Wheel::ENTRY_BYTES };
        let unsent = self.unsent.as_ref().map_or(0, |unsent| size_of::<Bytes>() + unsent.len());
        let stash = self.stash.as_ref().map_or(0, |stash| size_of::<Stash>() + stash.heap_bytes());
        let state = match &self.state {
            State::Request | State::Lingering => 0,
            State::Opening(opening) => size_of::<Opening>() + opening.heap_bytes(),
            State::Publishing(publishing) => size_of::<Publishing>() + publishing.heap_bytes(),
            State::Polling(polling) => size_of::<Polling>() + polling.heap_bytes(),
            State::Streaming(streaming) => size_of::<Streaming>() + streaming.heap_bytes(),
            State::Socket(socket) => size_of::<Socket>() + socket.heap_bytes(),
        };
        size_of::<Self>() + timer + unsent + stash + state
    }

    /// Whether everything that was said has been taken by the socket.
    pub(crate) fn is_clear(&self) -> bool {
        self.unsent.is_none() && !self.blocked
    }

    /// Bytes that the socket had no room for.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.unsent.as_ref().map_or(0, |unsent| unsent.len())
    }

    /// Writes as much of `bytes` as the socket takes. To be used only when all is clear.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < bytes.len() {
            match send(&self.stream, &bytes[written..], SendFlags::NOSIGNAL).map_err(io::Error::from) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                // A short write means that there is no room: the next would only say so again.
                Ok(count) => {
                    written += count;
                    if written < bytes.len() {
                        self.blocked = true;
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// Writes `bytes` after what is still unsent, and keeps what there is no room for.
    pub(crate) fn send(&mut self, bytes: Bytes) -> io::Result<()> {
        if let Some(unsent) = &mut self.unsent {
            **unsent = [&unsent[..], &bytes[..]].concat().into();
            return Ok(());
        }
        let written = if self.blocked { 0 } else { self.write(&bytes)? };
        self.keep(bytes.slice(written..));
        Ok(())
    }

    /// Keeps what the socket had no room for.
    pub(crate) fn keep(&mut self, rest: Bytes) {
        if !rest.is_empty() {
            let rest = if rest.len() <= COPIED_BYTES_MAX { Bytes::copy_from_slice(&rest) } else { rest };
            self.unsent = Some(Box::new(rest));
        }
    }

    /// Writes what was kept, now that there is room.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.blocked = false;
        if let Some(unsent) = self.unsent.take() {
            let written = self.write(&unsent)?;
            self.keep(unsent.slice(written..));
        }
        Ok(())
    }

    /// Reads once; `None` when there is nothing to read.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match recv(&self.stream, &mut *buffer, RecvFlags::empty()).map_err(io::Error::from) {
                Ok((_, count)) => return Ok(Some(count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
