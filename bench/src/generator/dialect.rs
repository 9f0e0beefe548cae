//! What servers are asked, and how their events are told apart: our protocol, Nchan's, and that of scripts that carry
//! nothing but payloads.
//!
//! It writes requests and reads what is not common to all; it must not know sockets or figures.

use super::Way;
use crate::parse::{http, websocket};
use crate::payload::{self, PAYLOAD_BYTES, Stamp};

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Ours: `docs/protocol.md`.
    Bongsu,
    /// Nchan, as `bench/peers/nginx.conf` sets it up: bare payloads, each with Nchan's message id.
    Nchan,
    /// The scripts under `bench/peers`: bare payloads.
    Bare,
}

impl Dialect {
    /// Whether events carry offsets and streams say when they are live.
    pub(crate) fn is_ours(self) -> bool {
        self == Self::Bongsu
    }

    /// Appends the request that publishes `stamp` to a channel.
    pub(crate) fn write_publish(self, out: &mut Vec<u8>, channel: usize, stamp: Stamp) {
        let path = if self.is_ours() { "v1/channels/bench:" } else { "pub/" };
        let head = format!(
            "POST /{path}{channel} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {PAYLOAD_BYTES}\r\n\r\n"
        );
        out.extend_from_slice(head.as_bytes());
        payload::write(out, stamp);
    }

    /// Appends the request that begins to read, or goes on from `cursor` (empty: from now; None: from now, and without
    /// wanting cursors).
    pub(crate) fn write_ask(self, out: &mut Vec<u8>, way: Way, channel: usize, cursor: Option<&[u8]>) {
        let wants_cursors = cursor.is_some();
        let cursor = String::from_utf8_lossy(cursor.unwrap_or_default());
        let head = match self {
            Self::Bongsu => ours(way, channel, &cursor),
            _ => theirs(way, channel, &cursor, wants_cursors && self == Self::Nchan),
        };
        out.extend_from_slice(head.as_bytes());
    }
}

fn ours(way: Way, channel: usize, cursor: &str) -> String {
    let query = match (way.polls(), cursor.is_empty()) {
        // The first poll only asks for a cursor, so that nothing is missed before the second.
        (true, true) => "?limit=1000&since=now".to_owned(),
        (true, false) => format!("?limit=1000&since={cursor}"),
        (false, true) => String::new(),
        (false, false) => format!("?since={cursor}"),
    };
    let how = match way {
        Way::LongPoll if !cursor.is_empty() => "Prefer: wait=25\r\n".to_owned(),
        Way::Poll if !cursor.is_empty() => format!("If-None-Match: \"{cursor}\"\r\n"),
        _ => accept(way),
    };
    format!("GET /v1/channels/bench:{channel}{query} HTTP/1.1\r\nHost: bench\r\n{how}\r\n")
}

fn theirs(way: Way, channel: usize, cursor: &str, wants_ids: bool) -> String {
    let from = match way {
        // The cursor of Nchan's long polls is two fields, kept as they are to be sent.
        Way::LongPoll => cursor.to_owned(),
        _ if cursor.is_empty() => String::new(),
        _ => format!("Last-Event-ID: {cursor}\r\n"),
    };
    // Without this subprotocol Nchan's WebSocket frames have no message id, and nobody could come back.
    let meta = if wants_ids && way == Way::WebSocket { "Sec-WebSocket-Protocol: ws+meta.nchan\r\n" } else { "" };
    let (way_name, accept) = (way.name(), accept(way));
    format!("GET /{way_name}/{channel} HTTP/1.1\r\nHost: bench\r\n{accept}{from}{meta}\r\n")
}

fn accept(way: Way) -> String {
    match way {
        Way::Sse => "Accept: text/event-stream\r\n".to_owned(),
        Way::Stream => "Accept: application/x-ndjson\r\n".to_owned(),
        Way::WebSocket => format!(
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n",
            websocket::KEY
        ),
        Way::LongPoll | Way::Poll => String::new(),
    }
}

/// The cursor that the head of Nchan's answer to a long poll gives, as the fields of the next request.
pub(crate) fn poll_cursor(head: &[u8]) -> Option<Vec<u8>> {
    let modified = http::value_of(head, b"last-modified")?;
    let tag = http::value_of(head, b"etag")?;
    Some([b"If-Modified-Since: ", modified, b"\r\nIf-None-Match: ", tag, b"\r\n"].concat())
}

/// A message of Nchan's `ws+meta.nchan`: fields, an empty line, the payload. Gives the id and the payload; the id is
/// empty where there are no fields.
pub(crate) fn meta(text: &[u8]) -> (&[u8], &[u8]) {
    if let Some(rest) = text.strip_prefix(b"id: ")
        && let Some(line) = memchr::memchr(b'\n', rest)
        && let Some(end) = memchr::memmem::find(rest, b"\n\n")
    {
        return (&rest[..line], &rest[end + 2..]);
    }
    (b"", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_is_a_whole_request() {
        let stamp = Stamp { id: 3, sent_ns: 4 };
        for (dialect, path) in [(Dialect::Bongsu, "/v1/channels/bench:7"), (Dialect::Nchan, "/pub/7")] {
            let mut out = Vec::new();
            dialect.write_publish(&mut out, 7, stamp);
            let (request, head) = http::request(&out).expect("well-formed").expect("whole");
            assert_eq!((request.method, request.path), (&b"POST"[..], path.as_bytes()));
            assert_eq!(payload::read(&out[head..head + request.length]), Some(stamp));
        }
    }

    #[test]
    fn who_comes_back_says_from_where() {
        let asked = |dialect: Dialect, way, cursor: &[u8]| {
            let mut out = Vec::new();
            dialect.write_ask(&mut out, way, 7, Some(cursor));
            let (request, end) = http::request(&out).expect("well-formed").expect("whole");
            assert_eq!((request.method, end), (&b"GET"[..], out.len()));
            String::from_utf8(out).expect("ASCII")
        };
        let poll = poll_cursor(b"HTTP/1.1 200 OK\r\nLast-Modified: now\r\nEtag: 3\r\n\r\n").expect("both fields");
        let cases: &[(Dialect, Way, &[u8], &str)] = &[
            (Dialect::Bongsu, Way::Sse, b"e.1", "/v1/channels/bench:7?since=e.1 "),
            (Dialect::Bongsu, Way::LongPoll, b"", "since=now "),
            (Dialect::Bongsu, Way::LongPoll, b"e.1", "Prefer: wait=25\r\n"),
            (Dialect::Bongsu, Way::Poll, b"e.1", "If-None-Match: \"e.1\"\r\n"),
            (Dialect::Nchan, Way::Sse, b"17:1", "Last-Event-ID: 17:1\r\n"),
            (Dialect::Nchan, Way::WebSocket, b"17:1", "Sec-WebSocket-Protocol: ws+meta.nchan\r\n"),
            (Dialect::Nchan, Way::LongPoll, &poll, "If-Modified-Since: now\r\nIf-None-Match: 3\r\n"),
            (Dialect::Bare, Way::WebSocket, b"", "GET /websocket/7 "),
        ];
        for (dialect, way, cursor, part) in cases {
            let text = asked(*dialect, *way, cursor);
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(poll_cursor(b"HTTP/1.1 200 OK\r\nEtag: 3\r\n\r\n"), None);
    }

    #[test]
    fn messages_with_and_without_their_id() {
        let cases: &[(&[u8], &[u8], &[u8])] = &[
            (b"id: 17:1\ncontent-type: a/b\n\n{\"a\":1}", b"17:1", b"{\"a\":1}"),
            (b"id: 17:1\n\nx", b"17:1", b"x"),
            (b"{\"a\":1}", b"", b"{\"a\":1}"),
            (b"id: 17", b"", b"id: 17"),
        ];
        for (text, id, payload) in cases {
            assert_eq!(meta(text), (*id, *payload));
        }
    }
}
