//! One response without an end: lines of JSON, or server-sent events.

use std::sync::Arc;
use std::time::Duration;

use bongsu_core::read::Way;
use http::header;

use super::request::read_call;
use super::{Reading, no_object, silence_max};
use crate::decode::lines::{LineDecoder, TooLong};
use crate::decode::object::{Malformed, Object, decode};
use crate::decode::sse::{SseDecoder, SseItem};
use crate::error::Error;
use crate::net::transport::{Open, Transport};
use crate::resume::Resume;

/// Reads one response.
pub(crate) struct Streaming {
    transport: Arc<Transport>,
    open: Open,
    framing: Framing,
    /// How long nothing may come before the server counts as dead.
    silence_max: Duration,
}

enum Framing {
    Lines(LineDecoder),
    Sse(SseDecoder),
}

impl Framing {
    fn new(way: Way, bytes_max: usize) -> Self {
        match way {
            Way::Sse => Self::Sse(SseDecoder::new(bytes_max)),
            _ => Self::Lines(LineDecoder::new(bytes_max)),
        }
    }

    fn media_type(&self) -> &'static str {
        match self {
            Self::Sse(_) => "text/event-stream",
            Self::Lines(_) => "application/x-ndjson",
        }
    }
}

impl Streaming {
    /// Asks for the stream and waits for the head of the response.
    pub(super) async fn open(
        transport: Arc<Transport>,
        reading: &Reading,
        way: Way,
        resume: &Resume,
    ) -> Result<Self, Error> {
        let call = read_call(reading, way, resume.channels(), resume.position())?;
        let open = transport.open(&call).await?;
        let framing = Framing::new(way, reading.object_bytes_max);
        if open.response.status() != 200 {
            return Err(transport.collect(open.response).await?.into_error());
        }
        check_media_type(&open, framing.media_type())?;
        Ok(Self { transport, open, framing, silence_max: reading.silence_max() })
    }

    /// The next objects; `None` at the end of the response.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Object>>, Error> {
        let body = self.open.response.body_mut();
        loop {
            let piece = match self.transport.next_piece(body, self.silence_max).await {
                Ok(Some(piece)) => piece,
                Ok(None) => return Ok(None),
                Err(error) => {
                    // An HTTP/2 connection that has gone silent is no good for the next attempt either.
                    self.transport.give_up_shared().await;
                    return Err(error);
                }
            };
            let objects = objects_of(&mut self.framing, &piece)?;
            for object in &objects {
                if let Object::Open(open) = object {
                    self.silence_max = open.heartbeat.map_or(self.silence_max, silence_max);
                }
            }
            if !objects.is_empty() {
                return Ok(Some(objects));
            }
        }
    }
}

fn objects_of(framing: &mut Framing, piece: &[u8]) -> Result<Vec<Object>, Error> {
    let mut objects: Vec<Result<Object, Malformed>> = Vec::new();
    let pushed = match framing {
        Framing::Lines(lines) => lines.push(piece, |line| objects.push(decode_bytes(line))),
        Framing::Sse(sse) => sse.push(piece, |item| {
            objects.push(match item {
                SseItem::Message(message) => decode(message.data),
                SseItem::Retry(retry) => Ok(Object::Retry(retry)),
            });
        }),
    };
    pushed.map_err(|TooLong { bytes_max }| Error::too_large(bytes_max))?;
    objects.into_iter().collect::<Result<_, _>>().map_err(|why| no_object(&why))
}

fn decode_bytes(line: &[u8]) -> Result<Object, Malformed> {
    let text = str::from_utf8(line).map_err(|error| Malformed::new(error.to_string()))?;
    decode(text.to_owned())
}

/// A page of a proxy, say, is no stream, whatever its status.
fn check_media_type(open: &Open, expected: &str) -> Result<(), Error> {
    let value = open.response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(Error::protocol(format!("the answer is {value:?} where {expected:?} was asked for: is that a Bongsu server?")))
}
