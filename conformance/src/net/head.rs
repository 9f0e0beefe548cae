//! The head of an HTTP/1.1 answer, read strictly: what the server may not send is not understood.

use super::Head;
use crate::error::{Failure, Result};

/// A head longer than this is refused: no promise needs it.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Parses a response head, RFC 9112 §4 and §5; `None` while it is incomplete.
pub fn parse_head(input: &[u8]) -> Result<Option<(Head, usize)>> {
    let Some(end) = input.windows(4).position(|w| w == b"\r\n\r\n") else {
        if input.len() > HEAD_BYTES_MAX {
            return Err(Failure::wrong("the head of the answer has no end"));
        }
        return Ok(None);
    };
    let text = std::str::from_utf8(&input[..end]).map_err(|_| Failure::wrong("the head of the answer is not UTF-8"))?;
    let mut lines = text.split("\r\n");
    let status = parse_status(lines.next().unwrap_or_default())?;
    let headers = lines.map(parse_field).collect::<Result<Vec<_>>>()?;
    Ok(Some((Head { status, headers }, end + 4)))
}

fn parse_status(line: &str) -> Result<u16> {
    let code = line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .filter(|_| matches!(line.as_bytes().get(12), None | Some(b' ')));
    code.and_then(|c| c.parse().ok())
        .filter(|c| (100..600).contains(c))
        .ok_or_else(|| Failure::wrong(format!("not a status line: {line:?}")))
}

fn parse_field(line: &str) -> Result<(String, String)> {
    let token = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    match line.split_once(':') {
        Some((name, value)) if token(name) && !value.contains(['\r', '\n', '\0']) => {
            Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
        }
        _ => Err(Failure::wrong(format!("not a header field: {line:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let (head, used) = parse_head(b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\nrest").unwrap().unwrap();
        assert_eq!((head.status, used), (304, 40));
        assert_eq!(head.get("etag").as_deref(), Some("\"x\""));
        assert!(parse_head(b"HTTP/1.1 200 OK\r\nA: b\r\n").unwrap().is_none());
        assert!(parse_head(b"HTTP/1.1 200\r\n\r\n").unwrap().is_some());
    }

    #[test]
    fn bad_heads_are_refused() {
        for bad in [
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
        ] {
            assert!(parse_head(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
