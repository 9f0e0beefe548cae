//! Messages out of bytes (RFC 6455 §5.4, §5.5), however the network has cut them.
//!
//! Between messages a [`Reader`] is a few plain words: what is half received lives in a box that
//! exists only as long as it is needed, because a shard keeps thousands of idle readers and one read
//! buffer for all. It must not know sockets or time, nor answer anything: that is `session`'s.

use bytes::Bytes;

use super::assembly::{Assembly, Kind, Limits, append};
use super::close::Close;
use super::frame::{HEADER_BYTES_MAX, Header, Opcode};
use super::violation::Violation;

/// Which end of the connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Frames received must be masked.
    Server,
    /// Frames received must not be masked.
    Client,
}

/// A whole message or control frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text, valid UTF-8.
    Text(String),
    /// Bytes.
    Binary(Bytes),
    /// A Ping and its payload (0-125 bytes), to be answered with the same payload.
    Ping(Bytes),
    /// A Pong and its payload (0-125 bytes).
    Pong(Bytes),
    /// A Close. `None` if it had no code.
    Close(Option<Close>),
}

/// Decodes the incoming side of one connection.
#[derive(Debug)]
pub struct Reader {
    /// What is half received; `None` between messages.
    partial: Option<Box<Partial>>,
    limits: Limits,
    role: Role,
    /// Set by the first violation, which is final.
    failed: Option<Violation>,
}

// Thousands of idle connections are mostly this struct.
const _: () = assert!(size_of::<Reader>() <= 32);

impl Reader {
    /// A reader at the start of a connection, just after the handshake.
    pub const fn new(role: Role, limits: Limits) -> Self {
        Self { partial: None, limits, role, failed: None }
    }

    /// Takes bytes off the front of `input` up to the end of the next message and returns it.
    ///
    /// `Ok(None)` means that `input` is used up. Call it until then: only that call gives back the
    /// memory of messages that are done.
    ///
    /// # Errors
    /// The peer's first violation, as soon as a byte shows it, then for ever the same. The rest of
    /// `input` is thrown away, since nothing after a violation may be processed (§7.1.7).
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Violation> {
        let result = match self.failed {
            Some(violation) => Err(violation),
            None => self.advance(input),
        };
        match &result {
            Ok(Some(_)) => {}
            Ok(None) => self.partial = self.partial.take().filter(|partial| !partial.is_idle()),
            Err(violation) => {
                self.failed = Some(*violation);
                self.partial = None;
                *input = &[];
            }
        }
        result
    }

    /// Bytes of heap held for a message that is half received: 0 between messages.
    pub fn buffered_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| size_of::<Partial>() + partial.heap_bytes())
    }

    fn advance(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Violation> {
        while !input.is_empty() {
            let partial = self.partial.get_or_insert_default();
            let frame = match partial.frame.take() {
                Some(frame) => frame,
                None => match partial.header(input)? {
                    Some(header) => partial.begin(header, self.role, self.limits)?,
                    None => break,
                },
            };
            if let Some(message) = partial.payload(frame, input, self.limits)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }
}

/// Everything that must be remembered between two reads.
#[derive(Debug, Default)]
struct Partial {
    /// The first `head_len` bytes of a header that is not whole yet.
    head: [u8; HEADER_BYTES_MAX],
    head_len: u8,
    /// The frame whose payload is coming.
    frame: Option<Frame>,
    /// The data message under way; control frames may come between its fragments.
    message: Option<Assembly>,
    /// The payload so far of the control frame under way: at most 125 bytes.
    control: Vec<u8>,
}

/// A frame whose payload is coming.
#[derive(Debug)]
struct Frame {
    header: Header,
    /// Payload bytes received so far.
    received: u64,
}

impl Partial {
    fn is_idle(&self) -> bool {
        self.head_len == 0 && self.frame.is_none() && self.message.is_none()
    }

    fn heap_bytes(&self) -> usize {
        self.message.as_ref().map_or(0, Assembly::heap_bytes) + self.control.capacity()
    }

    /// Takes header bytes off `input`. `None` if it ends before the header does.
    ///
    /// One byte at a time, so that a bad first byte is noticed before a second has come, and headers
    /// cut by the network need no code of their own.
    fn header(&mut self, input: &mut &[u8]) -> Result<Option<Header>, Violation> {
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            self.head[usize::from(self.head_len)] = byte;
            self.head_len += 1;
            let head = &self.head[..usize::from(self.head_len)];
            if let Some((header, _)) = Header::decode(head)? {
                self.head_len = 0;
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    /// Checks a header against what came before it, and the limits, before any payload is read.
    fn begin(&mut self, header: Header, role: Role, limits: Limits) -> Result<Frame, Violation> {
        match (role, header.mask) {
            (Role::Server, None) => return Err(Violation::Unmasked),
            (Role::Client, Some(_)) => return Err(Violation::Masked),
            _ => {}
        }
        if !header.opcode.is_control() {
            self.assembly(header.opcode)?.begin_frame(header.payload_bytes, limits)?;
        }
        Ok(Frame { header, received: 0 })
    }

    /// The message that a data frame begins or continues.
    fn assembly(&mut self, opcode: Opcode) -> Result<&mut Assembly, Violation> {
        let kind = if opcode == Opcode::Text { Kind::Text } else { Kind::Binary };
        match (opcode, &mut self.message) {
            (Opcode::Continuation, None) => Err(Violation::ContinuationWithoutStart),
            (Opcode::Continuation, Some(message)) => Ok(message),
            (_, Some(_)) => Err(Violation::StartInsideMessage),
            (_, empty) => Ok(empty.insert(Assembly::new(kind))),
        }
    }

    /// Takes the frame's payload off `input`, as much as there is. Returns the message that its last
    /// byte completes, if it does.
    fn payload(&mut self, mut frame: Frame, input: &mut &[u8], limits: Limits) -> Result<Option<Message>, Violation> {
        let Header { fin, opcode, payload_bytes, mask } = frame.header;
        let left = usize::try_from(payload_bytes - frame.received).unwrap_or(usize::MAX);
        let (piece, rest) = input.split_at(left.min(input.len()));
        *input = rest;
        let whole = piece.len() == left;

        if opcode.is_control() {
            append(&mut self.control, piece, mask, frame.received);
            if whole {
                return self.end_control(opcode).map(Some);
            }
        } else {
            let mut message = self.message.take().expect("begin() made it for every data frame");
            message.push(piece, mask, frame.received, limits);
            if whole && fin {
                return message.finish().map(Some);
            }
            message.check()?;
            self.message = Some(message);
        }
        if !whole {
            frame.received += piece.len() as u64;
            self.frame = Some(frame);
        }
        Ok(None)
    }

    fn end_control(&mut self, opcode: Opcode) -> Result<Message, Violation> {
        let payload = std::mem::take(&mut self.control);
        Ok(match opcode {
            Opcode::Ping => Message::Ping(payload.into()),
            Opcode::Pong => Message::Pong(payload.into()),
            _ => Message::Close(Close::decode(&payload)?),
        })
    }
}
