//! One object as a reader saw it: its very bytes, its value, and what the framing said about it.

use crate::error::{Failure, Result};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// How the object was framed, where that says anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Framing {
    /// SSE: the `id:` line of this event.
    pub sse_id: Option<String>,
    /// SSE: the `event:` line.
    pub sse_event: Option<String>,
    /// WebSocket: whether it was a binary frame.
    pub binary: bool,
}

/// An event, a control object, or a bare payload (`format=data`).
#[derive(Debug, Clone)]
pub struct Item {
    /// The bytes of the object exactly as sent.
    pub raw: Vec<u8>,
    /// The parsed object; `Null` for a payload that is no JSON.
    pub value: Value,
    /// The bytes of the `data` member, if there is one.
    pub raw_data: Option<String>,
    /// What the framing said.
    pub framing: Framing,
    /// Whether this is a bare payload.
    pub payload: bool,
}

impl Item {
    /// Parses an event or control object.
    pub fn object(raw: &[u8], framing: Framing) -> Result<Self> {
        let cut = || crate::transcript::shorten(&String::from_utf8_lossy(raw));
        let members: Members<'_> = serde_json::from_slice(raw)
            .map_err(|e| Failure::wrong(format!("an object is no JSON object ({e}): {}", cut())))?;
        let raw_data = members.0.iter().find(|(k, _)| k == "data");
        Ok(Self {
            raw: raw.to_vec(),
            value: members.value()?,
            raw_data: raw_data.map(|(_, v)| v.get().to_owned()),
            framing,
            payload: false,
        })
    }

    /// A bare payload, as `format=data` gives it.
    #[must_use]
    pub fn payload(raw: &[u8], framing: Framing) -> Self {
        Self {
            raw: raw.to_vec(),
            value: serde_json::from_slice(raw).unwrap_or(Value::Null),
            raw_data: None,
            framing,
            payload: true,
        }
    }

    /// The `type` member; `message` when absent.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text("type").unwrap_or("message")
    }

    /// Whether this is a control object.
    #[must_use]
    pub fn is_control(&self) -> bool {
        !self.payload && self.kind().starts_with('$')
    }

    /// A string member.
    #[must_use]
    pub fn text(&self, member: &str) -> Option<&str> {
        self.value.get(member).and_then(Value::as_str)
    }

    /// The value patterns are held against: the object with what only its bytes and its framing
    /// tell, under names in angle brackets that no real member has.
    #[must_use]
    pub fn seen(&self) -> Value {
        let mut seen = match &self.value {
            Value::Object(members) if !self.payload => members.clone(),
            other => Map::from_iter([("<payload>".to_owned(), other.clone())]),
        };
        let mut put = |name: &str, text: Option<String>| {
            if let Some(text) = text {
                seen.insert(name.to_owned(), Value::String(text));
            }
        };
        put("<raw>", std::str::from_utf8(&self.raw).ok().map(str::to_owned));
        put("<raw data>", self.raw_data.as_deref().map(crate::encode::minify));
        put("<sse id>", self.framing.sse_id.clone());
        put("<sse event>", self.framing.sse_event.clone());
        let frame = if self.framing.binary { "binary" } else { "text" };
        put("<frame>", Some(frame.to_owned()));
        if self.framing.binary {
            use base64::Engine as _;
            let text = base64::engine::general_purpose::STANDARD.encode(&self.raw);
            put("<base64>", Some(text));
        }
        Value::Object(seen)
    }

    /// The object as text, for a transcript.
    #[must_use]
    pub fn show(&self) -> String {
        String::from_utf8_lossy(&self.raw).into_owned()
    }
}

/// The members of an object in order, values as the bytes that were sent.
///
/// Its own type because a map would hide a member that is sent twice.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl Members<'_> {
    fn value(&self) -> Result<Value> {
        let mut map = Map::new();
        for (name, raw) in &self.0 {
            let value = member_value(raw)?;
            if map.insert(name.clone(), value).is_some() {
                return Err(Failure::wrong(format!("member `{name}` is sent twice")));
            }
        }
        Ok(Value::Object(map))
    }
}

/// Payloads may hold numbers that fit no number type; they are then kept as their text.
fn member_value(raw: &RawValue) -> Result<Value> {
    match serde_json::from_str(raw.get()) {
        Ok(value) => Ok(value),
        Err(e) if e.to_string().contains("out of range") => Ok(Value::String(raw.get().to_owned())),
        Err(e) => Err(e.into()),
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_data_are_kept() {
        let raw = br#"{"id":"a","data":{"x":1, "x":2,"big":12345678901234567890123}}"#;
        let item = Item::object(raw, Framing::default()).unwrap();
        let data = r#"{"x":1,"x":2,"big":12345678901234567890123}"#;
        assert_eq!(item.seen()["<raw data>"], data);
        assert_eq!((item.kind(), item.is_control()), ("message", false));
    }

    #[test]
    fn a_member_sent_twice_is_noticed() {
        assert!(Item::object(br#"{"id":"a","id":"a"}"#, Framing::default()).is_err());
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for bad in [&b"[]"[..], b"1", b"{", b"{}x", b"\"\xff\""] {
            assert!(Item::object(bad, Framing::default()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_payload_is_not_taken_for_a_control() {
        let item = Item::payload(br#"{"type":"$open"}"#, Framing::default());
        assert!(!item.is_control());
        assert_eq!(item.seen()["<payload>"]["type"], "$open");
    }
}
