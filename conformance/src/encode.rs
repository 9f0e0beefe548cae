//! Small encodings: percent-encoding of targets, and JSON without its insignificant white space.
//!
//! Written here and not borrowed, because the server's own encoders are what is being judged.

use std::fmt::Write as _;

/// Percent-encodes everything but the unreserved characters of RFC 3986 §2.3.
#[must_use]
pub fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Appends `name=value` to a target, with `?` or `&` as needed.
pub fn add_query(target: &mut String, name: &str, value: &str) {
    target.push(if target.contains('?') { '&' } else { '?' });
    target.push_str(name);
    target.push('=');
    target.push_str(&percent(value));
}

/// Removes the white space that JSON does not count (RFC 8259 §2), and nothing else.
#[must_use]
pub fn minify(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if c == '"' {
            in_string = true;
        } else if matches!(c, ' ' | '\t' | '\n' | '\r') {
            continue;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_leaves_only_unreserved() {
        assert_eq!(percent("a:b c~é/&"), "a%3Ab%20c~%C3%A9%2F%26");
    }

    #[test]
    fn query_starts_then_continues() {
        let mut target = "/v1/events".to_owned();
        add_query(&mut target, "channel", "a&b");
        add_query(&mut target, "since", "start");
        assert_eq!(target, "/v1/events?channel=a%26b&since=start");
    }

    #[test]
    fn minify_keeps_strings() {
        let cases = [
            (r#"{ "a" : [1, 2 ] }"#, r#"{"a":[1,2]}"#),
            (r#""a \" b""#, r#""a \" b""#),
            ("\"\\\\\" , 1", "\"\\\\\",1"),
            ("\t1\r\n", "1"),
        ];
        for (from, to) in cases {
            assert_eq!(minify(from), to);
        }
    }
}
