//! Steps on WebSockets: messages, frames right and wrong, and plain sockets without a subscription.

use super::Run;
use super::http::body_bytes;
use super::vocabulary::{FrameSpec, Frames, Message, ReceiveClose, Send, SendClose, Socket};
use crate::error::{Failure, Result};
use crate::net::Request;
use crate::pattern::check;
use crate::reader::{Frame, WebSocket};
use serde_json::Value;
use std::time::Instant;
use tungstenite::Message as Kind;

impl Run<'_> {
    /// A WebSocket by name: a plain one, or a reader's.
    fn websocket(&mut self, name: &str) -> Result<&mut WebSocket> {
        if let Some(socket) = self.sockets.get_mut(name) {
            return Ok(socket);
        }
        self.readers
            .get_mut(name)
            .and_then(|active| active.reader.as_mut())
            .and_then(|reader| reader.websocket())
            .ok_or_else(|| Failure::wrong(format!("no open WebSocket `{name}`")))
    }

    pub(super) fn socket(&mut self, step: &Socket) -> Result<()> {
        let request = Request::new("GET", &step.target);
        let socket = WebSocket::connect(self.addr(), request, self.within(None))?;
        self.sockets.insert(step.socket.clone(), socket);
        Ok(())
    }

    pub(super) fn send(&mut self, step: &Send) -> Result<()> {
        if let Ok(command) = serde_json::from_str::<Value>(&step.text) {
            self.learn_channels(&step.send, &command);
        }
        self.websocket(&step.send)?.send_text(&step.text)
    }

    /// A `subscribe` command widens what the reader may be sent.
    fn learn_channels(&mut self, name: &str, command: &Value) {
        let channels = command["channels"].as_array();
        if let (Some(active), Some(channels)) = (self.readers.get_mut(name), channels) {
            for channel in channels.iter().filter_map(Value::as_str) {
                active.watch.add_channel(channel);
            }
        }
    }

    pub(super) fn frames(&mut self, step: &Frames) -> Result<()> {
        let mut bytes = Vec::new();
        for spec in &step.list {
            bytes.extend(frame(spec)?.bytes());
        }
        self.websocket(&step.frames)?.send_bytes(&bytes)
    }

    pub(super) fn send_close(&mut self, step: &SendClose) -> Result<()> {
        self.websocket(&step.close_frame)?.close(step.code, "")
    }

    pub(super) fn message(&mut self, step: &Message) -> Result<()> {
        use base64::Engine as _;
        let deadline = self.within(None);
        let socket = self.websocket(&step.message)?;
        let message = match step.pong {
            Some(_) => socket.any_message(deadline)?,
            None => socket.message(deadline)?,
        };
        self.transcript.note(format!("  ← {message:?}"));
        let (pattern, actual) = match (&step.text, &step.base64, &step.pong, message) {
            (Some(pattern), None, None, Kind::Text(text)) => (pattern, text.to_string()),
            (None, Some(pattern), None, Kind::Binary(bytes)) => {
                (pattern, base64::engine::general_purpose::STANDARD.encode(bytes))
            }
            (None, None, Some(pattern), Kind::Pong(bytes)) => (pattern, String::from_utf8_lossy(&bytes).into_owned()),
            (.., other) => return Err(Failure::wrong(format!("another message came: {other:?}"))),
        };
        check(pattern, Some(&Value::String(actual)), "the message", &mut self.vars)
    }

    pub(super) fn receive_socket_close(&mut self, step: &ReceiveClose, deadline: Instant) -> Result<()> {
        match self.websocket(&step.receive_close)?.message(deadline) {
            Ok(message) => Err(Failure::wrong(format!("expected the end, got {message:?}"))),
            Err(failure) => self.closed_as_expected(step, failure),
        }
    }
}

pub(super) fn frame(spec: &FrameSpec) -> Result<Frame> {
    let payload = match spec.fill {
        Some(count) => vec![b'x'; count],
        None if spec.base64.is_some() => body_bytes(None, spec.base64.as_ref())?,
        None => spec.text.clone().into_bytes(),
    };
    Ok(Frame { fin: spec.fin, rsv: spec.rsv, opcode: spec.opcode, masked: spec.masked, payload, claim: spec.claim })
}
