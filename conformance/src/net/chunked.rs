//! The chunked transfer coding, RFC 9112 §7.1, decoded piece by piece and without mercy.

use crate::error::{Failure, Result};

/// A chunk-size line or trailer line longer than this is refused.
const LINE_BYTES_MAX: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailer,
    Done,
}

/// Decoder state between reads.
#[derive(Debug)]
pub struct Chunked {
    state: State,
}

impl Default for Chunked {
    fn default() -> Self {
        Self { state: State::Size }
    }
}

impl Chunked {
    /// Whether the last chunk and the trailer section have been read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes what it can from `input` and appends the decoded bytes to `out`.
    pub fn decode(&mut self, input: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<()> {
        let mut at = 0;
        while let Some(used) = self.step(&input[at..], out)? {
            at += used;
        }
        input.drain(..at);
        Ok(())
    }

    /// One transition; `None` when more input is needed or the body is complete.
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>> {
        match self.state {
            State::Done => Ok(None),
            State::Data(left) => {
                let take = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                out.extend_from_slice(&input[..take]);
                let left = left - take as u64;
                self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                Ok((take > 0).then_some(take))
            }
            State::DataEnd => match line(input)? {
                None => Ok(None),
                Some(("", used)) => {
                    self.state = State::Size;
                    Ok(Some(used))
                }
                Some((text, _)) => Err(Failure::wrong(format!("chunk data runs over: {text:?}"))),
            },
            State::Size => {
                let Some((text, used)) = line(input)? else { return Ok(None) };
                self.state = match chunk_size(text)? {
                    0 => State::Trailer,
                    size => State::Data(size),
                };
                Ok(Some(used))
            }
            State::Trailer => {
                let Some((text, used)) = line(input)? else { return Ok(None) };
                if text.is_empty() {
                    self.state = State::Done;
                }
                Ok(Some(used))
            }
        }
    }
}

/// A line up to CR LF; a bare LF is an error.
fn line(input: &[u8]) -> Result<Option<(&str, usize)>> {
    let Some(end) = input.iter().position(|b| *b == b'\n') else {
        if input.len() > LINE_BYTES_MAX {
            return Err(Failure::wrong("chunk line without an end"));
        }
        return Ok(None);
    };
    let text = input[..end]
        .strip_suffix(b"\r")
        .and_then(|l| std::str::from_utf8(l).ok())
        .ok_or_else(|| Failure::wrong("chunk line does not end with CR LF"))?;
    Ok(Some((text, end + 1)))
}

fn chunk_size(text: &str) -> Result<u64> {
    let digits = text.split(';').next().unwrap_or_default().trim_end();
    let all_hex = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    all_hex
        .then(|| u64::from_str_radix(digits, 16).ok())
        .flatten()
        .ok_or_else(|| Failure::wrong(format!("not a chunk size: {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(parts: &[&[u8]]) -> Result<(Vec<u8>, bool, Vec<u8>)> {
        let (mut chunked, mut input, mut out) = (Chunked::default(), Vec::new(), Vec::new());
        for part in parts {
            input.extend_from_slice(part);
            chunked.decode(&mut input, &mut out)?;
        }
        Ok((out, chunked.is_done(), input))
    }

    #[test]
    fn good_bodies_whole_and_byte_by_byte() {
        let cases: &[(&[u8], &[u8], bool)] = &[
            (b"3\r\nabc\r\n0\r\n\r\n", b"abc", true),
            (b"3;ext=1\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", b"abcd", true),
            (b"A\r\n0123456789\r\n0\r\nX: y\r\n\r\n", b"0123456789", true),
            (b"3\r\nabc\r\n", b"abc", false),
            (b"3\r\nab", b"ab", false),
        ];
        for (input, body, done) in cases {
            let whole = decode(&[input]).unwrap();
            assert_eq!((whole.0.as_slice(), whole.1), (*body, *done));
            let pieces: Vec<&[u8]> = input.chunks(1).collect();
            assert_eq!(decode(&pieces).unwrap().0, *body);
        }
    }

    #[test]
    fn what_follows_the_body_is_left() {
        let (_, done, rest) = decode(&[b"0\r\n\r\nHTTP/1.1 200"]).unwrap();
        assert!(done);
        assert_eq!(rest, b"HTTP/1.1 200");
    }

    #[test]
    fn bad_bodies_are_refused() {
        for bad in [&b"x\r\n"[..], b"\r\n", b"3\nabc", b"-1\r\n", b"3\r\nabcd\r\n", b"1\r\nab"] {
            let mut with_end = bad.to_vec();
            with_end.extend_from_slice(b"\r\n");
            assert!(decode(&[&with_end]).is_err(), "{bad:?}");
        }
    }
}
