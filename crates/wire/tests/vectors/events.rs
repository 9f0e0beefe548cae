//! Events, and the answers that hold them.

use std::time::Duration;

use bongsu_core::event::{Encoded, Encoding};
use bongsu_core::read::Format;
use bongsu_core::{ChannelName, Event, EventKey, EventType, Millis, Payload, PayloadKind, UserId};
use bongsu_wire::event::{Object, ReceivedData, parse_object};
use bongsu_wire::{answer, framing};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Frame, check, from_hex, text};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    event: Input,
    #[serde(default)]
    object: String,
    #[serde(default)]
    sse: String,
    #[serde(default)]
    ndjson: String,
    #[serde(default)]
    websocket: Frame,
    #[serde(default)]
    format_data: FormatData,
}

/// The event with `format=data`.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FormatData {
    element: String,
    sse: String,
    ndjson: String,
    websocket: Frame,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    cursor: String,
    channel: String,
    offset: u64,
    time: u64,
    stored: bool,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    payload: PayloadInput,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PayloadInput {
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

fn event(input: &Input) -> Event {
    let PayloadInput { kind, content_type, text, hex } = &input.payload;
    let kind = match kind.as_str() {
        "json" => PayloadKind::Json,
        "text" => PayloadKind::Text,
        "binary" => PayloadKind::Binary,
        other => panic!("no kind of payload: {other}"),
    };
    let bytes = text.as_ref().map_or_else(|| from_hex(hex.as_deref().unwrap()), |text| text.clone().into_bytes());
    Event {
        id: input.cursor.parse().unwrap(),
        channel: ChannelName::new(&input.channel).unwrap(),
        offset: input.offset,
        time: Millis(input.time),
        kind: input.kind.as_deref().map(|text| EventType::new(text).unwrap()),
        key: input.key.as_deref().map(|text| EventKey::new(text).unwrap()),
        user: input.user.as_deref().map(|text| UserId::new(text).unwrap()),
        expires: None,
        payload: Payload { kind, content_type: content_type.as_deref().map(Into::into), bytes: bytes.into() },
        stored: input.stored,
        encoded: Encoded::default(),
    }
}

fn fill(vector: Vector) -> Vector {
    let event = event(&vector.event);
    let bytes = |encoding| framing::event_bytes(&event, encoding);
    comes_back(&event, &bytes(Encoding::Object));
    Vector {
        object: text(&bytes(Encoding::Object)),
        sse: text(&bytes(Encoding::Sse)),
        ndjson: text(&bytes(Encoding::Ndjson)),
        websocket: Frame::new(&bytes(Encoding::WebSocket)),
        format_data: FormatData {
            element: text(&framing::event_element(&event, Format::Data)),
            sse: text(&bytes(Encoding::SseData)),
            ndjson: text(&bytes(Encoding::NdjsonData)),
            websocket: Frame::new(&bytes(Encoding::WebSocketData)),
        },
        ..vector
    }
}

/// What a client reads is what was published.
fn comes_back(event: &Event, object: &[u8]) {
    let Ok(Object::Event(received)) = parse_object(object) else { panic!("no event: {}", text(object)) };
    assert_eq!(received.id, event.stored.then_some(event.id));
    assert_eq!(received.offset, event.stored.then_some(event.offset));
    assert_eq!((&received.channel, received.time), (&event.channel, event.time));
    assert_eq!((&received.kind, &received.key, &received.user), (&event.kind, &event.key, &event.user));
    let bytes = event.payload.bytes.clone();
    let data = match event.payload.kind {
        PayloadKind::Json => ReceivedData::Json(text(&bytes)),
        PayloadKind::Text => ReceivedData::Text(text(&bytes)),
        PayloadKind::Binary => ReceivedData::Binary(bytes),
    };
    assert_eq!(received.data, data);
}

#[test]
fn events() {
    check("events.json", fill);
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerVector {
    name: String,
    elements: Vec<String>,
    cursor: String,
    more: bool,
    retry_ms: u64,
    #[serde(default)]
    body: String,
}

#[test]
fn answers() {
    check("answers.json", |vector: AnswerVector| {
        let elements: Vec<_> = vector.elements.iter().cloned().map(Bytes::from).collect();
        let cursor = vector.cursor.parse().unwrap();
        let retry = Duration::from_millis(vector.retry_ms);
        let body = answer::encode(&elements, cursor, vector.more, retry);
        let answer = answer::parse(&body).unwrap();
        let objects: Vec<_> = elements.iter().map(|element| parse_object(element).unwrap()).collect();
        assert_eq!(answer, answer::Answer { objects, cursor, more: vector.more, retry });
        AnswerVector { body: text(&body), ..vector }
    });
}
