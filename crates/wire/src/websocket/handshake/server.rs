//! The server's side of the opening handshake (RFC 6455 §4.2).
//!
//! Every refusal says what the client must change. It must not know where the request came from.

use std::fmt;

use base64::Engine as _;

use super::{BASE64, VERSION, accept_value, has_token, tokens};

/// What an upgrade request said, apart from its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The method, as sent (methods are case-sensitive).
    pub method: &'a str,
    /// Whether the request is HTTP/1.1. HTTP/1.0 cannot upgrade, HTTP/2 has no `Upgrade`.
    pub http_1_1: bool,
}

/// A request that becomes a WebSocket: what the `101` answer has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The value of `Sec-WebSocket-Accept`.
    pub accept: String,
    /// The value of `Sec-WebSocket-Protocol`, or `None` for no such header.
    pub protocol: Option<&'static str>,
}

impl Accepted {
    /// The headers of the answer, beside the status line `101 Switching Protocols`.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let fixed = [("upgrade", "websocket"), ("connection", "Upgrade")];
        let accept = [("sec-websocket-accept", self.accept.as_str())];
        let protocol = self.protocol.map(|protocol| ("sec-websocket-protocol", protocol));
        fixed.into_iter().chain(accept).chain(protocol)
    }

    /// The whole head of the answer, for drivers that write HTTP/1.1 themselves.
    pub fn response_head(&self) -> Vec<u8> {
        let mut head = String::from("HTTP/1.1 101 Switching Protocols\r\n");
        for (name, value) in self.headers() {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// Why a request cannot become a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// The method is not GET.
    Method,
    /// The request is not HTTP/1.1.
    HttpVersion,
    /// No `Upgrade` header names `websocket`.
    Upgrade,
    /// No `Connection` header names `Upgrade`.
    Connection,
    /// `Sec-WebSocket-Version` is missing, repeated or not 13.
    Version,
    /// `Sec-WebSocket-Key` is missing, repeated or not 16 bytes in base64.
    Key,
}

impl Rejection {
    /// The status of the answer.
    pub const fn status(self) -> u16 {
        match self {
            Self::Method => 405,
            Self::HttpVersion => 505,
            Self::Upgrade | Self::Version => 426,
            Self::Connection | Self::Key => 400,
        }
    }

    /// Headers that the answer needs beside its body.
    pub const fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Method => &[("allow", "GET")],
            // RFC 9110 §15.5.22: a server that answers 426 "MUST send an Upgrade header field".
            Self::Upgrade => &[("upgrade", "websocket"), ("connection", "Upgrade")],
            // §4.2.2: "along with a Sec-WebSocket-Version header field indicating the version(s)".
            Self::Version => &[("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-version", VERSION)],
            Self::HttpVersion | Self::Connection | Self::Key => &[],
        }
    }

    /// What is wrong, and what to send instead.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Method => "a WebSocket is opened with GET",
            Self::HttpVersion => "a WebSocket is opened over HTTP/1.1",
            Self::Upgrade => "send the header `Upgrade: websocket`",
            Self::Connection => "send the header `Connection: Upgrade`; a proxy may have dropped it",
            Self::Version => "send the header `Sec-WebSocket-Version: 13` once; no other version is spoken",
            Self::Key => "send the header `Sec-WebSocket-Key` once, with 16 random bytes in base64",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Rejection {}

/// Whether a request asks for a WebSocket at all: some `Upgrade` header names it. Whether it does so
/// correctly is for [`accept`] to say.
pub fn is_upgrade<'a>(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> bool {
    headers.into_iter().any(|(name, value)| name.eq_ignore_ascii_case("upgrade") && has_token(value, "websocket"))
}

/// The subprotocols that a request offers, the client's favourite first.
pub fn offered_protocols<'a>(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> impl Iterator<Item = &'a str> {
    headers
        .into_iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-protocol"))
        .flat_map(|(_, value)| tokens(value))
}

/// Checks an upgrade request (§4.2.1) and makes the answer (§4.2.2).
///
/// The subprotocol is the first offered one that is among `protocols`; others are passed over, and no
/// match means none, which the client may then refuse. Extensions are never accepted.
///
/// # Errors
/// What the request lacks.
pub fn accept<'a>(
    request: Request<'_>,
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    protocols: &[&'static str],
) -> Result<Accepted, Rejection> {
    let mut seen = Seen::default();
    for (name, value) in headers {
        seen.header(name, value, protocols);
    }
    let Request { method, http_1_1 } = request;
    let checks = [
        (method == "GET", Rejection::Method),
        (http_1_1, Rejection::HttpVersion),
        (seen.upgrade, Rejection::Upgrade),
        (seen.connection, Rejection::Connection),
        (seen.version == Once::Value(VERSION.as_bytes()), Rejection::Version),
    ];
    for (holds, rejection) in checks {
        if !holds {
            return Err(rejection);
        }
    }
    let key = seen.key.value().and_then(valid_key).ok_or(Rejection::Key)?;
    Ok(Accepted { accept: accept_value(key), protocol: seen.protocol })
}

/// What the headers have shown so far.
#[derive(Default)]
struct Seen<'a> {
    upgrade: bool,
    connection: bool,
    version: Once<'a>,
    key: Once<'a>,
    protocol: Option<&'static str>,
}

impl<'a> Seen<'a> {
    fn header(&mut self, name: &str, value: &'a [u8], protocols: &[&'static str]) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("upgrade") {
            self.upgrade |= has_token(value, "websocket");
        } else if is("connection") {
            self.connection |= has_token(value, "upgrade");
        } else if is("sec-websocket-version") {
            self.version.add(value);
        } else if is("sec-websocket-key") {
            self.key.add(value);
        } else if is("sec-websocket-protocol") && self.protocol.is_none() {
            let known = |offered| protocols.iter().find(|known| **known == offered);
            self.protocol = tokens(value).find_map(known).copied();
        }
    }
}

/// A header that may stand only once (§11.3.1, §11.3.5).
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Once<'a> {
    #[default]
    Missing,
    Value(&'a [u8]),
    Repeated,
}

impl<'a> Once<'a> {
    fn add(&mut self, value: &'a [u8]) {
        *self = match self {
            Self::Missing => Self::Value(value.trim_ascii()),
            Self::Value(_) | Self::Repeated => Self::Repeated,
        };
    }

    fn value(self) -> Option<&'a [u8]> {
        if let Self::Value(value) = self { Some(value) } else { None }
    }
}

/// The key as text, if it is "a base64-encoded value that, when decoded, is 16 bytes in length".
fn valid_key(key: &[u8]) -> Option<&str> {
    let decoded = BASE64.decode(key).ok()?;
    if decoded.len() == 16 { str::from_utf8(key).ok() } else { None }
}
