//! Heads of answers as bytes: the same headers as [`response`](crate::response) gives to hyper.

use bongsu_core::{Cursor, Problem};
use bongsu_wire::http1::{LAST_CHUNK, push_chunk, push_header, push_length, push_status_line};
use bytes::Bytes;

/// Of an answer whose body ends the connection or has a length.
pub(crate) struct Answer {
    bytes: Vec<u8>,
}

/// What the head of an answer depends on beside the answer itself.
pub(crate) struct Terms<'a> {
    /// The line `date: …`.
    pub(crate) date: &'a [u8],
    /// The lines of [`Front::marks`](super::Front::marks).
    pub(crate) marks: &'a [u8],
    /// Whether another request may follow on the connection.
    pub(crate) keep_alive: bool,
    /// Whether it is the answer to HEAD, which has no body.
    pub(crate) head_only: bool,
}

impl Answer {
    fn begin(status: u16, terms: &Terms<'_>) -> Self {
        let mut bytes = Vec::with_capacity(512);
        push_status_line(&mut bytes, status);
        bytes.extend_from_slice(terms.date);
        bytes.extend_from_slice(terms.marks);
        if !terms.keep_alive {
            bytes.extend_from_slice(b"connection: close\r\n");
        }
        Self { bytes }
    }

    /// The head of every read's answer.
    fn read(status: u16, terms: &Terms<'_>) -> Self {
        let mut answer = Self::begin(status, terms);
        answer.bytes.extend_from_slice(b"cache-control: no-store\r\nvary: Accept, Prefer, Origin\r\n");
        answer
    }

    fn header(mut self, name: &str, value: &[u8]) -> Self {
        push_header(&mut self.bytes, name, value);
        self
    }

    fn etag(mut self, cursor: Cursor) -> Self {
        use std::io::Write as _;
        let _ = write!(self.bytes, "etag: \"{cursor}\"\r\n");
        self
    }

    fn body(mut self, terms: &Terms<'_>, body: &[u8]) -> Bytes {
        push_length(&mut self.bytes, body.len());
        self.bytes.extend_from_slice(b"\r\n");
        if !terms.head_only {
            self.bytes.extend_from_slice(body);
        }
        self.bytes.into()
    }

    fn nothing(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(b"\r\n");
        self.bytes
    }
}

/// The head of a stream; its body comes in chunks.
pub(crate) fn stream(content_type: &str, terms: &Terms<'_>) -> Vec<u8> {
    // It is the last answer of its connection, unless it has no body.
    let terms = Terms { keep_alive: terms.keep_alive && terms.head_only, ..*terms };
    let mut answer = Answer::begin(200, &terms).header("content-type", content_type.as_bytes());
    answer.bytes.extend_from_slice(
        b"cache-control: no-store, no-transform\r\nvary: Accept, Prefer, Origin\r\nx-accel-buffering: no\r\n",
    );
    if !terms.head_only {
        answer.bytes.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    answer.nothing()
}

/// A stream that says one thing and ends.
pub(crate) fn whole_stream(content_type: &str, terms: &Terms<'_>, said: &[u8]) -> Bytes {
    let mut bytes = stream(content_type, terms);
    if !terms.head_only {
        push_chunk(&mut bytes, said);
        bytes.extend_from_slice(LAST_CHUNK);
    }
    bytes.into()
}

/// The answer to a poll.
pub(crate) fn content(terms: &Terms<'_>, cursor: Cursor, body: &[u8]) -> Bytes {
    Answer::read(200, terms).header("content-type", b"application/json").etag(cursor).body(terms, body)
}

/// The answer to a poll that finds nothing after the position that the client named.
pub(crate) fn not_modified(terms: &Terms<'_>, known: Cursor) -> Bytes {
    Answer::read(304, terms).etag(known).nothing().into()
}

/// The answer to a publish.
pub(crate) fn published(terms: &Terms<'_>, body: &[u8]) -> Bytes {
    Answer::begin(200, terms).header("content-type", b"application/json").body(terms, body)
}

/// A refusal as problem details (RFC 9457). `reading` is false for a publish, whose marks say all the rest.
pub(crate) fn problem(terms: &Terms<'_>, problem: &Problem, reading: bool) -> Bytes {
    let status = problem.code.status();
    let answer = if reading { Answer::read(status, terms) } else { Answer::begin(status, terms) };
    let mut answer = answer.header("content-type", b"application/problem+json");
    // Whole seconds, rounded up: who comes too early is refused again.
    let seconds = problem.retry_after.map(|after| after.as_millis().div_ceil(1000).max(1));
    if let Some(seconds) = seconds.or((status == 503 || status == 429).then_some(1)) {
        answer = answer.header("retry-after", seconds.to_string().as_bytes());
    }
    answer.body(terms, &bongsu_wire::problem::encode(problem))
}
