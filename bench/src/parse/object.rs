//! What the server delivers: events, controls and the answers of the polling ways.
//!
//! A JSON parser would cost more than a delivery. The payloads are ours and the server writes the members of an event
//! in a fixed order (`id`, `channel`, `offset`, …, `data`), so fixed strings are looked for, and what is not found is
//! an error, never an event passed over.

use memchr::memmem::Finder;

use super::Malformed;
use crate::payload::{self, PAYLOAD_BYTES, Stamp};

/// An event as it was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivered<'a> {
    /// The cursor just after it.
    pub(crate) cursor: &'a [u8],
    /// Its place in the channel, from 1.
    pub(crate) offset: u64,
    /// What its payload says.
    pub(crate) stamp: Stamp,
}

/// One object of a streaming way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Object<'a> {
    /// An event.
    Event(Delivered<'a>),
    /// The replay has caught up.
    Live(&'a [u8]),
    /// Events are missing.
    Gap,
    /// The server ends the stream and says after how many milliseconds to come back.
    Close(u64),
    /// Any other control.
    Control,
}

/// What a polling answer says beside its events.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    /// Where the next poll goes on.
    pub(crate) cursor: &'a [u8],
    /// Whether the answer was cut.
    pub(crate) more: bool,
    /// How many gaps were told.
    pub(crate) gaps: u64,
}

/// The strings that are looked for, prepared once.
pub(crate) struct Scanner {
    offset: Finder<'static>,
    data: Finder<'static>,
    control: Finder<'static>,
    cursor: Finder<'static>,
    gap: Finder<'static>,
    retry: Finder<'static>,
    more: Finder<'static>,
}

impl Scanner {
    /// Prepares the strings.
    pub(crate) fn new() -> Self {
        Self {
            offset: Finder::new(b"\"offset\":"),
            data: Finder::new(b"\"data\":{\"s\":\""),
            control: Finder::new(b"\"type\":\"$"),
            cursor: Finder::new(b"\"cursor\":\""),
            retry: Finder::new(b"\"retry_ms\":"),
            gap: Finder::new(b"\"type\":\"$gap\""),
            more: Finder::new(b"\"more\":true"),
        }
    }

    /// Reads one object.
    pub(crate) fn object<'a>(&self, bytes: &'a [u8]) -> Result<Object<'a>, Malformed> {
        if let Some(first) = bytes.strip_prefix(b"{\"id\":\"") {
            let (event, _) = self.event(first)?;
            return Ok(Object::Event(event));
        }
        let at = self.control.find(bytes).ok_or(Malformed("an object that is neither event nor control"))?;
        let name = &bytes[at + self.control.needle().len()..];
        if name.starts_with(b"live\"") {
            return Ok(Object::Live(self.cursor(bytes)?));
        }
        if name.starts_with(b"close\"") {
            let retry = self.retry.find(bytes).and_then(|at| leading_number(&bytes[at + self.retry.needle().len()..]));
            return Ok(retry.map_or(Object::Control, Object::Close));
        }
        Ok(if name.starts_with(b"gap\"") { Object::Gap } else { Object::Control })
    }

    /// Reads a polling answer and gives each event to `each`, in order.
    pub(crate) fn answer<'a>(
        &self,
        bytes: &'a [u8],
        mut each: impl FnMut(Delivered<'a>),
    ) -> Result<Answer<'a>, Malformed> {
        let mut rest = bytes.strip_prefix(b"{\"events\":[").ok_or(Malformed("a polling answer without events"))?;
        let mut gaps = 0;
        while !rest.starts_with(b"]") {
            if let Some(first) = rest.strip_prefix(b"{\"id\":\"") {
                let (event, used) = self.event(first)?;
                each(event);
                rest = &first[used..];
            } else {
                // A control has no nested object, so that the first brace ends it.
                let end = memchr::memchr(b'}', rest).ok_or(Malformed("a broken polling answer"))?;
                gaps += u64::from(self.gap.find(&rest[..end]).is_some());
                rest = &rest[end + 1..];
            }
            rest = rest.strip_prefix(b",").unwrap_or(rest);
        }
        Ok(Answer { cursor: self.cursor(rest)?, more: self.more.find(rest).is_some(), gaps })
    }

    /// The offset in the answer to a publish.
    pub(crate) fn acknowledged(&self, bytes: &[u8]) -> Option<u64> {
        let at = self.offset.find(bytes)?;
        leading_number(&bytes[at + self.offset.needle().len()..])
    }

    /// Reads an event from after `{"id":"` and says where its closing brace ended.
    fn event<'a>(&self, bytes: &'a [u8]) -> Result<(Delivered<'a>, usize), Malformed> {
        const BAD: Malformed = Malformed("an event that is not of the bench, or with its members in another order");
        let id_end = memchr::memchr(b'"', bytes).ok_or(BAD)?;
        let offset = id_end + self.offset.find(&bytes[id_end..]).ok_or(BAD)? + self.offset.needle().len();
        let data = offset + self.data.find(&bytes[offset..]).ok_or(BAD)? + b"\"data\":".len();
        let stamp = payload::read(&bytes[data..]).ok_or(BAD)?;
        let end = data + PAYLOAD_BYTES;
        if bytes.get(end) != Some(&b'}') {
            return Err(BAD);
        }
        let offset = leading_number(&bytes[offset..]).ok_or(BAD)?;
        Ok((Delivered { cursor: &bytes[..id_end], offset, stamp }, end + 1))
    }

    fn cursor<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], Malformed> {
        let at = self.cursor.find(bytes).ok_or(Malformed("no cursor"))? + self.cursor.needle().len();
        let end = memchr::memchr(b'"', &bytes[at..]).ok_or(Malformed("a cursor without an end"))?;
        Ok(&bytes[at..at + end])
    }
}

fn leading_number(bytes: &[u8]) -> Option<u64> {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    payload::number(&bytes[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(cursor: &str, offset: u64, id: u32) -> String {
        let mut data = Vec::new();
        payload::write(&mut data, Stamp { id, sent_ns: 5 });
        let data = String::from_utf8(data).expect("ASCII");
        format!(r#"{{"id":"{cursor}","channel":"bench:1","offset":{offset},"time":1763683200123,"data":{data}}}"#)
    }

    fn delivered(cursor: &str, offset: u64, id: u32) -> Delivered<'_> {
        Delivered { cursor: cursor.as_bytes(), offset, stamp: Stamp { id, sent_ns: 5 } }
    }

    #[test]
    fn objects() {
        let scanner = Scanner::new();
        let text = event("e.1", 17, 3);
        let cases: &[(&str, Object<'_>)] = &[
            (&text, Object::Event(delivered("e.1", 17, 3))),
            (r#"{"type":"$live","cursor":"e.9"}"#, Object::Live(b"e.9")),
            (r#"{"type":"$gap","channel":"a","reason":"reset","cursor":"e.9"}"#, Object::Gap),
            (
                r#"{"type":"$close","code":4013,"reason":"overloaded","reconnect":true,"retry_ms":750}"#,
                Object::Close(750),
            ),
            (r#"{"type":"$close","code":4003,"reason":"forbidden","reconnect":false}"#, Object::Control),
            (r#"{"type":"$beat","time":1,"cursor":"e.9"}"#, Object::Control),
        ];
        for (text, expected) in cases {
            assert_eq!(scanner.object(text.as_bytes()).as_ref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_event_of_the_bench_is_refused() {
        let scanner = Scanner::new();
        let good = event("e.1", 17, 3);
        for bad in [
            good.replace("\"offset\":17,", ""),
            good.replace("\"offset\":17", "\"offset\":x"),
            good.replace("\"data\":", "\"date\":"),
            good[..good.len() - 1].to_owned(),
            r#"{"type":"offer","data":1}"#.to_owned(),
        ] {
            assert!(scanner.object(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn answers() {
        let scanner = Scanner::new();
        let (one, two) = (event("e.1", 1, 10), event("e.2", 2, 11));
        let gap = r#"{"type":"$gap","channel":"a","reason":"expired","cursor":"e.0"}"#;
        let answer = |cursor: &'static [u8], more, gaps| Answer { cursor, more, gaps };
        let cases = [
            (r#"{"events":[],"cursor":"e.7","more":false,"retry_ms":5}"#.to_owned(), vec![], answer(b"e.7", false, 0)),
            (
                format!(r#"{{"events":[{one},{two}],"cursor":"e.2","more":true,"retry_ms":5}}"#),
                vec![delivered("e.1", 1, 10), delivered("e.2", 2, 11)],
                answer(b"e.2", true, 0),
            ),
            (
                format!(r#"{{"events":[{gap},{two}],"cursor":"e.2","more":false}}"#),
                vec![delivered("e.2", 2, 11)],
                answer(b"e.2", false, 1),
            ),
        ];
        for (text, events, expected) in &cases {
            let mut seen = Vec::new();
            assert_eq!(scanner.answer(text.as_bytes(), |event| seen.push(event)).as_ref(), Ok(expected), "{text}");
            assert_eq!(&seen, events, "{text}");
        }
        for bad in [r#"{"events":[{"a":1"#, r#"{"cursor":"x"}"#, r#"{"events":[]}"#] {
            assert!(scanner.answer(bad.as_bytes(), |_| ()).is_err(), "{bad}");
        }
    }

    #[test]
    fn acknowledgements() {
        let scanner = Scanner::new();
        let text = br#"{"id":"e.4","channel":"a","offset":18,"subscribers":3,"duplicate":false}"#;
        assert_eq!(scanner.acknowledged(text), Some(18));
        assert_eq!(scanner.acknowledged(b"{}"), None);
    }
}
