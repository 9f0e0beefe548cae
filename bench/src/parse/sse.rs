//! Server-Sent Events (HTML standard §9.2.6), as far as one-line data goes.

use super::{Malformed, Next};

/// The next event that has data: its one `data` line. Comments, and events without data, are passed over.
pub(crate) fn next(bytes: &[u8]) -> Next<&[u8]> {
    let mut data: Option<&[u8]> = None;
    let mut begin = 0;
    while let Some(length) = memchr::memchr(b'\n', &bytes[begin..]) {
        let line = &bytes[begin..begin + length];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        begin += length + 1;
        match (line.is_empty(), data) {
            // "If the line is empty (a blank line): Dispatch the event."
            (true, Some(data)) => return Ok(Some((data, begin))),
            (true, None) => {}
            (false, _) => {
                if let Some(value) = line.strip_prefix(b"data:")
                    && data.replace(value.strip_prefix(b" ").unwrap_or(value)).is_some()
                {
                    return Err(Malformed("an SSE event of several data lines, which no payload of the bench needs"));
                }
            }
        }
    }
    Ok(None)
}

/// The last `id` of an event that [`next`] took; empty when it has none.
pub(crate) fn id(event: &[u8]) -> &[u8] {
    let mut ids = event.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"id:"));
    ids.next_back().map_or(b"", |id| id.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events() {
        let cases: &[(&str, Option<(&str, usize)>)] = &[
            ("", None),
            ("data: a\n", None),
            ("data: a\n\nrest", Some(("a", 9))),
            ("data:a\r\n\r\n", Some(("a", 10))),
            ("id: 7\nevent: x\ndata: {\"a\":1}\n\n", Some(("{\"a\":1}", 30))),
            (": comment\n\nretry: 10\n\ndata: a\n\n", Some(("a", 31))),
            (": comment\n\n", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(data, used)| (data.as_bytes(), used));
            assert_eq!(next(text.as_bytes()), Ok(expected), "{text:?}");
        }
        assert!(next(b"data: a\ndata: b\n\n").is_err());
    }

    #[test]
    fn ids() {
        for (event, expected) in
            [("id: 7:1\ndata: a\n\n", "7:1"), ("data: a\nid:7\r\n\n", "7"), ("data: id: 3\n\n", "")]
        {
            assert_eq!(id(event.as_bytes()), expected.as_bytes(), "{event:?}");
        }
    }
}
