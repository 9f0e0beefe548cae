//! WebSocket: an own handshake, so that its head can be judged, then the `tungstenite` crate as an
//! independent reading of RFC 6455. Malformed frames are written to the socket beside it.

use super::{Reader, Spec, carried_cursor};
use crate::error::{Failure, Result};
use crate::item::{Framing, Item};
use crate::net::{Exchange, H1, Head, Request, left, refusal};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Error, Message};

/// The key of RFC 6455 §1.3; its answer is known to everybody.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// One frame as RFC 6455 §5.2 draws it, right or wrong.
#[derive(Debug, Clone)]
pub struct Frame {
    /// FIN bit.
    pub fin: bool,
    /// RSV1-3, as the three bits `0b111`.
    pub rsv: u8,
    /// Opcode, 0-15.
    pub opcode: u8,
    /// Whether the payload is masked, as a client's has to be.
    pub masked: bool,
    /// The payload before masking.
    pub payload: Vec<u8>,
    /// A length to claim in place of the real one.
    pub claim: Option<u64>,
}

impl Frame {
    /// The bytes of the frame.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let first = u8::from(self.fin) << 7 | (self.rsv & 7) << 4 | (self.opcode & 15);
        let mask_bit = u8::from(self.masked) << 7;
        let mut out = vec![first];
        let length = self.claim.unwrap_or(self.payload.len() as u64);
        match length {
            0..=125 => out.push(mask_bit | length as u8),
            126..=0xffff => {
                out.push(mask_bit | 126);
                out.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                out.push(mask_bit | 127);
                out.extend_from_slice(&length.to_be_bytes());
            }
        }
        let mask = if self.masked { [0x37, 0xfa, 0x21, 0x3d] } else { [0; 4] };
        if self.masked {
            out.extend_from_slice(&mask);
        }
        out.extend(self.payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
        out
    }
}

/// A WebSocket connection.
pub struct WebSocket {
    inner: tungstenite::WebSocket<TcpStream>,
    head: Head,
    payload_only: bool,
    position: Option<String>,
    first: Option<Item>,
}

impl WebSocket {
    pub(super) fn open(spec: &Spec, deadline: Instant) -> Result<Self> {
        let mut request = spec.request(spec.since.as_deref());
        if let Some(last) = spec.last {
            crate::encode::add_query(&mut request.target, "last", &last.to_string());
        }
        if let Some(name) = &spec.subprotocol {
            request = request.header("Sec-WebSocket-Protocol", name);
        }
        let mut socket = Self::connect(spec.addr, request, deadline)?;
        socket.payload_only = spec.payload_only();
        socket.position = spec.since.clone().filter(|s| s != "now" && s != "start");
        if !socket.payload_only {
            let first = socket.receive(deadline)?;
            // `$open.cursor` is what there is to resume from before the first event.
            if socket.position.is_none() && first.kind() == "$open" {
                socket.position = carried_cursor(&first).map(str::to_owned);
            }
            socket.first = Some(first);
        }
        Ok(socket)
    }

    /// Shakes hands on any target; the answer has to be a right 101.
    pub fn connect(addr: SocketAddr, request: Request, deadline: Instant) -> Result<Self> {
        let mut h1 = H1::connect(addr, deadline)?;
        let request = request
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", KEY);
        h1.send(&request)?;
        let head = h1.head(deadline)?;
        if head.status != 101 {
            return Err(refusal(&mut h1, &head, deadline));
        }
        check_handshake(&head)?;
        let (stream, rest) = h1.into_parts();
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let inner = tungstenite::WebSocket::from_partially_read(stream, rest, Role::Client, Some(config));
        Ok(Self { inner, head, payload_only: false, position: None, first: None })
    }

    /// Waits for the next data message, whatever it holds.
    pub fn message(&mut self, deadline: Instant) -> Result<Message> {
        loop {
            match self.any_message(deadline)? {
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                message => return Ok(message),
            }
        }
    }

    /// Waits for the next message, pings and pongs included; a close frame is a failure.
    pub fn any_message(&mut self, deadline: Instant) -> Result<Message> {
        let limit = left(deadline, "a WebSocket message")?;
        self.inner.get_ref().set_read_timeout(Some(limit))?;
        match self.inner.read() {
            Ok(Message::Close(frame)) => Err(self.closed(frame)),
            Ok(message) => Ok(message),
            Err(error) => Err(failure(error)),
        }
    }

    /// A close frame came: answer it, as RFC 6455 §5.5.1 wants.
    fn closed(&mut self, frame: Option<CloseFrame>) -> Failure {
        let _ = self.inner.flush();
        Failure::Closed {
            code: frame.as_ref().map(|f| f.code.into()),
            detail: frame.map_or_else(|| "without a code".into(), |f| f.reason.to_string()),
        }
    }

    fn receive(&mut self, deadline: Instant) -> Result<Item> {
        let (raw, binary) = match self.message(deadline)? {
            Message::Text(text) => (text.as_bytes().to_vec(), false),
            Message::Binary(bytes) => (bytes.to_vec(), true),
            other => return Err(Failure::wrong(format!("not a data message: {other:?}"))),
        };
        let framing = Framing { binary, ..Framing::default() };
        match (self.payload_only, binary) {
            (true, _) => Ok(Item::payload(&raw, framing)),
            (false, false) => Item::object(&raw, framing),
            (false, true) => Err(Failure::wrong("an object came in a binary frame")),
        }
    }

    /// Sends a text message.
    pub fn send_text(&mut self, text: &str) -> Result<()> {
        self.inner.send(Message::text(text)).map_err(failure)
    }

    /// Writes bytes to the socket as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.inner.get_mut().write_all(bytes)?)
    }

    /// Begins the closing handshake.
    pub fn close(&mut self, code: u16, reason: &str) -> Result<()> {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        self.inner.close(Some(frame)).map_err(failure)?;
        self.inner.flush().map_err(failure)
    }
}

/// RFC 6455 §4.2.2.
fn check_handshake(head: &Head) -> Result<()> {
    let good = head.has_token("upgrade", "websocket")
        && head.has_token("connection", "upgrade")
        && head.get("sec-websocket-accept").as_deref() == Some(ACCEPT)
        && head.get("sec-websocket-extensions").is_none();
    if good {
        return Ok(());
    }
    Err(Failure::wrong(format!("not a right handshake: {:?}", head.headers)))
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Io(error) => error.into(),
        Error::ConnectionClosed | Error::AlreadyClosed => Failure::closed("the WebSocket is closed"),
        Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            Failure::closed("without a closing handshake")
        }
        other => Failure::wrong(format!("WebSocket: {other}")),
    }
}

impl Reader for WebSocket {
    fn next(&mut self, deadline: Instant) -> Result<Item> {
        let item = match self.first.take() {
            Some(item) => item,
            None => self.receive(deadline)?,
        };
        if let Some(cursor) = carried_cursor(&item) {
            self.position = Some(cursor.to_owned());
        }
        Ok(item)
    }

    fn cursor(&self) -> Option<&str> {
        self.position.as_deref()
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn websocket(&mut self) -> Option<&mut WebSocket> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: &[u8], masked: bool) -> Frame {
        Frame { fin: true, rsv: 0, opcode: 1, masked, payload: payload.to_vec(), claim: None }
    }

    #[test]
    fn frames_of_the_standard() {
        // RFC 6455 §5.7.
        assert_eq!(frame(b"Hello", false).bytes(), *b"\x81\x05Hello");
        assert_eq!(frame(b"Hello", true).bytes(), [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        assert_eq!(frame(&[0; 256], false).bytes()[..4], [0x81, 0x7E, 0x01, 0x00]);
        assert_eq!(frame(&[0; 65536], false).bytes()[..10], [0x81, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_wrong_handshake_is_noticed() {
        let head = |accept: &str, extra: Option<(&str, &str)>| {
            let mut headers = vec![
                ("upgrade".to_owned(), "websocket".to_owned()),
                ("connection".to_owned(), "Upgrade".to_owned()),
                ("sec-websocket-accept".to_owned(), accept.to_owned()),
            ];
            headers.extend(extra.map(|(n, v)| (n.to_owned(), v.to_owned())));
            Head { status: 101, headers }
        };
        assert!(check_handshake(&head(ACCEPT, None)).is_ok());
        assert!(check_handshake(&head("x", None)).is_err());
        let extension = Some(("sec-websocket-extensions", "permessage-deflate"));
        assert!(check_handshake(&head(ACCEPT, extension)).is_err());
    }
}
