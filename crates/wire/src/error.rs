//! Why something that came from a server cannot be read.
//!
//! What came from a client is refused with a [`Problem`](bongsu_core::Problem) instead, which the client is shown.

use std::fmt;

/// Bytes that should have been an object, an answer or a problem are not. The text says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(String);

impl Malformed {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }

    pub(crate) fn member(name: &str, why: &dyn fmt::Display) -> Self {
        Self(format!("`{name}`: {why}"))
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}
