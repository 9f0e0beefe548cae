//! HTTP/1.1 messages: heads (RFC 9112 §2-§5) and bodies by length, by chunks (§7.1) or until the end.

use super::{Malformed, Next};
use crate::payload::number;

/// The longest head that is accepted, in bytes.
pub(crate) const HEAD_BYTES_MAX: usize = 16 << 10;

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The status code.
    pub(crate) status: u16,
    /// The body that follows.
    pub(crate) body: Body,
    /// Whether the server ends the connection after this answer.
    pub(crate) closes: bool,
}

/// The head of a request, as far as the floor servers look at it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    /// The method.
    pub(crate) method: &'a [u8],
    /// The path, without the query.
    pub(crate) path: &'a [u8],
    /// The query, without its `?`; empty when there is none.
    pub(crate) query: &'a [u8],
    /// The length of the body in bytes.
    pub(crate) length: usize,
}

/// A body that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// So many bytes are still to come.
    Length(u64),
    /// Everything until the connection ends.
    UntilEnd,
    /// Chunks.
    Chunked(Chunk),
}

/// A place in a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// In the digits of a chunk's size: the value so far and whether there was a digit.
    Size(u64, bool),
    /// In what follows the size on its line.
    Extension(u64),
    /// So many bytes of the chunk are still to come.
    Data(u64),
    /// In the line break after a chunk.
    DataEnd,
    /// At the beginning of a line after the last chunk.
    Trailer,
    /// Within such a line.
    TrailerLine,
    /// The body has ended.
    Done,
}

/// Reads the head of an answer.
pub(crate) fn head(bytes: &[u8]) -> Next<Head> {
    let Some(end) = head_end(bytes)? else { return Ok(None) };
    let mut lines = bytes[..end - 4].split(|byte| *byte == b'\n').map(without_return);
    let status = lines.next().and_then(status).ok_or(Malformed("no HTTP/1.1 status line"))?;
    let mut head = Head { status, body: Body::UntilEnd, closes: false };
    for line in lines {
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case(b"content-length") && !matches!(head.body, Body::Chunked(_)) {
            head.body = Body::Length(number(value).ok_or(Malformed("a bad Content-Length"))?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            head.body = Body::chunked();
        } else if name.eq_ignore_ascii_case(b"connection") {
            head.closes |= value.eq_ignore_ascii_case(b"close");
        }
    }
    // RFC 9112 §6.3: these never have a body, whatever their fields say. After a 101 another protocol follows.
    match status {
        101 => head.body = Body::UntilEnd,
        100..200 | 204 | 304 => head.body = Body::Length(0),
        _ => {}
    }
    Ok(Some((head, end)))
}

/// Reads the head of a request with a body of a stated length or none.
pub(crate) fn request(bytes: &[u8]) -> Next<Request<'_>> {
    let Some(end) = head_end(bytes)? else { return Ok(None) };
    let mut lines = bytes[..end - 4].split(|byte| *byte == b'\n').map(without_return);
    let mut words = lines.next().unwrap_or_default().split(|byte| *byte == b' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(Malformed("no request line"));
    };
    let mut parts = target.splitn(2, |byte| *byte == b'?');
    let (path, query) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let mut request = Request { method, path, query, length: 0 };
    for line in lines {
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = number(value).and_then(|length| length.try_into().ok());
            request.length = length.ok_or(Malformed("a bad Content-Length"))?;
        }
    }
    Ok(Some((request, end)))
}

/// The value of a field of a head, by its name in small letters.
pub(crate) fn value_of<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut lines = head.split(|byte| *byte == b'\n').map(without_return).skip(1);
    lines
        .find_map(|line| field(line).ok().filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// Where the head ends, with its empty line.
fn head_end(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    match memchr::memmem::find(&bytes[..bytes.len().min(HEAD_BYTES_MAX)], b"\r\n\r\n") {
        Some(end) => Ok(Some(end + 4)),
        None if bytes.len() >= HEAD_BYTES_MAX => Err(Malformed("a head of more than 16 KiB")),
        None => Ok(None),
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.1 ")?;
    number(rest.get(..3)?)?.try_into().ok()
}

fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let colon = memchr::memchr(b':', line).ok_or(Malformed("a header field without a colon"))?;
    Ok((&line[..colon], line[colon + 1..].trim_ascii()))
}

impl Body {
    /// A chunked body at its beginning.
    pub(crate) fn chunked() -> Self {
        Self::Chunked(Chunk::Size(0, false))
    }

    /// Whether nothing more belongs to it.
    pub(crate) fn is_done(self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Done))
    }

    /// Takes what `input` has of the body, appends its content to `out`, and says how many bytes of `input` it was.
    pub(crate) fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Malformed> {
        match self {
            Self::Length(left) => Ok(take(left, input, out)),
            Self::UntilEnd => {
                out.extend_from_slice(input);
                Ok(input.len())
            }
            Self::Chunked(chunk) => chunk.decode(input, out),
        }
    }
}

/// Moves at most `left` bytes of `input` to `out`.
fn take(left: &mut u64, input: &[u8], out: &mut Vec<u8>) -> usize {
    let count = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
    out.extend_from_slice(&input[..count]);
    *left -= count as u64;
    count
}

impl Chunk {
    fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < input.len() && *self != Self::Done {
            if let Self::Data(left) = self {
                at += take(left, &input[at..], out);
                if *left == 0 {
                    *self = Self::DataEnd;
                }
            } else {
                *self = self.after(input[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    /// The place after one byte that is not content.
    fn after(self, byte: u8) -> Result<Self, Malformed> {
        Ok(match (self, byte) {
            (Self::Size(size, _), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => Self::Size(larger(size, byte)?, true),
            (Self::Size(size, true), b'\r' | b';') => Self::Extension(size),
            (Self::Extension(0), b'\n') => Self::Trailer,
            (Self::Extension(size), b'\n') => Self::Data(size),
            (Self::Extension(size), _) => Self::Extension(size),
            (Self::DataEnd, b'\r') => Self::DataEnd,
            (Self::DataEnd, b'\n') => Self::Size(0, false),
            (Self::Trailer, b'\r') => Self::Trailer,
            (Self::Trailer, b'\n') => Self::Done,
            (Self::TrailerLine, b'\n') => Self::Trailer,
            (Self::Trailer | Self::TrailerLine, _) => Self::TrailerLine,
            _ => return Err(Malformed("a bad chunk")),
        })
    }
}

fn larger(size: u64, digit: u8) -> Result<u64, Malformed> {
    let value = char::from(digit).to_digit(16).expect("matched as a hexadecimal digit");
    size.checked_mul(16).map(|size| size + u64::from(value)).ok_or(Malformed("a chunk of impossible size"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_answers() {
        let length = |n| Body::Length(n);
        let cases: &[(&str, u16, Body, bool)] = &[
            ("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", 200, length(12), false),
            ("HTTP/1.1 200 OK\r\ncontent-length:0\r\nConnection: Close\r\n\r\n", 200, length(0), true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, Body::chunked(), false),
            ("HTTP/1.1 200 OK\r\n\r\n", 200, Body::UntilEnd, false),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, length(0), false),
            ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", 101, Body::UntilEnd, false),
        ];
        for (text, status, body, closes) in cases {
            let whole = [text.as_bytes(), b"rest"].concat();
            let expected = Head { status: *status, body: *body, closes: *closes };
            assert_eq!(head(&whole), Ok(Some((expected, text.len()))), "{text}");
            for cut in 0..text.len() {
                assert_eq!(head(&whole[..cut]), Ok(None), "{text} cut at {cut}");
            }
        }
    }

    #[test]
    fn values_of_fields() {
        let head = b"HTTP/1.1 503 Busy\r\nA: 1\r\nRETRY-After:  7 \r\n\r\nx: body";
        for (name, value) in [(&b"a"[..], Some(&b"1"[..])), (b"retry-after", Some(b"7")), (b"b", None)] {
            assert_eq!(value_of(head, name), value);
        }
    }

    #[test]
    fn bad_heads() {
        let long = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(HEAD_BYTES_MAX));
        for text in ["HTTP/2 200\r\n\r\n", "HTTP/1.1 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", &long] {
            assert!(head(text.as_bytes()).is_err(), "{text:.60}");
        }
        assert!(head(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n").is_err());
    }

    #[test]
    fn heads_of_requests() {
        let text = b"POST /v1/channels/a?since=7&x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        let (request, end) = request(text).expect("well-formed").expect("whole");
        assert_eq!(
            (request.method, request.path, request.query),
            (&b"POST"[..], &b"/v1/channels/a"[..], &b"since=7&x=1"[..])
        );
        assert_eq!((request.length, &text[end..]), (3, &b"abc"[..]));
    }

    /// Decodes `input` in two pieces and says what came out and what was left over.
    fn decoded(mut body: Body, input: &[u8], cut: usize) -> (Vec<u8>, usize, bool) {
        let mut out = Vec::new();
        let mut used = 0;
        for piece in [&input[..cut], &input[cut..]] {
            let taken = body.decode(piece, &mut out).expect("well-formed");
            used += taken;
            if taken < piece.len() {
                break;
            }
        }
        (out, used, body.is_done())
    }

    /// A body, what arrives, its content, how many bytes were the body's, and whether it has ended.
    type BodyCase = (Body, &'static [u8], &'static [u8], usize, bool);

    #[test]
    fn bodies_at_every_cut() {
        let cases: &[BodyCase] = &[
            (Body::Length(3), b"abcHTTP", b"abc", 3, true),
            (Body::Length(9), b"abc", b"abc", 3, false),
            (Body::UntilEnd, b"abc", b"abc", 3, false),
            (Body::chunked(), b"3\r\nabc\r\n0B;x=1\r\ndefghijklmn\r\n0\r\n\r\nHTTP", b"abcdefghijklmn", 34, true),
            (Body::chunked(), b"1\r\na\r\n0\r\nTrailer: x\r\n\r\n", b"a", 23, true),
            (Body::chunked(), b"5\r\nab", b"ab", 5, false),
        ];
        for (body, input, content, used, done) in cases {
            for cut in 0..=input.len() {
                let (out, taken, ended) = decoded(*body, input, cut);
                assert_eq!((out.as_slice(), taken, ended), (*content, *used, *done), "{body:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn bad_chunks() {
        for input in [&b"\r\n"[..], b"g\r\n", b"1\r\nabc", b"11111111111111111\r\n"] {
            assert!(Body::chunked().decode(input, &mut Vec::new()).is_err(), "{input:?}");
        }
    }
}
