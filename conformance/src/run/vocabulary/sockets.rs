//! Steps on WebSockets and bare sockets.

use super::Answered;
use serde::Deserialize;
use serde_json::Value;

/// Sends a text message on a WebSocket.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// The reader (or socket).
    pub send: String,
    /// The text.
    pub text: String,
}

/// Sends frames, right or wrong.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frames {
    /// The reader (or socket).
    pub frames: String,
    /// The frames in order.
    pub list: Vec<FrameSpec>,
}

/// One frame: a good, final, masked text frame unless said otherwise.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FrameSpec {
    /// FIN.
    pub fin: bool,
    /// RSV1-3.
    pub rsv: u8,
    /// Opcode.
    pub opcode: u8,
    /// MASK.
    pub masked: bool,
    /// Payload as text.
    pub text: String,
    /// Payload as base64, in place of the text.
    pub base64: Option<String>,
    /// So many `x` in place of the text.
    pub fill: Option<usize>,
    /// A length to claim in place of the real one.
    pub claim: Option<u64>,
}

impl Default for FrameSpec {
    fn default() -> Self {
        Self { fin: true, rsv: 0, opcode: 1, masked: true, text: String::new(), base64: None, fill: None, claim: None }
    }
}

/// Begins the closing handshake of a WebSocket.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendClose {
    /// The reader (or socket).
    pub close_frame: String,
    /// The code.
    pub code: u16,
}

/// Opens a WebSocket that is no subscription.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Socket {
    /// Its name.
    pub socket: String,
    /// The target.
    pub target: String,
}

/// The next message of a socket.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// The socket.
    pub message: String,
    /// Pattern, when it is a text.
    pub text: Option<Value>,
    /// Pattern for the base64, when it is binary.
    pub base64: Option<Value>,
    /// Pattern for the payload, when it is a pong.
    pub pong: Option<Value>,
}

/// Writes bytes to a socket and looks at what comes back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    /// The bytes, as text.
    pub raw: String,
    /// Frames of a WebSocket right behind them.
    #[serde(default)]
    pub behind: Vec<FrameSpec>,
    /// Uses a socket of this name, and keeps it for later steps; else a fresh one that ends with the step.
    pub on: Option<String>,
    /// What the answer has to be; nothing is read when nothing is said.
    pub expect: Option<Answered>,
    /// What several answers have to be, interim ones (1xx) among them.
    #[serde(default)]
    pub answers: Vec<Answered>,
    /// Milliseconds in which the server has to end the connection: behind the answers, or else behind whatever it says.
    pub closed_within_ms: Option<u64>,
    /// Whatever it says before that end, it is no more answers than this.
    pub answers_max: Option<usize>,
    /// Drops the connection when so many bytes have come.
    pub cut_after: Option<usize>,
    /// Keeps the connection open, without reading, until the trial ends.
    #[serde(default)]
    pub hold: bool,
    /// Half-closes after writing.
    #[serde(default)]
    pub shutdown: bool,
    /// Writes one byte per so many milliseconds.
    pub drip_ms: Option<u64>,
}

/// Opens many connections, writes to each, and drops them, so many at a time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flood {
    /// How many.
    pub flood: usize,
    /// How many at a time.
    pub batch: usize,
    /// What is written to each, in turn.
    pub texts: Vec<String>,
}
