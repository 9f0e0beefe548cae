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
use bongsu_core::read::ReadRequest;
use bongsu_core::subscription::{Item, Page, ReadError};
use bongsu_core::{Control, Millis, Problem};
use bongsu_hub::Reader;
use bongsu_wire::framing;
use bytes::Bytes;

/// How much one turn may bring: enough to make the system call worth it, little enough to share the thread fairly. It is
/// also what a client that stopped reading holds of our memory, beside the driver's own buffer.
pub(crate) const TURN: Budget = Budget { events: 256, bytes: 32 << 10 };
/// How many pages may turn out empty (all filtered out) before others get their turn.
const EMPTY_PAGES_MAX: usize = 16;

/// Where a session's pages come from.
pub(crate) trait Pages {
    /// The next objects; never waits.
    fn page(&mut self, budget: Budget) -> Result<Page, ReadError>;

    /// The position from which a resume loses nothing.
    fn cursor(&self) -> Cursor;
}

impl Pages for Reader {
    fn page(&mut self, budget: Budget) -> Result<Page, ReadError> {
        Self::page(self, budget)
    }

    fn cursor(&self) -> Cursor {
        Self::cursor(self)
    }
}

/// A streaming answer in progress.
pub(crate) struct Session {
    encoding: Encoding,
    state: State,
}

// Thousands of idle connections hold one each.
const _: () = assert!(size_of::<Session>() <= 24);

/// What is seldom is in a box, so that what is idle is small.
enum State {
    Opening(Box<Opening>),
    Open,
    Closing(Box<Close>),
    Ended,
}

/// What `$open` says.
struct Opening {
    connection: String,
    heartbeat: Duration,
    retry: Duration,
    replay: u64,
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
    pub(crate) fn new(read: &ReadRequest, connection: String, retry: Duration, replay: u64) -> Self {
        let opening = Opening { connection, heartbeat: read.heartbeat, retry, replay };
        Self { encoding: framing::encoding(read.way, read.format), state: State::Opening(Box::new(opening)) }
    }

    /// The next bytes; never waits.
    pub(crate) fn turn(&mut self, pages: &mut impl Pages) -> Turn {
        let mut out = Vec::new();
        match std::mem::replace(&mut self.state, State::Open) {
            State::Opening(opening) => self.open(*opening, pages.cursor(), &mut out),
            State::Open => {}
            State::Closing(close) => {
                self.state = State::Ended;
                self.last_words(pages, &mut out);
                out.extend(self.control(&Control::Close(*close)));
            }
            State::Ended => self.state = State::Ended,
        }
        if matches!(self.state, State::Ended) {
            return if out.is_empty() { Turn::Ended } else { Turn::Send(out) };
        }
        self.read(pages, out)
    }

    fn open(&self, opening: Opening, cursor: Cursor, out: &mut Vec<Bytes>) {
        let Opening { connection, heartbeat, retry, replay } = opening;
        out.extend(self.control(&Control::Open { connection, cursor, heartbeat, retry, replay }));
    }

    /// What is at hand goes along before the end: an event that was published a moment ago should not have to wait for the
    /// client's return.
    fn last_words(&mut self, pages: &mut impl Pages, out: &mut Vec<Bytes>) {
        if let Ok(page) = pages.page(TURN) {
            out.extend(page.items.iter().filter_map(|item| self.item(item)));
        }
    }

    fn read(&mut self, pages: &mut impl Pages, mut out: Vec<Bytes>) -> Turn {
        for _ in 0..EMPTY_PAGES_MAX {
            match pages.page(TURN) {
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
                // A read that may wait for the disk either helps or tells why not.
                Err(ReadError::Cold | ReadError::Failed(_)) => return Turn::Cold,
            }
        }
        Turn::Again
    }

    /// As [`Session::turn`], but may wait for the disk.
    pub(crate) fn turn_cold(&mut self, reader: &mut Reader) -> Turn {
        let mut out = Vec::new();
        for _ in 0..EMPTY_PAGES_MAX {
            match reader.page_cold(TURN) {
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
                    return self.turn(reader);
                }
            }
        }
        Turn::Again
    }

    /// What to write when nothing was written for one heartbeat; empty where the encoding has no word for it.
    pub(crate) fn beat(&self, now: Millis, cursor: Cursor) -> Option<Bytes> {
        self.control(&Control::Beat { time: now, cursor })
    }

    /// Ends the answer with the next turn.
    pub(crate) fn close(&mut self, close: Close) {
        if !matches!(self.state, State::Ended) {
            self.state = State::Closing(Box::new(close));
        }
    }

    /// Bytes of heap held: 0 once it has opened.
    pub(crate) fn heap_bytes(&self) -> usize {
        match &self.state {
            State::Opening(opening) => size_of::<Opening>() + opening.connection.capacity(),
            State::Closing(close) => size_of::<Close>() + close.reason.len(),
            State::Open | State::Ended => 0,
        }
    }

    /// Whether it only has to send what is new: it has opened and was not told to end.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Whether it has said its last word.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// How this session's objects are encoded.
    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
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
