//! The five ways of reading, and the drivers that carry them over sockets.
//!
//! [`Transports::read`] takes one HTTP request and answers it by the way it asks for. Each way is a file of its own with
//! the same silhouette (`poll`, `long_poll`, `stream`, `sse`, `websocket`): a function that takes the parsed request and
//! gives the response. What the streaming ways share is the [`session`], a state machine that turns a reader's pages into
//! bytes and knows no sockets; `driver` pulls it when hyper has room to write.
//!
//! A transport must not know what channels are for, who may read them, or how events are stored.

mod admission;
mod answer;
mod body;
mod connections;
mod driver;
mod echo;
mod long_poll;
mod memory;
mod poll;
mod response;
mod session;
pub mod shard;
mod signal;
mod socket;
mod sockets;
mod sse;
mod stream;
mod talk;
mod websocket;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bongsu_core::control::{Close, close_code};
use bongsu_core::cursor::Since;
use bongsu_core::limits::{ANSWER_BYTES_IN_FLIGHT_MAX, Limits};
use bongsu_core::read::{From, ReadRequest, Way};
use bongsu_core::{Chance, ErrorCode, Problem};
use bongsu_hub::{Hub, Published, Reader};
use bongsu_wire::query;
use bongsu_wire::receipt::Receipt;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Request, Response, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use body::Body;
pub use connections::{ConnectionInfo, Connections};
pub use memory::{Held, Memory};
pub use sockets::{Pauses, SocketPlace, Sockets};
pub use websocket::Alive;

use admission::Admission;
use connections::{Call, ConnectionId, Entry};
use memory::Census;
use signal::Signal;

/// The five ways over one hub. Cheap to clone.
#[derive(Clone)]
pub struct Transports {
    context: Arc<Context>,
}

/// Makes a WebSocket over HTTP/2 (RFC 8441) look like one over HTTP/1.1; every other request is left as it is. For whoever
/// serves connections, before anything looks at the request's method.
#[must_use]
pub fn unify_websocket<B>(request: Request<B>) -> Request<B> {
    websocket::unify(request)
}

/// The answer to one publish, as the wire has it.
#[must_use]
pub fn receipt(published: &Published) -> Receipt {
    Receipt {
        id: published.id,
        channel: published.channel.clone(),
        offset: published.offset,
        subscribers: published.subscribers,
        duplicate: published.duplicate,
    }
}

/// What every way needs.
pub(crate) struct Context {
    hub: Hub,
    limits: Limits,
    chance: Arc<dyn Chance>,
    connections: Connections,
    sockets: Sockets,
    admission: Mutex<Admission>,
    started: Instant,
    draining: AtomicBool,
    /// A permit per byte of polling answers that are not yet taken by their clients.
    answer_bytes: Arc<Semaphore>,
    census: Census,
}

impl Transports {
    /// The ways over `hub`.
    #[must_use]
    pub fn new(hub: Hub, limits: Limits, chance: Arc<dyn Chance>) -> Self {
        let connections = Connections::new(limits.connections_max);
        let sockets = Sockets::new(limits.sockets_max());
        let admission = Admission::new(limits.handshakes_per_second, limits.handshakes_burst);
        let context = Context {
            hub,
            limits,
            chance,
            connections,
            sockets,
            admission: Mutex::new(admission),
            started: Instant::now(),
            draining: AtomicBool::new(false),
            answer_bytes: Arc::new(Semaphore::new(ANSWER_BYTES_IN_FLIGHT_MAX)),
            census: Census::default(),
        };
        Self { context: Arc::new(context) }
    }

    /// Answers a read of `channel` (the segment of the path, still percent-encoded), or of those in the query when it is
    /// `None`, by the way that the request chooses. Refusals are answers too. HEAD is answered like GET without a body.
    pub async fn read<B>(&self, channel: Option<&str>, mut request: Request<B>) -> Response<Body> {
        let context = &self.context;
        let method = request.method().as_str();
        let query = request.uri().query().unwrap_or("");
        let channels_max = context.limits.channels_per_connection_max;
        let read = match query::read_request(method, channel, query, request.headers(), channels_max) {
            Ok(read) => read,
            Err(problem) => return response::problem(&problem),
        };
        let (way, head_only, version) = (read.way, read.head_only, request.version());
        if let Some(peer) = request.extensions().get::<Peer>()
            && let Err(problem) = peer.admit(context)
        {
            return refusal(context, way, &problem);
        }
        let answer = match way {
            Way::Poll => poll::answer(context, read).await,
            Way::LongPoll => long_poll::answer(context, read).await,
            Way::Stream => stream::open(context, read).await,
            Way::Sse => sse::open(context, read).await,
            Way::WebSocket => websocket::open(context, read, &mut request).await,
        };
        let mut answer = answer.unwrap_or_else(|problem| refusal(context, way, &problem));
        if matches!(way, Way::Stream | Way::Sse) && !head_only && version == Version::HTTP_11 {
            // It is the last answer of its connection: hyper would go on with a request that waits behind it since long ago.
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }

    /// A WebSocket that sends back every message, on the same code as the real ones; for conformance suites.
    pub async fn echo<B>(&self, mut request: Request<B>) -> Response<Body> {
        echo::open(&mut request).unwrap_or_else(|problem| response::problem(&problem))
    }

    /// The connections that are open.
    #[must_use]
    pub fn connections(&self) -> &Connections {
        &self.context.connections
    }

    /// What connections hold by each way, as far as that is known: on shards. A shard that does not answer within a second
    /// is given as it last was.
    pub async fn memory(&self) -> Memory {
        self.context.census.take().await
    }

    /// How many handshakes were told to come back later.
    #[must_use]
    pub fn handshakes_refused(&self) -> u64 {
        self.context.admission.lock().unwrap_or_else(PoisonError::into_inner).counts().refused
    }

    /// How many of them were promised a time, and the promise was given up for newer ones before anybody came.
    #[must_use]
    pub fn handshakes_forgotten(&self) -> u64 {
        self.context.admission.lock().unwrap_or_else(PoisonError::into_inner).counts().forgotten
    }

    /// The sockets that are open, those that have asked nothing included. Kept by whoever accepts them.
    #[must_use]
    pub fn sockets(&self) -> &Sockets {
        &self.context.sockets
    }

    /// Ends every connection in an orderly way, each with its own time to come back, and refuses new ones. Returns at
    /// once; the connections end as their clients take the last bytes.
    pub fn drain(&self) {
        self.context.draining.store(true, Ordering::SeqCst);
        self.context.connections.close_all(|| self.context.draining_close());
    }
}

/// Who asks, as an extension of the requests of one connection: without it nobody is kept waiting for a handshake.
#[derive(Clone, Debug)]
pub struct Peer {
    address: IpAddr,
    /// Set by its first read that was let in: later ones are no handshakes.
    admitted: Arc<AtomicBool>,
}

impl Peer {
    /// A connection from `address` that has read nothing yet.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        Self { address, admitted: Arc::new(AtomicBool::new(false)) }
    }

    /// The same, of which a shard knows that it has been let in.
    #[must_use]
    pub fn admitted(self, admitted: bool) -> Self {
        self.admitted.store(admitted, Ordering::Relaxed);
        self
    }

    fn admit(&self, context: &Context) -> Result<(), Problem> {
        if !self.admitted.load(Ordering::Relaxed) {
            context.admit(self.address)?;
            self.admitted.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn refusal(context: &Context, way: Way, problem: &Problem) -> Response<Body> {
    match way {
        // The browser's EventSource never comes back after an error status, so it is told in its own words.
        Way::Sse if problem.code.retry() == bongsu_core::error::Retry::Later => sse::refuse(context, problem),
        _ => response::problem(problem),
    }
}

/// Bytes with the room they take.
struct Counted {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Context {
    /// When this client should come back after a cut: a draw from the reconnect window, so that all together do not
    /// come at once.
    fn draw_retry(&self) -> Duration {
        const RETRY_MIN: Duration = Duration::from_millis(100);
        let window = self.limits.reconnect_window.as_millis() as u64;
        RETRY_MIN + Duration::from_millis(self.chance.below(window))
    }

    fn draining_close(&self) -> Close {
        Close {
            code: close_code::DRAINING,
            reason: "the server is shutting down".into(),
            reconnect: true,
            retry: self.draw_retry(),
        }
    }

    /// The bytes of an answer, counted until the last of them has left our memory.
    fn counted(&self, bytes: Bytes) -> Result<Bytes, Problem> {
        let length = u32::try_from(bytes.len()).ok();
        let room = length.and_then(|length| self.answer_bytes.clone().try_acquire_many_owned(length).ok());
        let room = room.ok_or_else(|| {
            let detail = format!(
                "{ANSWER_BYTES_IN_FLIGHT_MAX} bytes of answers wait for their clients to read them, which is the limit \
                 (answer_bytes_in_flight_max)"
            );
            Problem::new(ErrorCode::Overloaded, detail).retry_after(self.draw_retry())
        })?;
        Ok(Bytes::from_owner(Counted { bytes, _room: room }))
    }

    /// Whether a handshake from `address` is taken now.
    fn admit(&self, address: IpAddr) -> Result<(), Problem> {
        let now = self.started.elapsed();
        let admitted = self.admission.lock().unwrap_or_else(PoisonError::into_inner).admit(address, now);
        admitted.map_err(|wait| {
            let detail = format!(
                "more clients come at once than are let in, {} a second (handshakes_per_second)",
                self.limits.handshakes_per_second
            );
            Problem::new(ErrorCode::Overloaded, detail)
                .hint("come back when you are told: you are let in then")
                .retry_after(wait)
        })
    }

    /// Takes a place in the table of connections.
    fn enter(&self, read: &ReadRequest, call: Call) -> Result<Entry, Problem> {
        let id = ConnectionId::new(self.chance.next(), self.chance.next());
        let entry = self.connections.enter(id, read, call, self.hub.clock().now());
        let entry = entry.ok_or_else(|| {
            let detail =
                format!("{} connections are open, which is the limit (connections_max)", self.limits.connections_max);
            Problem::new(ErrorCode::Overloaded, detail).retry_after(self.draw_retry())
        })?;
        // Looked at after the place is taken: a drain that starts now either finds the place or is seen here.
        if self.draining.load(Ordering::SeqCst) {
            let detail = "the server takes no new connections because it is shutting down";
            return Err(Problem::new(ErrorCode::Draining, detail).retry_after(self.draw_retry()));
        }
        Ok(entry)
    }

    /// A reader for the request, and how many events lie before it. What has to look at the disk does so off the async
    /// threads.
    async fn reader(&self, read: &ReadRequest, signal: &Arc<Signal>) -> Result<(Reader, u64), Problem> {
        let replays = !read.way.is_polling() && !matches!(read.from, From::Unsaid | From::Since(Since::Now));
        if !replays && !matches!(read.from, From::Last(_)) {
            let reader = self.hub.subscribe(read.way, &read.channels, read.from, read.types.clone(), signal.clone())?;
            return Ok((reader, 0));
        }
        let (hub, read, wake) = (self.hub.clone(), read.clone(), signal.clone());
        driver::blocking(move || {
            let reader = hub.subscribe(read.way, &read.channels, read.from, read.types, wake)?;
            let replay = if replays { reader.behind()? } else { 0 };
            Ok((reader, replay))
        })
        .await?
    }
}
