//! Every object in every encoding: what the five ways write to their sockets.
//!
//! An event is encoded once, into one buffer, by whoever needs it first; what is shared by all readers afterwards are
//! slices of that buffer. Two layouts exist, and each serves three encodings:
//!
//! ```text
//! id: 3k…-17\nevent: offer\ndata: {"id":…}\n\n      <81 len>{"id":…}\n
//! └────────────────── Sse ─────────────────┘      └── WebSocket ──┘
//!                                └ Object ┘                └Object┘
//!                                └─ Ndjson ─┘              └─ Ndjson ─┘
//! ```
//!
//! So an event that is read by WebSocket only, or by SSE only, is held once beside its payload, and never more than
//! twice. The second layout copies the object out of the first; it does not encode again.

use bongsu_core::event::{Encoding, Event, Payload, PayloadKind};
use bongsu_core::read::{Format, Way};
use bongsu_core::{Control, EventType};
use bytes::Bytes;

use crate::event::{DEFAULT_TYPE, ObjectWriter, text_of, value_len, write_value};
use crate::websocket_frame::{Data, header_len, push_header};
use crate::{control, sse};

/// The encoding in which `way` sends objects.
///
/// The polling ways put them into an answer instead ([`event_element`], [`control_element`]).
#[must_use]
pub fn encoding(way: Way, format: Format) -> Encoding {
    match (way, format) {
        (Way::Poll | Way::LongPoll, Format::Object) => Encoding::Object,
        (Way::Stream, Format::Object) => Encoding::Ndjson,
        (Way::Sse, Format::Object) => Encoding::Sse,
        (Way::WebSocket, Format::Object) => Encoding::WebSocket,
        (Way::Poll | Way::LongPoll | Way::Stream, Format::Data) => Encoding::NdjsonData,
        (Way::Sse, Format::Data) => Encoding::SseData,
        (Way::WebSocket, Format::Data) => Encoding::WebSocketData,
    }
}

/// The event in one encoding, shared with everyone who asks for the same.
#[must_use]
pub fn event_bytes(event: &Event, encoding: Encoding) -> Bytes {
    let slot = |make: &dyn Fn() -> Bytes| event.encoded.get_or_make(encoding, make).clone();
    match encoding {
        Encoding::Object => object(event, sse_layout),
        Encoding::Sse => {
            let object = object(event, sse_layout);
            slot(&|| sse_copy(event, &object))
        }
        Encoding::Ndjson => {
            let object = object(event, sse_layout);
            // Both layouts have filled this slot; if it is empty, the object came from neither.
            slot(&|| [&object[..], b"\n"].concat().into())
        }
        Encoding::WebSocket => {
            let object = object(event, websocket_layout);
            slot(&|| frame(Data::Text, &object))
        }
        Encoding::SseData => slot(&|| sse_data(event)),
        Encoding::NdjsonData => slot(&|| data_line(&event.payload)),
        Encoding::WebSocketData => slot(&|| websocket_data(&event.payload)),
    }
}

/// The event as an element of a polling answer's `events`.
#[must_use]
pub fn event_element(event: &Event, format: Format) -> Bytes {
    match (format, event.payload.kind) {
        (Format::Object, _) => event_bytes(event, Encoding::Object),
        (Format::Data, PayloadKind::Json) => event.payload.bytes.clone(),
        (Format::Data, _) => {
            let line = event_bytes(event, Encoding::NdjsonData);
            line.slice(..line.len() - 1)
        }
    }
}

/// The control object in one encoding; `None` where only payloads are sent.
///
/// As server-sent events, `$open`, and a `$close` after which to come back, carry a `retry:` line, and controls with a cursor an `id:` line. Not so
/// `$open`, before which the reader may have stood elsewhere, and `$gap`, whose cursor is that of one channel only.
#[must_use]
pub fn control_bytes(control: &Control, encoding: Encoding) -> Option<Bytes> {
    let object = || control::encode(control);
    match encoding {
        Encoding::Object => Some(object()),
        Encoding::Sse | Encoding::SseData => Some(control_sse(control)),
        Encoding::Ndjson => Some([&object()[..], b"\n"].concat().into()),
        Encoding::WebSocket => Some(frame(Data::Text, &object())),
        Encoding::NdjsonData | Encoding::WebSocketData => None,
    }
}

/// The control object as an element of a polling answer's `events`; `None` where only payloads are sent.
#[must_use]
pub fn control_element(control: &Control, format: Format) -> Option<Bytes> {
    (format == Format::Object).then(|| control::encode(control))
}

/// A buffer with the event in it, and where in the buffer the object begins and ends.
struct Layout {
    buffer: Bytes,
    object: std::ops::Range<usize>,
    /// Which encoding the buffer is, from its start to so far.
    main: (Encoding, usize),
}

/// The object. If this is the first need, `layout` decides which other encodings come with it.
fn object(event: &Event, layout: fn(&Event) -> Layout) -> Bytes {
    let make = || {
        let Layout { buffer, object, main: (encoding, end) } = layout(event);
        // The other slots are filled while this one is being made, so nobody can come in between and encode again.
        // No deadlock: whoever makes one of them already has the object.
        event.encoded.get_or_make(encoding, || buffer.slice(..end));
        event.encoded.get_or_make(Encoding::Ndjson, || buffer.slice(object.start..object.end + 1));
        buffer.slice(object)
    };
    event.encoded.get_or_make(Encoding::Object, make).clone()
}

fn sse_layout(event: &Event) -> Layout {
    let object = ObjectWriter::new(event, sse_prefix(event));
    let end = object.len_with_prefix();
    let mut out = Vec::with_capacity(end + sse::END.len());
    object.write(&mut out);
    out.extend_from_slice(sse::END);
    let whole = out.len();
    Layout { buffer: out.into(), object: end - object.len()..end, main: (Encoding::Sse, whole) }
}

fn websocket_layout(event: &Event) -> Layout {
    let object = ObjectWriter::new(event, Vec::with_capacity(192));
    let start = header_len(object.len());
    let end = start + object.len();
    let mut out = Vec::with_capacity(end + 1);
    push_header(&mut out, Data::Text, object.len());
    object.write(&mut out);
    out.push(b'\n');
    Layout { buffer: out.into(), object: start..end, main: (Encoding::WebSocket, end) }
}

/// The lines before the data, and the beginning of that: what depends on the event's head only.
fn sse_prefix(event: &Event) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    push_sse_head(&mut out, event);
    sse::begin_data(&mut out);
    out
}

fn push_sse_head(out: &mut Vec<u8>, event: &Event) {
    if event.stored {
        sse::push_id(out, &event.id);
    }
    if let Some(kind) = event.kind.as_ref().map(EventType::as_str).filter(|kind| *kind != DEFAULT_TYPE) {
        sse::push_event(out, kind);
    }
}

fn sse_copy(event: &Event, object: &[u8]) -> Bytes {
    [&sse_prefix(event), object, sse::END].concat().into()
}

fn frame(data: Data, bytes: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(header_len(bytes.len()) + bytes.len());
    push_header(&mut out, data, bytes.len());
    out.extend_from_slice(bytes);
    out.into()
}

fn sse_data(event: &Event) -> Bytes {
    let payload = &event.payload;
    let mut out = Vec::with_capacity(sse::ID_LINE_BYTES_MAX + value_len(payload) + 16);
    push_sse_head(&mut out, event);
    match payload.kind {
        PayloadKind::Text => sse::push_data_lines(&mut out, &text_of(payload)),
        PayloadKind::Json => {
            sse::begin_data(&mut out);
            out.extend_from_slice(&payload.bytes);
        }
        PayloadKind::Binary => {
            sse::begin_data(&mut out);
            out.extend_from_slice(crate::event::base64(&payload.bytes).as_bytes());
        }
    }
    out.extend_from_slice(sse::END);
    out.shrink_to_fit();
    out.into()
}

fn data_line(payload: &Payload) -> Bytes {
    let mut out = Vec::with_capacity(value_len(payload) + 1);
    write_value(&mut out, payload);
    out.push(b'\n');
    out.into()
}

fn websocket_data(payload: &Payload) -> Bytes {
    let data = if payload.kind == PayloadKind::Binary { Data::Binary } else { Data::Text };
    frame(data, &payload.bytes)
}

fn control_sse(control: &Control) -> Bytes {
    let mut out = Vec::with_capacity(256);
    match control {
        Control::Live { cursor } | Control::Beat { cursor, .. } => sse::push_id(&mut out, cursor),
        Control::Open { retry, .. } => sse::push_retry(&mut out, *retry),
        // A reader that is not to come back must not be told a time, least of all none at all.
        Control::Close(close) if close.reconnect => sse::push_retry(&mut out, close.retry),
        Control::Close(_) | Control::Gap { .. } | Control::Reply { .. } => {}
    }
    sse::push_event(&mut out, control::type_name(control));
    sse::begin_data(&mut out);
    control::write(&mut out, control);
    out.extend_from_slice(sse::END);
    out.into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bongsu_core::event::{Encoded, EventKey, UserId};
    use bongsu_core::{ChannelName, Cursor, Epoch, Millis, Seq};

    use super::*;
    use crate::event::count;

    const ALL: [Encoding; Encoding::COUNT] = [
        Encoding::Object,
        Encoding::Sse,
        Encoding::Ndjson,
        Encoding::WebSocket,
        Encoding::SseData,
        Encoding::NdjsonData,
        Encoding::WebSocketData,
    ];

    fn event(kind: PayloadKind, bytes: &'static [u8]) -> Event {
        Event {
            id: Cursor::new(Epoch::from_random(1), Seq(17)),
            channel: ChannelName::new("a").unwrap(),
            offset: 3,
            time: Millis(1_763_683_200_123),
            kind: Some(EventType::new("offer").unwrap()),
            key: Some(EventKey::new("k\"").unwrap()),
            user: Some(UserId::new("u").unwrap()),
            expires: None,
            payload: Payload { kind, content_type: None, bytes: Bytes::from_static(bytes) },
            stored: true,
            encoded: Encoded::default(),
        }
    }

    fn range(bytes: &Bytes) -> std::ops::Range<usize> {
        let start = bytes.as_ptr() as usize;
        start..start + bytes.len()
    }

    #[test]
    fn an_event_is_encoded_once_whoever_comes_first() {
        for first in ALL {
            let event = event(PayloadKind::Json, b"{\"n\":1}");
            let before = count::objects();
            let bytes = event_bytes(&event, first);
            for encoding in ALL {
                let (one, two) = (event_bytes(&event, encoding), event_bytes(&event, encoding));
                assert_eq!(range(&one), range(&two), "{encoding:?} is made once");
            }
            assert_eq!(range(&bytes), range(&event_bytes(&event, first)), "{first:?}");
            assert_eq!(count::objects() - before, 1, "{first:?} first");
        }
    }

    #[test]
    fn encodings_share_buffers() {
        let inside = |outer: &Bytes, inner: &Bytes| {
            let (outer, inner) = (range(outer), range(inner));
            outer.start <= inner.start && inner.end <= outer.end
        };
        let by_sse = event(PayloadKind::Text, b"x");
        let sse = event_bytes(&by_sse, Encoding::Sse);
        assert!(inside(&sse, &event_bytes(&by_sse, Encoding::Object)));
        assert!(inside(&sse, &event_bytes(&by_sse, Encoding::Ndjson)));

        let by_websocket = event(PayloadKind::Text, b"x");
        let frame = event_bytes(&by_websocket, Encoding::WebSocket);
        let object = event_bytes(&by_websocket, Encoding::Object);
        assert!(inside(&frame, &object));
        assert_eq!(range(&event_bytes(&by_websocket, Encoding::Ndjson)).start, range(&object).start);
    }

    #[test]
    fn buffers_are_as_long_as_what_is_in_them() {
        for (kind, bytes) in [
            (PayloadKind::Json, &b"[1,2]"[..]),
            (PayloadKind::Text, "a\"\n\u{1}봉".as_bytes()),
            (PayloadKind::Binary, b"\0\xff"),
            (PayloadKind::Text, b""),
        ] {
            let event = event(kind, bytes);
            for layout in [sse_layout, websocket_layout] {
                let Layout { buffer, object, main } = layout(&event);
                let rest = buffer.len() - object.end;
                assert_eq!((&buffer[object.end - 1..object.end], rest > 0), (&b"}"[..], true), "{kind:?}");
                assert!(main.1 <= buffer.len());
                let vec: Vec<u8> = buffer.into();
                assert_eq!(vec.len(), vec.capacity(), "{kind:?}");
            }
        }
    }

    #[test]
    fn whoever_comes_first_all_get_the_same_bytes() {
        for (kind, bytes) in
            [(PayloadKind::Json, &b"[1,2]"[..]), (PayloadKind::Text, b"a\r\nb"), (PayloadKind::Binary, b"\0\xff")]
        {
            for stored in [true, false] {
                let all = |first: Encoding| {
                    let event = Event { stored, ..event(kind, bytes) };
                    let _ = event_bytes(&event, first);
                    ALL.map(|encoding| event_bytes(&event, encoding))
                };
                let expected = all(Encoding::Object);
                for first in ALL {
                    assert_eq!(all(first), expected, "{kind:?} {first:?} first");
                }
            }
        }
    }

    #[test]
    fn many_threads_encode_once() {
        let event = Arc::new(event(PayloadKind::Json, b"1"));
        let threads = (0..8).map(|index| {
            let event = Arc::clone(&event);
            std::thread::spawn(move || {
                let before = count::objects();
                let encoding = [Encoding::Sse, Encoding::WebSocket, Encoding::Ndjson, Encoding::Object][index % 4];
                let _ = event_bytes(&event, encoding);
                count::objects() - before
            })
        });
        let threads: Vec<_> = threads.collect();
        assert_eq!(threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>(), 1);
    }

    #[test]
    fn text_and_bytes_always_say_what_they_are() {
        for (kind, media_type) in [
            (PayloadKind::Json, None),
            (PayloadKind::Text, Some("text/plain")),
            (PayloadKind::Binary, Some("application/octet-stream")),
        ] {
            let object = event_bytes(&event(kind, b"1"), Encoding::Object);
            let object: serde_json::Value = serde_json::from_slice(&object).unwrap();
            assert_eq!(object.get("content_type").and_then(serde_json::Value::as_str), media_type);
        }
    }

    #[test]
    fn elements_of_answers() {
        let cases = [
            (PayloadKind::Json, &b"{\"n\":1}"[..], "{\"n\":1}"),
            (PayloadKind::Text, b"a\n\"b", r#""a\n\"b""#),
            (PayloadKind::Binary, b"\0\x01\x02", "\"AAEC\""),
            (PayloadKind::Binary, b"", "\"\""),
        ];
        for (kind, bytes, element) in cases {
            let event = event(kind, bytes);
            assert_eq!(event_element(&event, Format::Data), element);
            assert_eq!(event_element(&event, Format::Object), event_bytes(&event, Encoding::Object));
        }
    }
}
