//! An event stream decoder, written from the HTML standard §9.2.6 "Interpreting an event stream".
//!
//! Sans-I/O: bytes in, events out. Stricter than a browser in one point only: bytes that are not
//! UTF-8 are an error here, where a browser would quietly replace them.

use crate::error::{Failure, Result};

/// One dispatched event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// The last event ID after this event: what `EventSource` would send as `Last-Event-ID`.
    pub last_id: String,
    /// Whether this very event carried an `id:` line.
    pub own_id: Option<String>,
    /// The `event:` line, if there was one.
    pub event: Option<String>,
    /// The `data:` lines, joined by line feeds.
    pub data: String,
}

/// The decoder's state between chunks.
#[derive(Debug, Default)]
pub struct SseDecoder {
    rest: Vec<u8>,
    last_id: String,
    own_id: Option<String>,
    event: Option<String>,
    data: String,
    /// The last `retry:` value seen, in milliseconds.
    pub retry_ms: Option<u64>,
    started: bool,
}

impl SseDecoder {
    /// Takes bytes and returns the events they complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<SseEvent>> {
        self.rest.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(line) = self.take_line()? {
            events.extend(self.line(&line));
        }
        Ok(events)
    }

    /// "Lines must be separated by either a U+000D U+000A pair, a single U+000A, or a single U+000D."
    fn take_line(&mut self) -> Result<Option<String>> {
        let Some(end) = self.rest.iter().position(|b| matches!(b, b'\n' | b'\r')) else {
            return Ok(None);
        };
        let after = match (self.rest[end], self.rest.get(end + 1)) {
            // A CR at the very end may be half of a CR LF: wait for the next byte.
            (b'\r', None) => return Ok(None),
            (b'\r', Some(b'\n')) => end + 2,
            _ => end + 1,
        };
        let line = std::str::from_utf8(&self.rest[..end])
            .map_err(|e| Failure::wrong(format!("event stream is not UTF-8: {e}")))?;
        let mut line = line.to_owned();
        if !std::mem::replace(&mut self.started, true) && line.starts_with('\u{feff}') {
            line.remove(0);
        }
        self.rest.drain(..after);
        Ok(Some(line))
    }

    fn line(&mut self, line: &str) -> Option<SseEvent> {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event = Some(value.to_owned()),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => {
                value.clone_into(&mut self.last_id);
                self.own_id = Some(value.to_owned());
            }
            "retry" if value.bytes().all(|b| b.is_ascii_digit()) => {
                self.retry_ms = value.parse().ok();
            }
            // A comment (empty field name), or a field the standard tells us to ignore.
            _ => {}
        }
        None
    }

    /// "If the data buffer is an empty string, set the data buffer and the event type buffer to
    /// the empty string and return."
    fn dispatch(&mut self) -> Option<SseEvent> {
        let event = self.event.take();
        let own_id = self.own_id.take();
        let mut data = std::mem::take(&mut self.data);
        data.pop()?;
        Some(SseEvent { last_id: self.last_id.clone(), own_id, event, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(parts: &[&[u8]]) -> Vec<SseEvent> {
        let mut decoder = SseDecoder::default();
        parts.iter().flat_map(|p| decoder.feed(p).unwrap()).collect()
    }

    #[test]
    fn cases_of_the_standard() {
        // (stream, (id, event, data) of each event)
        type Case = (&'static str, &'static [(&'static str, Option<&'static str>, &'static str)]);
        let cases: &[Case] = &[
            ("data: a\n\n", &[("", None, "a")]),
            ("data:a\r\ndata: b\r\n\r\n", &[("", None, "a\nb")]),
            ("data: a\r\rdata: b\n\n", &[("", None, "a"), ("", None, "b")]),
            (": note\n\ndata\n\n", &[("", None, "")]),
            ("id: 1\nevent: x\ndata:  a\n\n", &[("1", Some("x"), " a")]),
            ("id: 1\n\ndata: a\n\n", &[("1", None, "a")]),
            ("id: 1\ndata: a\n\nid\ndata: b\n\n", &[("1", None, "a"), ("", None, "b")]),
            ("event: x\n\ndata: a\n\n", &[("", None, "a")]),
            ("\u{feff}data: a\n\n", &[("", None, "a")]),
            ("data: a\n", &[]),
        ];
        for (stream, expected) in cases {
            let whole = decode(&[stream.as_bytes()]);
            let by_byte: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
            assert_eq!(decode(&by_byte), whole, "{stream:?} byte by byte");
            let seen: Vec<_> =
                whole.iter().map(|e| (e.last_id.as_str(), e.event.as_deref(), e.data.as_str())).collect();
            assert_eq!(&seen, expected, "{stream:?}");
        }
    }

    #[test]
    fn retry_takes_digits_only() {
        let mut decoder = SseDecoder::default();
        decoder.feed(b"retry: 1500\nretry: 2s\n\n").unwrap();
        assert_eq!(decoder.retry_ms, Some(1500));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused() {
        assert!(SseDecoder::default().feed(b"data: \xff\n").is_err());
    }
}
