//! Lines of a body that arrives in pieces (NDJSON), with bounded memory and without work for nothing.

use bongsu_core::{ErrorCode, Problem};
use bytes::{Buf, Bytes};

/// How much white space may stand between two lines before the client is taken for one that only keeps the server busy.
const BLANK_BYTES_MAX: usize = 64 << 10;
/// How far a line that is too long is followed to its end, in lengths of the longest line.
const SKIP_LINES_MAX: usize = 16;

/// Puts lines together from pieces of a body.
///
/// Give it a piece by [`push`](Self::push), take lines by [`next_line`](Self::next_line) until there is none, and after
/// the last piece call [`finish`](Self::finish).
#[derive(Debug)]
pub struct LineDecoder {
    line_bytes_max: usize,
    /// What was pushed and not looked at yet.
    piece: Bytes,
    /// The beginning of a line whose end has not come; at most `line_bytes_max`.
    partial: Vec<u8>,
    /// White space since the last line.
    blank: usize,
    /// Bytes of a line that is too long, while its end is looked for.
    skipped: Option<usize>,
}

/// One line of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A line that is not blank, without its end.
    Text(Bytes),
    /// A line was too long. Those after it can be read.
    TooLong(Problem),
}

impl LineDecoder {
    /// A decoder of lines of at most so many bytes.
    #[must_use]
    pub fn new(line_bytes_max: usize) -> Self {
        Self { line_bytes_max, piece: Bytes::new(), partial: Vec::new(), blank: 0, skipped: None }
    }

    /// Takes the next piece. Lines that were not taken out yet stay.
    pub fn push(&mut self, piece: Bytes) {
        self.piece = if self.piece.is_empty() { piece } else { [&self.piece[..], &piece].concat().into() };
    }

    /// The next whole line; `None` if more has to come first. Blank lines are passed over.
    ///
    /// # Errors
    /// There is too much white space, or the end of a line that is too long does not come. Nothing more can be read.
    pub fn next_line(&mut self) -> Result<Option<Line>, Problem> {
        loop {
            if self.partial.is_empty() && self.skipped.is_none() {
                self.skip_blank()?;
            }
            let end = self.piece.iter().position(|&byte| byte == b'\n');
            let rest = self.piece.split_to(end.unwrap_or(self.piece.len()));
            // The line feed itself.
            self.piece.advance(usize::from(end.is_some()));
            let line = self.take(rest, end.is_some())?;
            if line.is_some() || self.piece.is_empty() {
                return Ok(line);
            }
        }
    }

    /// The last line, if it has no line feed.
    ///
    /// # Errors
    /// As [`next_line`](Self::next_line).
    pub fn finish(&mut self) -> Result<Option<Line>, Problem> {
        match self.next_line()? {
            Some(line) => Ok(Some(line)),
            None => self.take(Bytes::new(), true),
        }
    }

    /// Passes over white space, also of many lines, without looking at it line by line.
    fn skip_blank(&mut self) -> Result<(), Problem> {
        let blank = self.piece.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.piece.advance(blank);
        self.blank += blank;
        if self.blank > BLANK_BYTES_MAX {
            let detail = format!("more than {BLANK_BYTES_MAX} bytes of white space between two lines");
            return Err(Problem::new(ErrorCode::BadRequest, detail));
        }
        Ok(())
    }

    /// Takes `bytes` to the line under way, and gives the line if that was its end.
    fn take(&mut self, bytes: Bytes, ends: bool) -> Result<Option<Line>, Problem> {
        if let Some(skipped) = self.skipped {
            return self.skip(skipped + bytes.len(), ends).map(|()| None);
        }
        if self.partial.len() + bytes.len() > self.line_bytes_max {
            self.partial = Vec::new();
            self.skip(0, ends)?;
            return Ok(Some(Line::TooLong(self.too_long())));
        }
        if !ends {
            self.partial.extend_from_slice(&bytes);
            return Ok(None);
        }
        let line = if self.partial.is_empty() {
            bytes
        } else {
            self.partial.extend_from_slice(&bytes);
            std::mem::take(&mut self.partial).into()
        };
        let line = line.slice(..line.trim_ascii_end().len());
        if line.is_empty() {
            return Ok(None);
        }
        self.blank = 0;
        Ok(Some(Line::Text(line)))
    }

    fn skip(&mut self, skipped: usize, ends: bool) -> Result<(), Problem> {
        self.skipped = (!ends).then_some(skipped);
        let bound = self.line_bytes_max.saturating_mul(SKIP_LINES_MAX);
        if skipped > bound { Err(self.too_long()) } else { Ok(()) }
    }

    fn too_long(&self) -> Problem {
        let detail = format!("a line has at most {} bytes", self.line_bytes_max);
        Problem::new(ErrorCode::PayloadTooLarge, detail).hint("Publish smaller events, one per line.")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LONG: &str = "(too long)";

    /// All lines of a body that comes in `pieces`, and whether it can be read to its end.
    fn lines(pieces: &[&[u8]]) -> (Vec<String>, bool) {
        let mut decoder = LineDecoder::new(8);
        let mut lines = Vec::new();
        let mut note = |line| match line {
            Line::Text(text) => lines.push(String::from_utf8_lossy(&text).into_owned()),
            Line::TooLong(_) => lines.push(LONG.to_owned()),
        };
        let mut all = || {
            for piece in pieces {
                decoder.push(Bytes::copy_from_slice(piece));
                while let Some(line) = decoder.next_line()? {
                    note(line);
                }
            }
            while let Some(line) = decoder.finish()? {
                note(line);
            }
            Ok::<(), Problem>(())
        };
        let whole = all().is_ok();
        (lines, whole)
    }

    #[test]
    fn lines_come_whole() {
        let cases: [(&[&str], &[&str]); 11] = [
            (&[""], &[]),
            (&["a\nb\n"], &["a", "b"]),
            (&["a\r\nb"], &["a", "b"]),
            (&["a", "b", "\n", "c"], &["ab", "c"]),
            (&["\n \r\n\t", "\n", " a \n\n"], &["a"]),
            (&["  ", " a", " b"], &["a b"]),
            (&["12345678\n12345678"], &["12345678", "12345678"]),
            (&["123456789\na\n"], &[LONG, "a"]),
            (&["12345", "67890", "1", "2\na\n"], &[LONG, "a"]),
            (&["123456789"], &[LONG]),
            (&["a\n123456789", "\n\nb"], &["a", LONG, "b"]),
        ];
        for (pieces, expected) in cases {
            let pieces: Vec<_> = pieces.iter().map(|piece| piece.as_bytes()).collect();
            let (lines, whole) = lines(&pieces);
            assert_eq!((lines, whole), (expected.iter().map(ToString::to_string).collect(), true), "{pieces:?}");
        }
    }

    #[test]
    fn nothing_without_end_is_followed() {
        let newlines = vec![b'\n'; 1024];
        let digits = [b'1'; 64];
        assert_eq!(lines(&vec![&newlines[..]; 64]), (vec![], true));
        assert_eq!(lines(&vec![&newlines[..]; 65]), (vec![], false));
        let mut apart = newlines.clone();
        apart.push(b'a');
        assert!(lines(&vec![&apart[..]; 65]).1, "only what stands between two lines counts");
        assert_eq!(lines(&[&digits[..]; 3]), (vec![LONG.to_owned()], true));
        assert_eq!(lines(&[&digits[..]; 4]), (vec![LONG.to_owned()], false));
    }

    #[test]
    fn a_line_within_one_piece_is_not_copied() {
        let piece = Bytes::from_static(b"a\nb\n");
        let mut decoder = LineDecoder::new(8);
        decoder.push(piece.clone());
        let Ok(Some(Line::Text(line))) = decoder.next_line() else { panic!("there is a line") };
        assert_eq!(line.as_ptr(), piece.as_ptr());
    }

    proptest! {
        #[test]
        fn where_a_body_is_cut_makes_no_difference(
            body in "[a1\n\r ]{0,40}",
            cuts in prop::collection::vec(0usize..40, 0..6),
        ) {
            let body = body.as_bytes();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
            cuts.extend([0, body.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|pair| &body[pair[0]..pair[1]]).collect();
            prop_assert_eq!(lines(&pieces), lines(&[body]));
        }
    }
}
