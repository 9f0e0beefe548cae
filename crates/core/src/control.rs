//! Control objects: what the server says on a stream besides events.
//!
//! They share the shape of events, have a type that begins with `$`, and no `id`.

use std::time::Duration;

use crate::channel::ChannelName;
use crate::cursor::Cursor;
use crate::error::Problem;
use crate::log::LostReason;
use crate::time::Millis;

/// One control object. See §1 and §2 of the protocol page.
#[derive(Clone, Debug, PartialEq)]
pub enum Control {
    /// The first object of a streaming answer.
    Open {
        /// The name of this connection, for commands by POST. Unguessable.
        connection: String,
        /// Where this stream begins.
        cursor: Cursor,
        /// How often at least something is sent.
        heartbeat: Duration,
        /// When to come back after a cut: drawn for this client from its reconnect window.
        retry: Duration,
        /// How many events lie between the cursor and the head.
        replay: u64,
    },
    /// The replay has caught up with what was the head when it began.
    Live {
        /// That head.
        cursor: Cursor,
    },
    /// Events after the reader's position are no longer kept.
    Gap {
        /// The channel that lost them.
        channel: ChannelName,
        /// Why they are gone.
        reason: LostReason,
        /// The position in this channel from which everything is kept.
        cursor: Cursor,
    },
    /// Nothing else was sent for one heartbeat.
    Beat {
        /// The server's time.
        time: Millis,
        /// Where the reader stands.
        cursor: Cursor,
    },
    /// The last object of a streaming answer.
    Close(Close),
    /// The answer to a command.
    Reply {
        /// The command's `ref`, as JSON, if it had one.
        reference: Option<String>,
        /// The result as a JSON object, or the problem.
        result: Result<String, Problem>,
    },
}

/// Why the server ends a stream, and when to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The close code, as a WebSocket would carry it.
    pub code: u16,
    /// The reason in words.
    pub reason: String,
    /// Whether coming back makes sense.
    pub reconnect: bool,
    /// When to come back: drawn for this client.
    pub retry: Duration,
}

/// Close codes of protocol v1.
pub mod close_code {
    /// The server drains; reconnect.
    pub const DRAINING: u16 = 1001;
    /// The token has expired.
    pub const TOKEN_EXPIRED: u16 = 4001;
    /// Not permitted; do not come back.
    pub const FORBIDDEN: u16 = 4003;
    /// The client reads too slowly.
    pub const TOO_SLOW: u16 = 4008;
    /// The client broke the protocol; do not come back.
    pub const PROTOCOL_ERROR: u16 = 4009;
    /// A limit is reached.
    pub const OVERLOADED: u16 = 4013;
    /// Too many requests.
    pub const RATE_LIMITED: u16 = 4029;
}
