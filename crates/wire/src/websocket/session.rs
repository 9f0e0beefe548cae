//! One open connection: signs of life and the closing handshake (RFC 6455 §5.5, §7).
//!
//! A driver owns the socket, the clock and the write buffer, and runs a [`Session`] like this:
//!
//! - after each read: [`receive`](Session::receive) until `None`; after every event, and after a tick
//!   that says so, write what [`transmit`](Session::transmit) gives, if the socket takes it;
//! - at [`wake_ms`](Session::wake_ms): [`tick`](Session::tick);
//! - data frames may be written while [`is_open`](Session::is_open);
//! - once [`is_over`](Session::is_over) and everything is written: shut down the writing side, and
//!   read on (the bytes are ignored) until the peer's end or an expired tick. Closing a socket with
//!   unread input would reset it, and the reset can overtake our Close.
//!
//! Nothing queues up behind a socket that does not take bytes: at most one Pong, one Ping and one
//! Close wait here. It must not know what messages mean.

use bytes::Bytes;

use super::assembly::Limits;
use super::close::{Close, CloseCode};
use super::frame::{self, Opcode};
use super::mask::MaskKey;
use super::reader::{Message, Reader, Role};
use super::violation::Violation;

/// How long to wait for the peer, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A Ping is sent once in this time; two of them without a byte from the peer end the connection.
    pub heartbeat_ms: u32,
    /// How long the peer may take to answer our Close, and then to end its side.
    pub close_wait_ms: u32,
}

impl Default for Timing {
    /// A heartbeat of 20 s (proxies cut idle streams at 30-60 s), 5 s for closing.
    fn default() -> Self {
        Self { heartbeat_ms: 20_000, close_wait_ms: 5_000 }
    }
}

/// What has come from the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// A Ping; its Pong is ready to be transmitted. If it cannot be written now, a later Ping's Pong
    /// replaces it (§5.5.3).
    Ping,
    /// A Pong.
    Pong,
    /// The peer's Close (`None`: without code), or its answer to ours. The last event.
    Closed(Option<Close>),
    /// The peer broke the rules; our Close says which. The last event.
    Failed(Violation),
}

/// A control frame to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Ping, Pong or Close.
    pub opcode: Opcode,
    /// At most 125 bytes.
    pub payload: Bytes,
}

impl Outgoing {
    /// The frame as a server sends it.
    pub fn encode(&self) -> Bytes {
        frame::encode(self.opcode, &self.payload)
    }

    /// The frame as a client sends it.
    pub fn encode_masked(&self, key: MaskKey) -> Bytes {
        frame::encode_masked(self.opcode, &self.payload, key)
    }
}

/// What the passing of time has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// Nothing to do before [`Session::wake_ms`].
    Wait,
    /// A Ping is ready to be transmitted.
    Ping,
    /// The peer was silent for two heartbeats, or too slow to close: drop the socket.
    Expired,
}

/// How far the connection has come (§7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Data flows.
    Open,
    /// We have closed and wait for the peer's Close; its data is ignored.
    Closing,
    /// Both Closes are there, or the connection failed: nothing that comes counts any more.
    Over,
}

/// The protocol state of one connection after its handshake.
#[derive(Debug)]
pub struct Session {
    reader: Reader,
    /// When bytes last came from the peer.
    heard_ms: u64,
    /// While open: when the next Ping is due. After that: when patience ends.
    timer_ms: u64,
    timing: Timing,
    /// Control frames that wait to be transmitted; `None` when there are none.
    outbox: Option<Box<Outbox>>,
    phase: Phase,
}

// Thousands of idle connections hold one each.
const _: () = assert!(size_of::<Session>() <= 72);

/// Control frames that wait. One slot each: this is the bound on what a peer can make us hold.
#[derive(Debug, Default)]
struct Outbox {
    pong: Option<Bytes>,
    ping: bool,
    close: Option<Vec<u8>>,
}

impl Session {
    /// A session whose handshake was completed at `now_ms`.
    pub fn new(role: Role, limits: Limits, timing: Timing, now_ms: u64) -> Self {
        Self {
            reader: Reader::new(role, limits),
            heard_ms: now_ms,
            timer_ms: now_ms + u64::from(timing.heartbeat_ms),
            timing,
            outbox: None,
            phase: Phase::Open,
        }
    }

    /// Takes bytes off the front of `input` up to the next event. `None` means that `input` is used
    /// up; call it until then.
    pub fn receive(&mut self, input: &mut &[u8], now_ms: u64) -> Option<Event> {
        if !input.is_empty() {
            self.heard_ms = now_ms;
        }
        while self.phase != Phase::Over {
            let event = match self.reader.read(input) {
                Ok(None) => return None,
                Ok(Some(message)) => self.on_message(message, now_ms),
                Err(violation) => Some(self.fail(violation, now_ms)),
            };
            if event.is_some() {
                return event;
            }
        }
        // §7.1.7: "MUST NOT continue to attempt to process data" once it is over.
        *input = &[];
        None
    }

    /// The next control frame to write, in the order in which they must leave.
    ///
    /// The caller writes it after data frames already begun. Nothing may follow a Close.
    pub fn transmit(&mut self) -> Option<Outgoing> {
        let outbox = self.outbox.as_mut()?;
        let (opcode, payload) = if let Some(payload) = outbox.pong.take() {
            (Opcode::Pong, payload)
        } else if std::mem::take(&mut outbox.ping) {
            (Opcode::Ping, Bytes::new())
        } else {
            let close = outbox.close.take();
            self.outbox = None;
            (Opcode::Close, close?.into())
        };
        Some(Outgoing { opcode, payload })
    }

    /// Begins the closing handshake. The reason is cut to 123 bytes. Does nothing if it has begun.
    pub fn close(&mut self, code: CloseCode, reason: &str, now_ms: u64) {
        if self.phase == Phase::Open {
            self.queue_close(Close::new(code, reason).encode());
            self.leave_open(Phase::Closing, now_ms);
        }
    }

    /// Brings the session to `now_ms`.
    pub fn tick(&mut self, now_ms: u64) -> Tick {
        if now_ms >= self.patience_ends_ms() {
            self.phase = Phase::Over;
            self.outbox = None;
            return Tick::Expired;
        }
        if self.phase == Phase::Open && now_ms >= self.timer_ms {
            self.timer_ms = now_ms + u64::from(self.timing.heartbeat_ms);
            self.outbox.get_or_insert_default().ping = true;
            return Tick::Ping;
        }
        Tick::Wait
    }

    /// When [`tick`](Self::tick) next has something to do, if nothing comes before.
    pub fn wake_ms(&self) -> u64 {
        self.timer_ms.min(self.patience_ends_ms())
    }

    /// Changes the heartbeat, in milliseconds: a client learns its server's only after the handshake.
    pub fn set_heartbeat(&mut self, heartbeat_ms: u32, now_ms: u64) {
        self.timing.heartbeat_ms = heartbeat_ms;
        if self.phase == Phase::Open {
            self.timer_ms = now_ms + u64::from(heartbeat_ms);
        }
    }

    /// Whether data frames may still be sent.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether nothing more is to be received, nor transmitted beyond what was given out.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over && self.outbox.is_none()
    }

    /// Bytes of heap held: 0 while idle.
    pub fn buffered_bytes(&self) -> usize {
        let outbox = self.outbox.as_ref().map_or(0, |outbox| {
            let pong = outbox.pong.as_ref().map_or(0, Bytes::len);
            size_of::<Outbox>() + pong + outbox.close.as_ref().map_or(0, Vec::capacity)
        });
        self.reader.buffered_bytes() + outbox
    }

    fn on_message(&mut self, message: Message, now_ms: u64) -> Option<Event> {
        let open = self.phase == Phase::Open;
        match message {
            Message::Close(close) => Some(self.on_close(close, now_ms)),
            // Data after our Close is of no use, and a Pong must not follow it (§5.5.1).
            _ if !open => None,
            Message::Text(text) => Some(Event::Text(text)),
            Message::Binary(bytes) => Some(Event::Binary(bytes)),
            Message::Ping(payload) => {
                self.outbox.get_or_insert_default().pong = Some(payload);
                Some(Event::Ping)
            }
            Message::Pong(_) => Some(Event::Pong),
        }
    }

    /// §5.5.1: "If an endpoint receives a Close frame and did not previously send a Close frame, the
    /// endpoint MUST send a Close frame in response", which "typically echos the status code".
    fn on_close(&mut self, close: Option<Close>, now_ms: u64) -> Event {
        if self.phase == Phase::Open {
            let echo = close.as_ref().map(|close| Close::new(close.code, "").encode());
            self.queue_close(echo.unwrap_or_default());
        }
        self.leave_open(Phase::Over, now_ms);
        Event::Closed(close)
    }

    /// §7.1.7, fail the connection: say why, unless a Close of ours is already on its way.
    fn fail(&mut self, violation: Violation, now_ms: u64) -> Event {
        if self.phase == Phase::Open {
            self.queue_close(Close::new(violation.close_code(), violation.reason()).encode());
        }
        self.leave_open(Phase::Over, now_ms);
        Event::Failed(violation)
    }

    fn queue_close(&mut self, body: Vec<u8>) {
        let outbox = self.outbox.get_or_insert_default();
        outbox.ping = false;
        outbox.close = Some(body);
    }

    fn leave_open(&mut self, phase: Phase, now_ms: u64) {
        self.phase = phase;
        self.timer_ms = now_ms + u64::from(self.timing.close_wait_ms);
    }

    fn patience_ends_ms(&self) -> u64 {
        match self.phase {
            Phase::Open => self.heard_ms + 2 * u64::from(self.timing.heartbeat_ms),
            Phase::Closing | Phase::Over => self.timer_ms,
        }
    }
}
