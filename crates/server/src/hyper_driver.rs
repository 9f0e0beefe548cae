//! hyper: serves the router on HTTP/1.1 and HTTP/2 (prior knowledge), over sockets that others have accepted.

use std::future::{Future, pending};
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use bongsu_core::limits::Limits;
use bongsu_transports::shard::HandedOver;
use bongsu_transports::{Alive, Peer, Sockets, unify_websocket};
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::debug;

use crate::prefixed::Prefixed;
use crate::streams::{Answer, Streams};

/// Streams at a time on one HTTP/2 connection.
const HTTP2_STREAMS_MAX: u32 = 256;

/// Serves connections. Cheap to clone.
#[derive(Clone)]
pub(crate) struct HyperDriver(Arc<Served>);

/// What is served, and how.
struct Served {
    service: bongsu_api::Service,
    builder: Builder<TokioExecutor>,
    limits: Limits,
    sockets: Sockets,
    runtime: Handle,
    /// Tells the connections of the present round that they should end, and knows when they have.
    round: Mutex<watch::Sender<()>>,
}

impl HyperDriver {
    /// To be called within a runtime, on which connections are then served.
    pub(crate) fn new(router: Router, limits: Limits, sockets: Sockets) -> Self {
        Self(Arc::new(Served {
            service: bongsu_api::service(router),
            builder: builder(&limits),
            limits,
            sockets,
            runtime: Handle::current(),
            round: Mutex::default(),
        }))
    }

    /// Serves a connection. Returns at once.
    pub(crate) fn serve(&self, stream: TcpStream) {
        self.serve_read(stream, Vec::new(), false);
    }

    /// The same for one of which `read` was read before, and which may have been `admitted` as a reader.
    fn serve_read(&self, stream: TcpStream, read: Vec<u8>, admitted: bool) {
        let Self(served) = self;
        if let Err(error) = prepare(&stream, served.limits.write_timeout) {
            debug!(%error, "a connection was gone before it was served");
            return;
        }
        let socket = Prefixed::new(read, stream, served.sockets.enter());
        let peer = socket.peer().map(|peer| peer.admitted(admitted));
        // Here and not in the task: whoever came before a drain is waited for.
        let ends = served.round.lock().unwrap_or_else(PoisonError::into_inner).subscribe();
        served.runtime.spawn(served.connection(socket, peer, ends));
    }

    /// The same for a connection that a shard does not serve, from any thread.
    pub(crate) fn take(&self, HandedOver { stream, bytes, admitted }: HandedOver) {
        let _within = self.0.runtime.enter();
        match TcpStream::from_std(stream) {
            Ok(stream) => self.serve_read(stream, bytes, admitted),
            Err(error) => debug!(%error, "a connection could not be handed over"),
        }
    }

    /// Ends the connections there are after the request they are at; ready when they have ended. Others are served as before.
    pub(crate) async fn drain(&self) {
        let round = std::mem::take(&mut *self.0.round.lock().unwrap_or_else(PoisonError::into_inner));
        // Nobody may be there to hear it.
        let _ = round.send(());
        round.closed().await;
    }
}

impl Served {
    /// One connection from its first byte to its end.
    fn connection(
        &self,
        mut socket: Prefixed,
        peer: Option<Peer>,
        mut ends: watch::Receiver<()>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (api, builder, limit) = (self.service.clone(), self.builder.clone(), self.limits.head_timeout);
        async move {
            let is_http2 = tokio::select! {
                // A request that has arrived is answered, also at the moment of the drain.
                biased;
                begun = timeout(limit, socket.is_http2()) => begun,
                // Nothing was asked yet: there is nothing to finish.
                _ = ends.changed() => return,
            };
            let Ok(Ok(is_http2)) = is_http2 else { return };
            let streams = is_http2.then(Streams::new);
            let service = service_fn(|request| answer(&api, peer.clone(), &streams, request));
            let connection = builder.serve_connection_with_upgrades(TokioIo::new(socket), service);
            let mut connection = pin!(connection);
            let idle = async {
                match &streams {
                    Some(streams) => streams.idle(limit).await,
                    // hyper itself sees to it that the head of the next request comes in time.
                    None => pending().await,
                }
            };
            let ended = tokio::select! {
                biased;
                ended = connection.as_mut() => ended,
                () = async { tokio::select! { _ = ends.changed() => {}, () = idle => {} } } => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            // How a single client ends is its own affair; it is not an error of the server.
            if let Err(error) = ended {
                debug!(%error, "a connection ended early");
            }
            // Until here a drain waits for this connection.
            drop(ends);
        }
    }
}

/// The answer to one request. Over HTTP/2 its stream counts as used until all is taken, and the WebSocket it becomes is over.
fn answer(
    api: &bongsu_api::Service,
    peer: Option<Peer>,
    streams: &Option<Streams>,
    request: hyper::Request<hyper::body::Incoming>,
) -> impl Future<Output = Result<Response<Answer<axum::body::Body>>, std::convert::Infallible>> + use<> {
    let stream = streams.as_ref().map(|streams| Arc::new(streams.begin()));
    let mut request = unify_websocket(request);
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    if let Some(stream) = &stream {
        request.extensions_mut().insert(Alive(stream.clone()));
    }
    let answer = api.call(request);
    async move { Ok(answer.await?.map(|body| Answer::new(body, stream))) }
}

fn prepare(stream: &TcpStream, write_timeout: Duration) -> io::Result<()> {
    // Small events must not wait for the acknowledgement of earlier ones.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    // A peer that vanished, or takes nothing for so long, is given up by the kernel; it resumes by its cursor.
    socket.set_tcp_user_timeout(Some(write_timeout))?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(write_timeout))
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    // hyper answers a head above its own bound with a bare status; below that, ours is kept with an answer that explains.
    let head_bytes = limits.head_bytes_max.saturating_mul(2).max(8 << 10);
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.head_timeout).max_buf_size(head_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        // What one stream that is not read may hold of our memory, in bytes.
        .max_send_buf_size(64 << 10)
        // WebSocket over HTTP/2 (RFC 8441).
        .enable_connect_protocol()
        .max_header_list_size(head_bytes.try_into().unwrap_or(u32::MAX))
        .keep_alive_interval(Some(Duration::from_secs(20)));
    builder
}
