//! What a generator is to do: the ways of reading, and how many read, publish and stand beside.
//!
//! It is data and knows nothing of how it is done.

use std::net::SocketAddr;
use std::time::Duration;

use super::Dialect;

/// Connections that are being made at a time: well below the backlog of any listener.
const CONNECTING_MAX: usize = 256;

/// A way of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Server-Sent Events.
    Sse,
    /// NDJSON streaming.
    Stream,
    /// WebSocket.
    WebSocket,
    /// Long polling.
    LongPoll,
    /// Interval polling.
    Poll,
}

impl Way {
    /// Its name on the command line and in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sse => "sse",
            Self::Stream => "stream",
            Self::WebSocket => "websocket",
            Self::LongPoll => "longpoll",
            Self::Poll => "poll",
        }
    }

    /// The way of a name.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let all = [Self::Sse, Self::Stream, Self::WebSocket, Self::LongPoll, Self::Poll];
        let found = all.into_iter().find(|way| way.name() == text);
        found.ok_or_else(|| "a way is sse, stream, websocket, longpoll or poll".to_owned())
    }

    /// Whether it asks again after each answer.
    pub(crate) fn polls(self) -> bool {
        matches!(self, Self::LongPoll | Self::Poll)
    }
}

/// What a generator does.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// Where the server is.
    pub(crate) target: SocketAddr,
    /// What it speaks.
    pub(crate) dialect: Dialect,
    /// How subscribers read.
    pub(crate) way: Way,
    /// Channels.
    pub(crate) channels: usize,
    /// Subscribers of each channel.
    pub(crate) each: usize,
    /// Connections that publish.
    pub(crate) publishers: usize,
    /// From one poll to the next; None: one poll and no more.
    pub(crate) interval: Option<Duration>,
    /// Whether subscribers will come back with their cursor.
    pub(crate) comes_back: bool,
    /// Whether acknowledgements tell the offset.
    pub(crate) numbered: bool,
    /// Subscribers beside those of the channels, whose deliveries are checked but not timed.
    pub(crate) crowd: usize,
    /// The channel of the crowd: one of the others, or the next.
    pub(crate) crowd_channel: usize,
    /// The receive buffer of the crowd's sockets in bytes; None: as the kernel likes.
    pub(crate) crowd_receive_bytes: Option<usize>,
    /// Connections that may be under way at a time.
    pub(crate) connecting_max: usize,
    /// Whether a subscriber that is refused and told when to come back does so.
    pub(crate) returns: bool,
}

impl Plan {
    /// A plan for one channel without subscribers and publishers, to be changed where needed.
    pub(crate) fn new(target: SocketAddr, dialect: Dialect, way: Way) -> Self {
        Self {
            target,
            dialect,
            way,
            channels: 1,
            each: 0,
            publishers: 0,
            interval: None,
            comes_back: false,
            numbered: dialect.is_ours(),
            crowd: 0,
            crowd_channel: 0,
            crowd_receive_bytes: None,
            connecting_max: CONNECTING_MAX,
            returns: false,
        }
    }

    /// Subscribers that are not of the crowd.
    pub(super) fn regulars(&self) -> usize {
        self.channels * self.each
    }
}
