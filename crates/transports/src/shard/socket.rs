//! WebSocket on a shard: objects go out as text frames, commands come in as text frames.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bongsu_core::Problem;
use bongsu_core::control::Close;
use bongsu_core::read::Way;
use bongsu_hub::{Fetched, Found, Place};
use bongsu_wire::websocket::{self as ws, CloseCode, Event, Opcode, Role, Tick as Alive, Timing, encode};
use bytes::Bytes;
use smallvec::SmallVec;

use super::conn::{Conn, State};
use super::read::Asked;
use super::replies::Replies;
use super::stream::{MemberPages, Streaming, TURNS_MAX};
use super::thread::Thread;
use super::wheel::{Tick, Wheel};
use crate::session::{self, Session, Turn};
use crate::{echo, talk, websocket};

/// While more than this is unwritten, control frames wait in the session, which holds one of a kind: a later Pong takes
/// the place of an earlier one (RFC 6455 §5.5.3). Else a client that sends Pings and never reads fills the memory.
const CONTROLS_BEHIND_BYTES: usize = 4 << 10;

/// How many messages of one connection are heard before others get their turn.
const MESSAGES_MAX: usize = 64;

/// A WebSocket.
pub(crate) struct Socket {
    frames: ws::Session,
    /// When to say that we are there, if nothing else is said.
    pub(crate) beat_at: Tick,
    pub(super) peer: Peer,
}

// Thousands of idle connections hold one each.
const _: () = assert!(size_of::<Socket>() <= 240);

/// Who answers on it.
pub(super) enum Peer {
    /// Sends back what it hears; for conformance suites.
    Echo,
    Reader {
        streaming: Streaming,
        replies: Replies,
        /// The connection ends with this once `$close` is written.
        ending: Option<Box<(CloseCode, String)>>,
        replies_max: u16,
    },
}

impl Socket {
    /// Whether somebody reads on it.
    pub(crate) fn is_reader(&self) -> bool {
        matches!(self.peer, Peer::Reader { .. })
    }

    /// Bytes of heap held, and held for it in its channels and in the table of connections.
    pub(crate) fn heap_bytes(&self) -> usize {
        let peer = match &self.peer {
            Peer::Echo => 0,
            Peer::Reader { streaming, replies, ending, .. } => {
                let ending = ending.as_ref().map_or(0, |ending| size_of_val(&**ending) + ending.1.capacity());
                streaming.heap_bytes() + replies.heap_bytes() + ending
            }
        };
        self.frames.buffered_bytes() + peer
    }

    pub(crate) fn reading_mut(&mut self) -> Option<&mut Streaming> {
        match &mut self.peer {
            Peer::Echo => None,
            Peer::Reader { streaming, .. } => Some(streaming),
        }
    }

    /// Ends the session if somebody has asked for it.
    pub(crate) fn heed_close(&mut self) {
        let Peer::Reader { streaming, ending, .. } = &mut self.peer else { return };
        if let Some(close) = streaming.entry.take_close() {
            *ending = Some(Box::new(talk::ending(&close)));
            streaming.session.close(close);
        }
    }

    /// Whether another message can be taken while so many bytes are unsent. While it cannot, nothing is read, not even
    /// signs of life.
    pub(crate) fn takes_input(&self, unsent: usize) -> bool {
        match &self.peer {
            _ if !self.frames.is_open() => true,
            Peer::Echo => unsent < echo::UNWRITTEN_BYTES_MAX,
            Peer::Reader { streaming, replies, replies_max, .. } => {
                unsent < echo::UNWRITTEN_BYTES_MAX && replies.len() < usize::from(*replies_max) && !streaming.fetching
            }
        }
    }

    /// Adds the control frames that there is room for behind `unsent` bytes.
    fn transmit(&mut self, unsent: usize, out: &mut Vec<u8>) {
        while unsent + out.len() < CONTROLS_BEHIND_BYTES
            && let Some(frame) = self.frames.transmit()
        {
            out.extend_from_slice(&frame.encode());
        }
    }

    /// When its timer is to fire, on the clock of the thread.
    fn due(&self) -> Tick {
        let frames = Thread::tick_of(self.frames.wake_ms());
        if self.frames.is_open() { frames.min(self.beat_at) } else { frames }
    }
}

impl Thread {
    pub(super) fn open_socket(&mut self, index: u32, asked: Asked, places: SmallVec<[Place; 1]>, found: &Found) {
        self.figures.unanswered.fetch_sub(1, Ordering::SeqCst);
        let Asked { read, entry: Some(entry), accept, .. } = asked else { return self.close(index) };
        let session = Session::new(&read, entry.id().to_string(), self.context.draw_retry(), found.replay);
        let heartbeat = Wheel::ticks(read.heartbeat);
        let frames = self.frames(websocket::limits(&self.context), read.heartbeat);
        let member = self.group.open(read.types, places, found);
        let streaming = Streaming { member, session, entry, heartbeat, way: Way::WebSocket, fetching: false };
        let replies_max = self.context.limits.commands_in_flight_max.try_into().unwrap_or(u16::MAX);
        let peer = Peer::Reader { streaming, replies: Replies::default(), ending: None, replies_max };
        let mut socket = Socket { frames, beat_at: self.tick.saturating_add(heartbeat), peer };
        // It may have been told to end while it was looked up.
        socket.heed_close();
        self.start(index, socket, accept.into());
    }

    pub(super) fn open_echo(&mut self, index: u32, accept: Bytes) {
        let frames = self.frames(echo::LIMITS, echo::HEARTBEAT);
        self.start(index, Socket { frames, beat_at: Tick::MAX, peer: Peer::Echo }, accept);
    }

    fn frames(&self, limits: ws::Limits, heartbeat: Duration) -> ws::Session {
        let timing = Timing { heartbeat_ms: heartbeat.as_millis().try_into().unwrap_or(u32::MAX), ..Timing::default() };
        ws::Session::new(Role::Server, limits, timing, self.millis())
    }

    fn start(&mut self, index: u32, socket: Socket, accept: Bytes) {
        let due = socket.due();
        let conn = &mut self.conns[index as usize];
        conn.state = State::Socket(Box::new(socket));
        if conn.send(accept).is_err() {
            return self.close(index);
        }
        self.due_at(index, due);
        self.drive_socket(index);
        // What came while it was looked up is next.
        self.read_on(index);
    }

    pub(super) fn socket(&mut self, index: u32) -> Option<&mut Socket> {
        match self.conns.get_mut(index as usize).map(|conn| &mut conn.state) {
            Some(State::Socket(socket)) => Some(socket),
            _ => None,
        }
    }

    /// Takes what was read.
    pub(super) fn hear(&mut self, index: u32, mut bytes: &[u8]) {
        let now = self.millis();
        let mut out = Vec::new();
        let mut heard = 0..MESSAGES_MAX;
        while heard.next().is_some()
            && self.listens(index)
            && let Some(socket) = self.socket(index)
            && let Some(event) = socket.frames.receive(&mut bytes, now)
        {
            let result = match (event, &mut socket.peer) {
                (Event::Text(text), Peer::Echo) => {
                    out.extend_from_slice(&encode(Opcode::Text, text.as_bytes()));
                    Ok(())
                }
                (Event::Binary(bytes), Peer::Echo) => {
                    out.extend_from_slice(&encode(Opcode::Binary, &bytes));
                    Ok(())
                }
                (Event::Text(text), Peer::Reader { .. }) => {
                    self.command(index, &text);
                    Ok(())
                }
                (Event::Binary(_), Peer::Reader { .. }) => {
                    Err((CloseCode::UNSUPPORTED_DATA, "commands are JSON in text frames"))
                }
                _ => Ok(()),
            };
            if let (Err((code, reason)), Some(socket)) = (result, self.socket(index)) {
                socket.frames.close(code, reason, now);
            }
            let Some(conn) = self.conns.get_mut(index as usize) else { return };
            let unsent = conn.unsent_bytes();
            if let State::Socket(socket) = &mut conn.state {
                socket.transmit(unsent, &mut out);
            }
        }
        if !self.send_socket(index, out) {
            return;
        }
        if !bytes.is_empty() {
            self.conns[index as usize].stash(bytes);
        }
        self.drive_socket(index);
    }

    /// Whether another message can be taken.
    fn listens(&self, index: u32) -> bool {
        let Some(conn) = self.conns.get(index as usize) else { return false };
        matches!(&conn.state, State::Socket(socket) if socket.takes_input(conn.unsent_bytes()))
    }

    /// Takes what could not be taken when it came.
    pub(super) fn hear_stash(&mut self, index: u32) {
        if self.listens(index)
            && let Some(stash) = self.conns[index as usize].stash.take()
        {
            self.hear(index, stash.bytes());
        }
    }

    /// False if the connection is gone.
    fn send_socket(&mut self, index: u32, out: Vec<u8>) -> bool {
        let Some(conn) = self.conns.get_mut(index as usize) else { return false };
        if !out.is_empty() && conn.send(out.into()).is_err() {
            self.close(index);
            return false;
        }
        true
    }

    /// Sends what there is, as long as the socket takes it.
    pub(super) fn drive_socket(&mut self, index: u32) {
        self.speak_on(index);
        // A Close that was said or heard moves the timer to an earlier time; later ones are found when it fires.
        if let Some(due) = self.socket(index).map(|socket| socket.due())
            && due < self.conns[index as usize].due
        {
            self.due_at(index, due);
        }
    }

    fn speak_on(&mut self, index: u32) {
        for _ in 0..TURNS_MAX {
            let Some(conn) = self.conns.get_mut(index as usize) else { return };
            let clear = conn.is_clear();
            let unsent = conn.unsent_bytes();
            let State::Socket(socket) = &mut conn.state else { return };
            let mut out = Vec::new();
            if socket.frames.is_open() && clear {
                self.speak(index, &mut out, None);
            }
            let Some(socket) = self.socket(index) else { return };
            socket.transmit(unsent, &mut out);
            let (silent, over) = (out.is_empty(), socket.frames.is_over());
            if !self.send_socket(index, out) {
                return;
            }
            if over && self.conns[index as usize].unsent.is_none() {
                return self.finish_socket(index);
            }
            if silent || !self.conns[index as usize].is_clear() {
                return self.read_on(index);
            }
        }
        self.queue(index);
    }

    /// Reading may have been put off until something was said.
    fn read_on(&mut self, index: u32) {
        let waits = |conn: &Conn| conn.readable || conn.stash.is_some();
        if self.listens(index) && self.conns.get(index as usize).is_some_and(waits) {
            self.queue(index);
        }
    }

    /// What the reader has to say next.
    fn speak(&mut self, index: u32, out: &mut Vec<u8>, fetched: Option<Fetched>) {
        let (now, tick) = (self.millis(), self.tick);
        let Self { conns, group, .. } = self;
        let State::Socket(socket) = &mut conns[index as usize].state else { return };
        let Peer::Reader { streaming, replies, ending, .. } = &mut socket.peer else { return };
        replies.write(out);
        // `$close` is written, or there was none to write: now the frame that ends it.
        if let Some(last) = ending.take_if(|_| streaming.session.is_ended()) {
            let (code, reason) = *last;
            socket.frames.close(code, &reason, now);
            return;
        }
        if streaming.fetching {
            return;
        }
        let mut pages = MemberPages { group, member: &mut streaming.member, fetched };
        let turn = streaming.session.turn(&mut pages);
        match turn {
            Turn::Send(pieces) => {
                pieces.iter().for_each(|piece| out.extend_from_slice(piece));
                socket.beat_at = tick.saturating_add(streaming.heartbeat);
            }
            Turn::Idle => {}
            Turn::Again => self.queue(index),
            Turn::Cold => self.fetch(index),
            // Where only payloads are sent there was no `$close` to write first.
            Turn::Ended => {
                let failed = || Box::new((CloseCode::INTERNAL_ERROR, "the log cannot be read".into()));
                let (code, reason) = *ending.take().unwrap_or_else(failed);
                socket.frames.close(code, &reason, now);
            }
        }
    }

    /// What was read from the disk.
    pub(super) fn on_fetched_socket(&mut self, index: u32, fetched: Result<Fetched, Problem>) {
        let Some(socket) = self.socket(index) else { return };
        let Peer::Reader { streaming, ending, .. } = &mut socket.peer else { return };
        streaming.fetching = false;
        let mut out = Vec::new();
        match fetched {
            Ok(fetched) => self.speak(index, &mut out, Some(fetched)),
            Err(problem) => {
                let close: Close = session::close_for(&problem);
                *ending = Some(Box::new(talk::ending(&close)));
                streaming.session.close(close);
            }
        }
        if !self.send_socket(index, out) {
            return;
        }
        // Between two reads from the disk it can listen: what it is told, and its signs of life, must not wait for the end of
        // a long replay.
        self.hear_stash(index);
        if self.conns.get(index as usize).is_some_and(|conn| conn.readable) {
            self.on_readable(index);
        }
        self.drive_socket(index);
    }

    /// Its timer has fired.
    pub(super) fn beat_socket(&mut self, index: u32) {
        let (millis, tick, now) = (self.millis(), self.tick, self.wall_clock());
        // Who is not listened to is not silent.
        let conn = &self.conns[index as usize];
        if conn.readable || conn.stash.is_some() {
            const LOOK_AGAIN: Duration = Duration::from_secs(1);
            self.read_on(index);
            return self.due_in(index, LOOK_AGAIN);
        }
        let Some(socket) = self.socket(index) else { return };
        if socket.frames.tick(millis) == Alive::Expired {
            return self.close(index);
        }
        self.drive_socket(index);
        let Some(conn) = self.conns.get_mut(index as usize) else { return };
        let clear = conn.is_clear();
        let State::Socket(socket) = &mut conn.state else { return };
        let mut out = Vec::new();
        if socket.frames.is_open() && socket.beat_at <= tick {
            let Some(streaming) = socket.reading_mut() else { return };
            let beat = streaming.session.beat(now, streaming.member.cursor()).filter(|_| clear && !streaming.fetching);
            let next = tick.saturating_add(streaming.heartbeat);
            out.extend_from_slice(&beat.unwrap_or_default());
            socket.beat_at = next;
        }
        let due = socket.due();
        if self.send_socket(index, out) {
            self.due_at(index, due);
        }
    }

    /// Both sides have said their Close.
    fn finish_socket(&mut self, index: u32) {
        let Some(due) = self.socket(index).map(|socket| socket.due()) else { return };
        self.finish(index);
        if self.conns.contains(index as usize) {
            self.due_at(index, due);
        }
    }
}
