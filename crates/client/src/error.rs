//! What can go wrong, sorted by what to do about it.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::net::origin::Origin;
use crate::problem::Problem;

/// Why a call failed. [`Error::kind`] says what to do, the text says what happened.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    problem: Option<Problem>,
    /// It was an object or an answer larger than the client's bound.
    too_large: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The call cannot be right as it is: mend it. Nothing was sent.
    Usage,
    /// No connection could be made: start the server, check the address or the network, then try again.
    Unreachable,
    /// A connection broke, or nothing came in time: try again. Whether the server did what was asked is not known.
    Interrupted,
    /// The server refused; [`Error::problem`] has its words, and says whether to try again.
    Refused,
    /// The server ended the subscription and asked not to come back.
    Ended,
    /// What answered does not speak this protocol: check the address, what stands between, and the versions.
    Protocol,
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.kind() {
            ErrorKind::Unreachable | ErrorKind::Interrupted => true,
            ErrorKind::Refused => self.problem().is_some_and(Problem::is_retryable),
            ErrorKind::Usage | ErrorKind::Ended | ErrorKind::Protocol => false,
        }
    }

    /// The server's own words, when it refused.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        self.0.problem.as_ref()
    }

    /// How long the server asked to wait before another attempt.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.problem().and_then(|problem| problem.retry_after)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message, None)
    }

    pub(crate) fn unreachable(message: impl Into<String>, source: impl StdError + Send + Sync + 'static) -> Self {
        Self::new(ErrorKind::Unreachable, message, Some(Box::new(source)))
    }

    pub(crate) fn interrupted(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Interrupted, message, None)
    }

    pub(crate) fn cut(message: impl Into<String>, source: impl StdError + Send + Sync + 'static) -> Self {
        Self::new(ErrorKind::Interrupted, message, Some(Box::new(source)))
    }

    pub(crate) fn ended(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Ended, message, None)
    }

    pub(crate) fn protocol(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Protocol, message, None)
    }

    pub(crate) fn refused(problem: Problem) -> Self {
        let (kind, message) = (ErrorKind::Refused, format!("the server refused: {problem}"));
        Self(Arc::new(Inner { kind, message, problem: Some(problem), too_large: false, source: None }))
    }

    pub(crate) fn too_large(bytes_max: usize) -> Self {
        let message = format!(
            "the server sent more than {bytes_max} bytes at once; allow more with `ClientBuilder::object_bytes_max`"
        );
        Self(Arc::new(Inner { kind: ErrorKind::Protocol, message, problem: None, too_large: true, source: None }))
    }

    /// A request was sent, and no answer began.
    pub(crate) fn no_answer(origin: &Origin, patience: Duration) -> Self {
        Self::interrupted(format!("{origin} took a request but did not answer within {patience:?}"))
    }

    /// Nothing came for too long on a connection that stood.
    pub(crate) fn silent(origin: &Origin, patience: Duration) -> Self {
        Self::interrupted(format!("nothing came from {origin} for {patience:?}: it or the way to it is gone"))
    }

    pub(crate) fn is_too_large(&self) -> bool {
        self.0.too_large
    }

    fn new(
        kind: ErrorKind,
        message: impl Into<String>,
        source: Option<Box<dyn StdError + Send + Sync + 'static>>,
    ) -> Self {
        Self(Arc::new(Inner { kind, message: message.into(), problem: None, too_large: false, source }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Error");
        debug.field("kind", &self.0.kind).field("message", &self.0.message);
        if let Some(source) = &self.0.source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
