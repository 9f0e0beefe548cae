//! NDJSON: one object per line. Empty lines are allowed between them.

use super::Next;

/// The next line that is not empty.
#[expect(clippy::unnecessary_wraps, reason = "of one shape with the other readers")]
pub(crate) fn next(bytes: &[u8]) -> Next<&[u8]> {
    let mut begin = 0;
    while let Some(length) = memchr::memchr(b'\n', &bytes[begin..]) {
        let line = bytes[begin..begin + length].trim_ascii_end();
        begin += length + 1;
        if !line.is_empty() {
            return Ok(Some((line, begin)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What arrives; the line in it and the bytes it took.
    type Case = (&'static [u8], Option<(&'static [u8], usize)>);

    #[test]
    fn lines() {
        let cases: &[Case] = &[
            (b"", None),
            (b"{\"a\":1}", None),
            (b"{\"a\":1}\n{", Some((b"{\"a\":1}", 8))),
            (b"{}\r\n", Some((b"{}", 4))),
            (b"\n\n{}\n", Some((b"{}", 5))),
            (b"\n\n", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(next(bytes), Ok(*expected), "{bytes:?}");
        }
    }
}
