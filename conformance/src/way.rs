//! The five ways to read, the HTTP versions they run on, and who serves the sockets: the three dimensions of the matrix.

use std::fmt;

/// One of the five ways of §2 of the protocol page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Repeated requests, answered at once.
    Poll,
    /// Repeated requests that wait.
    Longpoll,
    /// `application/x-ndjson`, one object per line.
    Stream,
    /// `text/event-stream`.
    Sse,
    /// One text frame per object.
    Websocket,
}

impl Way {
    /// All five, in the order of the protocol page read backwards: from the simplest.
    pub const ALL: [Self; 5] = [Self::Poll, Self::Longpoll, Self::Stream, Self::Sse, Self::Websocket];

    /// The name used in scenarios and in `?transport=`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Longpoll => "longpoll",
            Self::Stream => "stream",
            Self::Sse => "sse",
            Self::Websocket => "websocket",
        }
    }

    /// Whether events come one answer at a time (polling and long polling).
    #[must_use]
    pub fn is_polling(self) -> bool {
        matches!(self, Self::Poll | Self::Longpoll)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The HTTP version a request or reader uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Http {
    /// HTTP/1.1 on a plain socket (RFC 9112).
    #[default]
    H1,
    /// HTTP/2 in clear text with prior knowledge (RFC 9113 §3.3).
    H2,
}

/// Who serves HTTP/1.1 in the server: every promise holds on both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Driver {
    /// Socket shards, and hyper for what they hand over.
    #[default]
    Shards,
    /// hyper alone.
    Hyper,
}

impl Driver {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Shards, Self::Hyper];

    /// What the server's option `shards` has to say. Two, so that connections go from one to the other.
    #[must_use]
    pub fn shards(self) -> &'static str {
        match self {
            Self::Shards => "2",
            Self::Hyper => "0",
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shards => "shards",
            Self::Hyper => "hyper",
        })
    }
}
