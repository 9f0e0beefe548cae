//! The JSON object of an event: written by the server, read by clients.
//!
//! The encoder is by hand because the members stand in a fixed order, a JSON payload goes in as the bytes it is, and
//! the exact length is known before the buffer is made. It must not know how objects are framed; that is
//! [`framing`](crate::framing).

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bongsu_core::event::{EventKey, EventType, UserId};
use bongsu_core::{ChannelName, Control, Cursor, Event, Millis, Payload, PayloadKind};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::Malformed;
use crate::{control, json, media};

/// The name of the type that an event without a `type` has.
pub const DEFAULT_TYPE: &str = "message";

/// An object on its way out: what stands before the payload's value, and how long the rest will be.
pub(crate) struct ObjectWriter<'a> {
    head: Vec<u8>,
    head_start: usize,
    payload: &'a Payload,
    value_len: usize,
}

impl<'a> ObjectWriter<'a> {
    /// Begins the object of `event` after what `prefix` holds already.
    pub(crate) fn new(event: &'a Event, prefix: Vec<u8>) -> Self {
        #[cfg(test)]
        count::add();
        let mut head = prefix;
        let head_start = head.len();
        write_head(&mut head, event);
        Self { head, head_start, payload: &event.payload, value_len: value_len(&event.payload) }
    }

    /// The length of the object in bytes.
    pub(crate) fn len(&self) -> usize {
        self.head.len() - self.head_start + self.value_len + 1
    }

    /// The length of the prefix and the object.
    pub(crate) fn len_with_prefix(&self) -> usize {
        self.head_start + self.len()
    }

    /// Appends the prefix and the object.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        write_value(out, self.payload);
        out.push(b'}');
    }
}

/// Everything up to the payload's value: `{"id":…,"data":`.
fn write_head(out: &mut Vec<u8>, event: &Event) {
    out.push(b'{');
    if event.stored {
        out.extend_from_slice(format!("\"id\":\"{}\",", event.id).as_bytes());
    }
    member(out, "channel", event.channel.as_str());
    if event.stored {
        number(out, "offset", event.offset);
    }
    if let Some(kind) = &event.kind {
        member(out, "type", kind.as_str());
    }
    number(out, "time", event.time.0);
    if let Some(key) = &event.key {
        member(out, "key", key.as_str());
    }
    if let Some(user) = &event.user {
        member(out, "user", user.as_str());
    }
    if let Some(content_type) = content_type(&event.payload) {
        member(out, "content_type", content_type);
    }
    let name: &[u8] = if event.payload.kind == PayloadKind::Binary { b"\"data_base64\":" } else { b"\"data\":" };
    out.extend_from_slice(name);
}

/// A reader tells a text from a JSON string by the media type, so text and bytes always have one.
fn content_type(payload: &Payload) -> Option<&str> {
    let named = payload.content_type.as_deref();
    match payload.kind {
        PayloadKind::Json => named,
        PayloadKind::Text => named.or(Some(media::TEXT)),
        PayloadKind::Binary => named.or(Some(media::BYTES)),
    }
}

fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    json::push_string(out, value);
    out.push(b',');
}

fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.push(b',');
}

/// The text of a [`PayloadKind::Text`] payload; should its bytes not be UTF-8 after all, what can be read of them.
pub(crate) fn text_of(payload: &Payload) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(&payload.bytes)
}

/// The length of the payload as a JSON value.
pub(crate) fn value_len(payload: &Payload) -> usize {
    match payload.kind {
        PayloadKind::Json => payload.bytes.len(),
        PayloadKind::Text => json::string_len(&text_of(payload)),
        PayloadKind::Binary => 2 + payload.bytes.len().div_ceil(3) * 4,
    }
}

/// Appends the payload as a JSON value: itself, a string, or a string in base 64.
pub(crate) fn write_value(out: &mut Vec<u8>, payload: &Payload) {
    match payload.kind {
        PayloadKind::Json => out.extend_from_slice(&payload.bytes),
        PayloadKind::Text => json::push_string(out, &text_of(payload)),
        PayloadKind::Binary => {
            out.push(b'"');
            out.extend_from_slice(base64(&payload.bytes).as_bytes());
            out.push(b'"');
        }
    }
}

/// Base 64 as RFC 4648 §4 has it, padded.
pub(crate) fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// One object as a client receives it.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// An event.
    Event(ReceivedEvent),
    /// A control object.
    Control(Control),
    /// A control object of a later version of the protocol, with its type. To be passed over.
    Unknown(String),
}

/// An event as a client receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedEvent {
    /// The cursor just after it; none if the log does not keep it.
    pub id: Option<Cursor>,
    /// The channel it was published to.
    pub channel: ChannelName,
    /// Its place in the channel; none if the log does not keep it.
    pub offset: Option<u64>,
    /// The type; `None` is `message`.
    pub kind: Option<EventType>,
    /// When the log took it.
    pub time: Millis,
    /// The key, if it has one.
    pub key: Option<EventKey>,
    /// The user who published it, if a client did.
    pub user: Option<UserId>,
    /// The media type; absent for `application/json`.
    pub content_type: Option<String>,
    /// What was published.
    pub data: ReceivedData,
}

/// A payload as a client receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceivedData {
    /// A JSON text, with every number and escape as it was published.
    Json(String),
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

/// Members of an event. Those that are not named here are ignored: a later server may say more.
#[derive(Deserialize)]
struct EventMembers<'a> {
    id: Option<String>,
    channel: String,
    offset: Option<u64>,
    #[serde(rename = "type")]
    kind: Option<String>,
    time: u64,
    key: Option<String>,
    user: Option<String>,
    content_type: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    data_base64: Option<String>,
}

#[derive(Deserialize)]
struct TypeMember {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Reads one object: what stands in a WebSocket frame, an SSE `data:`, an NDJSON line or an element of `events`.
///
/// # Errors
/// It is no JSON object, a member it must have is missing, or one has a value it cannot have.
pub fn parse_object(bytes: &[u8]) -> Result<Object, Malformed> {
    let TypeMember { kind } = serde_json::from_slice(bytes)?;
    match kind {
        Some(kind) if kind.starts_with('$') => {
            Ok(control::parse(&kind, bytes)?.map_or(Object::Unknown(kind), Object::Control))
        }
        _ => serde_json::from_slice::<EventMembers<'_>>(bytes)?.try_into().map(Object::Event),
    }
}

impl TryFrom<EventMembers<'_>> for ReceivedEvent {
    type Error = Malformed;

    fn try_from(members: EventMembers<'_>) -> Result<Self, Malformed> {
        let bad = |name: &'static str| move |why: &dyn std::fmt::Display| Malformed::member(name, why);
        let label = |why: &bongsu_core::event::BadLabel, name| bad(name)(why);
        let kind = members.kind.filter(|kind| kind != DEFAULT_TYPE);
        Ok(Self {
            id: members.id.map(|id| id.parse()).transpose().map_err(|why| bad("id")(&why))?,
            channel: ChannelName::new(&members.channel).map_err(|why| bad("channel")(&why))?,
            offset: members.offset,
            kind: kind.as_deref().map(EventType::new).transpose().map_err(|why| label(&why, "type"))?,
            time: Millis(members.time),
            key: members.key.as_deref().map(EventKey::new).transpose().map_err(|why| label(&why, "key"))?,
            user: members.user.as_deref().map(UserId::new).transpose().map_err(|why| label(&why, "user"))?,
            data: received_data(members.data, members.data_base64, members.content_type.as_deref())?,
            content_type: members.content_type,
        })
    }
}

/// A `data` of a media type that is not JSON's is text, as a string; any other is JSON.
fn received_data(
    data: Option<&RawValue>,
    base64: Option<String>,
    content_type: Option<&str>,
) -> Result<ReceivedData, Malformed> {
    match (data, base64) {
        (_, Some(base64)) => {
            let bytes = BASE64.decode(base64).map_err(|why| Malformed::member("data_base64", &why))?;
            Ok(ReceivedData::Binary(bytes.into()))
        }
        (Some(data), None) if content_type.is_none_or(media::is_json) => Ok(ReceivedData::Json(data.get().to_owned())),
        (Some(data), None) => Ok(ReceivedData::Text(serde_json::from_str(data.get())?)),
        // `Option<&RawValue>` reads the value `null` as absent.
        (None, None) => Ok(ReceivedData::Json("null".to_owned())),
    }
}

/// Counts how often an object is encoded, per thread of the tests.
#[cfg(test)]
pub(crate) mod count {
    use std::cell::Cell;

    thread_local!(static OBJECTS: Cell<usize> = const { Cell::new(0) });

    pub(crate) fn add() {
        OBJECTS.with(|count| count.set(count.get() + 1));
    }

    pub(crate) fn objects() -> usize {
        OBJECTS.with(Cell::get)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(text: &str) -> ReceivedEvent {
        match parse_object(text.as_bytes()) {
            Ok(Object::Event(event)) => event,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn data_is_what_the_media_type_says() {
        let json = |text: &str| ReceivedData::Json(text.into());
        let text = |text: &str| ReceivedData::Text(text.into());
        let cases = [
            (r#""data": { "a" :1.0}"#, json(r#"{ "a" :1.0}"#)),
            (r#""data":null"#, json("null")),
            (r#""data":"a""#, json(r#""a""#)),
            (r#""content_type":"application/vnd.x+json","data":"a""#, json(r#""a""#)),
            (r#""content_type":"text/plain","data":"a\n\u0000봉""#, text("a\n\0봉")),
            (r#""content_type":"image/svg+xml","data":"<svg/>""#, text("<svg/>")),
            (
                r#""content_type":"image/png","data_base64":"AAEC""#,
                ReceivedData::Binary(Bytes::from_static(&[0, 1, 2])),
            ),
            (r#""data_base64":"","new":[{}]"#, ReceivedData::Binary(Bytes::new())),
        ];
        for (members, data) in cases {
            assert_eq!(event(&format!(r#"{{"channel":"a","time":1,{members}}}"#)).data, data, "{members}");
        }
    }

    #[test]
    fn the_default_type_has_one_form() {
        for (kind, expected) in [("message", None), ("offer", Some("offer"))] {
            let event = event(&format!(r#"{{"type":"{kind}","channel":"a","time":1,"data":1}}"#));
            assert_eq!(event.kind.as_ref().map(EventType::as_str), expected);
        }
    }

    #[test]
    fn what_is_broken_says_which_member() {
        let cases = [
            (r#"{"time":1,"data":1}"#, "missing field `channel` at line 1 column 19"),
            (r#"{"channel":"a b","time":1,"data":1}"#, "`channel`: a channel name cannot contain ' '"),
            (r#"{"channel":"a","time":1,"data":1,"id":"x"}"#, "`id`: not a cursor"),
            (r#"{"channel":"a","time":1,"data":1,"key":""}"#, "`key`: needs at least one character"),
            (r#"{"channel":"a","time":1,"content_type":"text/plain","data":1}"#, "invalid type: integer `1`"),
            (r#"{"channel":"a","time":1,"data_base64":"A"}"#, "`data_base64`: "),
            (r#"{"channel":"a","time":-1,"data":1}"#, "invalid value: integer `-1`"),
            ("[]", "invalid length 0"),
            ("", "EOF while parsing a value at line 1 column 0"),
        ];
        for (text, why) in cases {
            let error = parse_object(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(input in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..64),
            r#"\{"(type|channel|data|\$open)":[{}"a-z0-9,:$\[\]]{0,32}\}"#.prop_map(String::into_bytes),
        ]) {
            let _ = parse_object(&input);
        }
    }
}
