//! HTTP/2 in clear text with prior knowledge, by the `h2` crate.
//!
//! The connection lives on a small shared runtime; the body reaches the caller through a channel
//! of a few pieces, and flow-control credit is given back only for pieces that were taken, so a
//! reader that stalls here stalls the stream as a stalled client would.

use super::{Exchange, Head, Request, left};
use crate::error::{Failure, Result};
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

/// Body pieces in flight between the connection's task and the reader.
const PIECES_MAX: usize = 4;

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime needs one thread and one epoll, both available to a test")
    })
}

/// One HTTP/2 connection.
pub(super) struct H2 {
    addr: SocketAddr,
    sender: ::h2::client::SendRequest<Bytes>,
    head: Option<oneshot::Receiver<Result<Head>>>,
    body: Option<mpsc::Receiver<Result<Vec<u8>>>>,
}

impl H2 {
    pub(super) fn connect(addr: SocketAddr, deadline: Instant) -> Result<Self> {
        let sender = wait(deadline, "an HTTP/2 connection", async move {
            let tcp = tokio::net::TcpStream::connect(addr).await?;
            tcp.set_nodelay(true)?;
            let (sender, connection) = ::h2::client::handshake(tcp).await.map_err(broken)?;
            // Ends by itself when the last handle to the connection is dropped.
            tokio::spawn(connection);
            Ok(sender)
        })?;
        Ok(Self { addr, sender, head: None, body: None })
    }
}

impl Exchange for H2 {
    fn send(&mut self, request: &Request) -> Result<()> {
        let message = to_http(request, self.addr)?;
        let body = Bytes::from(request.body.clone());
        let (head_tx, head_rx) = oneshot::channel();
        let (body_tx, body_rx) = mpsc::channel(PIECES_MAX);
        let sender = self.sender.clone();
        runtime().spawn(exchange(sender, message, body, head_tx, body_tx));
        self.head = Some(head_rx);
        self.body = Some(body_rx);
        Ok(())
    }

    fn head(&mut self, deadline: Instant) -> Result<Head> {
        let receiver = self.head.as_mut().ok_or_else(|| Failure::wrong("no request was sent"))?;
        let head = wait(deadline, "the head of an answer", async {
            receiver.await.unwrap_or_else(|_| Err(Failure::closed("the stream ended")))
        })?;
        self.head = None;
        Ok(head)
    }

    fn chunk(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>> {
        let Some(body) = self.body.as_mut() else { return Ok(None) };
        let piece = wait(deadline, "more of a body", async { body.recv().await.transpose() })?;
        if piece.is_none() {
            self.body = None;
        }
        Ok(piece)
    }
}

async fn exchange(
    sender: ::h2::client::SendRequest<Bytes>,
    message: http::Request<()>,
    body: Bytes,
    head_tx: oneshot::Sender<Result<Head>>,
    body_tx: mpsc::Sender<Result<Vec<u8>>>,
) {
    match begin(sender, message, body).await {
        Err(failure) => drop(head_tx.send(Err(failure))),
        Ok(response) => {
            let _ = head_tx.send(to_head(&response));
            pump(response.into_body(), body_tx).await;
        }
    }
}

async fn begin(
    sender: ::h2::client::SendRequest<Bytes>,
    message: http::Request<()>,
    body: Bytes,
) -> Result<http::Response<::h2::RecvStream>> {
    let mut sender = sender.ready().await.map_err(broken)?;
    let (response, mut stream) = sender.send_request(message, body.is_empty()).map_err(broken)?;
    if !body.is_empty() {
        // A server may refuse before it has taken the body; its answer is what counts.
        let _ = stream.send_data(body, true);
    }
    response.await.map_err(broken)
}

/// Hands body pieces over; stops (and so resets the stream) when the reader is gone.
async fn pump(mut body: ::h2::RecvStream, to: mpsc::Sender<Result<Vec<u8>>>) {
    while let Some(piece) = tokio::select! {
        piece = body.data() => piece,
        () = to.closed() => None,
    } {
        let (length, piece) = match piece {
            Ok(bytes) => (bytes.len(), Ok(bytes.to_vec())),
            Err(error) => (0, Err(broken(error))),
        };
        let failed = piece.is_err();
        if to.send(piece).await.is_err() || failed {
            return;
        }
        let _ = body.flow_control().release_capacity(length);
    }
}

fn wait<T>(deadline: Instant, waiting_for: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let limit: Duration = left(deadline, waiting_for)?;
    runtime().block_on(async {
        tokio::time::timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(Failure::Timeout(format!("waiting for {waiting_for}"))))
    })
}

fn to_http(request: &Request, addr: SocketAddr) -> Result<http::Request<()>> {
    let mut builder = http::Request::builder()
        .version(http::Version::HTTP_2)
        .method(request.method.as_str())
        .uri(format!("http://{addr}{}", request.target));
    for (name, value) in &request.headers {
        builder = builder.header(name.to_ascii_lowercase(), value);
    }
    builder.body(()).map_err(|e| Failure::wrong(format!("not a request for HTTP/2: {e}")))
}

fn to_head(response: &http::Response<::h2::RecvStream>) -> Result<Head> {
    let mut headers = Vec::new();
    for (name, value) in response.headers() {
        let value = value.to_str().map_err(|_| Failure::wrong(format!("field {name} is not visible ASCII")))?;
        headers.push((name.as_str().to_owned(), value.to_owned()));
    }
    Ok(Head { status: response.status().as_u16(), headers })
}

fn broken(error: ::h2::Error) -> Failure {
    if error.is_io() || error.is_go_away() || error.is_reset() {
        return Failure::closed(format!("HTTP/2: {error}"));
    }
    Failure::wrong(format!("HTTP/2: {error}"))
}
