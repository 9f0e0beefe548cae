//! The least of HTTP/1.1, SSE, NDJSON and WebSocket that a load generator needs, without I/O.
//!
//! It is written apart from the server's own code on purpose: a mistake there must not be hidden by the same mistake
//! here. It must not know sockets, and nothing of what the figures mean.

pub(crate) mod http;
pub(crate) mod lines;
pub(crate) mod object;
pub(crate) mod sse;
pub(crate) mod websocket;

use std::fmt;

/// Bytes that the peer must not send: the run cannot go on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server sent {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// The next whole item of a stream and how many bytes it took; None when more bytes are needed.
pub(crate) type Next<T> = Result<Option<(T, usize)>, Malformed>;
