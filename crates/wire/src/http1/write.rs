//! The parts of an HTTP/1.1 answer, appended to a buffer in the order in which they are sent.
//!
//! The bytes are those that hyper would write, so that no client can tell who served it. It must not know which answer has which
//! headers; the end of the head is the caller's `\r\n`.

use std::io::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use bongsu_core::Millis;
use http::StatusCode;
use httpdate::HttpDate;

/// What ends a body in chunks (RFC 9112 §7.1).
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The last second that a date can be written for, the end of the year 9999.
const SECONDS_MAX: u64 = 253_402_300_799;

/// Appends `HTTP/1.1 200 OK` and a line end.
///
/// A status without a registered reason gets an empty one, with the space that RFC 9112 §4 wants before it.
pub fn push_status_line(out: &mut Vec<u8>, status: u16) {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason.unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends a header. The name is a token that the program chose, in lower case.
///
/// RFC 9110 §5.5: CR, LF and NUL "MUST" not get through; like other controls they become spaces, so that no value, wherever it
/// is from, can begin a header of its own.
pub fn push_header(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend(value.iter().map(|&byte| if byte.is_ascii_control() && byte != b'\t' { b' ' } else { byte }));
    out.extend_from_slice(b"\r\n");
}

/// Appends `content-length`.
pub fn push_length(out: &mut Vec<u8>, bytes: usize) {
    push_header(out, "content-length", itoa::Buffer::new().format(bytes).as_bytes());
}

/// Appends one chunk of a body (RFC 9112 §7.1). Nothing for no bytes: an empty chunk would be the last one.
pub fn push_chunk(out: &mut Vec<u8>, pieces: &[u8]) {
    if pieces.is_empty() {
        return;
    }
    push_hex(out, pieces.len());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(pieces);
    out.extend_from_slice(b"\r\n");
}

/// Appends a number that is not 0, as hyper does: in capitals, without leading zeros.
fn push_hex(out: &mut Vec<u8>, number: usize) {
    let digits = number.checked_ilog(16).unwrap_or_default();
    out.extend((0..=digits).rev().map(|place| b"0123456789ABCDEF"[(number >> (4 * place)) & 0xf]));
}

/// The `date` header, made once a second.
#[derive(Clone, Debug, Default)]
pub struct DateLine {
    second: u64,
    /// Empty until it is first asked for.
    line: Vec<u8>,
}

impl DateLine {
    /// `date: Sun, 06 Nov 1994 08:49:37 GMT` and a line end (RFC 9110 §6.6.1).
    pub fn line(&mut self, now: Millis) -> &[u8] {
        let second = (now.0 / 1000).min(SECONDS_MAX);
        if self.second != second || self.line.is_empty() {
            self.second = second;
            self.line.clear();
            let date = HttpDate::from(UNIX_EPOCH + Duration::from_secs(second));
            // Writing to a `Vec` does not fail.
            let _ = write!(self.line, "date: {date}\r\n");
        }
        &self.line
    }
}

#[cfg(test)]
mod tests {
    use bongsu_core::ErrorCode;

    use super::*;

    fn written(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::from("<");
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn status_lines() {
        let cases = [
            (101, "<HTTP/1.1 101 Switching Protocols\r\n"),
            (200, "<HTTP/1.1 200 OK\r\n"),
            (204, "<HTTP/1.1 204 No Content\r\n"),
            (304, "<HTTP/1.1 304 Not Modified\r\n"),
            (599, "<HTTP/1.1 599 \r\n"),
        ];
        for (status, expected) in cases {
            assert_eq!(written(|out| push_status_line(out, status)), expected);
        }
    }

    #[test]
    fn every_status_of_the_catalogue_has_a_reason() {
        for code in ErrorCode::ALL {
            let line = written(|out| push_status_line(out, code.status()));
            assert!(line.len() > "<HTTP/1.1 400 \r\n".len(), "{line:?}");
        }
    }

    #[test]
    fn headers() {
        assert_eq!(written(|out| push_header(out, "a", "b \tä".as_bytes())), "<a: b \tä\r\n");
        assert_eq!(written(|out| push_header(out, "a", b"b\r\nc: d\0\x7f")), "<a: b  c: d  \r\n");
        assert_eq!(written(|out| push_length(out, 0)), "<content-length: 0\r\n");
        assert_eq!(written(|out| push_length(out, usize::MAX)), "<content-length: 18446744073709551615\r\n");
    }

    #[test]
    fn chunks() {
        assert_eq!(written(|out| push_chunk(out, b"")), "<");
        assert_eq!(written(|out| push_chunk(out, b"a\r\nb")), "<4\r\na\r\nb\r\n");
        for bytes in [1, 9, 10, 15, 16, 17, 255, 256, 4095, 4096, 0xabcdef] {
            let text = "x".repeat(bytes);
            assert_eq!(written(|out| push_chunk(out, text.as_bytes())), format!("<{bytes:X}\r\n{text}\r\n"));
        }
        // By eyes that are not ours.
        assert_eq!(httparse::parse_chunk_size(LAST_CHUNK), Ok(httparse::Status::Complete((3, 0))));
    }

    #[test]
    fn the_date_is_made_anew_with_every_second() {
        let mut date = DateLine::default();
        let cases = [
            (0, "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"),
            (784_111_777_000, "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
            (784_111_777_999, "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
            (784_111_778_000, "date: Sun, 06 Nov 1994 08:49:38 GMT\r\n"),
            (784_111_777_000, "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
            (u64::MAX, "date: Fri, 31 Dec 9999 23:59:59 GMT\r\n"),
        ];
        for (now, expected) in cases {
            assert_eq!(date.line(Millis(now)), expected.as_bytes(), "{now}");
        }
    }
}
