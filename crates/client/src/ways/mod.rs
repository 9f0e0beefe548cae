//! The five ways, as one: a connection gives objects until it ends.
//!
//! Where the ways differ is hidden here. The polling ways give the same objects as the streaming ones: what their answers
//! say otherwise (a cursor, the first answer, nothing more to read) is put as an object too. It must not know what is
//! done with the objects, nor what follows a failure.

mod polling;
mod request;
mod streaming;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use bongsu_core::limits::HEARTBEAT_DEFAULT;
use bongsu_core::read::Way;
use tokio::sync::mpsc;

use self::polling::Polling;
use self::streaming::Streaming;
use self::websocket::WebSocket;
use crate::command::Command;
use crate::decode::object::{Malformed, Object};
use crate::error::Error;
use crate::net::transport::Transport;
use crate::resume::Resume;

/// What a subscription asks for, apart from its channels and position.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    /// Only these types; empty for all.
    pub(crate) types: Vec<String>,
    /// How often the server shall send at least something on the streaming ways.
    pub(crate) heartbeat: Option<Duration>,
    /// The most events of one polling answer.
    pub(crate) limit: Option<u32>,
    /// How long to wait between polls, instead of what the server asks for.
    pub(crate) interval: Option<Duration>,
    /// How long a long poll waits.
    pub(crate) wait: Option<Duration>,
    /// The largest object, in bytes.
    pub(crate) object_bytes_max: usize,
}

impl Reading {
    /// How long a streaming connection may be silent before the server counts as dead, as long as it has not said how
    /// often it sends something.
    fn silence_max(&self) -> Duration {
        silence_max(self.heartbeat.unwrap_or(HEARTBEAT_DEFAULT))
    }
}

/// Two heartbeats: one beat may be late, two are none.
fn silence_max(heartbeat: Duration) -> Duration {
    // A server that says 0 would be dead before its first beat.
    (heartbeat * 2).max(Duration::from_secs(1))
}

/// A connection that stands.
pub(crate) enum Connection {
    /// Requests that are answered at once, or after a wait.
    Polling(Box<Polling>),
    /// One response without an end: lines, or server-sent events.
    Streaming(Box<Streaming>),
    /// A WebSocket.
    WebSocket(Box<WebSocket>),
}

impl Connection {
    /// Connects by `way` to read on where `resume` stands.
    pub(crate) async fn open(
        transport: &Arc<Transport>,
        reading: &Arc<Reading>,
        way: Way,
        resume: &Resume,
    ) -> Result<Self, Error> {
        Ok(match way {
            Way::Poll | Way::LongPoll => {
                Self::Polling(Box::new(Polling::new(transport.clone(), reading.clone(), way, resume)))
            }
            Way::Stream | Way::Sse => {
                Self::Streaming(Box::new(Streaming::open(transport.clone(), reading, way, resume).await?))
            }
            Way::WebSocket => Self::WebSocket(Box::new(WebSocket::open(transport, reading, resume).await?)),
        })
    }

    /// The next objects, at least one; `None` when the connection has ended in an orderly way.
    ///
    /// Nothing is lost if this is cancelled, except the answer to a poll that is under way: the position has not moved
    /// then, so it is asked for again.
    pub(crate) async fn next(&mut self, commands: &mut mpsc::Receiver<Command>) -> Result<Option<Vec<Object>>, Error> {
        match self {
            Self::WebSocket(websocket) => websocket.next(commands).await,
            Self::Polling(polling) => tokio::select! {
                objects = polling.next() => objects.map(Some),
                never = refuse_all(commands) => never,
            },
            Self::Streaming(streaming) => tokio::select! {
                objects = streaming.next() => objects,
                never = refuse_all(commands) => never,
            },
        }
    }

    /// Says goodbye where the way has a word for it.
    pub(crate) async fn leave(self) {
        if let Self::WebSocket(websocket) = self {
            websocket.leave().await;
        }
    }
}

/// Answers commands where there is no connection to send them on. Does not return.
pub(crate) async fn refuse_all<T>(commands: &mut mpsc::Receiver<Command>) -> T {
    while let Some(command) = commands.recv().await {
        command
            .answer(Err(Error::usage("commands need the WebSocket way: `subscription.switch(Way::WebSocket)` first")));
    }
    // Nobody can send any more commands.
    std::future::pending().await
}

fn no_object(why: &Malformed) -> Error {
    Error::protocol(format!("the server sent something that is no object of this protocol: {why}"))
}
