//! One streaming answer as a state machine: a reader's pages become bytes.
//!
//! The session is driven, never drives: whoever has a socket calls [`Session::turn`] when there is room to write and
//! [`Session::beat`] when nothing was written for one heartbeat. It keeps no bytes back: what a turn gives is to be
//! written before the next turn, so a client that does not read costs its position and nothing else.
//!
//! It knows no sockets, no HTTP and no clock.

use std::time::Duration;

use bongsu_core::control::Close;
use bongsu_core::cursor::Cursor;
use bongsu_core::event::Encoding;
use bongsu_core::log::Budget;
use bongsu_core::read::{Format, From, ReadRequest, Way};
use bongsu_core::subscription::{Item, ReadError};
use bongsu_core::{ChannelName, Control, Millis, Problem};
use bongsu_hub::Reader;
use bongsu_wire::framing;
use bytes::Bytes;

/// How much one turn may bring: enough to make the system call worth it, little enough to share the thread fairly. It is
/// also what a client that stopped reading holds of our memory, beside the driver's own buffer.
const TURN: Budget = Budget { events: 256, bytes: 32 << 10 };
/// How many pages may turn out empty (all filtered out) before others get their turn.
const EMPTY_PAGES_MAX: usize = 16;

/// A streaming answer in progress.
pub(crate) struct Session {
    reader: Reader,
    encoding: Encoding,
    state: State,
}

enum State {
    Opening(Opening),
    Open,
    Closing(Close),
    Ended,
}

/// What `$open` says.
pub(crate) struct Opening {
    pub(crate) connection: String,
    pub(crate) heartbeat: Duration,
    pub(crate) retry: Duration,
    pub(crate) replay: u64,
}

/// What came of a turn.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Write these, in order, then take another turn.
    Send(Vec<Bytes>),
    /// There is nothing to write: wait for the reader's wake.
    Idle,
    /// Nothing yet, but there may be more: let others go first, then take another turn.
    Again,
    /// What comes next is on the disk: call [`Session::turn_cold`] where waiting is allowed.
    Cold,
    /// The answer is complete.
    Ended,
}

impl Session {
    pub(crate) fn new(reader: Reader, way: Way, format: Format, opening: Opening) -> Self {
        Self { reader, encoding: framing::encoding(way, format), state: State::Opening(opening) }
    }

    /// The next bytes; never waits.
    pub(crate) fn turn(&mut self) -> Turn {
        let mut out = Vec::new();
        match std::mem::replace(&mut self.state, State::Open) {
            State::Opening(opening) => self.open(opening, &mut out),
            State::Open => {}
            State::Closing(close) => {
                self.state = State::Ended;
                self.last_words(&mut out);
                out.extend(self.control(&Control::Close(close)));
            }
            State::Ended => self.state = State::Ended,
        }
        if matches!(self.state, State::Ended) {
            return if out.is_empty() { Turn::Ended } else { Turn::Send(out) };
        }
        self.read(out)
    }

    fn open(&self, opening: Opening, out: &mut Vec<Bytes>) {
        let Opening { connection, heartbeat, retry, replay } = opening;
        let cursor = self.reader.cursor();
        out.extend(self.control(&Control::Open { connection, cursor, heartbeat, retry, replay }));
    }

    /// What is at hand goes along before the end: an event that was published a moment ago should not have to wait for the
    /// client's return.
    fn last_words(&mut self, out: &mut Vec<Bytes>) {
        if let Ok(page) = self.reader.page(TURN) {
            out.extend(page.items.iter().filter_map(|item| self.item(item)));
        }
    }

    fn read(&mut self, mut out: Vec<Bytes>) -> Turn {
        for _ in 0..EMPTY_PAGES_MAX {
            match self.reader.page(TURN) {
                Ok(page) => {
                    out.extend(page.items.iter().filter_map(|item| self.item(item)));
                    if !out.is_empty() {
                        return Turn::Send(out);
                    }
                    if page.caught_up {
                        return Turn::Idle;
                    }
                }
                Err(_) if !out.is_empty() => return Turn::Send(out),
                Err(ReadError::Cold) => return Turn::Cold,
                Err(ReadError::Failed(_)) => unreachable!("only a cold read fails"),
            }
        }
        Turn::Again
    }

    /// As [`Session::turn`], but may wait for the disk.
    pub(crate) fn turn_cold(&mut self) -> Turn {
        let mut out = Vec::new();
        for _ in 0..EMPTY_PAGES_MAX {
            match self.reader.page_cold(TURN) {
                Ok(page) => {
                    out.extend(page.items.iter().filter_map(|item| self.item(item)));
                    if !out.is_empty() {
                        return Turn::Send(out);
                    }
                    if page.caught_up {
                        return Turn::Idle;
                    }
                }
                Err(problem) => {
                    self.close(close_for(&problem));
                    return self.turn();
                }
            }
        }
        Turn::Again
    }

    /// What to write when nothing was written for one heartbeat; empty where the encoding has no word for it.
    pub(crate) fn beat(&self, now: Millis) -> Option<Bytes> {
        self.control(&Control::Beat { time: now, cursor: self.reader.cursor() })
    }

    /// Ends the answer with the next turn.
    pub(crate) fn close(&mut self, close: Close) {
        if !matches!(self.state, State::Ended) {
            self.state = State::Closing(close);
        }
    }

    /// Reads more channels; see [`Reader::add`].
    pub(crate) fn add(&mut self, channels: &[ChannelName], from: From) -> Result<Cursor, Problem> {
        self.reader.add(channels, from)
    }

    /// Stops reading channels.
    pub(crate) fn remove(&mut self, channels: &[ChannelName]) {
        self.reader.remove(channels);
    }

    /// What is read.
    pub(crate) fn channels(&self) -> Vec<ChannelName> {
        self.reader.channels().cloned().collect()
    }

    /// A control object in this session's encoding, if that has controls.
    pub(crate) fn control(&self, control: &Control) -> Option<Bytes> {
        framing::control_bytes(control, self.encoding)
    }

    fn item(&self, item: &Item) -> Option<Bytes> {
        match item {
            Item::Event(event) => Some(framing::event_bytes(event, self.encoding)),
            Item::Live { cursor } => self.control(&Control::Live { cursor: *cursor }),
            Item::Gap { channel, reason, cursor } => {
                self.control(&Control::Gap { channel: channel.clone(), reason: *reason, cursor: *cursor })
            }
        }
    }
}

/// The end of a stream over which something went wrong.
pub(crate) fn close_for(problem: &Problem) -> Close {
    Close {
        code: problem.code.close_code(),
        reason: problem.detail.clone(),
        reconnect: problem.code.retry() == bongsu_core::error::Retry::Later,
        retry: problem.retry_after.unwrap_or(Duration::from_secs(1)),
    }
}

/// The session of a request with its reader.
pub(crate) fn new(reader: Reader, replay: u64, read: &ReadRequest, connection: &str, retry: Duration) -> Session {
    let opening = Opening { connection: connection.into(), heartbeat: read.heartbeat, retry, replay };
    Session::new(reader, read.way, read.format, opening)
}
