//! Positions in the log.
//!
//! A log gives every event a sequence number ([`Seq`]); a log that was lost or replaced is another [`Epoch`].
//! The two together are a [`Cursor`], the one string with which a client resumes any set of channels by any way.

use std::fmt;
use std::str::FromStr;

/// A sequence number: the place of an event among all events of one log. The first event has 1; 0 is before all.
///
/// Sequence numbers rise strictly and are never given twice within an epoch, but they have holes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl Seq {
    /// Before every event.
    pub const ZERO: Self = Self(0);

    /// The next sequence number.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Which log a sequence number belongs to: a random number of 40 bits, drawn when a log is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    const BITS: u32 = 40;
    const DIGITS: usize = 8;

    /// Keeps the lowest 40 bits of `random`.
    #[must_use]
    pub fn from_random(random: u64) -> Self {
        Self(random & ((1 << Self::BITS) - 1))
    }

    /// The 40 bits as a number, for storage.
    #[must_use]
    pub fn to_u64(self) -> u64 {
        self.0
    }
}

/// Lower-case base 32 without `i`, `l`, `o` and `u`: safe in URLs, headers and by telephone.
const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A position in the log across all channels: everything up to and including `seq` lies behind it.
///
/// The text form is the epoch in eight base-32 digits, `-`, and the sequence number in decimal. Clients must treat
/// it as opaque. It never contains anything but `[a-z0-9-]` and is at most [`Cursor::LEN_MAX`] bytes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The log the position is in.
    pub epoch: Epoch,
    /// The last sequence number that lies behind the position.
    pub seq: Seq,
}

impl Cursor {
    /// The longest text form: eight digits, a hyphen and twenty digits.
    pub const LEN_MAX: usize = Epoch::DIGITS + 1 + 20;

    /// A cursor from its parts.
    #[must_use]
    pub fn new(epoch: Epoch, seq: Seq) -> Self {
        Self { epoch, seq }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for digit in (0..Self::DIGITS).rev() {
            let index = (self.0 >> (digit * 5)) & 31;
            fmt::Write::write_char(f, char::from(BASE32[index as usize]))?;
        }
        Ok(())
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq.0)
    }
}

/// The text is no cursor at all. (A cursor of another log is well-formed; it parses.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadCursor;

impl fmt::Display for BadCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a cursor: use the `cursor` of an answer or the `id` of an event, unchanged")
    }
}

impl std::error::Error for BadCursor {}

impl FromStr for Epoch {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        if text.len() != Self::DIGITS {
            return Err(BadCursor);
        }
        text.bytes()
            .try_fold(0, |bits, byte| {
                let digit = BASE32.iter().position(|&known| known == byte).ok_or(BadCursor)?;
                Ok((bits << 5) | digit as u64)
            })
            .map(Self)
    }
}

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let (epoch, digits) = text.split_once('-').ok_or(BadCursor)?;
        let epoch = epoch.parse()?;
        // One position has one spelling: a cursor is compared as text by caches and clients.
        let canonical = !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'));
        if !canonical {
            return Err(BadCursor);
        }
        let seq = digits.parse().map_err(|_| BadCursor)?;
        Ok(Self { epoch, seq: Seq(seq) })
    }
}

/// Where a read begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// The oldest event kept.
    Start,
    /// After the newest event: only what comes from now on.
    Now,
    /// After this position.
    At(Cursor),
}

impl FromStr for Since {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        match text {
            "start" => Ok(Self::Start),
            "now" => Ok(Self::Now),
            other => other.parse().map(Self::At),
        }
    }
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("start"),
            Self::Now => f.write_str("now"),
            Self::At(cursor) => cursor.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_stable_and_round_trips() {
        let cases =
            [(0, 0, "00000000-0"), (1, 17, "00000001-17"), (0xff_ffff_ffff, u64::MAX, "zzzzzzzz-18446744073709551615")];
        for (epoch, seq, text) in cases {
            let cursor = Cursor::new(Epoch::from_random(epoch), Seq(seq));
            assert_eq!(cursor.to_string(), text);
            assert_eq!(text.parse(), Ok(cursor));
            assert!(text.len() <= Cursor::LEN_MAX);
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let cases = [
            "",
            "-",
            "5",
            "00000000-",
            "00000000",
            "0000000-1",
            "000000000-1",
            "0000000i-1",
            "0000000A-1",
            "00000000-01",
            "00000000-+1",
            "00000000--1",
            "00000000-18446744073709551616",
            "00000000-1 ",
            "00000000-1\n",
            "latest",
            "null",
        ];
        for text in cases {
            assert_eq!(text.parse::<Cursor>(), Err(BadCursor), "{text:?}");
        }
    }

    #[test]
    fn since_knows_two_words() {
        assert_eq!("start".parse(), Ok(Since::Start));
        assert_eq!("now".parse(), Ok(Since::Now));
        assert_eq!("Start".parse::<Since>(), Err(BadCursor));
    }
}
