//! Requests on kept connections, and responses without an end on connections of their own.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::Response;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use tokio::time::timeout;

use super::call::{Answer, Body, Call};
use super::connect::{self, CloseOnDrop, Http1};
use super::origin::Origin;
use crate::error::Error;

/// The most connections kept for later requests. More may be in use at a time; they are closed after their answer.
const IDLE_MAX: usize = 32;
/// How long a connection is kept unused. Servers and proxies close idle ones after 30 to 75 s; a request that meets such
/// a close has to be sent again.
const IDLE_FOR: Duration = Duration::from_secs(25);

/// Times and sizes that bound every exchange.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// How long to wait for a connection.
    pub(crate) connect_timeout: Duration,
    /// How long to wait for the head of an answer, and between two pieces of its body.
    pub(crate) answer_timeout: Duration,
    /// The largest body of an answer, in bytes.
    pub(crate) answer_bytes_max: usize,
    /// Whether to speak HTTP/2 by prior knowledge, except for WebSockets.
    pub(crate) http2: bool,
}

/// All connections to one server.
pub(crate) struct Transport {
    pub(crate) origin: Origin,
    pub(crate) bounds: Bounds,
    /// Unused connections, the most recently used last. The lock is never held across a wait.
    idle: Mutex<Vec<Idle>>,
    /// The one HTTP/2 connection. The lock is held while connecting, so that there is only one.
    shared: tokio::sync::Mutex<Option<http2::SendRequest<Body>>>,
    /// Some request has been answered: there is a server at this address.
    answered: AtomicBool,
}

struct Idle {
    connection: Http1,
    since: Instant,
}

/// A response whose body is still to come.
pub(crate) struct Open {
    pub(crate) response: Response<Incoming>,
    /// Keeps the connection, if the response has one of its own.
    _task: Option<CloseOnDrop>,
}

/// Why a request got no answer.
struct Unanswered {
    error: Error,
    /// The server cannot have seen it, or not answered because it had closed the connection before.
    stale: bool,
    /// No byte of it was sent.
    unsent: bool,
}

impl Transport {
    pub(crate) fn new(origin: Origin, bounds: Bounds) -> Self {
        Self {
            origin,
            bounds,
            idle: Mutex::default(),
            shared: tokio::sync::Mutex::default(),
            answered: AtomicBool::new(false),
        }
    }

    /// Whether any request has been answered so far.
    pub(crate) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Sends `call` and waits for the whole answer; `extra` is added to the time for its head.
    ///
    /// # Errors
    /// There is no answer. An answer of any status is none.
    pub(crate) async fn exchange(&self, call: &Call, extra: Duration) -> Result<Answer, Error> {
        if self.bounds.http2 { self.exchange_http2(call, extra).await } else { self.exchange_http1(call, extra).await }
    }

    async fn exchange_http1(&self, call: &Call, extra: Duration) -> Result<Answer, Error> {
        // A kept connection may have been closed by the server while it was idle. Then the next one is tried, and at
        // last a new one.
        while let Some(mut connection) = self.take_idle().await {
            match self.send_http1(&mut connection, call, extra).await {
                Ok(response) => return self.finish(connection, response).await,
                Err(failed) if failed.unsent || (failed.stale && call.repeatable) => {}
                Err(failed) => return Err(failed.error),
            }
        }
        let mut connection = connect::http1(&self.origin, self.bounds.connect_timeout).await?;
        let response = self.send_http1(&mut connection, call, extra).await.map_err(|failed| failed.error)?;
        self.finish(connection, response).await
    }

    async fn exchange_http2(&self, call: &Call, extra: Duration) -> Result<Answer, Error> {
        let response = self.send_http2(call, extra).await?;
        self.collect(response).await
    }

    /// Sends `call` on a connection of its own (HTTP/2: a stream of its own) and gives the response once its head is
    /// there.
    ///
    /// # Errors
    /// There is no answer.
    pub(crate) async fn open(&self, call: &Call) -> Result<Open, Error> {
        if self.bounds.http2 {
            return Ok(Open { response: self.send_http2(call, Duration::ZERO).await?, _task: None });
        }
        let mut connection = connect::http1(&self.origin, self.bounds.connect_timeout).await?;
        let sent = self.send_http1(&mut connection, call, Duration::ZERO).await;
        let response = sent.map_err(|failed| failed.error)?;
        Ok(Open { response, _task: Some(connection.task) })
    }

    /// The same with a body that is still being written.
    pub(crate) async fn open_with(&self, call: &Call, body: Body) -> Result<Open, Error> {
        let mut connection = connect::http1(&self.origin, self.bounds.connect_timeout).await?;
        let request = call.request_with(&self.origin, false, body)?;
        let response = connection.sender.send_request(request).await;
        let response = response.map_err(|error| connect::from_hyper(&self.origin, error))?;
        self.note_answer();
        Ok(Open { response, _task: Some(connection.task) })
    }

    async fn send_http1(
        &self,
        connection: &mut Http1,
        call: &Call,
        extra: Duration,
    ) -> Result<Response<Incoming>, Unanswered> {
        let final_error = |error| Unanswered { error, stale: false, unsent: false };
        let request = call.request(&self.origin, false).map_err(final_error)?;
        let patience = self.bounds.answer_timeout + extra;
        match timeout(patience, connection.sender.try_send_request(request)).await {
            Ok(Ok(response)) => {
                self.note_answer();
                Ok(response)
            }
            Ok(Err(mut failed)) => {
                let unsent = failed.take_message().is_some();
                let error = failed.into_error();
                let stale = error.is_incomplete_message() || error.is_canceled() || error.is_closed();
                Err(Unanswered { stale, unsent, error: connect::from_hyper(&self.origin, error) })
            }
            Err(_) => Err(final_error(Error::no_answer(&self.origin, patience))),
        }
    }

    async fn send_http2(&self, call: &Call, extra: Duration) -> Result<Response<Incoming>, Error> {
        let patience = self.bounds.answer_timeout + extra;
        let mut sender = self.shared_sender().await?;
        let request = call.request(&self.origin, true)?;
        match timeout(patience, sender.send_request(request)).await {
            Ok(Ok(response)) => {
                self.note_answer();
                Ok(response)
            }
            Ok(Err(error)) => {
                self.give_up_shared().await;
                Err(connect::from_hyper(&self.origin, error))
            }
            Err(_) => {
                self.give_up_shared().await;
                Err(Error::no_answer(&self.origin, patience))
            }
        }
    }

    async fn shared_sender(&self) -> Result<http2::SendRequest<Body>, Error> {
        let mut shared = self.shared.lock().await;
        if let Some(sender) = shared.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let sender = connect::http2(&self.origin, self.bounds.connect_timeout).await?;
        Ok(shared.insert(sender).clone())
    }

    /// Lets the next request open a new HTTP/2 connection: this one may lead to a server that is gone.
    pub(crate) async fn give_up_shared(&self) {
        *self.shared.lock().await = None;
    }

    async fn take_idle(&self) -> Option<Http1> {
        loop {
            let mut idle = self.lock_idle().pop()?;
            let fresh = idle.since.elapsed() < IDLE_FOR;
            if fresh && idle.connection.sender.ready().await.is_ok() {
                return Some(idle.connection);
            }
        }
    }

    /// Reads the whole body, then keeps the connection for the next request.
    async fn finish(&self, connection: Http1, response: Response<Incoming>) -> Result<Answer, Error> {
        let answer = self.collect(response).await?;
        let mut idle = self.lock_idle();
        if idle.len() < IDLE_MAX && !connection.sender.is_closed() {
            idle.push(Idle { connection, since: Instant::now() });
        }
        Ok(answer)
    }

    fn lock_idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Reads the whole body.
    pub(crate) async fn collect(&self, response: Response<Incoming>) -> Result<Answer, Error> {
        let (head, mut body) = response.into_parts();
        let mut whole = BytesMut::new();
        while let Some(piece) = self.next_piece(&mut body, self.bounds.answer_timeout).await? {
            if whole.len() + piece.len() > self.bounds.answer_bytes_max {
                return Err(Error::too_large(self.bounds.answer_bytes_max));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: whole.freeze() })
    }

    /// The next piece of a body; `None` at its end. Can be cancelled without loss.
    pub(crate) async fn next_piece(&self, body: &mut Incoming, patience: Duration) -> Result<Option<Bytes>, Error> {
        let piece = timeout(patience, self.next_piece_whenever(body)).await;
        piece.unwrap_or_else(|_| Err(Error::silent(&self.origin, patience)))
    }

    /// The same without a bound in time.
    pub(crate) async fn next_piece_whenever(&self, body: &mut Incoming) -> Result<Option<Bytes>, Error> {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| connect::from_hyper(&self.origin, error))?;
            if let Ok(piece) = frame.into_data() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    /// Notes that a request was answered, on whatever connection.
    pub(crate) fn note_answer(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }
}
