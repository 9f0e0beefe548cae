//! An event stream, parsed as the HTML standard says ("9.2.6 Interpreting an event stream").
//!
//! Bytes in, messages out; chunks may end anywhere. Bounded: an event larger than its limit is an error, comments and
//! empty lines cost nothing. It knows no JSON, no socket and no reconnecting.

use std::time::Duration;

use super::lines::TooLong;

/// "If the stream's first bytes are a byte order mark, it is ignored."
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// What an event stream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SseItem {
    /// An event was dispatched.
    Message(Message),
    /// The reconnection time was set by a `retry` field.
    Retry(Duration),
}

/// One dispatched event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// The last `id` that was sent, by this event or an earlier one.
    pub(crate) last_event_id: String,
    /// The `event` field; `message` when there was none.
    pub(crate) event: String,
    /// The `data` lines, joined by LF.
    pub(crate) data: String,
}

/// The parser of one event stream.
#[derive(Debug)]
pub(crate) struct SseDecoder {
    bytes_max: usize,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    /// No line has been taken yet: a byte order mark may still come.
    at_start: bool,
    /// The last line ended with CR: an LF right after it belongs to the same end.
    after_cr: bool,
    /// "When a stream is parsed, a data buffer, an event type buffer, and a last event ID buffer must be associated
    /// with it."
    data: Vec<u8>,
    event: Vec<u8>,
    last_event_id: String,
}

impl SseDecoder {
    /// A parser of events of at most `bytes_max` bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            partial: Vec::new(),
            at_start: true,
            after_cr: false,
            data: Vec::new(),
            event: Vec::new(),
            last_event_id: String::new(),
        }
    }

    /// Takes the next chunk and passes on what it completes.
    ///
    /// # Errors
    /// An event is too long. The decoder must not be used after that.
    pub(crate) fn push(&mut self, chunk: &[u8], mut item: impl FnMut(SseItem)) -> Result<(), TooLong> {
        let mut rest = chunk;
        // "Lines must be separated by either a U+000D CARRIAGE RETURN U+000A LINE FEED (CRLF) character pair, a single
        // U+000A LINE FEED (LF) character, or a single U+000D CARRIAGE RETURN (CR) character."
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (head, tail) = rest.split_at(end);
            let is_lf = tail[0] == b'\n';
            rest = &tail[1..];
            if std::mem::replace(&mut self.after_cr, !is_lf) && is_lf && head.is_empty() && self.partial.is_empty() {
                continue;
            }
            if self.partial.is_empty() {
                self.check(head.len())?;
                self.line(head, &mut item)?;
            } else {
                self.extend(head)?;
                let line = std::mem::take(&mut self.partial);
                self.line(&line, &mut item)?;
            }
        }
        self.extend(rest)
    }

    fn extend(&mut self, more: &[u8]) -> Result<(), TooLong> {
        self.check(self.partial.len() + more.len())?;
        self.partial.extend_from_slice(more);
        Ok(())
    }

    fn check(&self, bytes: usize) -> Result<(), TooLong> {
        // An `event: ` or `data: ` before a value of the full size.
        let slack = 16;
        if bytes > self.bytes_max + slack { Err(TooLong { bytes_max: self.bytes_max }) } else { Ok(()) }
    }

    fn line(&mut self, line: &[u8], item: &mut impl FnMut(SseItem)) -> Result<(), TooLong> {
        let line = if std::mem::take(&mut self.at_start) { line.strip_prefix(BOM).unwrap_or(line) } else { line };
        if line.is_empty() {
            self.dispatch(item);
            return Ok(());
        }
        // "Collect the characters on the line before the first U+003A COLON character (:) … after … If value starts
        // with a U+0020 SPACE character, remove it from value." A line that begins with a colon is a comment: its
        // field name is empty and no case below takes it.
        let (field, value) = match line.iter().position(|&byte| byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                self.check(self.data.len() + value.len())?;
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"event" => value.clone_into(&mut self.event),
            // "If the field value does not contain U+0000 NULL, then set the last event ID buffer to the field value.
            // Otherwise, ignore the field."
            b"id" if !value.contains(&0) => self.last_event_id = String::from_utf8_lossy(value).into_owned(),
            b"retry" => {
                if let Some(millis) = digits(value) {
                    item(SseItem::Retry(Duration::from_millis(millis)));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self, item: &mut impl FnMut(SseItem)) {
        let data = std::mem::take(&mut self.data);
        let event = std::mem::take(&mut self.event);
        // "If the data buffer is an empty string, set the data buffer and the event type buffer to the empty string
        // and return." The last event ID stays.
        let Some(data) = data.strip_suffix(b"\n") else { return };
        let event = if event.is_empty() { "message".into() } else { String::from_utf8_lossy(&event).into_owned() };
        item(SseItem::Message(Message {
            last_event_id: self.last_event_id.clone(),
            event,
            data: String::from_utf8_lossy(data).into_owned(),
        }));
    }
}

/// "If the field value consists of only ASCII digits, then interpret the field value as an integer in base ten."
fn digits(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    // The parser of integers takes a sign, the standard does not.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(chunks: &[&[u8]]) -> Vec<SseItem> {
        let mut decoder = SseDecoder::new(1000);
        let mut items = Vec::new();
        for chunk in chunks {
            decoder.push(chunk, |item| items.push(item)).unwrap();
        }
        items
    }

    fn message(id: &str, event: &str, data: &str) -> SseItem {
        SseItem::Message(Message { last_event_id: id.into(), event: event.into(), data: data.into() })
    }

    fn plain(data: &str) -> SseItem {
        message("", "message", data)
    }

    #[track_caller]
    fn check(stream: &str, expected: &[SseItem]) {
        assert_eq!(decode(&[stream.as_bytes()]), expected, "{stream:?}");
        // Whatever the end of line is, and also a byte at a time.
        for end in ["\r", "\r\n"] {
            let stream = stream.replace('\n', end);
            assert_eq!(decode(&[stream.as_bytes()]), expected, "{stream:?}");
            let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
            assert_eq!(decode(&bytes), expected, "{stream:?} byte by byte");
        }
    }

    /// The examples of the HTML standard, 9.2.6, in its order.
    #[test]
    fn examples_of_the_standard() {
        check("data: YHOO\ndata: +2\ndata: 10\n\n", &[plain("YHOO\n+2\n10")]);
        check(
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            &[message("1", "message", "first event"), plain("second event"), plain(" third event")],
        );
        check("data\n\ndata\ndata\n\ndata:", &[plain(""), plain("\n")]);
        check("data:test\n\ndata: test\n\n", &[plain("test"), plain("test")]);
    }

    /// The examples of 9.2.2 and 9.2.3.
    #[test]
    fn examples_of_the_introduction() {
        check(
            "data: This is the first message.\n\ndata: This is the second message, it\ndata: has two lines.\n\n\
             data: This is the third message.\n\n",
            &[
                plain("This is the first message."),
                plain("This is the second message, it\nhas two lines."),
                plain("This is the third message."),
            ],
        );
        check(
            "event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\nevent: add\ndata: 113411\n\n",
            &[message("", "add", "73857293"), message("", "remove", "2153"), message("", "add", "113411")],
        );
    }

    #[test]
    fn fields() {
        let retry = |millis| SseItem::Retry(Duration::from_millis(millis));
        check("\u{FEFF}data: a\n\n", &[plain("a")]);
        check("\u{FEFF}\u{FEFF}data: a\n\n", &[]);
        check("\n\n\n", &[]);
        check("data: a", &[]);
        check("data: a\n", &[]);
        check("event: x\n\ndata: a\n\n", &[plain("a")]);
        check("id: 7\n\ndata: a\n\n", &[message("7", "message", "a")]);
        check("id: 7\ndata: a\n\nid: 8\0\ndata: b\n\n", &[message("7", "message", "a"), message("7", "message", "b")]);
        check("id: 7\ndata: a\n\nid:\ndata: b\n\n", &[message("7", "message", "a"), plain("b")]);
        check("retry: 1500\n\n", &[retry(1500)]);
        check("retry:0\n", &[retry(0)]);
        check("retry: +1\nretry: 1.5\nretry: -1\nretry: 1 \nretry: 99999999999999999999\n", &[]);
        check("Data: a\ndata : b\n data: c\n\n", &[]);
        check("data: a:b: c\n\n", &[plain("a:b: c")]);
        check(":data: a\n:\ndata: b\n\n", &[plain("b")]);
        check("data: 봉수\nevent: 알림\nid: 일\n\n", &[message("일", "알림", "봉수")]);
    }

    #[test]
    fn mixed_ends_of_lines() {
        let cases: [(&[u8], &[SseItem]); 4] = [
            (b"data: a\r\rdata: b\n\r\ndata: c\r\n\r", &[plain("a"), plain("b"), plain("c")]),
            (b"data: a\n\ndata: b\r\n\n", &[plain("a"), plain("b")]),
            (b"data: a\r\n\r\ndata: b\r\r\n", &[plain("a"), plain("b")]),
            (b"data: a\n\rdata: b\r\n\r\n", &[plain("a"), plain("b")]),
        ];
        for (stream, expected) in cases {
            assert_eq!(decode(&[stream]), expected, "{stream:?}");
        }
    }

    #[test]
    fn what_is_no_utf8_is_replaced() {
        assert_eq!(decode(&[b"data: a\xFFb\n\n"]), [plain("a\u{FFFD}b")]);
    }

    #[test]
    fn an_event_has_a_limit() {
        let mut decoder = SseDecoder::new(64);
        let endless = [b"data: ", [b'x'; 100].as_slice()].concat();
        assert_eq!(decoder.push(&endless, |_| {}), Err(TooLong { bytes_max: 64 }));
        let mut decoder = SseDecoder::new(64);
        let lines = b"data: 0123456789\n".repeat(10);
        assert_eq!(decoder.push(&lines, |_| {}), Err(TooLong { bytes_max: 64 }));
        let mut decoder = SseDecoder::new(64);
        decoder.push(&b":comment\n".repeat(1000), |_| {}).unwrap();
        decoder.push(&b"data: 0123456789\n\n".repeat(1000), |_| {}).unwrap();
    }

    proptest! {
        #[test]
        fn where_the_chunks_end_makes_no_difference(
            pieces in proptest::collection::vec(
                proptest::sample::select(vec![
                    "data", "data: a", ":", "id: 1", "id", "event: e", "retry: 5", "\n", "\r", "\r\n", "\n\n", "x", " ", "봉",
                ]),
                0..30,
            ),
            cuts in proptest::collection::vec(0usize..120, 0..8),
        ) {
            let stream = pieces.concat();
            let stream = stream.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            prop_assert_eq!(decode(&chunks), decode(&[stream]));
        }
    }
}
