//! JSON payloads: checked, and made free of white space that means nothing.
//!
//! A payload is kept byte for byte but for that white space, so that duplicate keys, big numbers and escapes survive,
//! and so that it never contains a raw line feed: it can stand in an SSE `data:` line and an NDJSON line as it is.
//! This module must not know events or requests.

use bongsu_core::limits::JSON_DEPTH_MAX;
use bongsu_core::{ErrorCode, Problem};
use bytes::Bytes;
use serde::de::IgnoredAny;

/// Checks that `input` is one JSON text (RFC 8259) and takes away its insignificant white space.
///
/// Gives `input` itself, not a copy, when there is nothing to take away.
///
/// # Errors
/// [`ErrorCode::BadJson`] with line and column: broken syntax, invalid UTF-8, nesting beyond
/// [`JSON_DEPTH_MAX`], or half a surrogate pair in a `\u` escape.
pub fn compact(input: &Bytes) -> Result<Bytes, Problem> {
    let spaces = check(input)?;
    if spaces == 0 { Ok(input.clone()) } else { Ok(without_spaces(input, spaces).into()) }
}

/// As [`compact`], for bytes that are part of something larger: always a copy, so that the larger thing is not kept.
pub(crate) fn compact_copy(input: &[u8]) -> Result<Bytes, Problem> {
    let spaces = check(input)?;
    Ok(without_spaces(input, spaces).into())
}

/// The bytes as text, which every JSON is.
pub(crate) fn text(input: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(input).map_err(|bad| problem_at(input, bad.valid_up_to(), "invalid UTF-8"))
}

/// Checks a JSON text and counts its bytes of insignificant white space.
fn check(input: &[u8]) -> Result<usize, Problem> {
    let text = text(input)?;
    // Neither recursion nor a tree: `IgnoredAny` is skipped with one byte of memory per level.
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| bad_json(error.to_string()))?;
    scan(input)
}

/// The problem that `detail` describes.
pub(crate) fn bad_json(detail: impl Into<String>) -> Problem {
    Problem::new(ErrorCode::BadJson, detail)
}

fn problem_at(input: &[u8], at: usize, what: &str) -> Problem {
    let before = &input[..at];
    let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
    let column = 1 + before.iter().rev().take_while(|&&byte| byte != b'\n').count();
    bad_json(format!("{what} at line {line} column {column}"))
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Walks over text that is known to be syntactically valid: finds what the syntax check lets pass, counts white space.
fn scan(input: &[u8]) -> Result<usize, Problem> {
    let (mut at, mut depth, mut spaces) = (0, 0, 0);
    while let Some(&byte) = input.get(at) {
        match byte {
            b'"' => at = string_end(input, at)?,
            b'{' | b'[' => {
                depth += 1;
                if depth > JSON_DEPTH_MAX {
                    return Err(problem_at(input, at, &format!("more than {JSON_DEPTH_MAX} levels of nesting")));
                }
            }
            b'}' | b']' => depth -= 1,
            byte if is_space(byte) => spaces += 1,
            _ => {}
        }
        at += 1;
    }
    Ok(spaces)
}

/// The place of the quote that ends the string whose opening quote is at `start`.
fn string_end(input: &[u8], start: usize) -> Result<usize, Problem> {
    let mut at = start + 1;
    loop {
        match input.get(at..) {
            None | Some([] | [b'"', ..]) => return Ok(at),
            Some([b'\\', b'u', rest @ ..]) => match surrogate(rest) {
                Surrogate::None => at += 6,
                Surrogate::Pair => at += 12,
                Surrogate::Lone => return Err(problem_at(input, at, "half a surrogate pair in an escape")),
            },
            Some([b'\\', ..]) => at += 2,
            Some(_) => at += 1,
        }
    }
}

enum Surrogate {
    None,
    Pair,
    Lone,
}

/// What the four digits at the beginning of `rest`, and an escape after them, are together.
fn surrogate(rest: &[u8]) -> Surrogate {
    match (code_unit(rest), rest.get(4..)) {
        (0xD800..=0xDBFF, Some([b'\\', b'u', second @ ..])) if (0xDC00..=0xDFFF).contains(&code_unit(second)) => {
            Surrogate::Pair
        }
        (0xD800..=0xDFFF, _) => Surrogate::Lone,
        _ => Surrogate::None,
    }
}

fn code_unit(digits: &[u8]) -> u32 {
    let digits = digits.iter().take(4).map(|&byte| char::from(byte).to_digit(16).unwrap_or(0));
    digits.fold(0, |unit, digit| unit << 4 | digit)
}

/// A copy of valid JSON without its `spaces` bytes of insignificant white space.
fn without_spaces(input: &[u8], spaces: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(input.len().saturating_sub(spaces));
    let (mut in_string, mut escaped) = (false, false);
    for &byte in input {
        if !in_string && is_space(byte) {
            continue;
        }
        out.push(byte);
        // A quote opens or closes a string unless a backslash, itself not escaped, stands before it.
        in_string ^= byte == b'"' && !escaped;
        escaped = in_string && byte == b'\\' && !escaped;
    }
    out
}

/// Appends `text` as a JSON string, quotes included.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|&byte| escape_len(byte) > 1) {
        out.extend_from_slice(&rest[..at]);
        push_escape(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// How many bytes [`push_string`] will append.
pub(crate) fn string_len(text: &str) -> usize {
    2 + text.bytes().map(escape_len).sum::<usize>()
}

/// RFC 8259 §7: quotation mark, reverse solidus and U+0000 to U+001F must be escaped; nothing else is.
fn escape_len(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | 0x08 | 0x09 | 0x0A | 0x0C | 0x0D => 2,
        0..=0x1F => 6,
        _ => 1,
    }
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        0x08 => b'b',
        0x09 => b't',
        0x0A => b'n',
        0x0C => b'f',
        0x0D => b'r',
        b'"' | b'\\' => byte,
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(input: &str) -> Result<String, String> {
        let input = Bytes::copy_from_slice(input.as_bytes());
        let output = compact(&input).map_err(|problem| problem.detail)?;
        Ok(String::from_utf8(output.to_vec()).unwrap())
    }

    #[test]
    fn only_meaningless_white_space_goes() {
        let cases = [
            (" 1 ", "1"),
            ("{ \"a b\" :\n[ 1 ,\t2 ] }\r\n", r#"{"a b":[1,2]}"#),
            (r#" "\" \\" "#, r#""\" \\""#),
            (r#" ["\\", " "] "#, r#"["\\"," "]"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#),
            ("1e400", "1e400"),
            ("123456789012345678901234567890.10", "123456789012345678901234567890.10"),
            (r#""\u00e9\/\ud83d\ude00""#, r#""\u00e9\/\ud83d\ude00""#),
            (r#""\u0000""#, r#""\u0000""#),
            (r#""\ud7ff\ue000\ud800\udc00\udbff\udfff""#, r#""\ud7ff\ue000\ud800\udc00\udbff\udfff""#),
            ("\"봉수\"", "\"봉수\""),
        ];
        for (input, output) in cases {
            assert_eq!(text(input).as_deref(), Ok(output), "{input:?}");
        }
    }

    #[test]
    fn what_is_refused_says_where() {
        let deep = format!("{}{}", "[".repeat(101), "]".repeat(101));
        let cases = [
            ("", "EOF while parsing a value at line 1 column 0"),
            ("{\"a\":\n  tru}", "expected ident at line 2 column 6"),
            ("[1,]", "expected value at line 1 column 4"),
            ("1 2", "trailing characters at line 1 column 3"),
            ("\"a\nb\"", "control character (\\u0000-\\u001F) found while parsing a string at line 1 column 2"),
            ("\u{feff}1", "expected value at line 1 column 1"),
            ("NaN", "expected value at line 1 column 1"),
            (r#"["\ud83d"]"#, "half a surrogate pair in an escape at line 1 column 3"),
            (r#""a\ude00\ud83d""#, "half a surrogate pair in an escape at line 1 column 3"),
            (r#""\ud83d\ud83d""#, "half a surrogate pair in an escape at line 1 column 2"),
            (r#""\ud800""#, "half a surrogate pair in an escape at line 1 column 2"),
            (r#""\udfff""#, "half a surrogate pair in an escape at line 1 column 2"),
            (r#""\udbff\ue000""#, "half a surrogate pair in an escape at line 1 column 2"),
            (r#"{"\ud83dx":1}"#, "half a surrogate pair in an escape at line 1 column 3"),
            (&deep, "more than 100 levels of nesting at line 1 column 101"),
        ];
        for (input, detail) in cases {
            assert_eq!(text(input), Err(detail.to_owned()), "{input:?}");
        }
        let invalid = compact(&Bytes::from_static(b"{\n\"a\xff\":1}")).unwrap_err();
        assert_eq!(invalid.detail, "invalid UTF-8 at line 2 column 3");
    }

    #[test]
    fn compact_input_is_not_copied() {
        let input = Bytes::from_static(br#"{"a":"b c"}"#);
        assert_eq!(compact(&input).unwrap().as_ptr(), input.as_ptr());
    }

    #[test]
    fn nesting_without_end_needs_no_stack() {
        for text in ["[".repeat(1 << 20), "{\"a\":".repeat(1 << 18)] {
            assert!(compact(&Bytes::from(text)).is_err());
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn string_is_that_of_serde_json(text: &str) {
        let mut out = Vec::new();
        push_string(&mut out, text);
        assert_eq!(out.len(), string_len(text));
        assert_eq!(out, serde_json::to_vec(text).unwrap());
    }

    #[test]
    fn every_ascii_character_is_escaped_as_it_must() {
        for byte in 0..=0x80 {
            string_is_that_of_serde_json(&format!("a{}", char::from(byte)));
        }
    }

    proptest! {
        #[test]
        fn compaction_keeps_the_value(value in any_json(), pretty in any::<bool>()) {
            let input = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) };
            let once = compact(&Bytes::from(input.unwrap())).unwrap();
            prop_assert_eq!(&once[..], &serde_json::to_vec(&value).unwrap()[..]);
            prop_assert!(!once.contains(&b'\n') && !once.contains(&b'\r'));
            prop_assert_eq!(compact(&once).unwrap(), once);
        }

        #[test]
        fn any_bytes_are_taken_or_refused(input in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..64),
            "[\\[\\]{}:,\"\\\\u0-9a-fdtrue \n]{0,48}".prop_map(String::into_bytes),
        ]) {
            let value = serde_json::from_slice::<serde_json::Value>(&input);
            match compact(&Bytes::from(input)) {
                Ok(output) => prop_assert!(!output.contains(&b'\n')),
                // What is refused here and taken by a tree parser could only be too deep, which these are not.
                Err(_) => prop_assert!(value.is_err()),
            }
        }

        #[test]
        fn strings_are_those_of_serde_json(text in any::<String>()) {
            string_is_that_of_serde_json(&text);
        }
    }
}
