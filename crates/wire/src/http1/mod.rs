//! HTTP/1.1 heads as socket shards need them: read strictly, written without a map in between.
//!
//! The rule that keeps two HTTP implementations in one server safe: **a shard serves only what is entirely plain, and
//! hands everything else, with the bytes already read, to hyper**. [`parse`] is where that is decided. What two readers
//! could understand differently is [`Parsed::Foreign`] here, so there is one view of where a request ends, and nobody
//! answers protocol errors here: hyper does.
//!
//! A driver reads like this, so that a head that comes byte by byte is not parsed byte by byte:
//!
//! 1. After the first bytes of a request: [`parse`].
//! 2. While that says [`Parsed::Partial`]: remember how many bytes there were. After more have come, ask [`head_end`]
//!    from there, and [`parse`] again only if it finds an end, or if there are `head_bytes_max` bytes.
//!
//! Then every byte is looked at once by [`head_end`] and at most thrice by [`parse`]. A driver that calls [`parse`] after
//! every read gets the same answers, but a peer can make it look at up to `head_bytes_max` bytes for every byte it sends.
//!
//! It must not know routes, sockets, or what an answer says; the date comes from its caller.

mod fields;
mod target;
mod write;

use httparse::{Header, Request, Status};

use crate::headers::HeaderLookup;
use fields::Fields;
pub use write::{DateLine, LAST_CHUNK, push_chunk, push_header, push_length, push_status_line};

/// The most headers of a head that a shard serves. Browsers send about 20; each costs 32 bytes of stack.
pub const HEADERS_MAX: usize = 64;

/// The longest head that is ever plain, in bytes. Above it types of the `http` crate, whose lengths have 16 bits, say no.
const HEAD_BYTES_LIMIT: usize = 65_534;

/// Room for the headers of one head; see [`storage`].
pub type HeaderStorage<'a> = [Header<'a>; HEADERS_MAX];

/// Empty room for [`parse`].
#[must_use]
pub fn storage<'a>() -> HeaderStorage<'a> {
    [httparse::EMPTY_HEADER; HEADERS_MAX]
}

/// What stands at the front of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// The beginning of what may become a plain head.
    Partial,
    /// Something for hyper: another method or version, an encoded body, a mistake, an attack.
    Foreign,
    /// A head that every reader understands alike.
    Plain(Head<'a>),
}

/// The methods that a shard serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Read, and leave out the body of the answer.
    Head,
    /// Publish, and commands.
    Post,
}

impl Method {
    /// The method as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
        }
    }

    /// Methods are case-sensitive (RFC 9110 §9.1).
    fn find(name: &str) -> Option<Self> {
        [Self::Get, Self::Head, Self::Post].into_iter().find(|method| method.as_str() == name)
    }
}

/// A plain head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// The method.
    pub method: Method,
    /// The path, still percent-encoded. It begins with `/`.
    pub path: &'a str,
    /// What stands after the first `?`, still percent-encoded; empty if nothing does.
    pub query: &'a str,
    /// How long the head is, the empty line included.
    pub bytes: usize,
    /// How many bytes of body follow the head. The sum with `bytes` does not overflow.
    pub body_bytes: usize,
    /// Whether another request may follow: `false` after `Connection: close`.
    pub keep_alive: bool,
    /// Whether this asks for a WebSocket: `Connection` has `upgrade`, `Upgrade` is `websocket`, the method is GET. The rest of
    /// the handshake is not looked at.
    pub upgrade: bool,
    headers: &'a [Header<'a>],
}

impl<'a> Head<'a> {
    /// The headers, as they were sent and in that order; names in any case.
    pub fn pairs(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + '_ {
        self.headers.iter().map(|header| (header.name, header.value))
    }
}

impl HeaderLookup for Head<'_> {
    fn each_value<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a [u8]) -> bool) {
        let mut values = self.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        let _ = values.all(|header| visit(header.value));
    }
}

/// What stands at the front of `bytes`.
///
/// A head of more than `head_bytes_max` bytes is foreign, and so is the beginning of one: a buffer of `head_bytes_max` bytes
/// that is full is never [`Parsed::Partial`]. Bytes behind the head are not looked at.
pub fn parse<'a>(bytes: &'a [u8], storage: &'a mut HeaderStorage<'a>, head_bytes_max: usize) -> Parsed<'a> {
    if !begins_plainly(bytes) {
        return Parsed::Foreign;
    }
    let head_bytes_max = head_bytes_max.min(HEAD_BYTES_LIMIT);
    match head_end(bytes, 0) {
        Some(end) if end <= head_bytes_max => whole(&bytes[..end], storage).map_or(Parsed::Foreign, Parsed::Plain),
        None if bytes.len() < head_bytes_max => Parsed::Partial,
        _ => Parsed::Foreign,
    }
}

/// Where the head at the front of `bytes` ends: behind its first empty line. `None` if there is none yet.
///
/// `from` is how many bytes were looked at before, in vain. Line ends without CR count too, so that a head which is foreign
/// because of them is handed on and not waited for.
#[must_use]
pub fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    let unseen = bytes.get(from..)?;
    memchr::memchr_iter(b'\n', unseen).map(|at| from + at).find(|&at| ends_empty_line(&bytes[..at])).map(|at| at + 1)
}

/// Whether a line feed after these bytes makes an empty line.
fn ends_empty_line(before: &[u8]) -> bool {
    let before = before.strip_suffix(b"\r").unwrap_or(before);
    before.is_empty() || before.ends_with(b"\n")
}

/// Whether this is, or can become, a method of ours. Finds at the first bytes what must not wait for the end of a head that may
/// never come: HTTP/2, TLS, PROXY lines, and the empty lines that some readers skip (RFC 9112 §2.2).
fn begins_plainly(bytes: &[u8]) -> bool {
    [&b"GET "[..], b"HEAD ", b"POST "].iter().any(|method| bytes.starts_with(method) || method.starts_with(bytes))
}

/// Reads a head that is whole. `None`: it is foreign.
fn whole<'a>(bytes: &'a [u8], storage: &'a mut HeaderStorage<'a>) -> Option<Head<'a>> {
    let mut request = Request::new(storage);
    let plain =
        request.parse(bytes) == Ok(Status::Complete(bytes.len())) && request.version == Some(1) && has_only_crlf(bytes);
    let method = Method::find(request.method.filter(|_| plain)?)?;
    let (path, query) = target::read(request.path?)?;
    let headers: &'a [Header<'a>] = request.headers;
    let Fields { body_bytes, keep_alive, upgrade } = Fields::read(method, headers)?;
    Some(Head { method, path, query, bytes: bytes.len(), body_bytes, keep_alive, upgrade, headers })
}

/// httparse takes a bare LF for a line end, as RFC 9112 §2.2 allows. Proxies that do not see another head.
fn has_only_crlf(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', bytes).all(|at| bytes[..at].ends_with(b"\r"))
}

#[cfg(test)]
mod tests;
