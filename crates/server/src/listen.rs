//! Sockets and hyper: accepts connections and serves the router on HTTP/1.1 and HTTP/2 (prior knowledge).

use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use bongsu_core::limits::Limits;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

/// Connections that wait to be accepted: a reconnect storm must not be refused by the kernel while we are busy.
const BACKLOG: i32 = 4_096;
/// How long to wait when the process may open no more files; the peers wait in the backlog meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Streams at a time on one HTTP/2 connection.
const HTTP2_STREAMS_MAX: u32 = 256;

/// Takes the address.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for old connections to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// What is served, and how.
struct Served {
    router: Router,
    builder: Builder<TokioExecutor>,
    limits: Limits,
    draining: watch::Receiver<bool>,
}

/// Accepts for ever. Once `draining` is true, connections end after the request they are at, and new ones are still taken:
/// whoever comes meanwhile is told when to come back instead of being refused by the kernel. `idle` is told when no
/// request from before the drain is left.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    mut draining: watch::Receiver<bool>,
    idle: oneshot::Sender<()>,
) {
    let served = Served { router, builder: builder(&limits), limits, draining: draining.clone() };
    let graceful = GracefulShutdown::new();
    tokio::select! {
        _ = draining.wait_for(|draining| *draining) => {}
        () = accept(&listener, &served, &graceful) => {}
    }
    let last = GracefulShutdown::new();
    tokio::select! {
        () = async {
            graceful.shutdown().await;
            // Nobody waits for it any more if the drain was cut short.
            let _ = idle.send(());
            pending::<()>().await;
        } => {}
        () = accept(&listener, &served, &last) => {}
    }
}

async fn accept(listener: &TcpListener, served: &Served, graceful: &GracefulShutdown) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = prepare(&stream, served.limits.write_timeout) {
                    debug!(%error, "a connection was gone before it was served");
                    continue;
                }
                tokio::spawn(served.connection(stream, graceful.watcher()));
            }
            Err(error) => {
                warn!(%error, "cannot accept connections for the moment");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Served {
    /// One connection from its first byte to its end.
    fn connection(&self, stream: TcpStream, watcher: Watcher) -> impl Future<Output = ()> + Send + 'static {
        let api = bongsu_api::service(self.router.clone());
        let service = service_fn(move |request| api.call(bongsu_transports::unify_websocket(request)));
        let (builder, head_timeout, mut draining) =
            (self.builder.clone(), self.limits.head_timeout, self.draining.clone());
        async move {
            let late = *draining.borrow();
            tokio::select! {
                // A request that has arrived is answered, also at the moment of the drain.
                biased;
                begun = timeout(head_timeout, first_bytes(&stream)) => if !matches!(begun, Ok(Ok(()))) { return },
                // Nothing was asked yet: there is nothing to finish.
                _ = draining.changed(), if !late => return,
            }
            let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
            // How a single client ends is its own affair; it is not an error of the server.
            if let Err(error) = watcher.watch(connection).await {
                debug!(%error, "a connection ended early");
            }
        }
    }
}

/// Waits until it can be told which HTTP the peer speaks. hyper's own look at the first bytes has no time limit.
async fn first_bytes(stream: &TcpStream) -> io::Result<()> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut bytes = [0; PREFACE.len()];
    loop {
        let count = stream.peek(&mut bytes).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if count == PREFACE.len() || !PREFACE.starts_with(&bytes[..count]) {
            return Ok(());
        }
        // A peek of bytes that were seen before returns at once; a preface in pieces is rare enough to look again later.
        sleep(ACCEPT_PAUSE).await;
    }
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
