//! Breaks scenarios on purpose: one expectation at a time, so that each can be seen to fail.
//!
//! An expectation that can be changed without anybody noticing guards nothing. Knows which members
//! of a step are expectations, and nothing about what they mean.

use crate::scenario::Trial;
use serde_json::Value;
use std::sync::Arc;

/// The members of steps that say what has to come.
const EXPECTATIONS: [&str; 8] = ["answers", "code", "each", "expect", "head", "items", "pong", "text"];
/// Seconds that are enough to notice, and that a mutant may waste.
const TIMEOUT_S: u64 = 10;

/// All single changes of the expectations of a trial, each as a trial of its own.
#[must_use]
pub fn mutants(trial: &Trial) -> Vec<Trial> {
    let mut places = Vec::new();
    for (n, step) in trial.scenario.steps.iter().enumerate() {
        for name in EXPECTATIONS.iter().filter(|name| is_expectation(step, name)) {
            if applies(trial, step) {
                leaves(&step[*name], &format!("/{n}/{name}"), &mut places);
            }
        }
    }
    places.iter().filter_map(|place| mutant(trial, place)).collect()
}

fn is_expectation(step: &Value, name: &str) -> bool {
    let has = |verb: &str| step.get(verb).is_some();
    match name {
        "text" => has("message"),
        "each" => has("receive_many"),
        "code" => has("receive_close"),
        _ => has(name),
    }
}

/// Whether the step is taken at all on the trial's way, and judged once: what `eventually` looks at
/// may be as a changed expectation wants it on the way to what it becomes.
fn applies(trial: &Trial, step: &Value) -> bool {
    if step.get("eventually").is_some() {
        return false;
    }
    let when = step.get("when").and_then(Value::as_array);
    when.is_none_or(|ways| trial.way.is_some_and(|way| ways.iter().any(|w| w == way.name())))
}

/// JSON pointers of everything that can be changed.
fn leaves(value: &Value, at: &str, places: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                leaves(value, &format!("{at}/{name}"), places);
            }
        }
        Value::Array(items) => {
            places.push(at.to_owned());
            for (n, item) in items.iter().enumerate() {
                leaves(item, &format!("{at}/{n}"), places);
            }
        }
        _ => places.push(at.to_owned()),
    }
}

fn mutant(trial: &Trial, place: &str) -> Option<Trial> {
    let mut scenario = (*trial.scenario).clone();
    let mut steps = Value::Array(std::mem::take(&mut scenario.steps));
    let value = steps.pointer_mut(place)?;
    *value = changed(value, place)?;
    let Value::Array(steps) = steps else { return None };
    scenario.steps = steps;
    (scenario.timeout_s, scenario.attempts) = (TIMEOUT_S, 1);
    Some(Trial { name: format!("{} with another {place}", trial.name), scenario: Arc::new(scenario), ..trial.clone() })
}

/// Another value of the same kind; `None` where a change would change nothing that is expected.
fn changed(value: &Value, place: &str) -> Option<Value> {
    // One of several good statuses may be missing; and what is captured is used, not judged.
    if place.contains("/statuses/") {
        return None;
    }
    Some(match value {
        Value::Bool(b) => Value::Bool(!b),
        Value::Number(n) => Value::from(n.as_i64()? + 1),
        Value::String(s) if s.starts_with('<') && s.ends_with('>') && !s.starts_with("<<") => match s.as_str() {
            "<absent>" => "<any>".into(),
            _ if s.contains(" as ") => return None,
            _ => "<absent>".into(),
        },
        Value::String(s) => Value::String(format!("{s}x")),
        Value::Array(_) if place.ends_with("/statuses") => serde_json::json!([599]),
        Value::Array(items) => {
            let mut items = items.clone();
            items.push("nothing like this".into());
            Value::Array(items)
        }
        Value::Null | Value::Object(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_expectation_is_changed_once() {
        let text = r#"
            [[scenario]]
            name = "s"
            promise = "§2: w"
            ways = ["sse"]
            steps = [
              { publish = "a", body = "1", expect = { json = { offset = 1 } } },
              { receive = "r", items = [{ offset = 1, x = "<absent>", y = "<cursor as c>" }] },
              { when = ["poll"], receive = "r", items = [{ offset = 2 }] },
              { send = "r", text = "hello" },
            ]
        "#;
        let trial = &crate::scenario::parse("t", text).unwrap()[0];
        let names: Vec<String> = mutants(trial).into_iter().map(|t| t.name).collect();
        let expected = ["/0/expect/json/offset", "/1/items", "/1/items/0/offset", "/1/items/0/x"];
        for place in expected {
            assert!(names.iter().any(|n| n.ends_with(place)), "{place} in {names:?}");
        }
        assert_eq!(names.len(), expected.len());
    }
}
