//! Media types (RFC 9110 §8.3): which of the three kinds of payload one means.

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
