//! The answer of the polling ways: many objects and one cursor.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::object::{Malformed, Object, decode};
use crate::cursor::Cursor;

/// A `200` of the polling ways.
#[derive(Clone, Debug)]
pub(crate) struct PollAnswer {
    /// Events and gaps, in order.
    pub(crate) objects: Vec<Object>,
    /// Where to read on.
    pub(crate) cursor: Cursor,
    /// The answer was cut at `limit`.
    pub(crate) more: bool,
    /// When the server would like the next request.
    pub(crate) retry: Option<Duration>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
    cursor: Cursor,
    #[serde(default)]
    more: bool,
    #[serde(default)]
    retry_ms: Option<u64>,
}

/// Reads a polling answer.
///
/// # Errors
/// It is not of that form, or one of its objects is not.
pub(crate) fn decode_answer(body: &[u8]) -> Result<PollAnswer, Malformed> {
    let fields: Fields<'_> = serde_json::from_slice(body).map_err(|error| Malformed::new(error.to_string()))?;
    let objects = fields.events.into_iter().map(|object| decode(object.get().to_owned())).collect::<Result<_, _>>()?;
    Ok(PollAnswer {
        objects,
        cursor: fields.cursor,
        more: fields.more,
        retry: fields.retry_ms.map(Duration::from_millis),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let answer = decode_answer(
            br#"{"events":[{"type":"$gap","channel":"a","reason":"reset","cursor":"e-1"},{"id":"e-2","channel":"a","data":1}],"cursor":"e-2","more":true,"retry_ms":1500}"#,
        )
        .unwrap();
        assert!(matches!(answer.objects[..], [Object::Gap(_), Object::Event(_)]), "{answer:?}");
        assert_eq!(
            (answer.cursor.as_str(), answer.more, answer.retry),
            ("e-2", true, Some(Duration::from_millis(1500)))
        );

        let answer = decode_answer(br#"{"events":[],"cursor":"e-2","more":false}"#).unwrap();
        assert!(answer.objects.is_empty() && !answer.more && answer.retry.is_none());

        for body in ["", "[]", r#"{"events":[]}"#, r#"{"cursor":"e-1"}"#, r#"{"events":[{}],"cursor":"e-1"}"#] {
            assert!(decode_answer(body.as_bytes()).is_err(), "{body}");
        }
    }
}
