//! Events: what a publisher says, numbered by the log.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::channel::ChannelName;
use crate::cursor::Cursor;
use crate::time::Millis;

/// One event of a channel. Made once, shared by every reader.
#[derive(Debug)]
pub struct Event {
    /// The position just after this event. Internal for events that are not [`stored`](Event::stored).
    pub id: Cursor,
    /// The channel it was published to.
    pub channel: ChannelName,
    /// 1, 2, 3… without holes within the channel's epoch; 0 for an event that is not stored.
    pub offset: u64,
    /// When the log took it.
    pub time: Millis,
    /// The type; `None` is the default type, `message`.
    pub kind: Option<EventType>,
    /// Names the thing the event is about, for channels that keep the newest event of each key.
    pub key: Option<EventKey>,
    /// The user who published it, when a client did.
    pub user: Option<UserId>,
    /// Not delivered at or after this time.
    pub expires: Option<Millis>,
    /// What was published.
    pub payload: Payload,
    /// Whether the log keeps it. If not, only readers that were live when it came get it, and it has no public id.
    pub stored: bool,
    /// What the event looks like in each encoding, filled in by the first who needs it.
    pub encoded: Encoded,
}

impl Event {
    /// Whether it must not be delivered any more.
    #[must_use]
    pub fn is_expired(&self, now: Millis) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }

    /// About how many bytes the event holds in memory, encodings included; for memory budgets.
    #[must_use]
    pub fn bytes_in_memory(&self) -> usize {
        let text = |length: Option<usize>| length.unwrap_or(0);
        size_of::<Self>()
            + self.payload.bytes.len()
            + text(self.kind.as_ref().map(|kind| kind.as_str().len()))
            + text(self.key.as_ref().map(|key| key.as_str().len()))
            // The common encodings hold the payload twice more: the object with its SSE frame, and the WebSocket frame.
            + 2 * (self.payload.bytes.len() + 160)
    }
}

/// One slot per [`Encoding`], each written at most once.
#[derive(Debug, Default)]
pub struct Encoded([OnceLock<Bytes>; Encoding::COUNT]);

impl Encoded {
    /// The bytes in one encoding; `make` runs only if nobody needed them before.
    pub fn get_or_make(&self, encoding: Encoding, make: impl FnOnce() -> Bytes) -> &Bytes {
        self.0[encoding as usize].get_or_init(make)
    }
}

/// The forms in which an event leaves the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// The JSON object, bare.
    Object,
    /// The object as a server-sent event.
    Sse,
    /// The object as a line.
    Ndjson,
    /// The object as an unmasked WebSocket text frame.
    WebSocket,
    /// Only the payload, as a server-sent event.
    SseData,
    /// Only the payload, as a line of JSON.
    NdjsonData,
    /// Only the payload, as a WebSocket frame.
    WebSocketData,
}

impl Encoding {
    /// How many encodings there are.
    pub const COUNT: usize = 7;
}

/// What was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// How to read the bytes.
    pub kind: PayloadKind,
    /// The media type the publisher named; `None` means `application/json` for JSON.
    pub content_type: Option<Arc<str>>,
    /// The body. For [`PayloadKind::Json`] one valid JSON text without insignificant white space, with every number
    /// and escape as the publisher wrote it; for [`PayloadKind::Text`] valid UTF-8.
    pub bytes: Bytes,
}

/// The three kinds of payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PayloadKind {
    /// A JSON value.
    Json,
    /// UTF-8 text.
    Text,
    /// Any bytes.
    Binary,
}

/// Why a text is no type, key or user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLabel {
    /// It has no characters.
    Empty,
    /// It has more bytes than allowed: this many, and the limit.
    TooLong(usize, usize),
    /// It has a character that would break a line-based encoding.
    Character(char),
    /// It begins with `$`, which belongs to the server.
    Reserved,
}

impl fmt::Display for BadLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("needs at least one character; leave it out for the default"),
            Self::TooLong(bytes, limit) => write!(f, "has at most {limit} bytes of UTF-8; this one has {bytes}"),
            Self::Character(bad) => write!(f, "cannot contain the control character {bad:?}"),
            Self::Reserved => f.write_str("cannot begin with `$`: such names belong to the server"),
        }
    }
}

impl std::error::Error for BadLabel {}

fn check_label(text: &str, bytes_max: usize, reserved: bool) -> Result<(), BadLabel> {
    if text.is_empty() {
        return Err(BadLabel::Empty);
    }
    if text.len() > bytes_max {
        return Err(BadLabel::TooLong(text.len(), bytes_max));
    }
    // CR, LF and NUL would let a publisher forge SSE fields; the other controls have no use in a label.
    if let Some(bad) = text.chars().find(|c| c.is_control()) {
        return Err(BadLabel::Character(bad));
    }
    if reserved && text.starts_with('$') {
        return Err(BadLabel::Reserved);
    }
    Ok(())
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident, bytes_max $max:literal, dollar_reserved $reserved:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The longest one, in bytes of UTF-8.
            pub const BYTES_MAX: usize = $max;

            /// Checks `text` and takes it.
            ///
            /// # Errors
            /// The text is empty, too long, has a control character or begins with a reserved `$`.
            pub fn new(text: &str) -> Result<Self, BadLabel> {
                check_label(text, Self::BYTES_MAX, $reserved)?;
                Ok(Self(text.into()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

label!(
    /// The type of an event: 1 to 200 bytes of UTF-8 without control characters, not beginning with `$`.
    EventType, bytes_max 200, dollar_reserved true
);
label!(
    /// The key of an event: 1 to 200 bytes of UTF-8 without control characters.
    EventKey, bytes_max 200, dollar_reserved false
);
label!(
    /// The name of a user: 1 to 200 bytes of UTF-8 without control characters.
    UserId, bytes_max 200, dollar_reserved false
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_refuse_what_could_forge_a_line() {
        let cases = [
            ("", BadLabel::Empty),
            ("a\r\ndata: forged", BadLabel::Character('\r')),
            ("a\nb", BadLabel::Character('\n')),
            ("a\0", BadLabel::Character('\0')),
            ("$open", BadLabel::Reserved),
            (&"x".repeat(201), BadLabel::TooLong(201, 200)),
        ];
        for (text, why) in cases {
            assert_eq!(EventType::new(text), Err(why), "{text:?}");
        }
        assert_eq!(EventKey::new("$own").map(|key| key.to_string()).as_deref(), Ok("$own"));
    }

    #[test]
    fn an_encoding_is_made_once() {
        let encoded = Encoded::default();
        let first = encoded.get_or_make(Encoding::Sse, || Bytes::from_static(b"one")).clone();
        let second = encoded.get_or_make(Encoding::Sse, || unreachable!("made already"));
        assert_eq!(&first, second);
    }
}
