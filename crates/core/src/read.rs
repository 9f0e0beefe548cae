//! What a reader asks for, the same on all five ways.

use std::time::Duration;

use crate::channel::ChannelName;
use crate::cursor::Since;
use crate::event::EventType;

/// The five ways of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    /// Answers at once.
    Poll,
    /// Waits for the first event or a timeout.
    LongPoll,
    /// One response without an end, a line per object.
    Stream,
    /// One response without an end, as server-sent events.
    Sse,
    /// A WebSocket.
    WebSocket,
}

impl Way {
    /// All ways, in the order of the protocol page.
    pub const ALL: [Self; 5] = [Self::Poll, Self::LongPoll, Self::Stream, Self::Sse, Self::WebSocket];

    /// The value of `?transport=`, and the name in figures and reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::LongPoll => "longpoll",
            Self::Stream => "stream",
            Self::Sse => "sse",
            Self::WebSocket => "websocket",
        }
    }

    /// The way of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.as_str() == name)
    }

    /// Whether one answer ends with its events, so that the client comes back by itself.
    #[must_use]
    pub fn is_polling(self) -> bool {
        matches!(self, Self::Poll | Self::LongPoll)
    }
}

/// Where a read begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// At a position.
    Since(Since),
    /// Before the newest so many events of each channel.
    Last(usize),
    /// The client did not say: streaming ways and long polls begin now, polls answer the newest events.
    Unsaid,
}

/// How much of an event is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// The whole object.
    #[default]
    Object,
    /// Only the payload (`format=data`).
    Data,
}

/// A read, parsed and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// By which way.
    pub way: Way,
    /// Which channels; none twice. May be empty only on a WebSocket, which can subscribe later.
    pub channels: Vec<ChannelName>,
    /// From where.
    pub from: From,
    /// Whether the position came as `If-None-Match`, so that "nothing new" is answered `304`.
    pub conditional: bool,
    /// The most events of one answer of the polling ways.
    pub limit: usize,
    /// Only these types; empty for all. The default type is `None`.
    pub types: Vec<Option<EventType>>,
    /// How often at least something is sent on the streaming ways.
    pub heartbeat: Duration,
    /// How long a long poll waits.
    pub wait: Duration,
    /// How much of an event is sent.
    pub format: Format,
    /// Whether it is a HEAD request: the answer's head only.
    pub head_only: bool,
}
