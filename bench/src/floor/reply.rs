//! The few answers of the floors.

/// The head of an endless answer: nothing tells its end but the end of the connection.
pub(super) const STREAM: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n";

/// A whole answer.
pub(super) fn json(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(96 + body.len());
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ");
    out.extend_from_slice(body.len().to_string().as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(body);
    out
}

/// The `since` of a query; None when there is none or it is no number.
pub(super) fn since(query: &[u8]) -> Option<u64> {
    let value = query.split(|byte| *byte == b'&').find_map(|part| part.strip_prefix(b"since="))?;
    crate::payload::number(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_since_of_a_query() {
        for (query, expected) in [("", None), ("since=", None), ("since=12", Some(12)), ("a=1&since=7&b", Some(7))] {
            assert_eq!(since(query.as_bytes()), expected, "{query}");
        }
    }
}
