//! WebSocket frames from a server, and the few that the generator sends (RFC 6455 §5).

use super::{Malformed, Next};

/// The key that every handshake of the generator sends: the example of RFC 6455 §1.3.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The largest frame that is accepted, in bytes of payload: far above any event of the bench.
const FRAME_BYTES_MAX: usize = 1 << 20;

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

/// A frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// A whole text message.
    Text(&'a [u8]),
    /// Has to be answered with a pong of the same content.
    Ping(&'a [u8]),
    /// Nothing to do.
    Pong,
    /// The server ends the connection.
    Close,
}

/// The next frame.
pub(crate) fn next(bytes: &[u8]) -> Next<Frame<'_>> {
    let [first, second, ..] = *bytes else { return Ok(None) };
    if second & MASKED != 0 {
        return Err(Malformed("a masked frame"));
    }
    let Some((head, length)) = length(bytes, second) else { return Ok(None) };
    if length > FRAME_BYTES_MAX {
        return Err(Malformed("a frame of more than 1 MiB"));
    }
    let Some(payload) = bytes.get(head..head + length) else { return Ok(None) };
    let frame = match (first & FINAL != 0, first & !FINAL) {
        (true, TEXT) => Frame::Text(payload),
        (true, CLOSE) => Frame::Close,
        (true, PING) => Frame::Ping(payload),
        (true, PONG) => Frame::Pong,
        _ => return Err(Malformed("a fragmented or binary frame, which no event of the bench needs")),
    };
    Ok(Some((frame, head + length)))
}

/// Where the payload begins and how long it is; None when the head is not whole.
fn length(bytes: &[u8], second: u8) -> Option<(usize, usize)> {
    match second {
        126 => Some((4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)))),
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
            Some((10, usize::try_from(length).unwrap_or(usize::MAX)))
        }
        short => Some((2, usize::from(short))),
    }
}

/// Appends a pong. A mask of zeros is a mask (RFC 6455 §5.3 asks an unpredictable one of browsers' peers; here both
/// ends are ours) and spares the generator the masking.
pub(crate) fn write_pong(out: &mut Vec<u8>, content: &[u8]) {
    let content = &content[..content.len().min(125)];
    let length = u8::try_from(content.len()).expect("at most 125");
    out.extend_from_slice(&[FINAL | PONG, MASKED | length, 0, 0, 0, 0]);
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, length: &[u8], payload: &[u8]) -> Vec<u8> {
        [&[first][..], length, payload].concat()
    }

    #[test]
    fn frames_at_every_cut() {
        let long = [b'x'; 70_000];
        let cases: Vec<(Vec<u8>, Frame<'_>)> = vec![
            (frame(0x81, &[2], b"hi"), Frame::Text(b"hi")),
            (frame(0x81, &[126, 1, 0], &long[..256]), Frame::Text(&long[..256])),
            (frame(0x81, &[127, 0, 0, 0, 0, 0, 1, 0x11, 0x70], &long), Frame::Text(&long)),
            (frame(0x89, &[3], b"abc"), Frame::Ping(b"abc")),
            (frame(0x8a, &[0], b""), Frame::Pong),
            (frame(0x88, &[2], &[3, 0xe9]), Frame::Close),
        ];
        for (bytes, expected) in cases {
            for cut in (0..bytes.len()).take(300) {
                assert_eq!(next(&bytes[..cut]), Ok(None), "{expected:?} cut at {cut}");
            }
            let whole = [bytes.as_slice(), b"rest"].concat();
            assert_eq!(next(&whole), Ok(Some((expected, bytes.len()))));
        }
    }

    #[test]
    fn bad_frames() {
        for bytes in [&[0x81, 0x80][..], &[0x01, 0], &[0x82, 0], &[0x81, 127, 1, 0, 0, 0, 0, 0, 0, 0]] {
            assert!(next(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_pong_is_masked() {
        let mut out = Vec::new();
        write_pong(&mut out, b"abc");
        assert_eq!(out, [0x8a, 0x83, 0, 0, 0, 0, b'a', b'b', b'c']);
    }
}
