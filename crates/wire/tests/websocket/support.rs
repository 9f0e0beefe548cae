//! Frames by hand, also wrong ones, and ways to feed them to a reader.

use bongsu_wire::websocket::{Limits, Message, Reader, Role, Violation, apply_mask};

/// First bytes of frames: FIN and opcode.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8A;
/// The same without FIN: the message goes on.
pub(crate) const TEXT_MORE: u8 = 0x01;
pub(crate) const BINARY_MORE: u8 = 0x02;
pub(crate) const MORE: u8 = 0x00;
/// A continuation with FIN: the message ends.
pub(crate) const LAST: u8 = 0x80;

pub(crate) const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A frame as a client sends it, with any first byte.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, 0x80, payload.len());
    frame.extend_from_slice(&KEY);
    let start = frame.len();
    frame.extend_from_slice(payload);
    apply_mask(&mut frame[start..], KEY, 0);
    frame
}

/// A frame as a server sends it, with any first byte.
pub(crate) fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, 0, payload.len());
    frame.extend_from_slice(payload);
    frame
}

fn header(first: u8, mask_bit: u8, len: usize) -> Vec<u8> {
    let mut header = vec![first];
    match len {
        0..=125 => header.push(mask_bit | len as u8),
        126..=0xFFFF => {
            header.push(mask_bit | 126);
            header.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            header.push(mask_bit | 127);
            header.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    header
}

/// A client's frames one after the other.
pub(crate) fn stream(frames: &[(u8, &[u8])]) -> Vec<u8> {
    frames.iter().flat_map(|(first, payload)| masked(*first, payload)).collect()
}

/// Limits small enough to be reached in a test.
pub(crate) const SMALL: Limits = Limits { message_bytes_max: 1000, fragments_max: 8 };

/// What a reader made of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) messages: Vec<Message>,
    pub(crate) violation: Option<Violation>,
}

/// Feeds `pieces` one by one to a fresh reader, as so many reads from a socket.
pub(crate) fn read_pieces<'a>(role: Role, limits: Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut reader = Reader::new(role, limits);
    let mut messages = Vec::new();
    for mut piece in pieces {
        loop {
            match reader.read(&mut piece) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(violation) => return Outcome { messages, violation: Some(violation) },
            }
        }
        assert!(piece.is_empty(), "read() left bytes although it had no message");
    }
    Outcome { messages, violation: None }
}

/// Feeds all bytes at once to a server's reader.
pub(crate) fn read_all(bytes: &[u8]) -> Outcome {
    read_pieces(Role::Server, SMALL, [bytes])
}

pub(crate) fn text(text: &str) -> Message {
    Message::Text(text.to_owned())
}

pub(crate) fn binary(bytes: &[u8]) -> Message {
    Message::Binary(bytes.to_vec().into())
}
