//! Server-sent events (HTML standard §9.2): the lines of one event.
//!
//! It must not know what the data means. No field it writes can hold a line break or NUL, whatever it is given: a
//! publisher who could smuggle one in could forge fields.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;

/// What stands after the data: the end of its line, and the blank line that dispatches the event.
pub(crate) const END: &[u8] = b"\n\n";

/// The longest that `id: `, a cursor and a line feed can be.
pub(crate) const ID_LINE_BYTES_MAX: usize = 5 + bongsu_core::Cursor::LEN_MAX;

/// A `retry:` line and a blank line: how long the browser's EventSource waits before it reconnects.
#[must_use]
pub fn retry_line(retry: Duration) -> Bytes {
    let mut out = Vec::with_capacity(32);
    push_retry(&mut out, retry);
    out.push(b'\n');
    out.into()
}

/// Appends a `retry:` line.
pub(crate) fn push_retry(out: &mut Vec<u8>, retry: Duration) {
    // "If the field value consists of only ASCII digits": never a fraction.
    push_field(out, "retry", &retry.as_millis());
}

/// Appends an `id:` line: what the browser sends back as `Last-Event-ID`.
pub(crate) fn push_id(out: &mut Vec<u8>, id: &dyn Display) {
    push_field(out, "id", id);
}

/// Appends an `event:` line: the name that listeners listen for.
pub(crate) fn push_event(out: &mut Vec<u8>, event: &str) {
    push_field(out, "event", &event);
}

fn push_field(out: &mut Vec<u8>, name: &str, value: &dyn Display) {
    let text = format!("{name}: {value}");
    // The types of these values cannot hold such characters; this is the second lock on the same door.
    out.extend(text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)));
    out.push(b'\n');
}

/// Appends the beginning of a `data:` line, for data without line breaks.
pub(crate) fn begin_data(out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
}

/// Appends `text` as `data:` lines, the last without its end. The reader puts them together with line feeds.
pub(crate) fn push_data_lines(out: &mut Vec<u8>, text: &str) {
    let mut rest = text;
    begin_data(out);
    // "Lines must be separated by either a CRLF pair, a single LF, or a single CR."
    while let Some(at) = rest.find(['\r', '\n']) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        out.push(b'\n');
        begin_data(out);
        let pair = rest[at..].starts_with("\r\n");
        rest = &rest[at + 1 + usize::from(pair)..];
    }
    out.extend_from_slice(rest.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_can_be_forged() {
        let mut out = Vec::new();
        push_event(&mut out, "a\r\nid: 1\n\ndata: x\0");
        assert_eq!(out, b"event: aid: 1data: x\n");
    }

    #[test]
    fn text_goes_line_by_line() {
        let cases = [
            ("", "data: "),
            ("a", "data: a"),
            ("a\nb", "data: a\ndata: b"),
            ("a\r\nb\rc", "data: a\ndata: b\ndata: c"),
            ("\r\r\n\n", "data: \ndata: \ndata: \ndata: "),
            (" a\n", "data:  a\ndata: "),
            ("봉\u{2028}수\u{85}\0", "data: 봉\u{2028}수\u{85}\0"),
        ];
        for (text, lines) in cases {
            let mut out = Vec::new();
            push_data_lines(&mut out, text);
            assert_eq!(String::from_utf8(out).unwrap(), lines, "{text:?}");
        }
    }

    #[test]
    fn a_retry_is_in_whole_milliseconds() {
        assert_eq!(retry_line(Duration::from_micros(1_234_567)), "retry: 1234\n\n");
    }
}
