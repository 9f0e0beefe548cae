//! Every bound that is part of the contract, with its unit last in the name and its reason beside it.
//!
//! Bounds an operator may change are fields of [`Limits`]; the others are constants.

use std::time::Duration;

/// The largest `limit` of a polling answer, in events: an answer of small events stays below about 1 MiB.
pub const POLL_EVENTS_MAX: usize = 1_000;
/// The `limit` of a polling answer that names none, in events.
pub const POLL_EVENTS_DEFAULT: usize = 100;
/// The largest `last`, in events per channel: what one page of a polling answer can hold.
pub const LAST_EVENTS_MAX: usize = 1_000;
/// The most events of one array publish: bounds the memory of one request.
pub const PUBLISH_EVENTS_MAX: usize = 1_000;
/// The shortest heartbeat: below it the beats cost more than they tell.
pub const HEARTBEAT_MIN: Duration = Duration::from_secs(5);
/// The longest heartbeat a client may ask for.
pub const HEARTBEAT_MAX: Duration = Duration::from_secs(300);
/// The heartbeat unless the client asks otherwise: proxies cut idle streams after 30 to 60 s.
pub const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(20);
/// The longest a long poll may wait: proxies cut a request that is silent for 60 s.
pub const WAIT_MAX: Duration = Duration::from_secs(60);
/// How long a long poll waits unless the client asks otherwise.
pub const WAIT_DEFAULT: Duration = Duration::from_secs(25);
/// How long a long poll gathers after the first event, so that a burst is one answer.
pub const GATHER: Duration = Duration::from_millis(5);
/// The longest Idempotency-Key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// The deepest nesting of a JSON payload: common parsers of receivers stop at 128, and the envelope takes a few.
pub const JSON_DEPTH_MAX: usize = 100;
/// The longest `ttl`, in seconds: a year.
pub const TTL_SECONDS_MAX: u64 = 366 * 24 * 3600;
/// The longest media type that is kept with an event, in bytes.
pub const CONTENT_TYPE_BYTES_MAX: usize = 255;

/// The most bytes of polling answers that are made and not yet taken by their clients: clients that ask and do not read
/// must not fill the memory.
pub const ANSWER_BYTES_IN_FLIGHT_MAX: usize = 256 << 20;

/// Bounds an operator may change. [`Limits::default`] is what the protocol page promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest payload, in bytes before encoding. Rules may lower it for some channels.
    pub payload_bytes_max: usize,
    /// The largest request body, in bytes: an array of events can be larger than one payload.
    pub body_bytes_max: usize,
    /// The largest request head, in bytes.
    pub head_bytes_max: usize,
    /// The most channels of one read.
    pub channels_per_connection_max: usize,
    /// The most connections at a time, waiting long polls included.
    pub connections_max: usize,
    /// The most sockets at a time, those included that have asked nothing yet or wait for their next request. `None`: a tenth
    /// more than `connections_max`. See [`Limits::sockets_max`].
    pub sockets_max: Option<usize>,
    /// How many streaming connections and WebSockets are opened a second. Who comes above it is told when to come back, and
    /// let in then.
    pub handshakes_per_second: u32,
    /// How many are opened at once after a quiet time.
    pub handshakes_burst: u32,
    /// The most publishes handed to the sequencer and not yet answered, in events.
    pub publishes_in_flight_max: usize,
    /// The same in bytes of payload.
    pub publish_bytes_in_flight_max: usize,
    /// The memory for recent events that readers are served from without touching the log, in bytes.
    pub ring_bytes_max: usize,
    /// The most commands a connection may have unanswered; looked at between reads of a few KiB, so a burst of tiny commands
    /// may go above it.
    pub commands_in_flight_max: usize,
    /// How long a request head may take to arrive, and how long a connection may be idle between two requests: long
    /// enough for those who poll or publish twice a minute to keep theirs.
    pub head_timeout: Duration,
    /// How long a write to a client that does not read may take before the connection is given up.
    pub write_timeout: Duration,
    /// How long a drain may take before what is left is cut.
    pub drain_timeout: Duration,
    /// The window over which clients are asked to spread their reconnects after a drain or an outage.
    pub reconnect_window: Duration,
}

impl Limits {
    /// The most sockets at a time. Unless it is said, there is room for some requests when all connections are taken, so that
    /// who comes then is told so.
    #[must_use]
    pub fn sockets_max(&self) -> usize {
        self.sockets_max.unwrap_or_else(|| self.connections_max.saturating_add(self.connections_max.div_ceil(10)))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            payload_bytes_max: 1 << 20,
            body_bytes_max: 32 << 20,
            head_bytes_max: 16 << 10,
            channels_per_connection_max: 100,
            connections_max: 100_000,
            sockets_max: None,
            handshakes_per_second: 10_000,
            handshakes_burst: 20_000,
            publishes_in_flight_max: 65_536,
            publish_bytes_in_flight_max: 256 << 20,
            ring_bytes_max: 256 << 20,
            commands_in_flight_max: 64,
            head_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(20),
            reconnect_window: Duration::from_secs(5),
        }
    }
}
