//! Lines of a streaming answer (NDJSON), cut out of chunks that end anywhere.
//!
//! Bounded: a line longer than its limit is an error, and empty lines cost nothing. It knows no JSON and no socket.

use std::fmt;

/// A line, or an event of several lines, is longer than the client takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong {
    /// The limit, in bytes.
    pub(crate) bytes_max: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server sent an object of more than {} bytes", self.bytes_max)
    }
}

/// Cuts a stream of bytes into lines that end with LF or CRLF.
#[derive(Debug)]
pub(crate) struct LineDecoder {
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    bytes_max: usize,
}

impl LineDecoder {
    /// A decoder of lines of at most `bytes_max` bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { partial: Vec::new(), bytes_max }
    }

    /// Takes the next chunk and passes on every line that it completes; empty lines are left out.
    ///
    /// # Errors
    /// A line is too long. The decoder must not be used after that.
    pub(crate) fn push(&mut self, chunk: &[u8], mut line: impl FnMut(&[u8])) -> Result<(), TooLong> {
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let (head, tail) = rest.split_at(end);
            rest = &tail[1..];
            if self.partial.is_empty() {
                // The common case: a line that lies whole in one chunk is not copied.
                self.check(head.len())?;
                pass_on(head, &mut line);
            } else {
                self.extend(head)?;
                pass_on(&self.partial, &mut line);
                self.partial.clear();
            }
        }
        self.extend(rest)
    }

    /// Whether the stream may end here: no line is half received.
    #[cfg(test)]
    fn is_between_lines(&self) -> bool {
        self.partial.is_empty()
    }

    fn extend(&mut self, more: &[u8]) -> Result<(), TooLong> {
        self.check(self.partial.len() + more.len())?;
        self.partial.extend_from_slice(more);
        Ok(())
    }

    fn check(&self, bytes: usize) -> Result<(), TooLong> {
        // One more than the limit, for the CR of a CRLF.
        if bytes > self.bytes_max + 1 { Err(TooLong { bytes_max: self.bytes_max }) } else { Ok(()) }
    }
}

fn pass_on(line: &[u8], to: &mut impl FnMut(&[u8])) {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if !line.is_empty() {
        to(line);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Chunks<'a> = &'a [&'a [u8]];

    fn decode(chunks: Chunks<'_>, bytes_max: usize) -> Result<(Vec<String>, bool), TooLong> {
        let mut decoder = LineDecoder::new(bytes_max);
        let mut lines = Vec::new();
        for chunk in chunks {
            decoder.push(chunk, |line| lines.push(String::from_utf8(line.to_vec()).unwrap()))?;
        }
        Ok((lines, decoder.is_between_lines()))
    }

    #[test]
    fn lines_come_out_whole() {
        let cases: [(Chunks<'_>, &[&str], bool); 7] = [
            (&[b""], &[], true),
            (&[b"a\nb\n"], &["a", "b"], true),
            (&[b"a\r\nb\r\n"], &["a", "b"], true),
            (&[b"a\r", b"\nb"], &["a"], false),
            (&[b"\n\n\r\n", b"\n"], &[], true),
            (&[b"ab", b"", b"cd", b"\n"], &["abcd"], true),
            (&["봉".as_bytes().split_at(1).0, "봉\n".as_bytes().split_at(1).1], &["봉"], true),
        ];
        for (chunks, lines, between) in cases {
            let expected = lines.iter().map(ToString::to_string).collect();
            assert_eq!(decode(chunks, 100), Ok((expected, between)), "{chunks:?}");
        }
    }

    #[test]
    fn a_line_has_a_limit_whether_its_end_came_or_not() {
        let too_long = Err(TooLong { bytes_max: 4 });
        assert_eq!(decode(&[b"1234\r\n1234\n"], 4), Ok((vec!["1234".into(), "1234".into()], true)));
        assert_eq!(decode(&[b"123456\n"], 4), too_long);
        assert_eq!(decode(&[b"12345", b"6"], 4), too_long);
        assert_eq!(decode(&[b"123", b"456\n"], 4), too_long);
    }

    #[test]
    fn a_flood_of_empty_lines_holds_no_memory() {
        let mut decoder = LineDecoder::new(100);
        let flood = vec![b'\n'; 1 << 20];
        decoder.push(&flood, |line| panic!("{line:?}")).unwrap();
        assert_eq!(decoder.partial.capacity(), 0);
    }

    proptest! {
        #[test]
        fn where_the_chunks_end_makes_no_difference(
            text in "[a\\n\\r]{0,40}",
            cuts in proptest::collection::vec(0usize..40, 0..6),
        ) {
            let whole = decode(&[text.as_bytes()], 100);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut start = 0;
            for cut in cuts {
                chunks.push(&text.as_bytes()[start..cut]);
                start = cut;
            }
            chunks.push(&text.as_bytes()[start..]);
            prop_assert_eq!(decode(&chunks, 100), whole);
        }
    }
}
