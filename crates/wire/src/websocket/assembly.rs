//! One data message under construction: its limits, its growth and its UTF-8 (RFC 6455 §5.4, §8.1).
//!
//! Limits are checked on what a header announces, before any payload is kept; memory follows what has
//! come, not what was announced; text is checked as far as it has come, so that a bad byte is noticed
//! when it arrives and not when the message ends. It must not know headers, or the order of frames.

use super::mask::{MaskKey, apply_mask};
use super::reader::Message;
use super::violation::Violation;

/// What one message may cost us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest message in bytes, over all its fragments. Above: close 1009.
    pub message_bytes_max: u32,
    /// The most frames one message may come in; empty frames count. Above: close 1008.
    /// Without it a peer could keep us busy for ever with frames that add nothing.
    pub fragments_max: u32,
}

impl Default for Limits {
    /// 1 MiB in at most 1,024 frames.
    fn default() -> Self {
        Self { message_bytes_max: 1 << 20, fragments_max: 1024 }
    }
}

/// Whether a message is text or bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Binary,
}

/// A message whose last frame has not ended yet.
#[derive(Debug)]
pub(super) struct Assembly {
    kind: Kind,
    /// The payload so far, unmasked.
    bytes: Vec<u8>,
    /// How many of `bytes`, from the start, are known to be whole characters. Text only.
    checked: usize,
    /// Frames begun so far.
    fragments: u32,
}

impl Assembly {
    pub(super) const fn new(kind: Kind) -> Self {
        Self { kind, bytes: Vec::new(), checked: 0, fragments: 0 }
    }

    /// Bytes of heap in use.
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Counts one more frame, of `payload_bytes`, against the limits.
    pub(super) fn begin_frame(&mut self, payload_bytes: u64, limits: Limits) -> Result<(), Violation> {
        self.fragments += 1;
        if self.fragments > limits.fragments_max {
            return Err(Violation::TooManyFragments);
        }
        // The sum cannot overflow: what we hold is within a u32, what is announced below 2^63.
        if self.bytes.len() as u64 + payload_bytes > u64::from(limits.message_bytes_max) {
            return Err(Violation::MessageTooBig);
        }
        Ok(())
    }

    /// Appends a piece that begins `offset` bytes into its frame's payload.
    pub(super) fn push(&mut self, piece: &[u8], mask: Option<MaskKey>, offset: u64, limits: Limits) {
        self.reserve(piece.len(), limits.message_bytes_max as usize);
        append(&mut self.bytes, piece, mask, offset);
    }

    /// Checks what has come so far: every byte must belong to a whole character, or at the end to one
    /// whose rest may still come.
    pub(super) fn check(&mut self) -> Result<(), Violation> {
        if self.kind == Kind::Text {
            match str::from_utf8(&self.bytes[self.checked..]) {
                Ok(_) => self.checked = self.bytes.len(),
                Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
                Err(_) => return Err(Violation::TextNotUtf8),
            }
        }
        Ok(())
    }

    /// The message, now that its last frame has ended. The last piece need not have been checked.
    pub(super) fn finish(self) -> Result<Message, Violation> {
        match self.kind {
            Kind::Binary => Ok(Message::Binary(self.bytes.into())),
            Kind::Text => String::from_utf8(self.bytes).map(Message::Text).map_err(|_| Violation::TextNotUtf8),
        }
    }

    /// Makes room for `additional` bytes that have come. Doubles, so that many small pieces are not
    /// copied over and over, but never beyond `max`, the largest message there can be.
    fn reserve(&mut self, additional: usize, max: usize) {
        let needed = self.bytes.len() + additional;
        if needed > self.bytes.capacity() {
            let room = (self.bytes.capacity() * 2).min(max).max(needed);
            self.bytes.reserve_exact(room - self.bytes.len());
        }
    }
}

/// Appends `piece`, which begins `offset` bytes into its frame's payload, unmasked.
pub(super) fn append(bytes: &mut Vec<u8>, piece: &[u8], mask: Option<MaskKey>, offset: u64) {
    let start = bytes.len();
    bytes.extend_from_slice(piece);
    if let Some(key) = mask {
        apply_mask(&mut bytes[start..], key, offset);
    }
}
