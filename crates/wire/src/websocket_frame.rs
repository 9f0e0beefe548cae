//! Unmasked, unfragmented WebSocket frames as a server sends them (RFC 6455 §5.2): a header before the data.
//!
//! The header is written into the buffer that the object goes into, so that a frame is one piece that all connections
//! share. Reading frames, masking and the rules of a connection are the business of [`websocket`](crate::websocket).

/// FIN and the opcode of a text frame.
const TEXT: u8 = 0x81;
/// FIN and the opcode of a binary frame.
const BINARY: u8 = 0x82;

/// What the data of a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    Text,
    Binary,
}

/// How long the header of a frame with so many bytes of data is.
pub(crate) fn header_len(data_len: usize) -> usize {
    match data_len {
        0..=125 => 2,
        126..=0xFFFF => 4,
        _ => 10,
    }
}

/// Appends the header of a frame with so many bytes of data.
pub(crate) fn push_header(out: &mut Vec<u8>, data: Data, data_len: usize) {
    out.push(if data == Data::Text { TEXT } else { BINARY });
    // "The minimal number of bytes MUST be used to encode the length." Each cast is within its arm's range.
    match data_len {
        0..=125 => out.push(data_len as u8),
        126..=0xFFFF => {
            out.push(126);
            out.extend_from_slice(&(data_len as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(data_len as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_takes_the_fewest_bytes() {
        let cases: [(usize, &[u8]); 6] = [
            (0, &[0x81, 0]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 255, 255]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
            (1 << 24, &[0x81, 127, 0, 0, 0, 0, 1, 0, 0, 0]),
        ];
        for (len, header) in cases {
            let mut out = Vec::new();
            push_header(&mut out, Data::Text, len);
            assert_eq!((&out[..], out.len()), (header, header_len(len)), "{len}");
        }
    }
}
