//! The driver on tokio and hyper: pulls a session when there is room to write.
//!
//! hyper polls a body only when its own small buffer has room, so back-pressure needs no code here: a client that does
//! not read is a body that is not polled, and its position stays where it is.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};
use std::time::Duration;

use bongsu_core::read::ReadRequest;
use bongsu_core::{Clock, ErrorCode, Millis, Problem};
use bongsu_hub::Reader;
use bytes::{Bytes, BytesMut};
use http::Response;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep};

use crate::body::Body;
use crate::connections::{Call, Entry};
use crate::session::{Session, Turn};
use crate::signal::Signal;
use crate::{Context, response};

/// Runs what may wait for a disk on a thread made for that.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Problem::new(ErrorCode::Internal, "a read of the log was cut short"))
}

/// Opens a streaming answer; HEAD gets its head only.
pub(crate) async fn open(
    context: &Context,
    read: ReadRequest,
    content_type: &'static str,
) -> Result<Response<Body>, Problem> {
    let head = response::stream_head(content_type);
    let signal = Arc::new(Signal::default());
    let entry = context.enter(&read, Call::Task(signal.clone()))?;
    if read.head_only {
        return Ok(response::finish(head, Body::empty()));
    }
    let (reader, replay) = context.reader(&read, &signal).await?;
    let session = Session::new(&read, entry.id().to_string(), context.draw_retry(), replay);
    let session = Reading { session, reader };
    let body = StreamBody::new(session, signal, entry, context.hub.clock().clone(), read.heartbeat);
    Ok(response::finish(head, Body::stream(body)))
}

/// A session with the reader that it reads by.
pub(crate) struct Reading {
    pub(crate) session: Session,
    pub(crate) reader: Reader,
}

impl Reading {
    /// See [`Session::turn`].
    pub(crate) fn turn(&mut self) -> Turn {
        self.session.turn(&mut self.reader)
    }

    /// See [`Session::turn_cold`].
    pub(crate) fn turn_cold(&mut self) -> Turn {
        self.session.turn_cold(&mut self.reader)
    }

    /// See [`Session::beat`].
    pub(crate) fn beat(&self, now: Millis) -> Option<Bytes> {
        self.session.beat(now, self.reader.cursor())
    }
}

/// A session as a response body.
pub(crate) struct StreamBody {
    state: State,
    signal: Arc<Signal>,
    entry: Entry,
    clock: Arc<dyn Clock>,
    heartbeat: Duration,
    beat: Pin<Box<Sleep>>,
}

enum State {
    Warm(Box<Reading>),
    /// A page is being read from the disk.
    Cold(JoinHandle<(Box<Reading>, Turn)>),
    Ended,
}

impl StreamBody {
    pub(crate) fn new(
        session: Reading,
        signal: Arc<Signal>,
        entry: Entry,
        clock: Arc<dyn Clock>,
        heartbeat: Duration,
    ) -> Self {
        let state = State::Warm(Box::new(session));
        Self { state, signal, entry, clock, heartbeat, beat: Box::pin(sleep(heartbeat)) }
    }

    /// The next bytes to write; `None` at the end.
    pub(crate) fn poll_bytes(&mut self, context: &mut task::Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            let turn = ready!(self.poll_turn(context));
            match turn {
                Turn::Send(bytes) => {
                    self.beat.as_mut().reset(Instant::now() + self.heartbeat);
                    return Poll::Ready(Some(join(bytes)));
                }
                Turn::Ended => {
                    self.state = State::Ended;
                    return Poll::Ready(None);
                }
                Turn::Cold => self.read_cold(),
                Turn::Again => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Turn::Idle => {
                    if self.signal.poll(context).is_ready() {
                        continue;
                    }
                    ready!(self.beat.as_mut().poll(context));
                    self.beat.as_mut().reset(Instant::now() + self.heartbeat);
                    if let State::Warm(session) = &self.state
                        && let Some(bytes) = session.beat(self.clock.now())
                    {
                        return Poll::Ready(Some(bytes));
                    }
                }
            }
        }
    }

    fn poll_turn(&mut self, context: &mut task::Context<'_>) -> Poll<Turn> {
        match &mut self.state {
            State::Warm(session) => {
                if let Some(close) = self.entry.take_close() {
                    session.session.close(close);
                }
                Poll::Ready(session.turn())
            }
            State::Cold(read) => {
                let Ok((session, turn)) = ready!(Pin::new(read).poll(context)) else {
                    // The read was cut short; the client resumes from what it has.
                    return Poll::Ready(Turn::Ended);
                };
                self.state = State::Warm(session);
                Poll::Ready(turn)
            }
            State::Ended => Poll::Ready(Turn::Ended),
        }
    }

    fn read_cold(&mut self) {
        if let State::Warm(mut session) = std::mem::replace(&mut self.state, State::Ended) {
            self.state = State::Cold(tokio::task::spawn_blocking(move || {
                let turn = session.turn_cold();
                (session, turn)
            }));
        }
    }
}

/// One piece of bytes: shared as it is when it is one, copied together when there are several, because one larger write
/// costs less than several small ones.
fn join(bytes: Vec<Bytes>) -> Bytes {
    if let [one] = &bytes[..] {
        return one.clone();
    }
    let mut joined = BytesMut::with_capacity(bytes.iter().map(Bytes::len).sum());
    for piece in bytes {
        joined.extend_from_slice(&piece);
    }
    joined.freeze()
}
