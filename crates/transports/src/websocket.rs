//! WebSocket: full duplex. Objects go out as text frames, commands come in as text frames.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;

use bongsu_core::command::{Command, Op};
use bongsu_core::control::{Close, Control};
use bongsu_core::log::Draft;
use bongsu_core::read::{From, ReadRequest};
use bongsu_core::{ErrorCode, Problem};
use bongsu_hub::{Hub, Published};
use bongsu_wire::websocket::{CloseCode, Event, Limits, handshake};
use bongsu_wire::{command, receipt};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::body::Body;
use crate::connections::Entry;
use crate::session::{self, Session, Turn};
use crate::signal::Signal;
use crate::socket::{self, Outbox, Peer};
use crate::{Context, response};

/// What our protocol is called in `Sec-WebSocket-Protocol`.
const PROTOCOLS: &[&str] = &["bongsu.v1"];

/// The upgrade; the connection goes on in a task of its own.
pub(crate) async fn open<B>(
    context: &Context,
    read: ReadRequest,
    request: &mut Request<B>,
) -> Result<Response<Body>, Problem> {
    let accepted = match accept(request) {
        Ok(accepted) => accepted,
        Err(rejection) => return Ok(reject(rejection)),
    };
    let signal = Arc::new(Signal::default());
    let entry = context.enter(&read, &signal)?;
    let (reader, replay) = context.reader(&read, &signal).await?;
    let session = session::new(reader, replay, &read, entry.id(), context.draw_retry());
    let talk = Talk {
        hub: context.hub.clone(),
        session: Seat::Here(Box::new(session)),
        signal,
        entry,
        replies: VecDeque::new(),
        replies_max: context.limits.commands_in_flight_max,
        channels_max: context.limits.channels_per_connection_max,
        ending: None,
    };
    let limits = limits(context);
    spawn(request, move |io| socket::run(io, talk, read.heartbeat, limits));
    Ok(accepted)
}

/// The largest message: a publish command around the largest payload, which base64 makes a third larger.
pub(crate) fn limits(context: &Context) -> Limits {
    let bytes = context.limits.payload_bytes_max / 3 * 4 + (16 << 10);
    Limits { message_bytes_max: bytes.try_into().unwrap_or(u32::MAX), ..Limits::default() }
}

/// Runs `talk` over the connection once hyper has sent the answer and let go of it.
pub(crate) fn spawn<B, T, F>(request: &mut Request<B>, talk: T)
where
    T: FnOnce(TokioIo<hyper::upgrade::Upgraded>) -> F + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        // A client that is gone before the upgrade is done leaves nothing to do.
        if let Ok(upgraded) = upgrade.await {
            talk(TokioIo::new(upgraded)).await;
        }
    });
}

/// Checks the handshake and makes the answer to it.
pub(crate) fn accept<B>(request: &Request<B>) -> Result<Response<Body>, handshake::Rejection> {
    let line =
        handshake::Request { method: request.method().as_str(), http_1_1: request.version() == Version::HTTP_11 };
    let accepted = handshake::accept(line, pairs(request.headers()), PROTOCOLS)?;
    let mut builder = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
    for (name, value) in accepted.headers() {
        builder = builder.header(name, value);
    }
    Ok(response::finish(builder, Body::empty()))
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
}

/// The refusal of a handshake.
pub(crate) fn reject(rejection: handshake::Rejection) -> Response<Body> {
    let code = match rejection.status() {
        405 => ErrorCode::MethodNotAllowed,
        426 => ErrorCode::UpgradeRequired,
        _ => ErrorCode::BadRequest,
    };
    let mut refusal = response::problem(&Problem::new(code, rejection.reason()));
    for (name, value) in rejection.headers() {
        refusal.headers_mut().insert(*name, http::HeaderValue::from_static(value));
    }
    refusal
}

/// One client on a WebSocket.
struct Talk {
    hub: Hub,
    session: Seat,
    signal: Arc<Signal>,
    entry: Entry,
    /// Answers that are still to come, in the order of their commands.
    replies: VecDeque<Reply>,
    replies_max: usize,
    channels_max: usize,
    /// The connection ends with this once `$close` is written.
    ending: Option<(CloseCode, String)>,
}

/// Where the session is.
enum Seat {
    Here(Box<Session>),
    /// Reading a page from the disk.
    Away(JoinHandle<(Box<Session>, Turn)>),
    /// Back with what it read.
    Back(Box<Session>, Turn),
    Gone,
}

/// The answer to one command.
struct Reply {
    reference: Option<String>,
    outcome: Outcome,
}

enum Outcome {
    Known(Result<String, Problem>),
    /// A publish on its way through the sequencer.
    Awaited(oneshot::Receiver<Result<Vec<Published>, Problem>>),
}

impl Peer for Talk {
    fn hear(&mut self, message: Event, _: &mut Outbox) -> Result<(), (CloseCode, String)> {
        let Event::Text(text) = message else {
            return Err((CloseCode::UNSUPPORTED_DATA, "commands are JSON in text frames".into()));
        };
        let reply = match command::parse(text.as_bytes(), self.channels_max) {
            Ok(Command { reference, op }) => Reply { reference, outcome: self.execute(op) },
            Err((reference, problem)) => Reply { reference, outcome: Outcome::Known(Err(problem)) },
        };
        self.replies.push_back(reply);
        Ok(())
    }

    fn speak(&mut self, out: &mut Outbox) -> Result<(), (CloseCode, String)> {
        if let Some(ending) = self.ending.take() {
            return Err(ending);
        }
        self.reply(out);
        let (mut session, turn) = match std::mem::replace(&mut self.session, Seat::Gone) {
            Seat::Here(mut session) => {
                if let Some(close) = self.entry.take_close() {
                    self.ending = Some(ending(&close));
                    session.close(close);
                }
                let turn = session.turn();
                (session, turn)
            }
            Seat::Back(session, turn) => (session, turn),
            away @ Seat::Away(_) => {
                self.session = away;
                return Ok(());
            }
            Seat::Gone => return Err((CloseCode::INTERNAL_ERROR, "a read of the log was cut short".into())),
        };
        match turn {
            Turn::Send(pieces) => pieces.into_iter().for_each(|piece| out.push(piece)),
            Turn::Idle => {}
            Turn::Cold => {
                self.session = Seat::Away(tokio::task::spawn_blocking(move || {
                    let turn = session.turn_cold();
                    (session, turn)
                }));
                return Ok(());
            }
            Turn::Ended => return Err((CloseCode::INTERNAL_ERROR, "the log cannot be read".into())),
        }
        self.session = Seat::Here(session);
        Ok(())
    }

    async fn ready(&mut self) {
        let Self { session, replies, signal, .. } = self;
        let reply = async {
            match replies.front_mut() {
                Some(Reply { outcome: outcome @ Outcome::Awaited(_), .. }) => outcome.settle().await,
                Some(_) => {}
                None => pending().await,
            }
        };
        let back = async {
            match session {
                Seat::Away(read) => {
                    *session = match read.await {
                        Ok((back, turn)) => Seat::Back(back, turn),
                        // The read was cut short; the client resumes from what it has.
                        Err(_) => Seat::Gone,
                    }
                }
                _ => pending().await,
            }
        };
        tokio::select! {
            () = reply => {}
            () = back => {}
            () = signal.raised() => {}
        }
    }

    fn has_room(&self) -> bool {
        self.replies.len() < self.replies_max && matches!(self.session, Seat::Here(_))
    }
}

impl Talk {
    fn execute(&mut self, op: Op) -> Outcome {
        match op {
            Op::Subscribe { channels, since } => Outcome::Known(self.subscribe(&channels, From::Since(since))),
            Op::Unsubscribe { channels } => {
                self.session.here(|session| session.remove(&channels));
                self.note_channels();
                Outcome::Known(Ok(command::channels_answer(&channels, None)))
            }
            Op::Publish(draft) => self.publish(*draft),
        }
    }

    fn subscribe(&mut self, channels: &[bongsu_core::ChannelName], from: From) -> Result<String, Problem> {
        let Seat::Here(session) = &mut self.session else {
            return Err(Problem::new(ErrorCode::Internal, "the connection is ending"));
        };
        let mut all = session.channels();
        all.extend(channels.iter().filter(|channel| !all.contains(channel)).cloned().collect::<Vec<_>>());
        if all.len() > self.channels_max {
            let detail =
                format!("a connection reads at most {} channels (channels_per_connection_max)", self.channels_max);
            return Err(Problem::new(ErrorCode::TooManyChannels, detail));
        }
        let cursor = session.add(channels, from)?;
        self.entry.set_channels(all);
        Ok(command::channels_answer(channels, Some(cursor)))
    }

    fn note_channels(&mut self) {
        if let Seat::Here(session) = &self.session {
            self.entry.set_channels(session.channels());
        }
    }

    fn publish(&mut self, draft: Draft) -> Outcome {
        let (done, answer) = oneshot::channel();
        let handed = self.hub.publish(vec![draft], move |result| {
            // A client that is gone needs no answer; its event stands.
            let _ = done.send(result);
        });
        match handed {
            Ok(()) => Outcome::Awaited(answer),
            Err(problem) => Outcome::Known(Err(problem)),
        }
    }

    /// Sends the answers that are known, up to the first that is not.
    fn reply(&mut self, out: &mut Outbox) {
        while let Some(Reply { outcome: Outcome::Known(_), .. }) = self.replies.front() {
            let Some(Reply { reference, outcome: Outcome::Known(result) }) = self.replies.pop_front() else { break };
            let control = Control::Reply { reference, result };
            let framed = bongsu_wire::framing::control_bytes(&control, bongsu_core::event::Encoding::WebSocket);
            out.push(framed.unwrap_or_default());
        }
    }
}

impl Outcome {
    /// Waits until the answer is known.
    async fn settle(&mut self) {
        if let Self::Awaited(answer) = self {
            let known = match answer.await {
                Ok(Ok(published)) => Ok(published.first().map_or_else(String::new, receipt::published_json)),
                Ok(Err(problem)) => Err(problem),
                Err(_) => Err(Problem::new(
                    ErrorCode::Internal,
                    "the publish was lost on its way: try again with the same key",
                )),
            };
            *self = Self::Known(known);
        }
    }
}

impl Seat {
    fn here<T>(&mut self, act: impl FnOnce(&mut Session) -> T) -> Option<T> {
        match self {
            Self::Here(session) => Some(act(session)),
            _ => None,
        }
    }
}

/// The close frame that goes with a `$close`.
fn ending(close: &Close) -> (CloseCode, String) {
    (CloseCode::new(close.code).unwrap_or(CloseCode::INTERNAL_ERROR), close.reason.clone())
}
