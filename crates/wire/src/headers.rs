//! Request headers, whoever has parsed them.
//!
//! The hyper driver has them in an `http::HeaderMap`, a socket shard as slices of its read buffer. What is asked by a
//! request must not depend on that.

/// The headers of one request.
pub trait HeaderLookup {
    /// Calls `visit` with every value of the header `name` (in lower case), in order, until it returns `false`.
    fn each_value<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a [u8]) -> bool);

    /// The first value of the header `name` (in lower case).
    fn first_value<'a>(&'a self, name: &str) -> Option<&'a [u8]> {
        let mut found = None;
        self.each_value(name, &mut |value| {
            found = Some(value);
            false
        });
        found
    }
}

impl HeaderLookup for http::HeaderMap {
    fn each_value<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a [u8]) -> bool) {
        let _ = self.get_all(name).iter().all(|value| visit(value.as_bytes()));
    }
}

/// Names and values as they stand in the request; names in any case.
impl<N: AsRef<[u8]>, V: AsRef<[u8]>> HeaderLookup for &[(N, V)] {
    fn each_value<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a [u8]) -> bool) {
        let mut values = self.iter().filter(|(known, _)| known.as_ref().eq_ignore_ascii_case(name.as_bytes()));
        let _ = values.all(|(_, value)| visit(value.as_ref()));
    }
}

/// The elements of a header that is a list (RFC 9110 §5.6.1) and may be given several times. Commas within quotes do
/// not separate. What is not UTF-8 is passed over.
pub(crate) fn each_element<'a>(headers: &'a dyn HeaderLookup, name: &str, visit: &mut dyn FnMut(&'a str) -> bool) {
    headers.each_value(name, &mut |value| {
        let elements = std::str::from_utf8(value).unwrap_or_default();
        split_unquoted(elements, ',').map(str::trim).filter(|element| !element.is_empty()).all(&mut *visit)
    });
}

/// Splits at `separator` where it stands outside of a quoted string.
pub(crate) fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        let separates = c == separator && !quoted;
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
        separates
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(headers: &dyn HeaderLookup, name: &str) -> Vec<String> {
        let mut found = Vec::new();
        each_element(headers, name, &mut |element| {
            found.push(element.to_owned());
            true
        });
        found
    }

    #[test]
    fn lists_are_read_alike_from_every_source() {
        let pairs = [("Accept", "a , b;x=\"c,\\\"d\","), ("other", "z"), ("accept", ",e,"), ("ACCEPT", "")];
        let mut map = http::HeaderMap::new();
        for (name, value) in pairs {
            map.append(http::HeaderName::try_from(name).unwrap(), http::HeaderValue::from_static(value));
        }
        let expected = ["a", "b;x=\"c,\\\"d\"", "e"];
        assert_eq!(elements(&map, "accept"), expected);
        assert_eq!(elements(&&pairs[..], "accept"), expected);
        assert_eq!(map.first_value("accept"), (&pairs[..]).first_value("accept"));
        assert_eq!((&pairs[..]).first_value("missing"), None);
    }

    #[test]
    fn what_is_not_utf8_is_passed_over() {
        let pairs: [(&str, &[u8]); 2] = [("accept", b"\xff"), ("accept", b"a")];
        assert_eq!(elements(&&pairs[..], "accept"), ["a"]);
    }
}
