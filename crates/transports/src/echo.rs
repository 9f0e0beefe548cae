//! A WebSocket that sends back what it hears, so that public conformance suites can be run against the real code.

use std::future::pending;
use std::time::Duration;

use bongsu_core::Problem;
use bongsu_wire::websocket::{CloseCode, Event, Limits, Opcode, encode};
use http::{Request, Response};

use crate::body::Body;
use crate::socket::{self, Outbox, Peer};
use crate::websocket;

/// How much may wait to be written before the next message is read.
pub(crate) const UNWRITTEN_BYTES_MAX: usize = 64 << 10;
/// How often the other side must show a sign of life.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(20);
/// Suites send messages up to 16 MiB, in as many fragments as they like.
pub(crate) const LIMITS: Limits = Limits { message_bytes_max: 64 << 20, fragments_max: 1 << 20 };

pub(crate) fn open<B>(request: &mut Request<B>) -> Result<Response<Body>, Problem> {
    let accepted = match websocket::accept(request) {
        Ok(accepted) => accepted,
        Err(rejection) => return Ok(websocket::reject(rejection)),
    };
    websocket::spawn(request, |io| socket::run(io, Echo, HEARTBEAT, LIMITS));
    Ok(accepted)
}

struct Echo;

impl Peer for Echo {
    fn hear(&mut self, message: Event, out: &mut Outbox) -> Result<(), (CloseCode, String)> {
        match message {
            Event::Text(text) => out.push(encode(Opcode::Text, text.as_bytes())),
            Event::Binary(bytes) => out.push(encode(Opcode::Binary, &bytes)),
            _ => {}
        }
        Ok(())
    }

    fn speak(&mut self, _: &mut Outbox) -> Result<(), (CloseCode, String)> {
        Ok(())
    }

    fn beat(&mut self, _: &mut Outbox) -> Result<(), (CloseCode, String)> {
        Ok(())
    }

    async fn ready(&mut self) {
        pending::<()>().await;
    }

    fn has_room(&self, unwritten: usize) -> bool {
        unwritten < UNWRITTEN_BYTES_MAX
    }
}
