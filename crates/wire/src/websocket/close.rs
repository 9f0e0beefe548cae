//! The body of a Close frame: a status code and a reason (RFC 6455 §5.5.1 and §7.4).
//!
//! A code is parsed once into [`CloseCode`], so that no code that is forbidden on the wire can be
//! sent or come out of the reader. It must not know the closing handshake; that is `session`'s.

use super::violation::Violation;

/// The most bytes a reason may have: a control frame's 125 less the code's two (§5.5).
const REASON_BYTES_MAX: usize = 123;

/// A status code that may stand in a Close frame: 1000-1003, 1007-1014 or 3000-4999.
///
/// 1004-1006 and 1015 exist only to be reported locally, the rest below 3000 is unassigned (§7.4.2
/// and the IANA registry of close codes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server is draining, or the page was left.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the framing rules.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a kind of data this endpoint does not take.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1007: text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: a limit or policy without a code of its own.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message larger than the limit.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// 1011: the server met a condition it did not expect.
    pub const INTERNAL_ERROR: Self = Self(1011);

    /// Checks a code. `None` if it must not appear on the wire.
    ///
    /// It is `const`, so an application's own codes can be constants.
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// The code as a number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// Why one side closes: a code and a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The status code.
    pub code: CloseCode,
    /// Text for a human; at most 123 bytes of it are sent. Often empty.
    pub reason: String,
}

impl Close {
    /// A Close with `code` and `reason`. A reason beyond 123 bytes is cut at a character.
    pub fn new(code: CloseCode, reason: &str) -> Self {
        let end = reason.floor_char_boundary(REASON_BYTES_MAX);
        let reason = reason[..end].to_owned();
        Self { code, reason }
    }

    /// Parses the body of a Close frame. An empty body is a Close without code (`None`).
    ///
    /// # Errors
    /// A cut or forbidden code, or a reason that is not UTF-8.
    pub fn decode(body: &[u8]) -> Result<Option<Self>, Violation> {
        let Some((code, reason)) = body.split_first_chunk::<2>() else {
            return if body.is_empty() { Ok(None) } else { Err(Violation::CloseCodeCut) };
        };
        let code = CloseCode::new(u16::from_be_bytes(*code)).ok_or(Violation::CloseCodeInvalid)?;
        let reason = str::from_utf8(reason).map_err(|_| Violation::CloseReasonNotUtf8)?;
        Ok(Some(Self { code, reason: reason.to_owned() }))
    }

    /// The body of the Close frame: at most 125 bytes, a longer reason is cut at a character.
    pub fn encode(&self) -> Vec<u8> {
        let end = self.reason.floor_char_boundary(REASON_BYTES_MAX);
        let mut body = Vec::with_capacity(2 + end);
        body.extend_from_slice(&self.code.get().to_be_bytes());
        body.extend_from_slice(&self.reason.as_bytes()[..end]);
        body
    }
}
