//! The server's own words for a refusal.

use std::fmt;
use std::time::Duration;

use bongsu_core::ErrorCode;
use bongsu_core::error::Retry;
use serde::Deserialize;

/// A refusal as the server put it: RFC 9457 problem details (§12 of the protocol page).
///
/// The code is text, because a later server may know codes that this client does not; [`Problem::known`] gives those
/// of the catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The name of the error in the catalogue, such as `bad_cursor`.
    pub code: String,
    /// The short title, the same for every occurrence.
    pub title: String,
    /// A sentence about this occurrence.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// How long the server asked to wait before another attempt.
    #[serde(rename = "retry_ms", deserialize_with = "millis")]
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// The problem in the body of an answer, with the wait of its `Retry-After` header unless the body is more exact.
    /// A body that is none (a proxy's page, say) gives one made from the status.
    pub(crate) fn from_answer(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let parsed = serde_json::from_slice::<Self>(body).ok().filter(|problem| !problem.code.is_empty());
        let problem = parsed.unwrap_or_else(|| Self {
            code: format!("http_{status}"),
            title: "The answer is no problem document".into(),
            detail: excerpt(body),
            ..Self::default()
        });
        Self { status, retry_after: problem.retry_after.or(retry_after), ..problem }
    }

    /// The code, if this client knows it.
    #[must_use]
    pub fn known(&self) -> Option<ErrorCode> {
        ErrorCode::ALL.iter().copied().find(|code| code.name() == self.code)
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.known() {
            Some(code) => code.retry() == Retry::Later,
            None => matches!(self.status, 408 | 429 | 500..),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", if self.detail.is_empty() { &self.title } else { &self.detail }, self.code)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

fn millis<'de, D: serde::Deserializer<'de>>(field: D) -> Result<Option<Duration>, D::Error> {
    Ok(Option::<u64>::deserialize(field)?.map(Duration::from_millis))
}

/// The first line of a body that is meant for somebody else.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(200)]);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("the answer has no body");
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_from_answers() {
        let body = br#"{"type":"x","title":"T","status":400,"code":"bad_cursor","detail":"D","hint":"H","extra":1}"#;
        let problem = Problem::from_answer(400, body, None);
        assert_eq!(problem.to_string(), "D (bad_cursor); H");
        assert_eq!(problem.known(), Some(ErrorCode::BadCursor));
        assert!(!problem.is_retryable());

        let cases: [(u16, &[u8], &str, bool); 6] = [
            (502, b"\n<html>Bad Gateway</html>", "<html>Bad Gateway</html> (http_502)", true),
            (404, b"", "the answer has no body (http_404)", false),
            (404, b"{}", "{} (http_404)", false),
            (503, br#"{"code":"draining","title":"T"}"#, "T (draining)", true),
            (409, br#"{"code":"from_the_future","detail":"D"}"#, "D (from_the_future)", false),
            (429, br#"{"code":"from_the_future","detail":"D"}"#, "D (from_the_future)", true),
        ];
        for (status, body, text, retryable) in cases {
            let problem = Problem::from_answer(status, body, None);
            assert_eq!((problem.to_string().as_str(), problem.is_retryable()), (text, retryable));
            assert_eq!(problem.status, status);
        }

        let second = Some(Duration::from_secs(1));
        let exact: &[u8] = br#"{"code":"draining","retry_ms":1250}"#;
        assert_eq!(Problem::from_answer(503, exact, second).retry_after, Some(Duration::from_millis(1250)));
        assert_eq!(Problem::from_answer(503, b"", second).retry_after, second);
    }
}
