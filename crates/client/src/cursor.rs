//! Positions as the client sees them: opaque text.
//!
//! The server's own cursor type knows epochs and sequence numbers. A client must not: a server in a cluster may give
//! cursors of another form, so here a cursor is only checked against what the protocol page promises of every cursor.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// An opaque position in the log across all channels: keep it, hand it back, do not look inside.
///
/// The [`id`](crate::Event::id) of every event is the cursor just after it. It serialises as a string, so that an
/// application can store it beside what it has done with the events up to it.
///
/// ```
/// let cursor: bongsu_client::Cursor = "1k7q09zt-42".parse()?;
/// assert_eq!(cursor.as_str(), "1k7q09zt-42");
/// assert!("not a cursor".parse::<bongsu_client::Cursor>().is_err());
/// # Ok::<(), bongsu_client::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor(Arc<str>);

impl Cursor {
    /// The longest cursor, in characters (§1 of the protocol page).
    pub const LEN_MAX: usize = 64;

    /// The cursor as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// "an opaque string of at most 64 characters of `[A-Za-z0-9._~-]`" (§1 of the protocol page).
fn is_cursor(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    (1..=Cursor::LEN_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if is_cursor(text) {
            return Ok(Self(text.into()));
        }
        Err(Error::usage(format!(
            "{text:?} is no cursor: use the `cursor` of an answer or the `id` of an event, unchanged"
        )))
    }
}

impl TryFrom<String> for Cursor {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.as_str().to_owned()
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Where a subscription begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Since {
    /// The oldest event that is kept.
    Start,
    /// After the newest event: only what comes from now on.
    #[default]
    Now,
    /// After this position.
    At(Cursor),
}

impl From<Cursor> for Since {
    fn from(cursor: Cursor) -> Self {
        Self::At(cursor)
    }
}

impl From<&Cursor> for Since {
    fn from(cursor: &Cursor) -> Self {
        Self::At(cursor.clone())
    }
}

impl FromStr for Since {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "start" => Ok(Self::Start),
            "now" => Ok(Self::Now),
            other => other.parse().map(Self::At),
        }
    }
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Now => "now",
            Self::At(cursor) => cursor.as_str(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_protocol_page_calls_a_cursor() {
        for text in ["0", "00000000-0", "a.b_c~d-E9", &"x".repeat(64)] {
            assert_eq!(text.parse::<Cursor>().unwrap().as_str(), text);
        }
        for text in ["", "a b", "a\n", "a,b", "봉", "\"x\"", &"x".repeat(65)] {
            assert!(text.parse::<Cursor>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn since_knows_two_words() {
        let cases = [("start", Since::Start), ("now", Since::Now), ("a-1", Since::At("a-1".parse().unwrap()))];
        for (text, since) in cases {
            assert_eq!(text.parse::<Since>().unwrap(), since);
            assert_eq!(since.to_string(), text);
        }
    }

    #[test]
    fn a_stored_cursor_is_checked_when_read_back() {
        let cursor: Cursor = serde_json::from_str("\"a-1\"").unwrap();
        assert_eq!(serde_json::to_string(&cursor).unwrap(), "\"a-1\"");
        assert!(serde_json::from_str::<Cursor>("\"a b\"").is_err());
    }
}
