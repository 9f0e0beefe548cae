//! What is published: an event before the server has taken it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::chance;
use crate::error::Error;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";

/// One event to publish, for batches, streams and commands. [`Client::publish`](crate::Client::publish) makes a single
/// one by the same words.
///
/// ```
/// use bongsu_client::Publication;
///
/// let publication = Publication::new("shop:7").text("ready").kind("order").key("41");
/// assert_eq!(
///     serde_json::to_string(&publication)?,
///     r#"{"channel":"shop:7","type":"order","key":"41","content_type":"text/plain","data":"ready"}"#
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Publication {
    channel: String,
    payload: Result<Payload, Error>,
    kind: Option<String>,
    key: Option<String>,
    ttl: Option<u64>,
    store: bool,
    idempotency_key: Option<String>,
}

#[derive(Clone, Debug)]
enum Payload {
    Json(Box<RawValue>),
    Text { text: String, content_type: String },
    Bytes { bytes: Bytes, content_type: String },
}

/// What bytes of a media type are. A body says it by its media type alone; within an object, text and JSON have to
/// stand as what they are.
enum Meant<'a> {
    Json(&'a RawValue),
    Text(&'a str),
    Binary,
}

impl<'a> Meant<'a> {
    /// What `bytes` are, or why they cannot be what `content_type` says.
    fn by(bytes: &'a [u8], content_type: &str) -> Result<Self, String> {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if essence == JSON || essence.ends_with("+json") {
            let value = serde_json::from_slice(bytes);
            return value
                .map(Self::Json)
                .map_err(|error| format!("the payload is no JSON, as {essence} says: {error}"));
        }
        if essence.starts_with("text/") {
            let text = std::str::from_utf8(bytes);
            return text
                .map(Self::Text)
                .map_err(|error| format!("the payload is no UTF-8 text, as {essence} says: {error}"));
        }
        Ok(Self::Binary)
    }
}

impl Publication {
    /// An event for `channel`, still without a payload.
    pub fn new(channel: impl Into<String>) -> Self {
        Self {
            channel: channel.into(),
            payload: Err(Error::usage("there is nothing to publish: say what with `json`, `text` or `bytes`")),
            kind: None,
            key: None,
            ttl: None,
            store: true,
            idempotency_key: None,
        }
    }

    /// The payload is `value` as JSON.
    pub fn json(mut self, value: &(impl Serialize + ?Sized)) -> Self {
        self.payload = serde_json::value::to_raw_value(value)
            .map(Payload::Json)
            .map_err(|error| Error::usage(format!("the payload cannot be written as JSON: {error}")));
        self
    }

    /// The payload is a JSON text that exists already. It is sent as it is.
    pub fn json_text(mut self, text: impl Into<String>) -> Self {
        self.payload = RawValue::from_string(text.into())
            .map(Payload::Json)
            .map_err(|error| Error::usage(format!("the payload is no JSON: {error}")));
        self
    }

    /// The payload is a text.
    pub fn text(self, text: impl Into<String>) -> Self {
        self.text_of(text, TEXT)
    }

    /// The payload is a text of the media type `content_type`, which need not be one of `text/*`: XML is a text too.
    pub fn text_of(mut self, text: impl Into<String>, content_type: impl Into<String>) -> Self {
        self.payload = Ok(Payload::Text { text: text.into(), content_type: content_type.into() });
        self
    }

    /// The payload is bytes of the media type `content_type`. If that is JSON's, or a text's, the server takes them for
    /// such.
    pub fn bytes(mut self, bytes: impl Into<Bytes>, content_type: impl Into<String>) -> Self {
        self.payload = Ok(Payload::Bytes { bytes: bytes.into(), content_type: content_type.into() });
        self
    }

    /// The type of the event; without it `message`.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Names the thing the event is about, for channels that keep the newest event of each key.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The event is not delivered any more after this time, rounded up to whole seconds.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0));
        self
    }

    /// With `false` the event is for those who read at this moment, and is not kept.
    pub fn store(mut self, store: bool) -> Self {
        self.store = store;
        self
    }

    /// Names this publish: the server takes it once, however often it comes under this name (1 to 255 bytes) within
    /// its window. Without it a name is made up where the client sends again by itself.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Gives it a name if it has none.
    pub(crate) fn named(mut self) -> Self {
        self.idempotency_key.get_or_insert_with(chance::unique_key);
        self
    }

    /// Itself, if it can be sent as an object.
    pub(crate) fn checked(self) -> Result<Self, Error> {
        match &self.payload {
            Ok(Payload::Bytes { bytes, content_type }) => {
                Meant::by(bytes, content_type).map_err(Error::usage)?;
                Ok(self)
            }
            Ok(_) => Ok(self),
            Err(error) => Err(error.clone()),
        }
    }

    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.idempotency_key.as_deref()
    }

    /// The parameters that stand in the query when the payload is the body.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&'static str, String)> {
        let store = (!self.store).then(|| "false".to_owned());
        let ttl = self.ttl.map(|ttl| ttl.to_string());
        let all = [("type", self.kind.clone()), ("key", self.key.clone()), ("ttl", ttl), ("store", store)];
        all.into_iter().filter_map(|(name, value)| value.map(|value| (name, value)))
    }

    /// The payload as a body, with its media type.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn body(&self) -> Result<(Bytes, &str), Error> {
        Ok(match self.payload.as_ref().map_err(Clone::clone)? {
            Payload::Json(value) => (Bytes::copy_from_slice(value.get().as_bytes()), JSON),
            Payload::Text { text, content_type } => (Bytes::copy_from_slice(text.as_bytes()), content_type),
            Payload::Bytes { bytes, content_type } => (bytes.clone(), content_type),
        })
    }
}

impl Serialize for Publication {
    /// The form of `POST /v1/events` and of the `publish` command (§3 and §5 of the protocol page).
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("channel", &self.channel)?;
        let optional = [("type", &self.kind), ("key", &self.key)];
        for (name, value) in optional {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        if let Some(ttl) = self.ttl {
            map.serialize_entry("ttl", &ttl)?;
        }
        if !self.store {
            map.serialize_entry("store", &false)?;
        }
        if let Some(key) = &self.idempotency_key {
            map.serialize_entry("idempotency_key", key)?;
        }
        match self.payload.as_ref().map_err(serde::ser::Error::custom)? {
            Payload::Json(value) => map.serialize_entry("data", value)?,
            Payload::Text { text, content_type } => {
                map.serialize_entry("content_type", content_type)?;
                map.serialize_entry("data", text)?;
            }
            Payload::Bytes { bytes, content_type } => {
                map.serialize_entry("content_type", content_type)?;
                match Meant::by(bytes, content_type).map_err(serde::ser::Error::custom)? {
                    Meant::Json(value) => map.serialize_entry("data", value)?,
                    Meant::Text(text) => map.serialize_entry("data", text)?,
                    Meant::Binary => map.serialize_entry("data_base64", &BASE64.encode(bytes))?,
                }
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publications_on_the_wire() {
        let new = || Publication::new("a");
        let cases = [
            (new().json(&[1, 2]), r#"{"channel":"a","data":[1,2]}"#),
            (new().json_text(r#"{"a": 1.0}"#), r#"{"channel":"a","data":{"a": 1.0}}"#),
            (
                new().text("\"").key("k").kind("t"),
                r#"{"channel":"a","type":"t","key":"k","content_type":"text/plain","data":"\""}"#,
            ),
            (
                new().bytes(&[0, 255][..], "image/png").store(false).idempotency_key("i"),
                r#"{"channel":"a","store":false,"idempotency_key":"i","content_type":"image/png","data_base64":"AP8="}"#,
            ),
            (
                new().text_of("<p/>", "application/xml"),
                r#"{"channel":"a","content_type":"application/xml","data":"<p/>"}"#,
            ),
            (new().bytes("<p>", "Text/html; a=b"), r#"{"channel":"a","content_type":"Text/html; a=b","data":"<p>"}"#),
            (new().bytes("[1]", "a/b+json"), r#"{"channel":"a","content_type":"a/b+json","data":[1]}"#),
            (new().json(&()).ttl(Duration::from_millis(1001)), r#"{"channel":"a","ttl":2,"data":null}"#),
            (new().json(&()).ttl(Duration::from_secs(3)), r#"{"channel":"a","ttl":3,"data":null}"#),
        ];
        for (publication, expected) in cases {
            assert_eq!(serde_json::to_string(&publication).unwrap(), expected);
        }
    }

    #[test]
    fn what_cannot_be_published() {
        let no_json = std::collections::HashMap::from([((1, 2), 3)]);
        for (publication, why) in [
            (Publication::new("a"), "nothing to publish"),
            (Publication::new("a").json_text("{"), "no JSON"),
            (Publication::new("a").json(&no_json), "cannot be written as JSON"),
            (Publication::new("a").bytes("{", "application/json"), "no JSON, as application/json says"),
            (Publication::new("a").bytes(&b"\xff"[..], "text/html"), "no UTF-8 text, as text/html says"),
        ] {
            let error = publication.checked().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_name_is_made_up_once() {
        let named = Publication::new("a").text("x").named();
        let name = named.name().unwrap().to_owned();
        assert_eq!(named.named().name(), Some(name.as_str()));
        assert_eq!(Publication::new("a").idempotency_key("mine").named().name(), Some("mine"));
    }
}
