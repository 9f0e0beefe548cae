//! The layout of one frame (RFC 6455 §5.2): header to bytes and back, and whole frames to send.
//!
//! A server's header is a plain prefix of 2-10 bytes, so an event shared by all its subscribers can
//! be header and payload in one contiguous [`Bytes`]. Rules that need no memory of earlier frames are
//! checked here; those about messages, and who must mask, belong to `reader`.

use bytes::Bytes;

use super::mask::{MaskKey, apply_mask};
use super::violation::Violation;

/// The longest header: two bytes, a 64-bit length and a masking key.
pub const HEADER_BYTES_MAX: usize = 14;

/// The most payload a Close, Ping or Pong may carry (§5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

const FIN: u8 = 0b1000_0000;
const RESERVED: u8 = 0b0111_0000;
const MASKED: u8 = 0b1000_0000;
/// Length field: the next two bytes hold the length.
const LENGTH_16: u8 = 126;
/// Length field: the next eight bytes hold the length.
const LENGTH_64: u8 = 127;

/// What a frame is (§5.2, §11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// More of the message under way.
    Continuation,
    /// A text message, or its first fragment.
    Text,
    /// A binary message, or its first fragment.
    Binary,
    /// The closing handshake.
    Close,
    /// A question for a sign of life.
    Ping,
    /// The answer to a Ping.
    Pong,
}

impl Opcode {
    /// Whether frames of this kind may come between a message's fragments and must be short and whole.
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xA => Some(Self::Pong),
            _ => None,
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether this is the message's last (or only) frame.
    pub fin: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// The payload's length in bytes, below 2^63.
    pub payload_bytes: u64,
    /// The masking key: every frame from a client has one, none from a server.
    pub mask: Option<MaskKey>,
}

impl Header {
    /// The header of an unfragmented frame without masking.
    pub const fn new(opcode: Opcode, payload_bytes: u64) -> Self {
        Self { fin: true, opcode, payload_bytes, mask: None }
    }

    /// Reads a header from the beginning of `bytes` and tells how many bytes it takes.
    /// `None` if it is not whole yet.
    ///
    /// # Errors
    /// As soon as the bytes present break a rule of §5.2 or §5.5.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, Violation> {
        let Some((&first, after)) = bytes.split_first() else { return Ok(None) };
        let opcode = check_first(first)?;
        let Some((&second, after)) = after.split_first() else { return Ok(None) };
        if opcode.is_control() && second & !MASKED > CONTROL_BYTES_MAX as u8 {
            return Err(Violation::ControlTooLong);
        }
        let Some((payload_bytes, after)) = decode_length(second & !MASKED, after)? else {
            return Ok(None);
        };
        let (mask, after) = if second & MASKED == 0 {
            (None, after)
        } else {
            let Some((key, after)) = after.split_first_chunk::<4>() else { return Ok(None) };
            (Some(*key), after)
        };
        let header = Self { fin: first & FIN != 0, opcode, payload_bytes, mask };
        Ok(Some((header, bytes.len() - after.len())))
    }

    /// The header as bytes.
    ///
    /// # Panics
    /// If a control frame is not final or too long, or a length is 2^63 or more: such a frame must
    /// never leave, and no data from outside decides these fields.
    pub fn encode(&self) -> HeaderBytes {
        assert!(self.payload_bytes >> 63 == 0, "frame of 2^63 bytes or more");
        let short = self.fin && self.payload_bytes <= CONTROL_BYTES_MAX as u64;
        assert!(short || !self.opcode.is_control(), "control frame long or fragmented");

        let mut out = HeaderBytes { bytes: [0; HEADER_BYTES_MAX], len: 0 };
        out.push(&[if self.fin { FIN } else { 0 } | self.opcode.bits()]);
        let masked = if self.mask.is_some() { MASKED } else { 0 };
        // Each cast is of a value that the arm's range has shown to fit.
        match self.payload_bytes {
            len @ 0..=125 => out.push(&[masked | len as u8]),
            len @ 126..=0xFFFF => {
                out.push(&[masked | LENGTH_16]);
                out.push(&(len as u16).to_be_bytes());
            }
            len => {
                out.push(&[masked | LENGTH_64]);
                out.push(&len.to_be_bytes());
            }
        }
        if let Some(key) = &self.mask {
            out.push(key);
        }
        out
    }
}

/// Checks what the first byte alone can show to be wrong.
fn check_first(first: u8) -> Result<Opcode, Violation> {
    if first & RESERVED != 0 {
        return Err(Violation::ReservedBits);
    }
    let opcode = Opcode::from_bits(first & 0x0F).ok_or(Violation::ReservedOpcode)?;
    if opcode.is_control() && first & FIN == 0 {
        return Err(Violation::ControlFragmented);
    }
    Ok(opcode)
}

/// The length from its 7-bit field and the bytes after it, with what is left of those.
fn decode_length(field: u8, after: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    let (length, least, after) = match field {
        LENGTH_16 => {
            let Some((length, after)) = after.split_first_chunk::<2>() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*length)), 126, after)
        }
        LENGTH_64 => {
            let Some((length, after)) = after.split_first_chunk::<8>() else { return Ok(None) };
            (u64::from_be_bytes(*length), 0x1_0000, after)
        }
        length => (u64::from(length), 0, after),
    };
    if length >> 63 != 0 {
        return Err(Violation::LengthTooLarge);
    }
    // §5.2: "in all cases, the minimal number of bytes MUST be used to encode the length".
    if length < least {
        return Err(Violation::LengthNotMinimal);
    }
    Ok(Some((length, after)))
}

/// An encoded header: 2-14 bytes, without heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderBytes {
    bytes: [u8; HEADER_BYTES_MAX],
    len: u8,
}

impl HeaderBytes {
    fn push(&mut self, more: &[u8]) {
        let start = usize::from(self.len);
        self.bytes[start..start + more.len()].copy_from_slice(more);
        // At most HEADER_BYTES_MAX, or the line above would have stopped.
        self.len += more.len() as u8;
    }
}

impl std::ops::Deref for HeaderBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// A server's frame: header and payload in one contiguous piece, fit to be shared by many connections.
///
/// # Panics
/// As [`Header::encode`], for a control frame beyond 125 bytes.
pub fn encode(opcode: Opcode, payload: &[u8]) -> Bytes {
    build(Header::new(opcode, payload.len() as u64), payload).into()
}

/// A client's frame, masked with `key`.
///
/// # Panics
/// As [`Header::encode`], for a control frame beyond 125 bytes.
pub fn encode_masked(opcode: Opcode, payload: &[u8], key: MaskKey) -> Bytes {
    let header = Header { mask: Some(key), ..Header::new(opcode, payload.len() as u64) };
    let mut frame = build(header, payload);
    let start = frame.len() - payload.len();
    apply_mask(&mut frame[start..], key, 0);
    frame.into()
}

fn build(header: Header, payload: &[u8]) -> Vec<u8> {
    let header = header.encode();
    let mut frame = Vec::with_capacity(header.len() + payload.len());
    frame.extend_from_slice(&header);
    frame.extend_from_slice(payload);
    frame
}
