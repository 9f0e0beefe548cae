//! HTTP streaming (NDJSON) and SSE: one endless answer, two framings.

use super::{Reader, Spec, carried_cursor, check_read_head};
use crate::error::{Failure, Result};
use crate::item::{Framing, Item};
use crate::net::{Exchange, Head, connect, refusal};
use crate::pattern::is_cursor;
use crate::sse::{SseDecoder, SseEvent};
use crate::way::Way;
use std::collections::VecDeque;
use std::time::Instant;

enum Decoder {
    Lines(Vec<u8>),
    Sse(SseDecoder),
}

pub(super) struct Streaming {
    exchange: Box<dyn Exchange>,
    decoder: Decoder,
    head: Head,
    payload_only: bool,
    queue: VecDeque<Item>,
    position: Option<String>,
}

impl Streaming {
    pub(super) fn open(spec: &Spec, deadline: Instant) -> Result<Self> {
        let mut exchange = connect(spec.addr, spec.http, deadline)?;
        let mut request = spec.request(spec.since.as_deref());
        if let Some(last) = spec.last {
            crate::encode::add_query(&mut request.target, "last", &last.to_string());
        }
        exchange.send(&request)?;
        let head = exchange.head(deadline)?;
        if head.status != 200 {
            return Err(refusal(exchange.as_mut(), &head, deadline));
        }
        let (media_type, decoder) = match spec.way {
            Way::Sse => ("text/event-stream", Decoder::Sse(SseDecoder::default())),
            _ => ("application/x-ndjson", Decoder::Lines(Vec::new())),
        };
        check_read_head(&head, media_type, true)?;
        let mut reader = Self {
            exchange,
            decoder,
            head,
            payload_only: spec.payload_only(),
            queue: VecDeque::new(),
            position: spec.since.clone().filter(|s| s != "now" && s != "start"),
        };
        // With `format=data` the controls come only by SSE.
        if !reader.payload_only || spec.way == Way::Sse {
            reader.await_object(deadline)?;
            reader.begin();
        }
        Ok(reader)
    }

    /// Reads until at least one object is queued.
    fn await_object(&mut self, deadline: Instant) -> Result<()> {
        while self.queue.is_empty() {
            match self.exchange.chunk(deadline)? {
                Some(bytes) => self.decode(&bytes)?,
                None => return Err(self.ended()),
            }
        }
        Ok(())
    }

    /// `$open.cursor` is what there is to resume from before the first event.
    fn begin(&mut self) {
        let open = self.queue.front().filter(|item| item.kind() == "$open");
        if let (Some(item), None) = (open, &self.position) {
            self.position = carried_cursor(item).map(str::to_owned);
        }
    }

    fn ended(&self) -> Failure {
        match &self.decoder {
            Decoder::Lines(rest) if !rest.is_empty() => Failure::wrong("the stream ended inside a line"),
            _ => Failure::closed("the server ended the stream"),
        }
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.decoder {
            Decoder::Sse(decoder) => {
                let retry_before = decoder.retry_ms;
                for event in decoder.feed(bytes)? {
                    self.queue.push_back(sse_item(&event, self.payload_only)?);
                }
                if decoder.retry_ms.is_some() && retry_before.is_none() {
                    self.note_retry();
                }
            }
            Decoder::Lines(rest) => {
                rest.extend_from_slice(bytes);
                while let Some(end) = rest.iter().position(|b| *b == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    let line = &line[..end];
                    let item = line_item(line, self.payload_only)?;
                    self.queue.push_back(item);
                }
            }
        }
        Ok(())
    }

    /// Keeps `retry:` where steps can look for it: as a field of the head.
    fn note_retry(&mut self) {
        if let Decoder::Sse(SseDecoder { retry_ms: Some(ms), .. }) = &self.decoder {
            self.head.headers.push(("sse-retry".into(), ms.to_string()));
        }
    }
}

fn line_item(line: &[u8], payload_only: bool) -> Result<Item> {
    if line.ends_with(b"\r") {
        return Err(Failure::wrong("a line of the stream ends with CR LF"));
    }
    if payload_only {
        return Ok(Item::payload(line, Framing::default()));
    }
    Item::object(line, Framing::default())
}

/// "`id:` cursor, `event:` the type when not `message`, `data:` the object".
fn sse_item(event: &SseEvent, payload_only: bool) -> Result<Item> {
    let framing = Framing { sse_id: event.own_id.clone(), sse_event: event.event.clone(), binary: false };
    let is_control = event.event.as_deref().is_some_and(|e| e.starts_with('$'));
    if payload_only && !is_control {
        if !event.own_id.as_deref().is_none_or(is_cursor) {
            return Err(Failure::wrong(format!("id: is no cursor: {:?}", event.own_id)));
        }
        return Ok(Item::payload(event.data.as_bytes(), framing));
    }
    let item = Item::object(event.data.as_bytes(), framing)?;
    check_sse_framing(&item)?;
    Ok(item)
}

fn check_sse_framing(item: &Item) -> Result<()> {
    let wrong = |what: &str| Err(Failure::wrong(format!("{what}: {:?} {}", item.framing, item.show())));
    let kind = Some(item.kind()).filter(|k| *k != "message");
    if item.framing.sse_event.as_deref() != kind {
        return wrong("event: is not the type");
    }
    // §14.3: "controls with a cursor carry it as `id:` too, except `$open` and `$gap`".
    let id = match item.kind() {
        "$open" | "$gap" => None,
        _ => carried_cursor(item),
    };
    if item.framing.sse_id.as_deref() != id {
        return wrong("id: is not the cursor");
    }
    Ok(())
}

impl Reader for Streaming {
    fn next(&mut self, deadline: Instant) -> Result<Item> {
        self.await_object(deadline)?;
        let item = self.queue.pop_front().ok_or_else(|| Failure::closed("nothing queued"))?;
        let cursor = match &self.decoder {
            Decoder::Sse(_) => item.framing.sse_id.as_deref(),
            Decoder::Lines(_) => carried_cursor(&item),
        };
        if let Some(cursor) = cursor {
            self.position = Some(cursor.to_owned());
        }
        Ok(item)
    }

    fn cursor(&self) -> Option<&str> {
        self.position.as_deref()
    }

    fn head(&self) -> &Head {
        &self.head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: Option<&str>, name: Option<&str>, data: &str) -> SseEvent {
        SseEvent {
            last_id: String::new(),
            own_id: id.map(str::to_owned),
            event: name.map(str::to_owned),
            data: data.to_owned(),
        }
    }

    #[test]
    fn sse_framing_has_to_agree_with_the_object() {
        type Case = (Option<&'static str>, Option<&'static str>, &'static str, bool);
        let cases: &[Case] = &[
            (Some("c"), None, r#"{"id":"c","offset":1}"#, true),
            (Some("c"), Some("x"), r#"{"id":"c","type":"x"}"#, true),
            (None, Some("$open"), r#"{"type":"$open","cursor":"c"}"#, true),
            (Some("c"), Some("$live"), r#"{"type":"$live","cursor":"c"}"#, true),
            (None, None, r#"{"channel":"not stored"}"#, true),
            (None, None, r#"{"id":"c"}"#, false),
            (Some("d"), None, r#"{"id":"c"}"#, false),
            (Some("c"), None, r#"{"id":"c","type":"x"}"#, false),
            (Some("c"), Some("message"), r#"{"id":"c"}"#, false),
            (Some("c"), Some("$gap"), r#"{"type":"$gap","cursor":"c"}"#, false),
            (None, Some("$live"), r#"{"type":"$live","cursor":"c"}"#, false),
        ];
        for (id, name, data, good) in cases {
            let result = sse_item(&event(*id, *name, data), false);
            assert_eq!(result.is_ok(), *good, "{id:?} {name:?} {data}");
        }
    }

    #[test]
    fn lines_end_with_a_line_feed_alone() {
        assert!(line_item(b"{}", false).is_ok());
        assert!(line_item(b"{}\r", false).is_err());
        assert!(line_item(b"not an object", false).is_err());
        assert!(line_item(b"not an object", true).is_ok());
    }
}
