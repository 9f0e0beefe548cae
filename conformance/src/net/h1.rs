//! HTTP/1.1 over a plain socket: just enough of RFC 9112 for a client, and strict about it.
//!
//! Its strictness is part of the test: a head with a bare LF, a body with two lengths or a missing
//! reason for the end of a body is the server's mistake and is reported as such.

use super::{Chunked, Exchange, Head, Request, left};
use crate::error::{Failure, Result};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A head longer than this is refused: no promise needs it.
const HEAD_BYTES_MAX: usize = 64 * 1024;
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
            if let Some((head, used)) = parse_head(&self.inbox)? {
                self.inbox.drain(..used);
                if (100..200).contains(&head.status) && head.status != 101 {
                    continue;
                }
                self.begin_body(&head)?;
                return Ok(head);
            }
            if !self.fill(deadline, "the head of an answer")? {
                return Err(Failure::closed(format!("no answer, after {} bytes of a head", self.inbox.len())));
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

/// Parses a response head, RFC 9112 §4 and §5; `None` while it is incomplete.
pub fn parse_head(input: &[u8]) -> Result<Option<(Head, usize)>> {
    let Some(end) = input.windows(4).position(|w| w == b"\r\n\r\n") else {
        if input.len() > HEAD_BYTES_MAX {
            return Err(Failure::wrong("the head of the answer has no end"));
        }
        return Ok(None);
    };
    let text = std::str::from_utf8(&input[..end]).map_err(|_| Failure::wrong("the head of the answer is not UTF-8"))?;
    let mut lines = text.split("\r\n");
    let status = parse_status(lines.next().unwrap_or_default())?;
    let headers = lines.map(parse_field).collect::<Result<Vec<_>>>()?;
    Ok(Some((Head { status, headers }, end + 4)))
}

fn parse_status(line: &str) -> Result<u16> {
    let code = line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .filter(|_| matches!(line.as_bytes().get(12), None | Some(b' ')));
    code.and_then(|c| c.parse().ok())
        .filter(|c| (100..600).contains(c))
        .ok_or_else(|| Failure::wrong(format!("not a status line: {line:?}")))
}

fn parse_field(line: &str) -> Result<(String, String)> {
    let token = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    match line.split_once(':') {
        Some((name, value)) if token(name) && !value.contains(['\r', '\n', '\0']) => {
            Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
        }
        _ => Err(Failure::wrong(format!("not a header field: {line:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let (head, used) = parse_head(b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\nrest").unwrap().unwrap();
        assert_eq!((head.status, used), (304, 40));
        assert_eq!(head.get("etag").as_deref(), Some("\"x\""));
        assert!(parse_head(b"HTTP/1.1 200 OK\r\nA: b\r\n").unwrap().is_none());
        assert!(parse_head(b"HTTP/1.1 200\r\n\r\n").unwrap().is_some());
    }

    #[test]
    fn bad_heads_are_refused() {
        for bad in [
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
        ] {
            assert!(parse_head(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_request_gets_host_and_length() {
        let addr: SocketAddr = "127.0.0.1:7070".parse().unwrap();
        let mut request = Request::new("POST", "/x").header("A", "b");
        request.body = b"hi".to_vec();
        let text = String::from_utf8(request_bytes(&request, addr)).unwrap();
        assert_eq!(text, "POST /x HTTP/1.1\r\nHost: 127.0.0.1:7070\r\nContent-Length: 2\r\nA: b\r\n\r\nhi");
    }
}
