//! What a shard asks of the layer above it: which paths there are, and what every answer has.

use std::time::Duration;

use bongsu_core::Problem;
use bongsu_core::log::Draft;
use bongsu_wire::http1::{Head, Method};
use bytes::Bytes;

/// The API around the requests that shards answer themselves.
///
/// Called by many shards at once, on their threads: it must not wait.
pub trait Front: Send + Sync + 'static {
    /// What a request is about.
    fn route<'a>(&self, head: &Head<'a>) -> Route<'a>;

    /// What is refused before anything else is looked at, such as a WebSocket of a strange page.
    ///
    /// # Errors
    /// The refusal.
    fn check(&self, head: &Head<'_>) -> Result<(), Problem>;

    /// The header lines, each with its line end, that the answer has beside those of its kind.
    fn marks(&self, head: &Head<'_>, route: Route<'_>) -> Bytes;

    /// The event of a publish to `channel`, which is still percent-encoded.
    ///
    /// # Errors
    /// The request or its body is not right.
    fn draft(&self, head: &Head<'_>, channel: &str, body: Bytes) -> Result<Draft, Problem>;

    /// The largest body of a publish to `channel`.
    fn body_bytes_max(&self, channel: &str) -> usize;

    /// A request was answered.
    fn answered(&self, route: Route<'_>, method: Method, status: u16);

    /// The hub has answered a publish after `took`.
    fn published(&self, took: Duration);
}

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// Reading the channel of the path, still percent-encoded; `None` where the query names the channels.
    Read(Option<&'a str>),
    /// Publishing to the channel of the path, still percent-encoded.
    Publish(&'a str),
    /// The WebSocket that sends back what it hears.
    Echo,
    /// Anything else: hyper answers it.
    Other,
}

/// A connection that a shard does not serve, with what it has read of it.
#[derive(Debug)]
pub struct HandedOver {
    /// The socket, non-blocking.
    pub stream: std::net::TcpStream,
    /// What came before anybody reads on.
    pub bytes: Vec<u8>,
    /// Whether it has read before: what it reads next is no handshake.
    pub admitted: bool,
}
