//! Requests and answers, independent of the HTTP version that carries them.
//!
//! [`Exchange`] is one connection used for one request after another; `h1` speaks it on a plain
//! socket with its own parser, `h2` through an independent HTTP/2 implementation. Knows no
//! channels and no events.

mod chunked;
mod h1;
mod h2;
mod head;

use crate::error::{Failure, Result};
use crate::way::Http;
use std::net::SocketAddr;
use std::time::Instant;

pub use chunked::Chunked;
pub use h1::H1;
pub use head::parse_head;

/// One request, as it will be written.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The method, in capitals.
    pub method: String,
    /// Path and query, already percent-encoded.
    pub target: String,
    /// Header fields in order. `Host` and `Content-Length` are added when absent.
    pub headers: Vec<(String, String)>,
    /// The body; empty means none, unless the method is `POST`.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: &str, target: impl Into<String>) -> Self {
        Self { method: method.to_owned(), target: target.into(), ..Self::default() }
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Whether a field of this name was set.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name))
    }
}

/// Status and header fields of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// Fields in order, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// The value of a field; several fields of one name are joined by `, ` (RFC 9110 §5.3).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        let values: Vec<&str> =
            self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// Whether a comma-separated field contains this token, without regard to case.
    #[must_use]
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.get(name).is_some_and(|v| v.split(',').any(|t| t.trim().eq_ignore_ascii_case(token)))
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status and fields.
    pub head: Head,
    /// The decoded body.
    pub body: Vec<u8>,
}

/// One connection that carries one exchange at a time.
///
/// A call that runs into its deadline returns [`Failure::Timeout`] and may be repeated: what had
/// arrived is kept.
pub trait Exchange: Send {
    /// Writes a request. The previous answer must have been read to its end.
    fn send(&mut self, request: &Request) -> Result<()>;
    /// Waits for the head of the answer. Interim answers (1xx) but 101 are skipped.
    fn head(&mut self, deadline: Instant) -> Result<Head>;
    /// Waits for the next piece of the body; `None` when it is complete.
    fn chunk(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>>;
}

/// Opens a connection.
pub fn connect(addr: SocketAddr, http: Http, deadline: Instant) -> Result<Box<dyn Exchange>> {
    Ok(match http {
        Http::H1 => Box::new(H1::connect(addr, deadline)?),
        Http::H2 => Box::new(h2::H2::connect(addr, deadline)?),
    })
}

/// An answer that is being read, over as many calls as it takes.
#[derive(Debug, Default)]
pub struct Pending {
    head: Option<Head>,
    body: Vec<u8>,
}

impl Pending {
    /// Reads on; returns the answer when it is complete.
    pub fn read(&mut self, from: &mut dyn Exchange, deadline: Instant) -> Result<Answer> {
        if self.head.is_none() {
            self.head = Some(from.head(deadline)?);
        }
        while let Some(bytes) = from.chunk(deadline)? {
            self.body.extend_from_slice(&bytes);
        }
        let head = self.head.take().expect("set at the top of this function");
        Ok(Answer { head, body: std::mem::take(&mut self.body) })
    }
}

/// Sends one request on a fresh connection and reads the whole answer.
pub fn once(addr: SocketAddr, http: Http, request: &Request, deadline: Instant) -> Result<Answer> {
    let mut exchange = connect(addr, http, deadline)?;
    call(exchange.as_mut(), request, deadline)
}

/// Sends one request on a connection and reads the whole answer.
pub fn call(exchange: &mut dyn Exchange, request: &Request, deadline: Instant) -> Result<Answer> {
    let context = || format!("{} {}", request.method, request.target);
    exchange.send(request).map_err(|f| f.within(&context()))?;
    Pending::default().read(exchange, deadline).map_err(|f| f.within(&context()))
}

/// What an answer that is not the hoped-for one says, as a failure.
pub fn refusal(exchange: &mut dyn Exchange, head: &Head, deadline: Instant) -> Failure {
    let mut body = Vec::new();
    while let Ok(Some(bytes)) = exchange.chunk(deadline) {
        body.extend_from_slice(&bytes);
    }
    let text = crate::transcript::shorten(&String::from_utf8_lossy(&body));
    refused(head.status, &text)
}

/// An answer that is no success: a 503 says "come back", as a closed connection does; everything
/// else is wrong.
pub fn refused(status: u16, text: &str) -> Failure {
    let text = format!("answered {status} {text}");
    match status {
        503 => Failure::closed(text),
        _ => Failure::wrong(text),
    }
}

/// The time left, or a timeout when there is none.
pub(crate) fn left(deadline: Instant, waiting_for: &str) -> Result<std::time::Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(Failure::Timeout(format!("waiting for {waiting_for}")));
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_without_regard_to_case_and_joined() {
        let head = Head {
            status: 200,
            headers: vec![("vary".into(), "Accept, Prefer".into()), ("vary".into(), "Origin".into())],
        };
        assert_eq!(head.get("Vary").as_deref(), Some("Accept, Prefer, Origin"));
        assert!(head.has_token("vary", "origin") && !head.has_token("vary", "cookie"));
        assert_eq!(head.get("etag"), None);
    }
}
