//! An event as a subscriber gets it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bongsu_core::Millis;
use serde::de::DeserializeOwned;

use crate::cursor::Cursor;
use crate::error::Error;

/// One event of a channel (§1 of the protocol page).
#[derive(Clone)]
#[non_exhaustive]
pub struct Event {
    /// The cursor just after this event; `None` for an event published with `store=false`.
    pub id: Option<Cursor>,
    /// The channel it was published to.
    pub channel: String,
    /// 1, 2, 3… without holes within the channel's epoch; `None` for an event published with `store=false`.
    pub offset: Option<u64>,
    /// The type; `message` unless the publisher said otherwise.
    pub kind: String,
    /// When the server took it.
    pub time: Millis,
    /// Names the thing the event is about.
    pub key: Option<String>,
    /// The user who published it, when a client did.
    pub user: Option<String>,
    /// The media type of the payload; `None` means `application/json`.
    pub content_type: Option<String>,
    /// The whole object, as it was on the wire.
    pub(crate) object: Box<str>,
    /// Where in `object` the payload stands, and what it is.
    pub(crate) payload: RawPayload,
}

/// The payload within the text of the object.
#[derive(Clone, Debug)]
pub(crate) enum RawPayload {
    /// The value of `data`: a JSON text.
    Json(Range<usize>),
    /// The value of `data`, which is a JSON string that stands for a text.
    Text(Range<usize>),
    /// The value of `data_base64`, decoded when it came so that a broken one is noticed there.
    Binary(Box<[u8]>),
}

/// What was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data<'a> {
    /// A JSON value, as the publisher wrote it.
    Json(&'a str),
    /// A text.
    Text(Cow<'a, str>),
    /// Any bytes.
    Binary(&'a [u8]),
}

impl Event {
    /// The payload.
    #[must_use]
    pub fn data(&self) -> Data<'_> {
        match &self.payload {
            RawPayload::Json(range) => Data::Json(&self.object[range.clone()]),
            RawPayload::Text(range) => Data::Text(unquote(&self.object[range.clone()])),
            RawPayload::Binary(bytes) => Data::Binary(bytes),
        }
    }

    /// The payload as a value of your type: JSON is parsed, a text counts as a JSON string.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage): the payload is of another form, or binary.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let (RawPayload::Json(range) | RawPayload::Text(range)) = &self.payload else {
            return Err(Error::usage(format!("the payload of {} is binary, not JSON", self.name())));
        };
        serde_json::from_str(&self.object[range.clone()])
            .map_err(|error| Error::usage(format!("the payload of {} is of another form: {error}", self.name())))
    }

    /// The payload as bytes: a JSON text, the UTF-8 of a text, or the bytes themselves. What a subscriber by
    /// `format=data` would see.
    #[must_use]
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match self.data() {
            Data::Json(text) => Cow::Borrowed(text.as_bytes()),
            Data::Text(Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
            Data::Text(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
            Data::Binary(bytes) => Cow::Borrowed(bytes),
        }
    }

    /// The whole object, as it was on the wire: one line of JSON.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }

    fn name(&self) -> String {
        match &self.id {
            Some(id) => format!("event {id}"),
            None => format!("an event of {}", self.channel),
        }
    }
}

impl fmt::Debug for Event {
    /// The object itself: it says everything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Event({})", self.object)
    }
}

/// The text that a JSON string stands for.
fn unquote(string: &str) -> Cow<'_, str> {
    let inside = string.trim_matches('"');
    // A string without a backslash is its own text: nothing else is escaped in JSON.
    if !inside.contains('\\') && inside.len() + 2 == string.len() {
        return Cow::Borrowed(inside);
    }
    // The object was parsed when it came, so the string is valid.
    Cow::Owned(serde_json::from_str(string).unwrap_or_default())
}

/// Decodes the value of `data_base64`.
pub(crate) fn decode_base64(text: &str) -> Option<Box<[u8]>> {
    BASE64.decode(text).ok().map(Vec::into_boxed_slice)
}
