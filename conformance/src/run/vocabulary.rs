//! The steps a scenario may take, and what each may say.
//!
//! A step is a table with exactly one verb among its keys; the verb's value is what the step is
//! about (a reader, a channel, a request line). Unknown keys are errors.

use crate::error::{Failure, Result};
use crate::reader::{Choose, Resume};
use crate::server::Signal;
use crate::way::{Http, Way};
use serde::Deserialize;
use serde_json::{Map, Value};

/// One line per verb: its name, its variant, its arguments.
macro_rules! steps {
    ($($verb:ident => $variant:ident),* $(,)?) => {
        /// A step, ready to be run.
        #[derive(Debug)]
        pub enum Step {
            $(#[doc = concat!("`", stringify!($verb), "`")] $variant($variant)),*
        }

        /// All verbs.
        pub const VERBS: &[&str] = &[$(stringify!($verb)),*];

        impl Step {
            /// Reads the arguments of a verb.
            pub fn parse(verb: &str, arguments: Value) -> Result<Self> {
                let parsed = match verb {
                    $(stringify!($verb) => serde_json::from_value(arguments).map(Self::$variant),)*
                    _ => return Err(Failure::wrong(format!("no such verb: {verb}"))),
                };
                parsed.map_err(|e| Failure::wrong(format!("step `{verb}`: {e}")))
            }
        }
    };
}

steps! {
    answer => Answer,
    await_exit => AwaitExit,
    close => Close,
    close_frame => SendClose,
    drain => Drain,
    eventually => Eventually,
    exited => Exited,
    files_fall => FilesFall,
    flood => Flood,
    frames => Frames,
    message => Message,
    open => Open,
    open_files => OpenFiles,
    publish => Publish,
    publish_many => PublishMany,
    raw => Raw,
    receive => Receive,
    receive_close => ReceiveClose,
    receive_many => ReceiveMany,
    receive_none => ReceiveNone,
    receive_same => ReceiveSame,
    reopen => Reopen,
    repeat => Repeat,
    request => Request,
    restart => Restart,
    send => Send,
    set => Set,
    signal => Signalled,
    sleep => Sleep,
    socket => Socket,
}

/// What an answer has to be.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Answered {
    /// Status code; 200 when nothing is said.
    pub status: Option<u16>,
    /// Several status codes that are as good as one another.
    pub statuses: Vec<u16>,
    /// Header fields, lower case, each a pattern.
    pub headers: Map<String, Value>,
    /// Pattern for the body as JSON.
    pub json: Option<Value>,
    /// Pattern for the body as text.
    pub body: Option<Value>,
    /// The code of a problem (RFC 9457), or a pattern for it.
    pub problem: Option<Value>,
    /// Words that the problem's `detail` and `hint` have to contain.
    pub mentions: Vec<String>,
    /// `data: <object>` patterns: the whole body is an event stream of these.
    pub sse: Option<Vec<Value>>,
}

/// Publishes one event and looks at the answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// The channel.
    pub publish: String,
    /// The payload, as it is.
    pub body: Option<String>,
    /// The payload, in base64.
    pub base64: Option<String>,
    /// `Content-Type`; `application/json` unless said, none for an empty string.
    pub content_type: Option<String>,
    /// Query parameters.
    #[serde(default)]
    pub query: Map<String, Value>,
    /// More header fields.
    #[serde(default)]
    pub headers: Map<String, Value>,
    /// What the answer has to be; a fresh, stored event unless said.
    pub expect: Option<Answered>,
    /// Keeps the answer's JSON under this name.
    pub r#as: Option<String>,
}

/// Publishes many events, `${i}` being 1, 2, 3… in each.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishMany {
    /// The channel.
    pub publish_many: String,
    /// How many.
    pub count: u64,
    /// The first `${i}`; 1 unless said.
    pub from: Option<u64>,
    /// The JSON payload.
    pub each: String,
    /// The event type of all.
    pub r#type: Option<String>,
    /// Events per request; above 1 they go as an array to `POST /v1/events`.
    #[serde(default = "one")]
    pub batch: u64,
    /// Connections that publish at the same time.
    #[serde(default = "one")]
    pub connections: u64,
}

fn one() -> u64 {
    1
}

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

/// One request and its answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Method and target.
    pub request: String,
    /// HTTP version in place of the trial's.
    pub http: Option<Http>,
    /// Header fields.
    #[serde(default)]
    pub headers: Map<String, Value>,
    /// The body, as it is.
    pub body: Option<String>,
    /// The body, in base64.
    pub base64: Option<String>,
    /// What the answer has to be.
    pub expect: Option<Answered>,
    /// Keeps `{status, headers, json}` under this name.
    pub r#as: Option<String>,
    /// Only sends, as a task of this name; `answer` reads.
    pub task: Option<String>,
    /// Uses a connection of this name, and keeps it for later requests.
    pub on: Option<String>,
}

/// The answer to a request that was sent before.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The task.
    pub answer: String,
    /// What it has to be.
    #[serde(default)]
    pub expect: Answered,
    /// Keeps `{status, headers, json}` under this name.
    pub r#as: Option<String>,
    /// Milliseconds in which it has to come.
    pub within_ms: Option<u64>,
    /// Milliseconds it has to take at least, from the sending on.
    pub not_before_ms: Option<u64>,
}

/// Repeats a GET until the answer is as expected.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Eventually {
    /// Method and target.
    pub eventually: String,
    /// What the answer has to become.
    pub expect: Answered,
    /// Milliseconds in which it has to happen.
    pub within_ms: Option<u64>,
}

/// Ends the server and starts it again on the same data.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// How it is ended.
    pub restart: Signal,
    /// Deletes the data in between.
    #[serde(default)]
    pub wipe: bool,
}

/// Signals the server and goes on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signalled {
    /// The signal.
    pub signal: Signal,
}

/// Waits for the server to exit with code 0.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwaitExit {
    /// Milliseconds it may take.
    pub await_exit: u64,
}

/// Waits for the server to exit, with whatever code.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exited {
    /// Milliseconds it may take.
    pub exited: u64,
}

/// Waits.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sleep {
    /// Milliseconds.
    pub sleep: u64,
}

/// Names a value.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// The name.
    pub set: String,
    /// The value; for `times`, the piece to repeat.
    pub value: Option<Value>,
    /// Repeats a text so often.
    pub times: Option<usize>,
    /// So many bytes of every value, as base64.
    pub bytes: Option<usize>,
}

/// Takes steps several times, `${round}` being 1, 2, 3…
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// How often.
    pub repeat: u64,
    /// What.
    pub steps: Vec<Value>,
}

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

/// Writes bytes to a fresh socket and looks at what comes back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    /// The bytes, as text.
    pub raw: String,
    /// What the answer has to be; nothing is read when nothing is said.
    pub expect: Option<Answered>,
    /// Milliseconds in which the server has to end the connection.
    pub closed_within_ms: Option<u64>,
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

/// Keeps the number of files the server has open under a name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenFiles {
    /// The name.
    pub open_files: String,
}

/// Waits until the server has at most so many files open.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesFall {
    /// The number.
    pub files_fall: usize,
    /// How many more are all right.
    pub slack: usize,
    /// Milliseconds in which it has to happen.
    pub within_ms: u64,
}
