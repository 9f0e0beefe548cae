//! Named values of a scenario and their substitution: `${name}` and `${name.member}`.
//!
//! A string that is nothing but one `${…}` becomes the value itself, with its type; inside a longer
//! string the value becomes text. `${n*100}` multiplies, `${#a}` is the full name of the scenario's channel `a`, and
//! `${%x}` is the value percent-encoded for a target. `$${` stands for a plain `${`.

use crate::encode::percent;
use crate::error::{Failure, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Members of a step that are not substituted with the step, but for each object or round.
const DEFERRED: [&str; 3] = ["each", "items", "steps"];

/// The values known at a point of a scenario.
#[derive(Debug, Clone, Default)]
pub struct Vars {
    namespace: String,
    values: BTreeMap<String, Value>,
}

impl Vars {
    /// No values; channels get `namespace` as their last segment.
    #[must_use]
    pub fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), values: BTreeMap::new() }
    }

    /// Sets a value, in place of an older one of the name.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.values.insert(name.to_owned(), value.into());
    }

    /// The full name of a channel of this trial. Scenarios share servers, so each trial's channels
    /// carry its namespace; a leading `=` takes the name as it is.
    #[must_use]
    pub fn channel(&self, local: &str) -> String {
        match local.strip_prefix('=') {
            Some(literal) => literal.to_owned(),
            None => format!("{local}:{}", self.namespace),
        }
    }

    /// Looks a name up, with `.member` steps into objects and arrays.
    pub fn get(&self, path: &str) -> Result<Value> {
        if let Some(local) = path.strip_prefix('#') {
            return Ok(Value::String(self.channel(local)));
        }
        if let Some(inner) = path.strip_prefix('%') {
            return Ok(Value::String(percent(&text(&self.get(inner)?))));
        }
        if let Some((factor, times)) = path.split_once('*') {
            return self.product(factor, times);
        }
        let mut parts = path.split('.');
        let first = parts.next().unwrap_or_default();
        let mut value = self.values.get(first);
        for part in parts {
            value = value.and_then(|v| match part.parse::<usize>() {
                Ok(index) => v.get(index),
                Err(_) => v.get(part),
            });
        }
        value.cloned().ok_or_else(|| {
            let known: Vec<&str> = self.values.keys().map(String::as_str).collect();
            Failure::wrong(format!("no value `{path}`; known: {}", known.join(", ")))
        })
    }

    /// `round*1000`: how far a round has got.
    fn product(&self, name: &str, times: &str) -> Result<Value> {
        let factor = self.get(name)?;
        // Header fields are texts.
        let factor = factor.as_u64().or_else(|| factor.as_str()?.parse().ok());
        factor
            .zip(times.parse::<u64>().ok())
            .and_then(|(a, b)| a.checked_mul(b))
            .map(Value::from)
            .ok_or_else(|| Failure::wrong(format!("not a product of whole numbers: {name}*{times}")))
    }

    /// Substitutes in all strings of a step, but in its deferred members.
    pub fn fill_step(&self, step: &Value) -> Result<Value> {
        let Value::Object(members) = step else { return self.fill(step) };
        let mut out = Map::new();
        for (name, value) in members {
            let deferred = DEFERRED.contains(&name.as_str());
            let value = if deferred { value.clone() } else { self.fill(value)? };
            out.insert(name.clone(), value);
        }
        Ok(Value::Object(out))
    }

    /// Substitutes in all strings of a value.
    pub fn fill(&self, value: &Value) -> Result<Value> {
        Ok(match value {
            Value::String(s) => self.fill_text(s)?,
            Value::Array(items) => Value::Array(items.iter().map(|v| self.fill(v)).collect::<Result<_>>()?),
            Value::Object(members) => {
                let mut out = Map::new();
                for (name, value) in members {
                    out.insert(text(&self.fill_text(name)?), self.fill(value)?);
                }
                Value::Object(out)
            }
            other => other.clone(),
        })
    }

    /// Substitutes in one string.
    pub fn fill_text(&self, template: &str) -> Result<Value> {
        if let Some(name) = whole(template) {
            return self.get(name);
        }
        let mut out = String::new();
        let mut rest = template;
        while let Some(at) = rest.find("${") {
            let (before, from) = rest.split_at(at);
            if let Some(kept) = before.strip_suffix('$') {
                out.push_str(kept);
                out.push_str("${");
                rest = &from[2..];
                continue;
            }
            out.push_str(before);
            let end = from.find('}').ok_or_else(|| Failure::wrong(format!("`${{` without `}}` in {template:?}")))?;
            out.push_str(&text(&self.get(&from[2..end])?));
            rest = &from[end + 1..];
        }
        out.push_str(rest);
        Ok(Value::String(out))
    }
}

/// The name, when the string is one `${name}` and nothing else.
fn whole(template: &str) -> Option<&str> {
    let name = template.strip_prefix("${")?.strip_suffix('}')?;
    (!name.contains('}')).then_some(name)
}

/// A value as text: a string without quotes, everything else as JSON.
#[must_use]
pub fn text(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn vars() -> Vars {
        let mut vars = Vars::new("t1");
        vars.set("n", 5);
        vars.set("field", "7");
        vars.set("p", json!({"id": "a b", "list": [1, 2]}));
        vars
    }

    #[test]
    fn substitution() {
        let cases = [
            ("${n}", json!(5)),
            ("x${n}y${n}", json!("x5y5")),
            ("${p.id}", json!("a b")),
            ("${p.list.1}", json!(2)),
            ("${n*100}", json!(500)),
            ("${field*100}", json!(700)),
            ("${p.list}!", json!("[1,2]!")),
            ("${#a}", json!("a:t1")),
            ("${#=a}", json!("a")),
            ("${%p.id}", json!("a%20b")),
            ("${%#a}", json!("a%3At1")),
            ("$${n}", json!("${n}")),
            ("plain", json!("plain")),
        ];
        for (template, expected) in cases {
            assert_eq!(vars().fill_text(template).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn unknown_and_unfinished_names_are_errors() {
        for bad in ["${m}", "a ${p.nothing}", "a ${n", "${p*2}"] {
            assert!(vars().fill_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_deferred_waits() {
        let step = json!({"a": "${n}", "each": "${i}", "b": {"each": "${n}"}});
        let filled = vars().fill_step(&step).unwrap();
        assert_eq!(filled, json!({"a": 5, "each": "${i}", "b": {"each": 5}}));
    }
}
