//! The client's side of the opening handshake (RFC 6455 §4.1).
//!
//! It makes the key's headers and checks the answer. It must not know how the request is sent; its
//! random bytes are an argument.

use std::fmt;

use base64::Engine as _;

use super::{BASE64, VERSION, accept_value, has_token};

/// A handshake under way: the request's key, and what was offered with it.
#[derive(Clone, Debug)]
pub struct ClientHandshake {
    key: String,
    protocols: Vec<String>,
}

/// Why an answer does not open a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The status is not 101; the answer is an ordinary HTTP response.
    Status(u16),
    /// `Upgrade` does not name `websocket`.
    Upgrade,
    /// `Connection` does not name `Upgrade`.
    Connection,
    /// `Sec-WebSocket-Accept` is missing or does not fit our key.
    Accept,
    /// The server chose a subprotocol that was not offered.
    Protocol(String),
    /// The server chose an extension; none was offered.
    Extension,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "the server answered {status} where 101 opens a WebSocket"),
            Self::Upgrade => f.write_str("the answer's Upgrade header does not say websocket"),
            Self::Connection => f.write_str("the answer's Connection header does not say Upgrade"),
            Self::Accept => f.write_str("the answer's Sec-WebSocket-Accept does not belong to this request"),
            Self::Protocol(name) => write!(f, "the server chose the subprotocol {name:?}, which was not offered"),
            Self::Extension => f.write_str("the server chose an extension, but none was offered"),
        }
    }
}

impl std::error::Error for Refusal {}

impl ClientHandshake {
    /// A handshake that offers `protocols`, the favourite first. `nonce` must be fresh random bytes.
    ///
    /// Each protocol must be an HTTP token, since it is sent as it is.
    pub fn new(nonce: [u8; 16], protocols: &[&str]) -> Self {
        let protocols = protocols.iter().map(|protocol| (*protocol).to_owned()).collect();
        Self { key: BASE64.encode(nonce), protocols }
    }

    /// The headers to send with `GET` over HTTP/1.1, beside `Host` and any of the caller's own.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("upgrade", "websocket".to_owned()),
            ("connection", "Upgrade".to_owned()),
            ("sec-websocket-version", VERSION.to_owned()),
            ("sec-websocket-key", self.key.clone()),
        ];
        if !self.protocols.is_empty() {
            headers.push(("sec-websocket-protocol", self.protocols.join(", ")));
        }
        headers
    }

    /// Checks the answer; gives the subprotocol that the server chose, if it chose one.
    ///
    /// # Errors
    /// The first rule of §4.1 that the answer breaks. Then the connection must be dropped, unless the
    /// status is not 101.
    pub fn verify<'a>(
        &self,
        status: u16,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Option<&str>, Refusal> {
        if status != 101 {
            return Err(Refusal::Status(status));
        }
        let (mut upgrade, mut connection, mut accept) = (false, false, None);
        let mut protocol = None;
        for (name, value) in headers {
            match name.to_ascii_lowercase().as_str() {
                "upgrade" => upgrade |= has_token(value, "websocket"),
                "connection" => connection |= has_token(value, "upgrade"),
                "sec-websocket-accept" => accept = Some(value.trim_ascii()),
                "sec-websocket-protocol" => protocol = Some(self.offered(value)?),
                "sec-websocket-extensions" => return Err(Refusal::Extension),
                _ => {}
            }
        }
        let expected = accept_value(&self.key);
        if !upgrade {
            Err(Refusal::Upgrade)
        } else if !connection {
            Err(Refusal::Connection)
        } else if accept != Some(expected.as_bytes()) {
            Err(Refusal::Accept)
        } else {
            Ok(protocol)
        }
    }

    /// The protocol in an answer's header, which must be one of ours, in the same case.
    fn offered(&self, value: &[u8]) -> Result<&str, Refusal> {
        let chosen = String::from_utf8_lossy(value.trim_ascii());
        let ours = self.protocols.iter().find(|protocol| **protocol == *chosen);
        ours.map(String::as_str).ok_or_else(|| Refusal::Protocol(chosen.into_owned()))
    }
}
