//! Steps about readers.

use crate::reader::{Choose, Resume};
use crate::way::{Http, Way};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Opens a reader.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Its name.
    pub open: String,
    /// The channels.
    pub channels: Vec<String>,
    /// The way, in place of the trial's.
    pub way: Option<Way>,
    /// The HTTP version, in place of the trial's.
    pub http: Option<Http>,
    /// `since`.
    pub since: Option<String>,
    /// `last`.
    pub last: Option<u64>,
    /// `limit`.
    pub limit: Option<u64>,
    /// `type`.
    #[serde(default)]
    pub types: Vec<String>,
    /// `heartbeat`.
    pub heartbeat: Option<u64>,
    /// `format`.
    pub format: Option<String>,
    /// Seconds a long poll waits; 25 unless said.
    pub wait: Option<u64>,
    /// How the way is chosen.
    #[serde(default)]
    pub choose: Choose,
    /// How cursors are sent.
    #[serde(default)]
    pub resume: Resume,
    /// More header fields.
    #[serde(default)]
    pub headers: Map<String, Value>,
    /// WebSocket subprotocol to offer.
    pub subprotocol: Option<String>,
    /// Whether offsets may not skip; true unless types are filtered.
    pub dense: Option<bool>,
    /// Patterns for the head of the first answer.
    #[serde(default)]
    pub head: Map<String, Value>,
}

/// The next objects of a reader. `$open`, `$live` and `$beat` are passed over unless one of the
/// patterns names that type.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receive {
    /// The reader.
    pub receive: String,
    /// A pattern per object.
    pub items: Vec<Value>,
    /// Milliseconds in which they have to come.
    pub within_ms: Option<u64>,
}

/// The next `count` objects, each by one pattern with `${i}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiveMany {
    /// The reader.
    pub receive_many: String,
    /// How many.
    pub count: u64,
    /// The first `${i}`; 1 unless said.
    pub from: Option<u64>,
    /// The pattern.
    pub each: Value,
}

/// No object (but `$open`, `$live`, `$beat`) for a while.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiveNone {
    /// The reader.
    pub receive_none: String,
    /// For how long.
    pub for_ms: u64,
}

/// The next objects of several readers are the same bytes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiveSame {
    /// The readers.
    pub receive_same: Vec<String>,
    /// How many objects.
    pub count: u64,
}

/// The reader's connection ends, after nothing but `$open`, `$live`, `$beat` and these objects.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiveClose {
    /// The reader (or socket).
    pub receive_close: String,
    /// Objects before the end.
    #[serde(default)]
    pub items: Vec<Value>,
    /// WebSocket close code, a pattern.
    pub code: Option<Value>,
    /// Milliseconds in which it has to happen.
    pub within_ms: Option<u64>,
}

/// Reads one channel to an offset; what is missing has to be said by a `$gap`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// The reader.
    pub drain: String,
    /// The channel.
    pub channel: String,
    /// The last offset.
    pub until: u64,
    /// `never`, `allowed`, or the reason that has to be given.
    pub gap: String,
    /// Fewest events.
    pub at_least: Option<u64>,
    /// Most events.
    pub at_most: Option<u64>,
    /// Milliseconds in which it has to happen.
    pub within_ms: Option<u64>,
}

/// Ends a reader's connection from this side, keeping its cursor.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Close {
    /// The reader (or socket).
    pub close: String,
}

/// Opens a reader again, as it was but for what is said here.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reopen {
    /// The reader.
    pub reopen: String,
    /// Another way.
    pub way: Option<Way>,
    /// Another HTTP version.
    pub http: Option<Http>,
    /// Where to resume, in place of its cursor.
    pub since: Option<String>,
}
