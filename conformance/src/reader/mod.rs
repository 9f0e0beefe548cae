//! One interface over the five ways: the next object, and the cursor to resume from.
//!
//! Each way is driven as a plain client of it would: polling repeats requests with the returned
//! cursor, SSE keeps the last `id:` line, the others keep the newest `id` or `cursor` they saw.
//! What every way promises on every object is checked here on every object, so that no scenario
//! has to ask for it.

mod polling;
mod spec;
mod streaming;
mod watch;
mod websocket;

use crate::error::{Failure, Result};
use crate::item::Item;
use crate::net::Head;
use crate::way::Way;
use std::time::Instant;

pub use spec::{Choose, Resume, Spec};
pub use watch::Watch;
pub use websocket::{Frame, WebSocket};

/// A subscription on one of the five ways.
pub trait Reader: Send {
    /// Waits for the next object. After a [`Failure::Timeout`] it may be called again.
    fn next(&mut self, deadline: Instant) -> Result<Item>;
    /// The cursor after the objects that [`Reader::next`] has returned.
    fn cursor(&self) -> Option<&str>;
    /// The head of the (last) answer.
    fn head(&self) -> &Head;
    /// The WebSocket, where this is one.
    fn websocket(&mut self) -> Option<&mut WebSocket> {
        None
    }
}

/// Opens a reader and waits until the server has taken the subscription: until its first object
/// where there is one, until the head of the answer else.
pub fn open(spec: &Spec, deadline: Instant) -> Result<Box<dyn Reader>> {
    Ok(match spec.way {
        Way::Poll | Way::Longpoll => Box::new(polling::Polling::open(spec, deadline)?),
        Way::Stream | Way::Sse => Box::new(streaming::Streaming::open(spec, deadline)?),
        Way::Websocket => Box::new(WebSocket::open(spec, deadline)?),
    })
}

/// The position an object carries: `id` for events, `cursor` for controls. §14.15: that of a `$gap`
/// "is no position for a resume of several channels".
fn carried_cursor(item: &Item) -> Option<&str> {
    let cursor = item.text("cursor").filter(|_| item.kind() != "$gap");
    item.text("id").or(cursor)
}

/// §2: what every answer of a reading request carries.
fn check_read_head(head: &Head, content_type: &str, streaming: bool) -> Result<()> {
    let expect_tokens = |name: &str, tokens: &[&str]| {
        for token in tokens {
            if !head.has_token(name, token) {
                return Err(Failure::wrong(format!("{name} lacks {token:?}: {:?}", head.get(name))));
            }
        }
        Ok(())
    };
    expect_tokens("cache-control", &["no-store"])?;
    expect_tokens("vary", &["Accept", "Prefer", "Origin"])?;
    if streaming {
        expect_tokens("cache-control", &["no-transform"])?;
        expect_tokens("x-accel-buffering", &["no"])?;
    }
    let seen = head.get("content-type").unwrap_or_default();
    let media_type = seen.split(';').next().unwrap_or_default().trim();
    if head.status == 200 && media_type != content_type {
        return Err(Failure::wrong(format!("Content-Type is {seen:?}, expected {content_type}")));
    }
    Ok(())
}
