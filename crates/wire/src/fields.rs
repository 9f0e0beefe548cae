//! JSON objects that people write: their fields by name, and refusals that say which field and why.
//!
//! The values stay the text they are until they are asked for, so that `data` is not parsed and written again. It
//! knows no object by its fields; those are listed by who asks.

use std::fmt;
use std::ops::RangeInclusive;

use bongsu_core::{ErrorCode, Problem};
use serde::Deserializer as _;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::bad_json;
use crate::nearest::{all, unknown};

/// What to do with a field that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    /// It is an error that names the nearest.
    Refuse,
    /// It is passed over, where another specification allows extensions.
    Ignore,
}

/// The known fields of one object.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    known: &'static [&'static str],
    values: Vec<Option<&'a RawValue>>,
}

/// The problem of a field with a value it cannot have.
pub(crate) fn bad_field(detail: impl Into<String>) -> Problem {
    Problem::new(ErrorCode::BadField, detail)
}

impl<'a> Fields<'a> {
    /// Reads the object in `text`. `what` names it in errors, with its article.
    ///
    /// Memory is bounded by `known`: what comes after an unknown field is only skipped.
    pub(crate) fn read(
        what: &str,
        text: &'a str,
        known: &'static [&'static str],
        others: Others,
    ) -> Result<Self, Problem> {
        let first = kind_of(text);
        if first != Kind::Object {
            serde_json::from_str::<IgnoredAny>(text).map_err(|error| bad_json(error.to_string()))?;
            let detail = format!("{what} must be a JSON object; this is {}", first.name());
            return Err(Problem::new(ErrorCode::BadRequest, detail));
        }
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let read = deserializer.deserialize_map(FieldsVisitor { known, others });
        let read = read.and_then(|fields| deserializer.end().map(|()| fields));
        read.map_err(|error| bad_json(error.to_string()))?
    }

    /// The value of a field, as it was written. `null` is a value.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let index = self.known.iter().position(|known| *known == name)?;
        self.values.get(index).copied().flatten()
    }

    /// The value of a field that can be left out; `null` means that, too.
    fn optional<T: DeserializeOwned>(&self, name: &str, allowed: &dyn fmt::Display) -> Result<Option<T>, Problem> {
        match self.raw(name) {
            None => Ok(None),
            Some(raw) => from_raw(name, raw, allowed),
        }
    }

    /// A string, if it is there.
    pub(crate) fn string(&self, name: &str) -> Result<Option<String>, Problem> {
        self.optional(name, &"a string")
    }

    /// `true` or `false`, if it is there.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, Problem> {
        self.optional(name, &"`true` or `false`")
    }

    /// A whole number within `range`, if it is there.
    pub(crate) fn number(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Problem> {
        let allowed = format!("a whole number from {} to {}", range.start(), range.end());
        match self.optional::<u64>(name, &allowed)? {
            Some(number) if !range.contains(&number) => Err(bad_value(name, &number.to_string(), &allowed)),
            number => Ok(number),
        }
    }

    /// A list, if it is there. Each element is the text it was.
    pub(crate) fn list(&self, name: &str, elements_max: usize) -> Result<Option<List<'a>>, Problem> {
        match self.raw(name).map(RawValue::get).filter(|text| kind_of(text) != Kind::Null) {
            None => Ok(None),
            Some(text) if kind_of(text) == Kind::Array => list(text, elements_max).map(Some),
            Some(text) => Err(bad_value(name, kind_of(text).name(), "a list")),
        }
    }
}

/// The value of `raw`; `None` for `null`.
pub(crate) fn from_raw<T: DeserializeOwned>(
    name: &str,
    raw: &RawValue,
    allowed: &dyn fmt::Display,
) -> Result<Option<T>, Problem> {
    serde_json::from_str(raw.get()).map_err(|_| {
        let short = raw.get().len() <= 64;
        let said = if short { format!("`{}`", raw.get()) } else { kind_of(raw.get()).name().to_owned() };
        bad_field(format!("`{name}` is {said}; it must be {allowed}"))
    })
}

fn bad_value(name: &str, said: &str, allowed: &str) -> Problem {
    bad_field(format!("`{name}` is {said}; it must be {allowed}"))
}

/// What a JSON text is, by its first character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    String,
    Number,
    Boolean,
    Null,
    /// No JSON begins like this.
    Nothing,
}

impl Kind {
    /// The kind with its article.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "a list",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::Null => "`null`",
            Self::Nothing => "no JSON",
        }
    }
}

/// What the JSON in `text` must be if it is any.
pub(crate) fn kind_of(text: &str) -> Kind {
    match text.bytes().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b'-' | b'0'..=b'9') => Kind::Number,
        Some(b't' | b'f') => Kind::Boolean,
        Some(b'n') => Kind::Null,
        _ => Kind::Nothing,
    }
}

/// The elements of a JSON array, up to a bound, and how many there are in truth.
#[derive(Debug)]
pub(crate) struct List<'a> {
    pub(crate) elements: Vec<&'a RawValue>,
    pub(crate) count: usize,
}

/// Reads the array in `text`, at most `elements_max` elements of it; the others are only counted.
pub(crate) fn list(text: &str, elements_max: usize) -> Result<List<'_>, Problem> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = deserializer.deserialize_seq(ListVisitor(elements_max));
    let read = read.and_then(|list| deserializer.end().map(|()| list));
    read.map_err(|error| bad_json(error.to_string()))
}

struct FieldsVisitor {
    known: &'static [&'static str],
    others: Others,
}

impl<'de> Visitor<'de> for FieldsVisitor {
    // The outer error is broken syntax, the inner one a field that should not be there.
    type Value = Result<Fields<'de>, Problem>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields { known: self.known, values: vec![None; self.known.len()] };
        let mut problem = None;
        while let Some(name) = map.next_key::<String>()? {
            let slot = self.known.iter().position(|known| *known == name).and_then(|at| fields.values.get_mut(at));
            match slot {
                Some(slot @ None) => *slot = Some(map.next_value()?),
                Some(Some(_)) => {
                    problem.get_or_insert_with(|| bad_field(format!("`{name}` is given more than once")));
                    map.next_value::<IgnoredAny>()?;
                }
                None => {
                    if self.others == Others::Refuse {
                        problem.get_or_insert_with(|| unknown_field(&name, self.known));
                    }
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(problem.map_or(Ok(fields), Err))
    }
}

fn unknown_field(name: &str, known: &[&str]) -> Problem {
    Problem::new(ErrorCode::UnknownField, unknown("field", name, known)).hint(all("Allowed here", known))
}

struct ListVisitor(usize);

impl<'de> Visitor<'de> for ListVisitor {
    type Value = List<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while elements.len() < self.0 {
            match seq.next_element()? {
                Some(element) => elements.push(element),
                None => return Ok(List { count: elements.len(), elements }),
            }
        }
        let mut count = elements.len();
        while seq.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(List { elements, count })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KNOWN: &[&str] = &["name", "data", "size", "flag", "list"];

    fn read(text: &str) -> Result<Fields<'_>, Problem> {
        Fields::read("an event", text, KNOWN, Others::Refuse)
    }

    #[test]
    fn values_come_as_they_are() {
        let fields =
            read(r#" {"size":7,"data": { "a" : 1.0 } ,"n\u0061me":"x\ny","flag":null,"list":[1, "b"]} "#).unwrap();
        assert_eq!(fields.raw("data").map(RawValue::get), Some(r#"{ "a" : 1.0 }"#));
        assert_eq!(fields.string("name").unwrap().as_deref(), Some("x\ny"));
        assert_eq!(fields.number("size", 1..=7), Ok(Some(7)));
        assert_eq!(fields.boolean("flag"), Ok(None));
        let list = fields.list("list", 1).unwrap().unwrap();
        assert_eq!((list.elements[0].get(), list.elements.len(), list.count), ("1", 1, 2));
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let string = |text: &str| read(text)?.string("name").map(|_| ());
        let number = |text: &str| read(text)?.number("size", 1..=7).map(|_| ());
        let long = format!(r#"{{"name":["{}"]}}"#, "x".repeat(100));
        let cases = [
            (string("[]"), "bad_request: an event must be a JSON object; this is a list"),
            (string("5"), "bad_request: an event must be a JSON object; this is a number"),
            (string(""), "bad_json: EOF while parsing a value at line 1 column 0"),
            (string("name"), "bad_json: expected ident at line 1 column 2"),
            (string("xyz"), "bad_json: expected value at line 1 column 1"),
            (string("{\"name\":\n1,}"), "bad_json: trailing comma at line 2 column 3"),
            (string("{} {}"), "bad_json: trailing characters at line 1 column 4"),
            (string(r#"{"nmae":1,"name":2}"#), "unknown_field: there is no field `nmae`; did you mean `name`?"),
            (string(r#"{"name":"","name":""}"#), "bad_field: `name` is given more than once"),
            (string(r#"{"name":5}"#), "bad_field: `name` is `5`; it must be a string"),
            (string(r#"{"name":"\ud800"}"#), "bad_field: `name` is `\"\\ud800\"`; it must be a string"),
            (string(&long), "bad_field: `name` is a list; it must be a string"),
            (number(r#"{"size":8}"#), "bad_field: `size` is 8; it must be a whole number from 1 to 7"),
            (number(r#"{"size":"1"}"#), "bad_field: `size` is `\"1\"`; it must be a whole number from 1 to 7"),
            (number(r#"{"size":1.5}"#), "bad_field: `size` is `1.5`; it must be a whole number from 1 to 7"),
            (number(r#"{"size":-1}"#), "bad_field: `size` is `-1`; it must be a whole number from 1 to 7"),
        ];
        for (result, expected) in cases {
            let problem = result.unwrap_err().to_string();
            assert!(problem.starts_with(expected), "{problem}");
        }
    }

    #[test]
    fn extensions_are_ignored_where_they_are_allowed() {
        let text = r#"{"ext":{"name":1},"name":"a"}"#;
        let fields = Fields::read("an event", text, KNOWN, Others::Ignore).unwrap();
        assert_eq!(fields.string("name").unwrap().as_deref(), Some("a"));
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(text in prop_oneof![
            any::<String>(),
            r#"\{("(name|data|list|x)":[\[\]{}"a-z0-9]{0,6},?){0,3}\}"#,
        ]) {
            if let Ok(fields) = read(&text) {
                let _ = (fields.string("name"), fields.list("list", 2), fields.number("size", 0..=1));
            }
            let _ = list(&text, 2);
        }
    }
}
