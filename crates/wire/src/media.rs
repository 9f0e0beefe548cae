//! Media types (RFC 9110 §8.3): which of the three kinds of payload one means.

use bongsu_core::limits::CONTENT_TYPE_BYTES_MAX;

/// What text is when nobody named a type.
pub(crate) const TEXT: &str = "text/plain";
/// What bytes are when nobody named a type.
pub(crate) const BYTES: &str = "application/octet-stream";

/// The type without its parameters.
pub(crate) fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

/// Whether the type means JSON: `application/json`, or any with the suffix `+json` (RFC 6839 §3.1).
pub(crate) fn is_json(media_type: &str) -> bool {
    let essence = essence(media_type);
    let suffix = essence.len().checked_sub("+json".len()).and_then(|at| essence.get(at..));
    is_plain_json(media_type) || suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case("+json"))
}

/// Whether the type is `application/json` itself, which is not kept with an event.
pub(crate) fn is_plain_json(media_type: &str) -> bool {
    essence(media_type).eq_ignore_ascii_case("application/json")
}

/// Whether the type is one of `text/*`.
pub(crate) fn is_text(media_type: &str) -> bool {
    essence(media_type).get(..5).is_some_and(|start| start.eq_ignore_ascii_case("text/"))
}

/// Why a text is no media type that can be kept with an event; `None` if it is one.
pub(crate) fn fault(media_type: &str) -> Option<String> {
    let visible = media_type.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let parts = essence(media_type).split_once('/');
    let shaped = parts.is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype));
    if media_type.len() > CONTENT_TYPE_BYTES_MAX {
        Some(format!("a media type has at most {CONTENT_TYPE_BYTES_MAX} bytes; this one has {}", media_type.len()))
    } else if visible && shaped {
        None
    } else {
        let short: String = media_type.chars().take(64).collect();
        Some(format!("`{}` is no media type; write one like `text/plain`", short.escape_debug()))
    }
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The value of the parameter `name`, without quotes.
pub(crate) fn parameter<'a>(media_type: &'a str, name: &str) -> Option<&'a str> {
    media_type.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_have_kinds() {
        let cases = [
            ("application/json", true, false),
            ("Application/JSON; charset=utf-8", true, false),
            ("application/cloudevents+json", true, false),
            ("application/problem+JSON ;a=b", true, false),
            ("text/plain", false, true),
            ("TEXT/html; charset=utf-8", false, true),
            ("image/png", false, false),
            ("application/jsonp", false, false),
            ("+", false, false),
            ("봉수", false, false),
            ("", false, false),
        ];
        for (media_type, json, text) in cases {
            assert_eq!((is_json(media_type), is_text(media_type)), (json, text), "{media_type:?}");
        }
    }

    #[test]
    fn only_media_types_are_kept() {
        let long = format!("text/{}", "x".repeat(251));
        let cases = [
            ("text/plain; charset=utf-8", true),
            ("application/vnd.api+json;x=\"y z\"", true),
            ("text", false),
            ("text/", false),
            ("/plain", false),
            ("a b/c", false),
            ("text/plain\r\nx: y", false),
            ("text/플", false),
            ("", false),
            (&long, false),
            (&long[..255], true),
        ];
        for (media_type, good) in cases {
            assert_eq!(fault(media_type).is_none(), good, "{media_type:?}");
        }
    }

    #[test]
    fn parameters_are_found_in_any_case() {
        let cases = [
            ("text/plain; charset=utf-8", Some("utf-8")),
            ("text/plain;a=b;Charset=\"UTF-8\"", Some("UTF-8")),
            ("text/plain", None),
            ("charset=utf-8", None),
        ];
        for (media_type, charset) in cases {
            assert_eq!(parameter(media_type, "charset"), charset, "{media_type:?}");
        }
    }
}
