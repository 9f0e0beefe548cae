//! Query strings, strictly: nothing is ignored, nothing is clamped, and every refusal names what it refuses.
//!
//! It knows no parameter by name; those are listed by who asks.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use bongsu_core::{ChannelName, ErrorCode, Problem};
use percent_encoding::percent_decode_str;

use crate::nearest::{all, unknown};

/// The parameters of one request, decoded, all of them known.
#[derive(Debug)]
pub struct Query<'a> {
    parameters: Vec<(&'static str, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    /// Reads what stands after the `?`, as forms write it: `+` is a space, `%` begins an escape of UTF-8.
    ///
    /// # Errors
    /// [`ErrorCode::UnknownParameter`] for one that is not in `known`, naming the nearest;
    /// [`ErrorCode::BadParameter`] for a broken escape.
    pub fn parse(query: &'a str, known: &[&'static str]) -> Result<Self, Problem> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let parameters = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name, true).ok_or_else(|| bad_escape("the name of a parameter", name))?;
            let name = known.iter().find(|&&known| known == name).ok_or_else(|| unknown_parameter(&name, known))?;
            let value = decode(value, true).ok_or_else(|| bad_escape(&format!("`{name}`"), value))?;
            Ok((*name, value))
        });
        Ok(Self { parameters: parameters.collect::<Result<_, Problem>>()? })
    }

    /// Every value of a parameter that may be repeated.
    pub fn many(&self, name: &str) -> impl Iterator<Item = &str> {
        self.parameters.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_ref())
    }

    /// The value of a parameter that may be given once.
    ///
    /// # Errors
    /// It is given more than once.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.many(name);
        let first = values.next();
        match values.next() {
            None => Ok(first),
            Some(_) => Err(bad_parameter(format!("`{name}` is given more than once")).hint("Give it once.")),
        }
    }

    /// A whole number within `range`.
    ///
    /// # Errors
    /// It is given more than once, is no whole number, or lies outside.
    pub fn number(&self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten().filter(|number| range.contains(number));
        match number {
            Some(number) => Ok(Some(number)),
            None => Err(bad_value(name, text, &format!("a whole number from {} to {}", range.start(), range.end()))),
        }
    }

    /// One of several words.
    ///
    /// # Errors
    /// It is given more than once, or is another word.
    pub fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, Problem> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        match choices.iter().find(|(word, _)| *word == text) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => {
                let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
                Err(bad_value(name, text, &all("one of", &words)))
            }
        }
    }
}

/// The problem of a parameter with a value that is not `allowed`.
pub(crate) fn bad_value(name: &str, value: &str, allowed: &str) -> Problem {
    let value: String = value.chars().take(64).collect();
    bad_parameter(format!("`{name}` is `{value}`; it must be {allowed}"))
}

pub(crate) fn bad_parameter(detail: impl Into<String>) -> Problem {
    Problem::new(ErrorCode::BadParameter, detail)
}

fn unknown_parameter(name: &str, known: &[&str]) -> Problem {
    let problem = Problem::new(ErrorCode::UnknownParameter, unknown("parameter", name, known));
    problem.hint(if known.is_empty() { "None is allowed here.".to_owned() } else { all("Allowed here", known) })
}

fn bad_escape(what: &str, text: &str) -> Problem {
    let text: String = text.chars().take(64).collect();
    bad_parameter(format!("{what} has a broken percent escape: `{text}`"))
        .hint("Write `%` as `%25`, and other characters as the escapes of their UTF-8 bytes.")
}

/// The text that the escapes in `text` stand for; `None` if one is broken or the bytes are not UTF-8.
fn decode(text: &str, plus_is_space: bool) -> Option<Cow<'_, str>> {
    let mut escapes = text.split('%').skip(1);
    let whole = |rest: &str| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit);
    if !escapes.all(whole) {
        return None;
    }
    if plus_is_space && text.contains('+') {
        let spaced = text.replace('+', " ");
        return percent_decode_str(&spaced).decode_utf8().ok().map(|text| text.into_owned().into());
    }
    percent_decode_str(text).decode_utf8().ok()
}

/// A channel that someone outside names.
///
/// # Errors
/// [`ErrorCode::BadChannel`], or [`ErrorCode::Reserved`] for a name that begins with `$`.
pub fn client_channel(name: &str) -> Result<ChannelName, Problem> {
    let channel = ChannelName::new(name).map_err(|why| {
        let name: String = name.chars().take(64).collect();
        Problem::new(ErrorCode::BadChannel, format!("channel `{}`: {why}", name.escape_debug()))
    })?;
    if channel.is_reserved() {
        let detail = format!("channel `{channel}`: names beginning with `$` belong to the server");
        return Err(Problem::new(ErrorCode::Reserved, detail).hint("Use a name that does not begin with `$`."));
    }
    Ok(channel)
}

/// The same, from the segment of a path, still percent-encoded.
///
/// # Errors
/// As [`client_channel`]; a broken escape is [`ErrorCode::BadChannel`].
pub fn path_channel(segment: &str) -> Result<ChannelName, Problem> {
    match decode(segment, false) {
        Some(name) => client_channel(&name),
        None => Err(Problem { code: ErrorCode::BadChannel, ..bad_escape("the channel in the path", segment) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["since", "limit", "type", "mode"];

    #[test]
    fn parameters_are_decoded() {
        let query = Query::parse("&type=a%20b+c&&type=%EB%B4%89&limit=007&since", KNOWN).unwrap();
        assert_eq!(query.many("type").collect::<Vec<_>>(), ["a b c", "봉"]);
        assert_eq!(query.number("limit", 1..=9), Ok(Some(7)));
        assert_eq!(query.one("since"), Ok(Some("")));
        assert_eq!(query.one("mode"), Ok(None));
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let limit = |query: &str| Query::parse(query, KNOWN)?.number("limit", 1..=1000).map(|_| ());
        let mode = |query: &str| Query::parse(query, KNOWN)?.choice("mode", &[("on", 1), ("off", 0)]).map(|_| ());
        let range = "it must be a whole number from 1 to 1000";
        let cases = [
            (limit("sinse=1"), "there is no parameter `sinse`; did you mean `since`?".to_owned()),
            (limit("q=1"), "there is no parameter `q`".to_owned()),
            (limit("limit=1&limit=1"), "`limit` is given more than once".to_owned()),
            (limit("limit=0"), format!("`limit` is `0`; {range}")),
            (limit("limit=1001"), format!("`limit` is `1001`; {range}")),
            (limit("limit="), format!("`limit` is ``; {range}")),
            (limit("limit=-1"), format!("`limit` is `-1`; {range}")),
            (limit("limit=%2B1"), format!("`limit` is `+1`; {range}")),
            (limit("limit=1e2"), format!("`limit` is `1e2`; {range}")),
            (limit("limit=99999999999999999999"), format!("`limit` is `99999999999999999999`; {range}")),
            (limit("type=%"), "`type` has a broken percent escape: `%`".to_owned()),
            (limit("type=%f"), "`type` has a broken percent escape: `%f`".to_owned()),
            (limit("type=%zz"), "`type` has a broken percent escape: `%zz`".to_owned()),
            (limit("type=%ff"), "`type` has a broken percent escape: `%ff`".to_owned()),
            (limit("type=a%ff+"), "`type` has a broken percent escape: `a%ff+`".to_owned()),
            (limit("%g=1"), "the name of a parameter has a broken percent escape: `%g`".to_owned()),
            (mode("mode=ON"), "`mode` is `ON`; it must be one of: `on`, `off`".to_owned()),
        ];
        for (result, detail) in cases {
            assert_eq!(result.unwrap_err().detail, detail);
        }
    }

    #[test]
    fn channels_from_a_path() {
        let cases = [
            ("a", Ok("a")),
            ("shop:7%3Aorders", Ok("shop:7:orders")),
            ("a%2Fb+c", Ok("a/b+c")),
            ("%EB%B4%89", Ok("봉")),
            ("%24user:1", Err(ErrorCode::Reserved)),
            ("a%20b", Err(ErrorCode::BadChannel)),
            ("a%00", Err(ErrorCode::BadChannel)),
            ("%ff", Err(ErrorCode::BadChannel)),
            ("%2", Err(ErrorCode::BadChannel)),
            ("", Err(ErrorCode::BadChannel)),
        ];
        for (segment, expected) in cases {
            let channel = path_channel(segment).map_err(|problem| problem.code);
            assert_eq!(channel.as_ref().map(ChannelName::as_str), expected.as_ref().copied(), "{segment:?}");
        }
    }
}
