//! What a peer can do wrong on an open WebSocket, and the close code each wrong is answered with.
//!
//! One flat list, because what to do next is always the same: fail the connection with
//! [`Violation::close_code`]. It must not know how a violation is found or how the Close is sent.

use std::fmt;

use super::close::CloseCode;

/// A breach of RFC 6455, or of our limits, by the peer. The connection cannot go on after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Violation {
    /// RSV1, RSV2 or RSV3 is set although no extension was negotiated (§5.2).
    ReservedBits,
    /// Opcode 3-7 or 11-15 (§5.2).
    ReservedOpcode,
    /// A Close, Ping or Pong without FIN (§5.5).
    ControlFragmented,
    /// A Close, Ping or Pong with more than 125 bytes of payload (§5.5).
    ControlTooLong,
    /// A client's frame without masking (§5.1).
    Unmasked,
    /// A server's frame with masking (§5.1).
    Masked,
    /// A payload length in more bytes than it needs (§5.2, "the minimal number of bytes MUST be used").
    LengthNotMinimal,
    /// A 64-bit payload length with its most significant bit set (§5.2).
    LengthTooLarge,
    /// A continuation frame while no message is under way (§5.4).
    ContinuationWithoutStart,
    /// A text or binary frame inside another message's fragments (§5.4).
    StartInsideMessage,
    /// The message is larger than [`Limits::message_bytes_max`](super::Limits).
    MessageTooBig,
    /// The message has more fragments than [`Limits::fragments_max`](super::Limits).
    TooManyFragments,
    /// A text message that is not UTF-8 (§8.1).
    TextNotUtf8,
    /// A Close whose body is one byte, so half a code (§5.5.1).
    CloseCodeCut,
    /// A close code that must not appear on the wire or is not assigned (§7.4).
    CloseCodeInvalid,
    /// A close reason that is not UTF-8 (§5.5.1).
    CloseReasonNotUtf8,
}

impl Violation {
    /// The code of the Close that answers this violation (§7.4.1).
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::TextNotUtf8 | Self::CloseReasonNotUtf8 => CloseCode::INVALID_PAYLOAD,
            Self::MessageTooBig => CloseCode::MESSAGE_TOO_BIG,
            Self::TooManyFragments => CloseCode::POLICY_VIOLATION,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// One line for the Close's reason and for logs: what was wrong and what is allowed.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ReservedBits => "reserved bits must be 0: no extension was negotiated",
            Self::ReservedOpcode => "opcode must be 0, 1, 2, 8, 9 or 10",
            Self::ControlFragmented => "control frames must not be fragmented",
            Self::ControlTooLong => "control frames carry at most 125 bytes",
            Self::Unmasked => "a client must mask every frame",
            Self::Masked => "a server must not mask its frames",
            Self::LengthNotMinimal => "payload length must use the fewest bytes",
            Self::LengthTooLarge => "payload length must be below 2^63",
            Self::ContinuationWithoutStart => "continuation frame without a message to continue",
            Self::StartInsideMessage => "a new message began before the last one ended",
            Self::MessageTooBig => "message too big: send smaller messages",
            Self::TooManyFragments => "too many fragments: send messages in fewer frames",
            Self::TextNotUtf8 => "text must be UTF-8",
            Self::CloseCodeCut => "a close body is empty or begins with a two-byte code",
            Self::CloseCodeInvalid => "close code must be 1000-1003, 1007-1014 or 3000-4999",
            Self::CloseReasonNotUtf8 => "close reason must be UTF-8",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Violation {}
