//! The target of a plain request: a path and a query in which every character stands for itself (RFC 9112 §3.2.1).
//!
//! It must not know routes, and decodes nothing.

/// Splits a target at its first `?`. `None`: it is foreign.
pub(super) fn read(target: &str) -> Option<(&str, &str)> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let plain = path.starts_with('/') && path.bytes().all(is_in_path) && query.bytes().all(is_in_query);
    plain.then_some((path, query))
}

/// `/` and `pchar` (RFC 3986 §3.3). Whether percent signs have their digits is for those who decode.
fn is_in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:@".contains(&byte)
}

/// RFC 3986 §3.4, and what browsers leave as it is although they should not (URL Standard, query percent-encode set).
fn is_in_query(byte: u8) -> bool {
    is_in_path(byte) || b"?[]\\^`{|}".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let cases: &[(&str, Option<(&str, &str)>)] = &[
            ("/", Some(("/", ""))),
            ("/?", Some(("/", ""))),
            ("//a", Some(("//a", ""))),
            ("/a/%2F?b=[1]&c=?{}", Some(("/a/%2F", "b=[1]&c=?{}"))),
            ("", None),
            ("*", None),
            ("?a", None),
            ("a", None),
            ("http://a/", None),
            ("/a#b", None),
            ("/a?b#c", None),
            ("/a\"", None),
            ("/a<", None),
            ("/a\\b", None),
            ("/ä", None),
            ("/?ä", None),
            ("/?\u{7f}", None),
        ];
        for (target, expected) in cases {
            assert_eq!(read(target), *expected, "{target:?}");
        }
    }

    #[test]
    fn the_http_crate_reads_every_plain_target_alike() {
        let pairs = (0..128_u8).flat_map(|a| (0..128).map(move |b| [a, b]));
        let texts = pairs.flat_map(|pair| ["/x@y?z", "/x?@", "/@?", "@"].map(|around| (around, pair)));
        let mut plain = 0;
        for (around, pair) in texts {
            let target = around.replace('@', std::str::from_utf8(&pair).unwrap());
            let Some((path, query)) = read(&target) else { continue };
            let uri: http::Uri = target.parse().unwrap();
            assert_eq!((uri.path(), uri.query().unwrap_or_default()), (path, query), "{target:?}");
            plain += 1;
        }
        assert!(plain > 20_000, "{plain}");
    }
}
