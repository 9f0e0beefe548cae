//! Patterns: expected values with holes, held against what came.
//!
//! Objects match when every member of the pattern matches (others may be there; `"<keys>"` lists
//! them all), arrays when they have the same length, everything else when it is equal. A string in
//! angle brackets is a hole, see `holds` below; `<… as name>` also keeps the value under that name.

use crate::error::{Failure, Result};
use crate::vars::{Vars, text};
use serde_json::{Map, Value};

/// The longest cursor of §1 of the protocol page.
const CURSOR_CHARS_MAX: usize = 64;

/// Whether a string has the form of a cursor: "at most 64 characters of `[A-Za-z0-9._~-]`".
#[must_use]
pub fn is_cursor(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= CURSOR_CHARS_MAX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b))
}

/// Holds `pattern` against `actual` (`None`: absent); captures go to `vars`, also in part when a
/// later piece does not match.
pub fn check(pattern: &Value, actual: Option<&Value>, at: &str, vars: &mut Vars) -> Result<()> {
    match (pattern, actual) {
        (Value::String(hole_text), actual) if is_hole(hole_text) => hole(hole_text, actual, at, vars),
        (_, None) => Err(mismatch(at, &show(pattern), None)),
        (Value::Object(expected), Some(Value::Object(members))) => object(expected, members, at, vars),
        (Value::Array(expected), Some(Value::Array(items))) => array(expected, items, at, vars),
        (Value::Number(a), Some(Value::Number(b))) if a.as_f64() == b.as_f64() && same_int(a, b) => Ok(()),
        (Value::String(a), Some(Value::String(b))) if unescape(a) == b => Ok(()),
        (expected, Some(actual)) if expected == actual => Ok(()),
        (expected, actual) => Err(mismatch(at, &show(expected), actual)),
    }
}

/// `1` and `1.0` are equal, but two integers beyond 2^53 only when they really are.
fn same_int(a: &serde_json::Number, b: &serde_json::Number) -> bool {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a == b,
        _ => a.as_u64() == b.as_u64() || a.is_f64() || b.is_f64(),
    }
}

fn object(expected: &Map<String, Value>, members: &Map<String, Value>, at: &str, vars: &mut Vars) -> Result<()> {
    for (name, pattern) in expected {
        if name == "<keys>" {
            keys(pattern, members, at)?;
        } else {
            check(pattern, members.get(name), &format!("{at}/{name}"), vars)?;
        }
    }
    Ok(())
}

/// The exact set of members, without regard to order and without the names in angle brackets.
fn keys(expected: &Value, members: &Map<String, Value>, at: &str) -> Result<()> {
    let mut actual: Vec<&str> = members.keys().map(String::as_str).filter(|k| !k.starts_with('<')).collect();
    let mut wanted: Vec<&str> = expected
        .as_array()
        .map(|list| list.iter().filter_map(Value::as_str).collect())
        .ok_or_else(|| Failure::wrong("`<keys>` takes a list of names"))?;
    actual.sort_unstable();
    wanted.sort_unstable();
    if actual == wanted {
        return Ok(());
    }
    Err(Failure::wrong(format!("at {at}: expected exactly the members {wanted:?}, got {actual:?}")))
}

fn array(expected: &[Value], items: &[Value], at: &str, vars: &mut Vars) -> Result<()> {
    if expected.len() != items.len() {
        let actual = Value::Array(items.to_vec());
        let text = format!("{} elements", expected.len());
        return Err(mismatch(at, &text, Some(&actual)));
    }
    for (n, (pattern, item)) in expected.iter().zip(items).enumerate() {
        check(pattern, Some(item), &format!("{at}/{n}"), vars)?;
    }
    Ok(())
}

fn is_hole(text: &str) -> bool {
    text.starts_with('<') && text.ends_with('>') && !text.starts_with("<<")
}

/// A text that really begins with `<` is written with `<<`.
fn unescape(text: &str) -> &str {
    if text.starts_with("<<") { &text[1..] } else { text }
}

fn hole(whole: &str, actual: Option<&Value>, at: &str, vars: &mut Vars) -> Result<()> {
    let inner = &whole[1..whole.len() - 1];
    let (test, name) = match inner.rsplit_once(" as ") {
        Some((test, name)) => (test, Some(name)),
        None => (inner, None),
    };
    if !holds(test, actual)? {
        return Err(mismatch(at, whole, actual));
    }
    if let (Some(name), Some(value)) = (name, actual) {
        vars.set(name, value.clone());
    }
    Ok(())
}

/// The vocabulary of holes.
fn holds(test: &str, actual: Option<&Value>) -> Result<bool> {
    let (word, rest) = test.split_once(' ').unwrap_or((test, ""));
    let string = actual.and_then(Value::as_str);
    Ok(match word {
        "absent" => actual.is_none(),
        "any" => actual.is_some(),
        "null" => actual.is_some_and(Value::is_null),
        "string" => string.is_some(),
        "bool" => actual.is_some_and(Value::is_boolean),
        "cursor" => string.is_some_and(is_cursor),
        "int" => in_range(actual, rest)?,
        "time" => actual.and_then(Value::as_u64).is_some_and(is_about_now),
        "not" => actual.is_some_and(|v| text(v) != rest),
        "contains" => string.is_some_and(|s| s.to_lowercase().contains(&rest.to_lowercase())),
        "lacks" => string.is_some_and(|s| !s.to_lowercase().contains(&rest.to_lowercase())),
        "starts" => string.is_some_and(|s| s.starts_with(rest)),
        "ends" => string.is_some_and(|s| s.ends_with(rest)),
        "tokens" => string.is_some_and(|s| has_tokens(s, rest)),
        "one" => actual.is_some_and(|v| rest.trim_start_matches("of ").split('|').any(|o| o == text(v))),
        "bytes" => string.is_some_and(|s| rest == s.len().to_string()),
        "items" => actual.and_then(Value::as_array).is_some_and(|a| rest == a.len().to_string()),
        _ => return Err(Failure::wrong(format!("no such hole: <{test}>"))),
    })
}

/// Whether a comma-separated list has all of some words, without regard to order and case.
fn has_tokens(list: &str, words: &str) -> bool {
    let has = |word: &str| list.split(',').any(|t| t.trim().eq_ignore_ascii_case(word));
    words.split(',').all(|word| has(word.trim()))
}

/// `int`, `int 5`, `int 1..1000`, `int 1..`: whole numbers, bounds included.
fn in_range(actual: Option<&Value>, range: &str) -> Result<bool> {
    let Some(n) = actual.and_then(Value::as_i64) else { return Ok(false) };
    let bound = |text: &str, open: i64| match text {
        "" => Ok(open),
        digits => digits.parse().map_err(|_| Failure::wrong(format!("not a range: {range:?}"))),
    };
    let (low, high) = match range.split_once("..") {
        Some((low, high)) => (bound(low, i64::MIN)?, bound(high, i64::MAX)?),
        None if range.is_empty() => (i64::MIN, i64::MAX),
        None => (bound(range, 0)?, bound(range, 0)?),
    };
    Ok((low..=high).contains(&n))
}

/// Unix milliseconds within an hour of this machine's clock.
fn is_about_now(ms: u64) -> bool {
    const HOUR_MS: u64 = 3_600_000;
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .is_ok_and(|now| ms.abs_diff(u64::try_from(now.as_millis()).unwrap_or(0)) < HOUR_MS)
}

fn show(value: &Value) -> String {
    crate::transcript::shorten(&value.to_string())
}

fn mismatch(at: &str, expected: &str, actual: Option<&Value>) -> Failure {
    let actual = actual.map_or("nothing".to_owned(), show);
    let at = if at.is_empty() { "the top" } else { at };
    Failure::wrong(format!("at {at}: expected {expected}, got {actual}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn matches(pattern: &Value, actual: &Value) -> bool {
        check(pattern, Some(actual), "", &mut Vars::new("t")).is_ok()
    }

    #[test]
    fn what_matches() {
        for (pattern, actual) in [
            (json!({"a": 1}), json!({"a": 1, "b": 2})),
            (json!({"a": "<absent>"}), json!({"b": 2})),
            (json!({"<keys>": ["b", "a"]}), json!({"a": 1, "b": 2, "<raw>": "x"})),
            (json!([1, "<any>"]), json!([1, null])),
            (json!(1), json!(1.0)),
            (json!("<int 1..3>"), json!(3)),
            (json!("<int 7>"), json!(7)),
            (json!("<int 2..>"), json!(9)),
            (json!("<cursor>"), json!("aB9._~-")),
            (json!("<contains Limit>"), json!("the limit is")),
            (json!("<not 5>"), json!(6)),
            (json!("<one of a|b>"), json!("b")),
            (json!("<<any>"), json!("<any>")),
            (json!("<items 2>"), json!([1, 2])),
            (json!("<bytes 2>"), json!("é")),
            (json!("<lacks x>"), json!("abc")),
            (json!("<tokens b,A>"), json!("A, c, B")),
            (json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_993_i64)),
        ] {
            assert!(matches(&pattern, &actual), "{pattern} against {actual}");
        }
    }

    #[test]
    fn what_does_not_match() {
        let long = json!("a".repeat(65));
        for (pattern, actual) in [
            (json!({"a": 1}), json!({"a": 2})),
            (json!({"a": 1}), json!({"b": 1})),
            (json!({"a": null}), json!({"b": 1})),
            (json!({"a": "<absent>"}), json!({"a": null})),
            (json!({"<keys>": ["a"]}), json!({"a": 1, "b": 2})),
            (json!({"<keys>": ["a", "b"]}), json!({"a": 1})),
            (json!([1]), json!([1, 2])),
            (json!([1, 2]), json!([2, 1])),
            (json!(1), json!("1")),
            (json!("<int 1..3>"), json!(4)),
            (json!("<int>"), json!("4")),
            (json!("<int>"), json!(1.5)),
            (json!("<cursor>"), json!("a b")),
            (json!("<cursor>"), json!("")),
            (json!("<cursor>"), long),
            (json!("<contains x>"), json!("abc")),
            (json!("<lacks b>"), json!("abc")),
            (json!("<tokens a,bc>"), json!("a, b")),
            (json!("<not 5>"), json!(5)),
            (json!("<time>"), json!(5)),
            (json!("<items 2>"), json!([1])),
            (json!(true), json!(false)),
            (json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992_i64)),
            (json!("<nonsense>"), json!(1)),
        ] {
            assert!(!matches(&pattern, &actual), "{pattern} against {actual}");
        }
    }

    #[test]
    fn captures_are_kept_and_mismatches_say_where() {
        let mut vars = Vars::new("t");
        let actual = json!({"a": {"id": "x"}});
        check(&json!({"a": {"id": "<cursor as c>"}}), Some(&actual), "", &mut vars).unwrap();
        assert_eq!(vars.get("c").unwrap(), "x");
        let failure = check(&json!({"a": {"id": "y"}}), Some(&actual), "", &mut vars);
        assert!(failure.unwrap_err().to_string().contains("at /a/id: expected \"y\", got \"x\""));
    }
}
