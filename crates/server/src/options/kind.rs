//! What kind of value an option takes: how it is written, which values are allowed, how it is printed.
//!
//! One [`Kind`] serves the flag, the environment variable and the file, so that they can never disagree. It knows no
//! option by name and does not know where a text came from.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bongsu_core::ChannelPattern;

use super::units;
use crate::config::Cors;

/// A kind of value, with the values that are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An address and port to listen on.
    Address,
    /// A path of a file or directory.
    Path,
    /// One of some words.
    Choice(&'static [&'static str]),
    /// True or false.
    Flag,
    /// A number of things, from the first to the second.
    Count(u64, u64),
    /// The same, or `auto`: the server finds the number itself.
    AutoCount(u64, u64),
    /// A number of bytes, from the first to the second.
    Bytes(u64, u64),
    /// A time, from the first to the second.
    Time(Duration, Duration),
    /// Which origins may read across sites.
    Cors,
    /// A pattern over channel names.
    Pattern,
}

/// How it is said that the server should find a number itself.
pub const AUTO: &str = "auto";

/// A value of some [`Kind`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of [`Kind::Address`].
    Address(SocketAddr),
    /// Of [`Kind::Path`].
    Path(PathBuf),
    /// Of [`Kind::Choice`], and [`AUTO`] of [`Kind::AutoCount`].
    Word(&'static str),
    /// Of [`Kind::Flag`].
    Flag(bool),
    /// Of [`Kind::Count`], [`Kind::AutoCount`] and [`Kind::Bytes`].
    Number(u64),
    /// Of [`Kind::Time`].
    Time(Duration),
    /// Of [`Kind::Cors`].
    Cors(Cors),
    /// Of [`Kind::Pattern`].
    Pattern(ChannelPattern),
}

impl Kind {
    /// Reads `text`. `None` if that is not allowed; [`Kind::expected`] says what is.
    #[must_use]
    pub fn parse(self, text: &str) -> Option<Value> {
        match self {
            Self::Address => parse_address(text).map(Value::Address),
            Self::Path => (!text.is_empty()).then(|| Value::Path(text.into())),
            Self::Choice(words) => words.iter().find(|&&word| word == text).map(|&word| Value::Word(word)),
            Self::Flag => text.parse().ok().map(Value::Flag),
            Self::Count(min, max) => within(units::parse_count(text)?, min, max).map(Value::Number),
            Self::AutoCount(..) if text == AUTO => Some(Value::Word(AUTO)),
            Self::AutoCount(min, max) => within(units::parse_count(text)?, min, max).map(Value::Number),
            Self::Bytes(min, max) => within(units::parse_bytes(text)?, min, max).map(Value::Number),
            Self::Time(min, max) => within(units::parse_duration(text)?, min, max).map(Value::Time),
            Self::Cors => Cors::parse(text.split(',').map(str::trim)).map(Value::Cors),
            Self::Pattern => ChannelPattern::new(text).ok().map(Value::Pattern),
        }
    }

    /// What is allowed, as the end of a sentence: "… takes {expected}".
    #[must_use]
    pub fn expected(self) -> String {
        match self {
            Self::Address => "an address and port, such as 127.0.0.1:7070 or [::1]:7070 (port 0: any free one)".into(),
            Self::Path => "a path".into(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Flag => "true or false".into(),
            Self::Count(min, max) => format!("a whole number from {min} to {max}"),
            Self::AutoCount(min, max) => format!("{AUTO} or a whole number from {min} to {max}"),
            Self::Bytes(min, max) => {
                let (min, max) = (units::bytes(min), units::bytes(max));
                format!("a number of bytes from {min} to {max}, such as 65536, 64KiB or 256MiB")
            }
            Self::Time(min, max) => {
                let (min, max) = (units::duration(min), units::duration(max));
                format!("a time from {min} to {max}, such as 500ms, 20s, 5m, 2h or 7d (a bare number counts seconds)")
            }
            Self::Cors => "auto, any, none, or origins such as https://app.example.com".into(),
            Self::Pattern => {
                "a channel pattern such as shop:*:orders or state:** (`*` is one segment, a last `**` any \
                              rest)"
                    .into()
            }
        }
    }

    /// How the value is named in usage lines: `--listen <ADDRESS>`.
    #[must_use]
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Address => "IP:PORT",
            Self::Path => "PATH",
            Self::Choice(_) => "WORD",
            Self::Flag => "BOOL",
            Self::Count(..) | Self::AutoCount(..) => "COUNT",
            Self::Bytes(..) => "BYTES",
            Self::Time(..) => "TIME",
            Self::Cors => "ORIGINS",
            Self::Pattern => "PATTERN",
        }
    }

    /// The allowed values in a few characters, for the reference page. Empty where any value is allowed.
    #[must_use]
    pub fn range(self) -> String {
        match self {
            Self::Address | Self::Path | Self::Pattern => String::new(),
            Self::Choice(words) => words.join(", "),
            Self::Flag => "true, false".into(),
            Self::Count(min, max) => format!("{min} to {max}"),
            Self::AutoCount(min, max) => format!("{AUTO}, {min} to {max}"),
            Self::Bytes(min, max) => format!("{} to {}", units::bytes(min), units::bytes(max)),
            Self::Time(min, max) => format!("{} to {}", units::duration(min), units::duration(max)),
            Self::Cors => "auto, any, none, origins".into(),
        }
    }

    /// `value` as a person would write it; reads back as the same value.
    #[must_use]
    pub fn print(self, value: &Value) -> String {
        match (self, value) {
            (Self::Bytes(..), Value::Number(count)) => units::bytes(*count),
            (_, Value::Address(address)) => address.to_string(),
            (_, Value::Path(path)) => path.display().to_string(),
            (_, Value::Word(word)) => (*word).into(),
            (_, Value::Flag(flag)) => flag.to_string(),
            (_, Value::Number(number)) => number.to_string(),
            (_, Value::Time(time)) => units::duration(*time),
            (_, Value::Cors(cors)) => cors.to_string(),
            (_, Value::Pattern(pattern)) => pattern.to_string(),
        }
    }

    /// `value` as the right-hand side of a line of TOML.
    #[must_use]
    pub fn print_toml(self, value: &Value) -> String {
        match value {
            Value::Flag(_) => self.print(value),
            Value::Number(_) if matches!(self, Self::Count(..) | Self::AutoCount(..)) => self.print(value),
            _ => quote(&self.print(value)),
        }
    }
}

/// `text` as a TOML (and JSON) basic string.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => write!(quoted, "\\u{:04x}", u32::from(c)).expect("writing to a String cannot fail"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn within<T: PartialOrd>(value: T, min: T, max: T) -> Option<T> {
    (min..=max).contains(&value).then_some(value)
}

/// An address; `localhost` is taken as 127.0.0.1, so that what is listened on does not hang on a name service.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    numeric.as_deref().unwrap_or(text).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn each_kind_takes_what_it_says_and_prints_it_back() {
        let words = Kind::Choice(&["human", "json"]);
        let cases = [
            (Kind::Address, "127.0.0.1:7070", Some("127.0.0.1:7070")),
            (Kind::Address, "localhost:0", Some("127.0.0.1:0")),
            (Kind::Address, "[::1]:7070", Some("[::1]:7070")),
            (Kind::Address, "example.com:80", None),
            (Kind::Address, "7070", None),
            (Kind::Address, "127.0.0.1:65536", None),
            (Kind::Path, "./data", Some("./data")),
            (Kind::Path, "", None),
            (words, "json", Some("json")),
            (words, "JSON", None),
            (Kind::Flag, "true", Some("true")),
            (Kind::Flag, "yes", None),
            (Kind::Count(1, 10), "10", Some("10")),
            (Kind::Count(1, 10), "0", None),
            (Kind::Count(1, 10), "11", None),
            (Kind::AutoCount(0, 10), "auto", Some("auto")),
            (Kind::AutoCount(0, 10), "0", Some("0")),
            (Kind::AutoCount(0, 10), "11", None),
            (Kind::AutoCount(0, 10), "Auto", None),
            (Kind::Bytes(1024, 1 << 20), "1024", Some("1KiB")),
            (Kind::Bytes(1024, 1 << 20), "1023", None),
            (Kind::Bytes(1024, 1 << 20), "2MiB", None),
            (Kind::Time(HOUR, HOUR * 24), "60m", Some("1h")),
            (Kind::Time(HOUR, HOUR * 24), "59m", None),
            (Kind::Time(HOUR, HOUR * 24), "2d", None),
            (Kind::Cors, "any", Some("any")),
            (Kind::Cors, "https://b.example, https://a.example", Some("https://b.example,https://a.example")),
            (Kind::Cors, "b.example", None),
            (Kind::Pattern, "a:*:**", Some("a:*:**")),
            (Kind::Pattern, "a*", None),
        ];
        for (kind, text, expected) in cases {
            let value = kind.parse(text);
            let printed = value.as_ref().map(|value| kind.print(value));
            assert_eq!(printed.as_deref(), expected, "{kind:?} {text:?}");
            if let (Some(value), Some(printed)) = (value, printed) {
                assert_eq!(kind.parse(&printed), Some(value), "{kind:?} {printed:?}");
            }
        }
    }

    #[test]
    fn toml_values_are_quoted_where_toml_wants_it() {
        let cases = [
            (Kind::Flag, "true", "true"),
            (Kind::Count(0, 9), "7", "7"),
            (Kind::AutoCount(0, 9), "7", "7"),
            (Kind::AutoCount(0, 9), "auto", "\"auto\""),
            (Kind::Bytes(0, 9), "7", "\"7B\""),
            (Kind::Path, "a\"b\\c\n", r#""a\"b\\c\u000a""#),
        ];
        for (kind, text, expected) in cases {
            assert_eq!(kind.print_toml(&kind.parse(text).unwrap()), expected);
        }
    }
}
