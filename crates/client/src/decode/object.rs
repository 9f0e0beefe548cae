//! One JSON object off the wire: an event, or a control object.
//!
//! The same bytes on all five ways, so the same code for all five.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use bongsu_core::Millis;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cursor::{Cursor, Since};
use crate::event::{Event, RawPayload, decode_base64};
use crate::incoming::{Gap, GapReason};
use crate::problem::Problem;

/// What the server said.
#[derive(Clone, Debug)]
pub(crate) enum Object {
    /// Something was published.
    Event(Event),
    /// The first object of a streaming answer.
    Open(Opened),
    /// The replay has caught up.
    Live(Cursor),
    /// Events are missing.
    Gap(Gap),
    /// A sign of life, and where the reader stands.
    Beat(Cursor),
    /// The last object of a streaming answer.
    Close(Close),
    /// The answer to a command.
    Reply(Reply),
    /// The time to wait before coming back after a cut, out of band (SSE `retry:`).
    Retry(Duration),
    /// The server has taken a `subscribe` command of this client.
    Subscribed(Subscribed),
    /// The server has taken an `unsubscribe` command of this client.
    Unsubscribed(Vec<String>),
    /// A control type that this client does not know: a later server may send it.
    Unknown,
}

/// The content of `$open`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) connection: Option<String>,
    pub(crate) cursor: Option<Cursor>,
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) retry: Option<Duration>,
    pub(crate) replay: Option<u64>,
}

/// The content of `$close`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Close {
    pub(crate) code: u16,
    pub(crate) reason: String,
    pub(crate) reconnect: bool,
    pub(crate) retry: Option<Duration>,
}

/// The content of `$reply`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The `ref` of the command, when it was a number, as all of this client's are.
    pub(crate) reference: Option<u64>,
    /// The result as JSON text, or the problem.
    pub(crate) result: Result<String, Problem>,
}

/// Channels that were added to a connection in mid-flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscribed {
    pub(crate) channels: Vec<String>,
    pub(crate) since: Since,
}

/// Why a text is no object of protocol v1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Malformed {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

fn malformed(why: impl Into<String>) -> Malformed {
    Malformed::new(why)
}

/// Every field of every kind of object. Fields that are not named here are passed over.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    channel: Option<Cow<'a, str>>,
    #[serde(default)]
    offset: Option<u64>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(default)]
    time: Option<u64>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    content_type: Option<String>,
    // Not an Option: that would read `null`, which is a payload like any other, as "no payload".
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data_base64: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    cursor: Option<Cow<'a, str>>,
    #[serde(default)]
    connection: Option<String>,
    #[serde(default)]
    heartbeat_ms: Option<u64>,
    #[serde(default)]
    retry_ms: Option<u64>,
    #[serde(default)]
    replay: Option<u64>,
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
    #[serde(default)]
    code: Option<u16>,
    #[serde(default)]
    reconnect: Option<bool>,
    #[serde(borrow, default, rename = "ref", deserialize_with = "present")]
    reference: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    ok: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<Problem>,
}

fn present<'de, D: serde::Deserializer<'de>>(field: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(field).map(Some)
}

/// Reads one object.
///
/// # Errors
/// It is not JSON, or it lacks what an object of its type must have.
pub(crate) fn decode(text: String) -> Result<Object, Malformed> {
    let fields: Fields<'_> = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
    match fields.kind.as_deref() {
        Some("$open") => fields.open().map(Object::Open),
        Some("$live") => fields.required_cursor().map(Object::Live),
        Some("$beat") => fields.required_cursor().map(Object::Beat),
        Some("$gap") => fields.gap().map(Object::Gap),
        Some("$close") => Ok(Object::Close(fields.close())),
        Some("$reply") => Ok(Object::Reply(fields.reply())),
        Some(other) if other.starts_with('$') => Ok(Object::Unknown),
        _ => {
            let event = fields.event(&text)?;
            Ok(Object::Event(event.with_object(text)))
        }
    }
}

/// An event whose object is still borrowed by its parts.
struct Unfinished(Event);

impl Unfinished {
    fn with_object(self, text: String) -> Event {
        Event { object: text.into_boxed_str(), ..self.0 }
    }
}

impl Fields<'_> {
    fn event(self, text: &str) -> Result<Unfinished, Malformed> {
        let id = self.id.as_deref().map(parse_cursor).transpose()?;
        let payload = match (self.data, &self.data_base64) {
            (Some(data), _) => text_or_json(range_within(data.get(), text), data.get(), self.content_type.as_deref()),
            (None, Some(base64)) => {
                RawPayload::Binary(decode_base64(base64).ok_or_else(|| malformed("`data_base64` is not base64"))?)
            }
            (None, None) => return Err(malformed("an event without `data`")),
        };
        Ok(Unfinished(Event {
            id,
            channel: self.channel.ok_or_else(|| malformed("an event without `channel`"))?.into_owned(),
            offset: self.offset,
            kind: self.kind.map_or_else(|| "message".into(), Cow::into_owned),
            time: Millis(self.time.unwrap_or_default()),
            key: self.key,
            user: self.user,
            content_type: self.content_type,
            object: Box::default(),
            payload,
        }))
    }

    fn open(self) -> Result<Opened, Malformed> {
        Ok(Opened {
            cursor: self.cursor.as_deref().map(parse_cursor).transpose()?,
            connection: self.connection,
            heartbeat: self.heartbeat_ms.map(Duration::from_millis),
            retry: self.retry_ms.map(Duration::from_millis),
            replay: self.replay,
        })
    }

    fn required_cursor(self) -> Result<Cursor, Malformed> {
        let kind = self.kind.as_deref().unwrap_or_default();
        parse_cursor(self.cursor.as_deref().ok_or_else(|| malformed(format!("{kind} without `cursor`")))?)
    }

    fn gap(self) -> Result<Gap, Malformed> {
        Ok(Gap {
            cursor: self.cursor.as_deref().map(parse_cursor).transpose()?,
            channel: self.channel.ok_or_else(|| malformed("$gap without `channel`"))?.into_owned(),
            reason: GapReason::from_wire(self.reason.as_deref().unwrap_or_default()),
        })
    }

    fn close(self) -> Close {
        Close {
            code: self.code.unwrap_or_default(),
            reason: self.reason.map(Cow::into_owned).unwrap_or_default(),
            // A server that does not say otherwise wants its clients back.
            reconnect: self.reconnect.unwrap_or(true),
            retry: self.retry_ms.map(Duration::from_millis),
        }
    }

    fn reply(self) -> Reply {
        let result = match (self.error, self.ok) {
            (Some(problem), _) => Err(problem),
            (None, ok) => Ok(ok.map_or_else(|| "null".into(), |ok| ok.get().to_owned())),
        };
        Reply { reference: self.reference.and_then(|text| text.get().parse().ok()), result }
    }
}

fn parse_cursor(text: &str) -> Result<Cursor, Malformed> {
    text.parse().map_err(|_| malformed(format!("{text:?} is no cursor")))
}

/// "text bodies are a JSON string with `content_type`" (§1): any other value, or a string without a media type or with
/// one of JSON, is JSON.
fn text_or_json(range: Range<usize>, value: &str, content_type: Option<&str>) -> RawPayload {
    let is_text = value.starts_with('"') && content_type.is_some_and(|name| !is_json(name));
    if is_text { RawPayload::Text(range) } else { RawPayload::Json(range) }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

/// Where `part` stands in `whole`, of which it is a slice.
fn range_within(part: &str, whole: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Data;

    fn event(text: &str) -> Event {
        match decode(text.into()) {
            Ok(Object::Event(event)) => event,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn every_field_of_an_event() {
        let text = r#"{"id":"e-18","channel":"rider:42","offset":17,"type":"offer","time":1763683200123,"key":"k","user":"u","data":{"a" :1.0}}"#;
        let event = event(text);
        assert_eq!(event.id.as_ref().map(Cursor::as_str), Some("e-18"));
        assert_eq!((event.channel.as_str(), event.offset, event.kind.as_str()), ("rider:42", Some(17), "offer"));
        assert_eq!(event.time, Millis(1_763_683_200_123));
        assert_eq!((event.key.as_deref(), event.user.as_deref()), (Some("k"), Some("u")));
        assert_eq!(event.data(), Data::Json(r#"{"a" :1.0}"#));
        assert_eq!(event.object(), text);
    }

    #[test]
    fn payloads() {
        let cases = [
            (r#""data":null"#, Data::Json("null")),
            (r#""data":false"#, Data::Json("false")),
            (r#""data":"a""#, Data::Json(r#""a""#)),
            (r#""data":"a","content_type":"application/ld+json; charset=utf-8""#, Data::Json(r#""a""#)),
            (r#""data":"a","content_type":"text/plain""#, Data::Text("a".into())),
            (r#""data":"","content_type":"text/plain""#, Data::Text("".into())),
            (r#""data":"\"\u0000\\\ud83d\ude00","content_type":"text/plain""#, Data::Text("\"\0\\😀".into())),
            (r#""data":"q\"","content_type":"text/plain""#, Data::Text("q\"".into())),
            (r#""data":12345678901234567890.0,"content_type":"text/plain""#, Data::Json("12345678901234567890.0")),
            (r#""data_base64":"AP8=","content_type":"image/png""#, Data::Binary(&[0, 255])),
            (r#""data_base64":"","content_type":"image/png""#, Data::Binary(&[])),
        ];
        for (fields, expected) in cases {
            let event = event(&format!(r#"{{"channel":"a","time":1,{fields}}}"#));
            assert_eq!(event.data(), expected, "{fields}");
        }
    }

    #[test]
    fn payloads_as_values_and_bytes() {
        let number = event(r#"{"channel":"a","data": [1, 2]}"#);
        assert_eq!(number.json::<Vec<u8>>().unwrap(), [1, 2]);
        assert_eq!(&*number.bytes(), b"[1, 2]");
        assert!(number.json::<String>().unwrap_err().to_string().contains("payload of an event of a"));
        let text = event(r#"{"channel":"a","data":"봉\n","content_type":"text/plain"}"#);
        assert_eq!(text.json::<String>().unwrap(), "봉\n");
        assert_eq!(&*text.bytes(), "봉\n".as_bytes());
        let binary = event(r#"{"id":"e-1","channel":"a","data_base64":"AQ=="}"#);
        assert_eq!(&*binary.bytes(), [1]);
        assert!(binary.json::<String>().unwrap_err().to_string().contains("event e-1 is binary"));
    }

    #[test]
    fn control_objects() {
        let cases = [
            (
                r#"{"type":"$open","connection":"c","cursor":"e-1","heartbeat_ms":20000,"retry_ms":7,"replay":2}"#,
                "Open(Opened { connection: Some(\"c\"), cursor: Some(\"e-1\"), heartbeat: Some(20s), retry: Some(7ms), replay: Some(2) })",
            ),
            (r#"{"type":"$live","cursor":"e-1"}"#, "Live(\"e-1\")"),
            (r#"{"type":"$beat","time":5,"cursor":"e-1"}"#, "Beat(\"e-1\")"),
            (
                r#"{"type":"$gap","channel":"a","reason":"expired","cursor":"e-1"}"#,
                "Gap(Gap { channel: \"a\", reason: Expired, cursor: Some(\"e-1\") })",
            ),
            (
                r#"{"type":"$close","code":4003,"reason":"no","reconnect":false,"retry_ms":0}"#,
                "Close(Close { code: 4003, reason: \"no\", reconnect: false, retry: Some(0ns) })",
            ),
            (
                r#"{"type":"$reply","ref":3,"ok":{"a":1}}"#,
                "Reply(Reply { reference: Some(3), result: Ok(\"{\\\"a\\\":1}\") })",
            ),
            (r#"{"type":"$reply","ref":"x"}"#, "Reply(Reply { reference: None, result: Ok(\"null\") })"),
            (r#"{"type":"$join","channel":"a","user":"u"}"#, "Unknown"),
            (r#"{"type":"$later","data":1}"#, "Unknown"),
        ];
        for (text, expected) in cases {
            assert_eq!(format!("{:?}", decode(text.into()).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_object() {
        let cases = [
            ("", "EOF"),
            ("[1]", "invalid type"),
            ("{}", "without `data`"),
            (r#"{"data":1}"#, "without `channel`"),
            (r#"{"id":"a b","channel":"a","data":1}"#, "is no cursor"),
            (r#"{"channel":"a","data_base64":"?"}"#, "not base64"),
            (r#"{"type":"$live"}"#, "$live without `cursor`"),
            (r#"{"type":"$gap","cursor":"e-1"}"#, "without `channel`"),
        ];
        for (text, why) in cases {
            let error = decode(text.into()).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
