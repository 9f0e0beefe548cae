//! What can go wrong while a scenario runs.
//!
//! Three kinds are kept apart because steps react to them differently: a timeout is what
//! `expect_none` hopes for, a closed connection is what `expect_close` hopes for, and everything
//! else is a broken promise. Knows nothing of scenarios or sockets.

use std::fmt;

/// A result whose error is a [`Failure`].
pub type Result<T> = std::result::Result<T, Failure>;

/// Why a step did not do what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Nothing (more) came before the deadline.
    Timeout(String),
    /// The other side ended the connection.
    Closed {
        /// WebSocket close code, where there was one.
        code: Option<u16>,
        /// What was seen.
        detail: String,
    },
    /// Something came that the contract does not allow, or that the step did not expect.
    Wrong(String),
}

impl Failure {
    /// A broken promise, in words.
    pub fn wrong(text: impl Into<String>) -> Self {
        Self::Wrong(text.into())
    }

    /// An end of connection without a WebSocket close code.
    pub fn closed(text: impl Into<String>) -> Self {
        Self::Closed { code: None, detail: text.into() }
    }

    /// The same failure with `context` in front of its text.
    #[must_use]
    pub fn within(self, context: &str) -> Self {
        match self {
            Self::Timeout(text) => Self::Timeout(format!("{context}: {text}")),
            Self::Closed { code, detail } => Self::Closed { code, detail: format!("{context}: {detail}") },
            Self::Wrong(text) => Self::Wrong(format!("{context}: {text}")),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout(text) => write!(f, "timed out: {text}"),
            Self::Closed { code: None, detail } => write!(f, "connection ended: {detail}"),
            Self::Closed { code: Some(code), detail } => write!(f, "connection closed with code {code}: {detail}"),
            Self::Wrong(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        match error.kind() {
            Kind::WouldBlock | Kind::TimedOut => Self::Timeout(error.to_string()),
            Kind::BrokenPipe
            | Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::UnexpectedEof
            | Kind::ConnectionRefused => Self::closed(error.to_string()),
            _ => Self::Wrong(error.to_string()),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Wrong(format!("not the expected JSON: {error}"))
    }
}
