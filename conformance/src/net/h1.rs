//! HTTP/1.1 over a plain socket: just enough of RFC 9112 for a client, and strict about it.
//!
//! Its strictness is part of the test: a head with a bare LF, a body with two lengths or a missing
//! reason for the end of a body is the server's mistake and is reported as such.

use super::head::parse_head;
use super::{Chunked, Exchange, Head, Request, left};
use crate::error::{Failure, Result};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A server that takes no bytes for so long is treated as stuck.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
enum Body {
    /// No answer is being read.
    Idle,
    Length(u64),
    Chunked(Chunked),
    UntilClose,
}

/// One HTTP/1.1 connection, kept open between exchanges.
#[derive(Debug)]
pub struct H1 {
    addr: SocketAddr,
    stream: TcpStream,
    inbox: Vec<u8>,
    body: Body,
    head_only: bool,
    /// The server said it will close, or has: the next request needs a new connection.
    spent: bool,
    eof: bool,
}

impl H1 {
    /// Connects.
    pub fn connect(addr: SocketAddr, deadline: Instant) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, left(deadline, "a connection")?)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        Ok(Self { addr, stream, inbox: Vec::new(), body: Body::Idle, head_only: false, spent: false, eof: false })
    }

    /// The socket and the bytes that were read beyond the last head, for an upgraded protocol.
    #[must_use]
    pub fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.inbox)
    }

    /// The socket itself, for bytes that are no proper request.
    pub fn socket(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Waits for the head of the next answer, be it an interim one (1xx).
    pub fn any_head(&mut self, deadline: Instant) -> Result<Head> {
        loop {
            if let Some((head, used)) = parse_head(&self.inbox)? {
                self.inbox.drain(..used);
                self.begin_body(&head)?;
                return Ok(head);
            }
            if !self.fill(deadline, "the head of an answer")? {
                return Err(Failure::closed(format!("no answer, after {} bytes of a head", self.inbox.len())));
            }
        }
    }

    /// Waits until so many bytes have come of whatever comes.
    pub fn bytes(&mut self, count: usize, deadline: Instant) -> Result<()> {
        while self.inbox.len() < count {
            if !self.fill(deadline, "so many bytes")? {
                return Err(Failure::closed(format!("after {} bytes", self.inbox.len())));
            }
        }
        Ok(())
    }

    /// Whether there is another byte; false at the end of the connection, by a reset too.
    pub fn more(&mut self, deadline: Instant) -> Result<bool> {
        if !self.inbox.is_empty() {
            return Ok(true);
        }
        match self.fill(deadline, "the end of the connection") {
            // An interrupted read brings nothing and is no end.
            Ok(true) => self.more(deadline),
            Err(Failure::Closed { .. }) => Ok(false),
            other => other,
        }
    }

    /// Throws away what has come.
    pub fn forget(&mut self) {
        self.inbox.clear();
    }

    /// Waits for more bytes; false at the end of the stream.
    fn fill(&mut self, deadline: Instant, waiting_for: &str) -> Result<bool> {
        if self.eof {
            return Ok(false);
        }
        let mut buffer = vec![0; 64 * 1024];
        self.stream.set_read_timeout(Some(left(deadline, waiting_for)?))?;
        match self.stream.read(&mut buffer) {
            Ok(0) => {
                self.eof = true;
                self.spent = true;
                Ok(false)
            }
            Ok(n) => {
                self.inbox.extend_from_slice(&buffer[..n]);
                Ok(true)
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => Ok(true),
            Err(e) => Err(Failure::from(e).within(&format!("waiting for {waiting_for}"))),
        }
    }

    fn begin_body(&mut self, head: &Head) -> Result<()> {
        let chunked = head.has_token("transfer-encoding", "chunked");
        let length = head.get("content-length");
        if chunked && length.is_some() {
            return Err(Failure::wrong("both Transfer-Encoding and Content-Length"));
        }
        // RFC 9112 §6.3: no body for HEAD, 1xx, 204 and 304, whatever the fields say.
        let none = self.head_only || head.status < 200 || matches!(head.status, 204 | 304);
        self.body = match (none, chunked, length) {
            (true, ..) => Body::Length(0),
            (_, true, _) => Body::Chunked(Chunked::default()),
            (.., Some(n)) => {
                Body::Length(n.parse().map_err(|_| Failure::wrong(format!("Content-Length {n:?} is no number")))?)
            }
            _ => Body::UntilClose,
        };
        self.spent |= head.has_token("connection", "close");
        Ok(())
    }

    /// Moves decoded bytes out of the inbox. `Some(empty)` cannot happen; `None` = complete.
    fn take_decoded(&mut self) -> Result<Taken> {
        let mut out = Vec::new();
        let done = match &mut self.body {
            Body::Idle => true,
            Body::Length(n) => {
                let take = self.inbox.len().min(usize::try_from(*n).unwrap_or(usize::MAX));
                out.extend(self.inbox.drain(..take));
                *n -= take as u64;
                *n == 0
            }
            Body::Chunked(chunked) => {
                chunked.decode(&mut self.inbox, &mut out)?;
                chunked.is_done()
            }
            Body::UntilClose => {
                std::mem::swap(&mut out, &mut self.inbox);
                self.eof
            }
        };
        Ok(match (out.is_empty(), done) {
            (false, _) => Taken::Bytes(out),
            (true, true) => Taken::Complete,
            (true, false) => Taken::NeedMore,
        })
    }
}

enum Taken {
    Bytes(Vec<u8>),
    Complete,
    NeedMore,
}

impl Exchange for H1 {
    fn send(&mut self, request: &Request) -> Result<()> {
        if !matches!(self.body, Body::Idle) {
            return Err(Failure::wrong("the previous answer was not read to its end"));
        }
        if self.spent {
            *self = Self::connect(self.addr, Instant::now() + WRITE_TIMEOUT)?;
        }
        self.head_only = request.method == "HEAD";
        let bytes = request_bytes(request, self.addr);
        match self.stream.write_all(&bytes) {
            // The server may answer and close before it has taken the whole body (413): the
            // answer is what counts, and `head` reports the end if there is none.
            Err(e) if matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                self.spent = true;
                Ok(())
            }
            other => Ok(other?),
        }
    }

    fn head(&mut self, deadline: Instant) -> Result<Head> {
        loop {
            let head = self.any_head(deadline)?;
            if !(100..200).contains(&head.status) || head.status == 101 {
                return Ok(head);
            }
        }
    }

    fn chunk(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>> {
        loop {
            match self.take_decoded()? {
                Taken::Bytes(bytes) => return Ok(Some(bytes)),
                Taken::Complete => {
                    self.body = Body::Idle;
                    return Ok(None);
                }
                Taken::NeedMore => {
                    let more = self.fill(deadline, "more of a body")?;
                    if !more && !matches!(self.body, Body::UntilClose) {
                        return Err(Failure::closed("the body was cut short"));
                    }
                }
            }
        }
    }
}

fn request_bytes(request: &Request, addr: SocketAddr) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
    if !request.has("host") {
        head.push_str(&format!("Host: {addr}\r\n"));
    }
    let with_body = !request.body.is_empty() || matches!(request.method.as_str(), "POST" | "PUT");
    if with_body && !request.has("content-length") && !request.has("transfer-encoding") {
        head.push_str(&format!("Content-Length: {}\r\n", request.body.len()));
    }
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&request.body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_gets_host_and_length() {
        let addr: SocketAddr = "127.0.0.1:7070".parse().unwrap();
        let mut request = Request::new("POST", "/x").header("A", "b");
        request.body = b"hi".to_vec();
        let text = String::from_utf8(request_bytes(&request, addr)).unwrap();
        assert_eq!(text, "POST /x HTTP/1.1\r\nHost: 127.0.0.1:7070\r\nContent-Length: 2\r\nA: b\r\n\r\nhi");
    }
}
