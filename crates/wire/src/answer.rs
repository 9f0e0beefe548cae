//! The body of a polling answer: events that are encoded already, and where to go on.

use std::time::Duration;

use bongsu_core::Cursor;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::Malformed;
use crate::event::{Object, parse_object};

/// Puts an answer together: `{"events":[…],"cursor":"…","more":false,"retry_ms":…}`.
///
/// `elements` come from [`framing`](crate::framing), events and gaps in their order; `more` says that the answer was cut
/// at its limit; `retry` is when to ask again.
#[must_use]
pub fn encode(elements: &[Bytes], cursor: Cursor, more: bool, retry: Duration) -> Bytes {
    let tail = format!("],\"cursor\":\"{cursor}\",\"more\":{more},\"retry_ms\":{}}}", retry.as_millis());
    let head = b"{\"events\":[";
    let commas = elements.len().saturating_sub(1);
    let events = elements.iter().map(Bytes::len).sum::<usize>();
    let mut out = Vec::with_capacity(head.len() + events + commas + tail.len());
    out.extend_from_slice(head);
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(element);
    }
    out.extend_from_slice(tail.as_bytes());
    out.into()
}

/// A polling answer as a client receives it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Events and gaps, in order.
    pub objects: Vec<Object>,
    /// Where to go on.
    pub cursor: Cursor,
    /// Whether there is more already.
    pub more: bool,
    /// When to ask again.
    pub retry: Duration,
}

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
    cursor: String,
    #[serde(default)]
    more: bool,
    #[serde(default)]
    retry_ms: u64,
}

/// Reads a polling answer. Members that are not known are ignored.
///
/// # Errors
/// It is no such object, or one of its events is none.
pub fn parse(bytes: &[u8]) -> Result<Answer, Malformed> {
    let Members { events, cursor, more, retry_ms } = serde_json::from_slice(bytes)?;
    let objects = events.into_iter().map(|event| parse_object(event.get().as_bytes()));
    Ok(Answer {
        objects: objects.collect::<Result<_, _>>()?,
        cursor: cursor.parse().map_err(|why| Malformed::member("cursor", &why))?,
        more,
        retry: Duration::from_millis(retry_ms),
    })
}

#[cfg(test)]
mod tests {
    use bongsu_core::{Control, Epoch, Seq};

    use super::*;

    #[test]
    fn answers_have_one_form_and_come_back() {
        let live = Bytes::from_static(br#"{"type":"$live","cursor":"00000001-7"}"#);
        let cursor = Cursor::new(Epoch::from_random(1), Seq(7));
        let cases = [
            (0, false, 1500, r#"{"events":[],"cursor":"00000001-7","more":false,"retry_ms":1500}"#),
            (
                1,
                true,
                0,
                r#"{"events":[{"type":"$live","cursor":"00000001-7"}],"cursor":"00000001-7","more":true,"retry_ms":0}"#,
            ),
            (
                2,
                false,
                1,
                r#"{"events":[{"type":"$live","cursor":"00000001-7"},{"type":"$live","cursor":"00000001-7"}],"cursor":"00000001-7","more":false,"retry_ms":1}"#,
            ),
        ];
        for (count, more, retry_ms, text) in cases {
            let retry = Duration::from_millis(retry_ms);
            let body = encode(&vec![live.clone(); count], cursor, more, retry);
            assert_eq!(body, text);
            let objects = vec![Object::Control(Control::Live { cursor }); count];
            assert_eq!(parse(&body), Ok(Answer { objects, cursor, more, retry }));
            let buffer: Vec<u8> = body.into();
            assert_eq!(buffer.len(), buffer.capacity());
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for text in ["", "[]", "{}", r#"{"events":[1],"cursor":"00000001-7"}"#, r#"{"events":[],"cursor":"x"}"#] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
