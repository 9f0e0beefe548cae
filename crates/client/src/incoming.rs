//! What a subscription hands over: events, and what a person wants to know besides.

use std::fmt;
use std::time::Duration;

use bongsu_core::read::Way;

use crate::cursor::Cursor;
use crate::error::Error;
use crate::event::Event;

/// One item of a subscription, the same on all five ways.
///
/// An application that only wants events uses [`Incoming::into_event`] and should look at [`Incoming::Gap`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Incoming {
    /// Something was published.
    Event(Event),
    /// Events are missing here: they were no longer kept. What is kept follows.
    Gap(Gap),
    /// A connection stands. Comes again after each reconnect and each change of way.
    Open(Open),
    /// The replay has caught up with what was the head when the connection began; what follows is live.
    Live(Cursor),
    /// There is no connection; the client comes back by itself.
    Reconnecting(Reconnecting),
}

impl Incoming {
    /// The event, if it is one.
    #[must_use]
    pub fn into_event(self) -> Option<Event> {
        match self {
            Self::Event(event) => Some(event),
            _ => None,
        }
    }
}

/// Events of a channel are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// The channel that lost them.
    pub channel: String,
    /// Why they are gone.
    pub reason: GapReason,
    /// The position in this channel from which everything is kept. Not a position to resume other channels from.
    pub cursor: Option<Cursor>,
}

/// Why events are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapReason {
    /// They were trimmed by number, bytes or age.
    Expired,
    /// The history was dropped, or the log is another one.
    Reset,
    /// A reason that this client does not know.
    Other(String),
}

impl GapReason {
    pub(crate) fn from_wire(word: &str) -> Self {
        match word {
            "expired" => Self::Expired,
            "reset" => Self::Reset,
            other => Self::Other(other.into()),
        }
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "expired",
            Self::Reset => "reset",
            Self::Other(word) => word,
        })
    }
}

/// A connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Open {
    /// The way it uses.
    pub way: Way,
    /// The server's name for it; `None` on the polling ways, which have no lasting connection.
    pub connection: Option<String>,
    /// Where it begins.
    pub cursor: Option<Cursor>,
    /// How many events the server had when it began that this client has not; `None` on the polling ways.
    pub replay: Option<u64>,
}

/// There is no connection, and when the next attempt follows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reconnecting {
    /// The way of the next attempt.
    pub way: Way,
    /// 1 for the first attempt after a connection that worked.
    pub attempt: u32,
    /// When it follows.
    pub after: Duration,
    /// What happened to the last connection or attempt.
    pub why: Error,
}
