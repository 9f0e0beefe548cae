//! Steps that publish and ask, and what an answer has to be.

use crate::way::Http;
use serde::Deserialize;
use serde_json::{Map, Value};

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
    /// One Idempotency-Key for all: then only the first is an event.
    pub idempotency_key: Option<String>,
    /// Connections that publish at the same time.
    #[serde(default = "one")]
    pub connections: u64,
}

fn one() -> u64 {
    1
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
