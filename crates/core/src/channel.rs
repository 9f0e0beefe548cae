//! Channel names and the patterns that rules match them with.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a channel: 1 to 200 bytes of UTF-8 without white space, control characters or `*`.
///
/// `:` separates segments (`shop:7:orders`). A clone shares the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName(Arc<str>);

/// Why a text is no channel name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadChannelName {
    /// It has no characters.
    Empty,
    /// It is longer than [`ChannelName::BYTES_MAX`] bytes; this many.
    TooLong(usize),
    /// It has a character that names cannot have.
    Character(char),
}

impl ChannelName {
    /// The longest name, in bytes of UTF-8.
    pub const BYTES_MAX: usize = 200;

    /// Checks `text` and takes it as a name.
    ///
    /// # Errors
    /// The text breaks the rules for names.
    pub fn new(text: &str) -> Result<Self, BadChannelName> {
        if text.is_empty() {
            return Err(BadChannelName::Empty);
        }
        if text.len() > Self::BYTES_MAX {
            return Err(BadChannelName::TooLong(text.len()));
        }
        match text.chars().find(|&c| c == '*' || c.is_whitespace() || c.is_control()) {
            Some(bad) => Err(BadChannelName::Character(bad)),
            None => Ok(Self(text.into())),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Names beginning with `$` belong to the server: clients and backends cannot use them directly.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with('$')
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for ChannelName {
    type Err = BadChannelName;

    fn from_str(text: &str) -> Result<Self, BadChannelName> {
        Self::new(text)
    }
}

impl Borrow<str> for ChannelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BadChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a channel name needs at least one character"),
            Self::TooLong(bytes) => {
                write!(f, "a channel name has at most {} bytes of UTF-8; this one has {bytes}", ChannelName::BYTES_MAX)
            }
            Self::Character(bad) => write!(
                f,
                "a channel name cannot contain {bad:?}: white space, control characters and `*` are not allowed"
            ),
        }
    }
}

impl std::error::Error for BadChannelName {}

/// A pattern over channel names, as rules use it: `*` stands for one segment, a last `**` for any rest.
///
/// `shop:*:orders` matches `shop:7:orders`; `shop:**` matches `shop:7` and `shop:7:orders` but not `shop`;
/// `**` matches every name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelPattern(Arc<str>);

/// Why a text is no channel pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadChannelPattern {
    /// A segment mixes `*` with other characters, or `**` is not the last segment.
    Star,
    /// What is left without the stars is no channel name.
    Name(BadChannelName),
}

impl ChannelPattern {
    /// Checks `text` and takes it as a pattern.
    ///
    /// # Errors
    /// A star stands where it means nothing, or another character breaks the rules for names.
    pub fn new(text: &str) -> Result<Self, BadChannelPattern> {
        let last = text.split(':').count() - 1;
        for (index, segment) in text.split(':').enumerate() {
            let allowed = match segment {
                "*" => true,
                "**" => index == last,
                other => !other.contains('*'),
            };
            if !allowed {
                return Err(BadChannelPattern::Star);
            }
        }
        ChannelName::new(&text.replace('*', "x")).map_err(BadChannelPattern::Name)?;
        Ok(Self(text.into()))
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern covers `name`.
    #[must_use]
    pub fn matches(&self, name: &ChannelName) -> bool {
        let mut segments = name.as_str().split(':');
        for wanted in self.0.split(':') {
            match (wanted, segments.next()) {
                ("**", rest) => return rest.is_some(),
                (_, None) => return false,
                ("*", Some(_)) => {}
                (wanted, Some(segment)) if wanted == segment => {}
                _ => return false,
            }
        }
        segments.next().is_none()
    }
}

impl fmt::Display for ChannelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BadChannelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Star => f.write_str(
                "`*` must be a whole segment, and `**` only the last one, as in `shop:*:orders` or `shop:**`",
            ),
            Self::Name(bad) => bad.fmt(f),
        }
    }
}

impl std::error::Error for BadChannelPattern {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_taken() {
        for text in ["a", "shop:7:orders", "봉수:1", "$user:4", "a/b?c#d", "::", &"x".repeat(200)] {
            assert_eq!(ChannelName::new(text).map(|name| name.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn names_that_are_refused() {
        let cases = [
            ("", BadChannelName::Empty),
            ("a b", BadChannelName::Character(' ')),
            ("a\u{3000}b", BadChannelName::Character('\u{3000}')),
            ("a\nb", BadChannelName::Character('\n')),
            ("a\u{85}", BadChannelName::Character('\u{85}')),
            ("shop:*", BadChannelName::Character('*')),
            (&"x".repeat(201), BadChannelName::TooLong(201)),
        ];
        for (text, why) in cases {
            assert_eq!(ChannelName::new(text), Err(why), "{text:?}");
        }
    }

    #[test]
    fn patterns_match_by_segment() {
        let cases = [
            ("a", "a", true),
            ("a", "a:b", false),
            ("*", "a", true),
            ("*", "a:b", false),
            ("**", "a", true),
            ("**", "a:b:c", true),
            ("shop:*:orders", "shop:7:orders", true),
            ("shop:*:orders", "shop:7:8:orders", false),
            ("shop:**", "shop", false),
            ("shop:**", "shop:7", true),
            ("shop:**", "shop:7:8", true),
            ("shop:**", "shopping:7", false),
            ("shop:*", "shop:", true),
        ];
        for (pattern, name, expected) in cases {
            let pattern = ChannelPattern::new(pattern).unwrap();
            assert_eq!(pattern.matches(&ChannelName::new(name).unwrap()), expected, "{pattern:?} on {name}");
        }
    }

    #[test]
    fn patterns_that_are_refused() {
        for text in ["", "a*", "**:a", "a:***", "a b"] {
            assert!(ChannelPattern::new(text).is_err(), "{text:?}");
        }
    }
}
