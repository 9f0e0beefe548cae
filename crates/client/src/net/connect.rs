//! A new connection: TCP, then the protocol on it. Every step is bounded in time.

use std::io;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::call::Body;
use super::origin::Origin;
use crate::error::Error;

/// Ends the task that runs a connection, and with it the connection.
#[derive(Debug)]
pub(crate) struct CloseOnDrop(JoinHandle<()>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A connection on which one request can be sent at a time.
pub(crate) struct Http1 {
    pub(crate) sender: http1::SendRequest<Body>,
    /// The connection lives as long as this.
    pub(crate) task: CloseOnDrop,
}

/// Opens a TCP connection.
///
/// # Errors
/// [`ErrorKind::Unreachable`](crate::ErrorKind::Unreachable), with what a person can do about it.
pub(crate) async fn tcp(origin: &Origin, patience: Duration) -> Result<TcpStream, Error> {
    let connecting = TcpStream::connect((origin.host.as_str(), origin.port));
    let stream = match timeout(patience, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(explain(origin, error)),
        Err(elapsed) => {
            return Err(Error::unreachable(format!("{origin} did not answer within {patience:?}"), elapsed));
        }
    };
    // Small frames that wait for the acknowledgement of the last one would be late by up to 40 ms.
    stream.set_nodelay(true).map_err(|error| explain(origin, error))?;
    Ok(stream)
}

fn explain(origin: &Origin, error: io::Error) -> Error {
    let text = match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("no server answers at {origin}; start one with `bongsu serve`"),
        // Of all that can fail here only the resolver is no call of the operating system.
        _ if error.raw_os_error().is_none() => format!("the host of {origin} cannot be found: {error}"),
        _ => format!("{origin} cannot be reached: {error}"),
    };
    Error::unreachable(text, error)
}

/// Opens an HTTP/1.1 connection, fit for an upgrade too.
pub(crate) async fn http1(origin: &Origin, patience: Duration) -> Result<Http1, Error> {
    let stream = tcp(origin, patience).await?;
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|error| from_hyper(origin, error))?;
    // What goes wrong on the connection is told to the request that is under way.
    let task = tokio::spawn(async move { drop(connection.with_upgrades().await) });
    Ok(Http1 { sender, task: CloseOnDrop(task) })
}

/// Opens an HTTP/2 connection by prior knowledge. It lives as long as its senders and streams.
pub(crate) async fn http2(origin: &Origin, patience: Duration) -> Result<http2::SendRequest<Body>, Error> {
    let stream = tcp(origin, patience).await?;
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = match timeout(patience, handshake).await {
        Ok(done) => done.map_err(|error| from_hyper(origin, error))?,
        Err(elapsed) => {
            return Err(Error::unreachable(format!("{origin} did not answer within {patience:?}"), elapsed));
        }
    };
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// What a failed exchange means.
pub(crate) fn from_hyper(origin: &Origin, error: hyper::Error) -> Error {
    if error.is_parse() {
        let text = format!("what answers at {origin} does not speak HTTP as expected: {error}");
        return Error::protocol(text);
    }
    Error::cut(format!("the connection to {origin} broke"), error)
}
