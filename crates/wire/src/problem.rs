//! Problems as RFC 9457 problem details, and back.

use std::time::Duration;

use bongsu_core::{ErrorCode, Problem};
use bytes::Bytes;
use serde::Deserialize;

use crate::error::Malformed;
use crate::json;

/// The media type of a problem (RFC 9457 §6.1).
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Where each code is explained; the code follows.
const TYPE_BASE: &str = "https://bongsu.dev/errors#";

/// The problem as a JSON object: `type`, `title`, `status`, `code`, `detail`, and `hint` and `retry_ms` if it has them.
///
/// `retry_ms` says in the body what `Retry-After` says in the head, for commands, whose answers have no head.
#[must_use]
pub fn encode(problem: &Problem) -> Bytes {
    let mut out = Vec::with_capacity(256 + problem.detail.len());
    write(&mut out, problem);
    out.into()
}

/// Appends what [`encode`] gives.
pub(crate) fn write(out: &mut Vec<u8>, problem: &Problem) {
    let Problem { code, detail, hint, retry_after } = problem;
    let (name, status) = (code.name(), code.status());
    out.extend_from_slice(format!("{{\"type\":\"{TYPE_BASE}{name}\",\"title\":").as_bytes());
    json::push_string(out, code.title());
    out.extend_from_slice(format!(",\"status\":{status},\"code\":\"{name}\",\"detail\":").as_bytes());
    json::push_string(out, detail);
    if let Some(hint) = hint {
        out.extend_from_slice(b",\"hint\":");
        json::push_string(out, hint);
    }
    if let Some(after) = retry_after {
        out.extend_from_slice(format!(",\"retry_ms\":{}", after.as_millis()).as_bytes());
    }
    out.push(b'}');
}

/// Members of a problem. The others repeat what the code says.
#[derive(Deserialize)]
struct Members {
    code: Option<String>,
    status: Option<u16>,
    #[serde(default)]
    detail: String,
    hint: Option<String>,
    retry_ms: Option<u64>,
}

/// Reads a problem. A code of a later server is taken for the first known one of its status.
///
/// # Errors
/// It is no JSON object, has neither a `code` nor a `status`, or a member has the wrong type.
pub fn parse(bytes: &[u8]) -> Result<Problem, Malformed> {
    let Members { code: name, status, detail, hint, retry_ms } = serde_json::from_slice(bytes)?;
    let by_name = name.as_deref().and_then(|name| ErrorCode::ALL.iter().find(|code| code.name() == name));
    let code = match (by_name, status) {
        (Some(code), _) => *code,
        (None, Some(status)) => from_status(status),
        (None, None) => return Err(Malformed::new("a problem has a `code` or a `status`")),
    };
    Ok(Problem { code, detail, hint, retry_after: retry_ms.map(Duration::from_millis) })
}

/// The first code with that HTTP status; for a status that no code has, the most general one of its class.
///
/// For answers that are no problem, such as those of a proxy in between.
#[must_use]
pub fn from_status(status: u16) -> ErrorCode {
    let general = if status >= 500 { ErrorCode::Internal } else { ErrorCode::BadRequest };
    ErrorCode::ALL.iter().copied().find(|code| code.status() == status).unwrap_or(general)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_code_comes_back() {
        for &code in ErrorCode::ALL {
            let bare = Problem::new(code, "a \"quoted\"\nline");
            let full = bare.clone().hint("봉수").retry_after(Duration::from_millis(1500));
            for problem in [bare, full] {
                assert_eq!(parse(&encode(&problem)), Ok(problem));
            }
        }
    }

    #[test]
    fn problems_of_others_are_read_too() {
        let cases = [
            (r#"{"status":403}"#, Some(ErrorCode::Reserved)),
            (r#"{"status":418,"code":"teapot","new":{}}"#, Some(ErrorCode::BadRequest)),
            (r#"{"status":504}"#, Some(ErrorCode::Internal)),
            (r#"{"code":"bad_cursor"}"#, Some(ErrorCode::BadCursor)),
            ("{}", None),
            ("[]", None),
            ("<html>", None),
        ];
        for (text, code) in cases {
            assert_eq!(parse(text.as_bytes()).ok().map(|problem| problem.code), code, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(input in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&input);
        }
    }
}
