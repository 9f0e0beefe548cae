//! Single frames: the layout of §5.2 in both directions.

use bongsu_wire::websocket::frame::Header;
use bongsu_wire::websocket::{Opcode, Violation, apply_mask, encode, encode_masked};

use crate::support::KEY;

/// (header, its bytes): decoding and encoding must agree on each.
fn headers() -> Vec<(Header, &'static [u8])> {
    let new = Header::new;
    let cont = Opcode::Continuation;
    vec![
        (new(Opcode::Text, 0), b"\x81\x00"),
        (new(Opcode::Text, 125), b"\x81\x7D"),
        (new(Opcode::Text, 126), b"\x81\x7E\x00\x7E"),
        (new(Opcode::Text, 65_535), b"\x81\x7E\xFF\xFF"),
        (new(Opcode::Text, 65_536), b"\x81\x7F\0\0\0\0\0\x01\0\0"),
        (new(Opcode::Binary, u64::MAX >> 1), b"\x82\x7F\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"),
        (new(Opcode::Close, 2), b"\x88\x02"),
        (new(Opcode::Ping, 125), b"\x89\x7D"),
        (new(Opcode::Pong, 0), b"\x8A\x00"),
        (new(cont, 1), b"\x80\x01"),
        (Header { fin: false, ..new(cont, 1) }, b"\x00\x01"),
        (Header { fin: false, ..new(Opcode::Text, 126) }, b"\x01\x7E\x00\x7E"),
        (Header { mask: Some(KEY), ..new(Opcode::Text, 5) }, b"\x81\x85\x37\xFA\x21\x3D"),
        (Header { mask: Some(KEY), ..new(Opcode::Binary, 256) }, b"\x82\xFE\x01\x00\x37\xFA\x21\x3D"),
        (Header { mask: Some(KEY), ..new(Opcode::Binary, 65_536) }, b"\x82\xFF\0\0\0\0\0\x01\0\0\x37\xFA\x21\x3D"),
    ]
}

#[test]
fn headers_are_encoded_as_in_the_rfc() {
    for (header, bytes) in headers() {
        assert_eq!(&*header.encode(), bytes, "{header:?}");
    }
}

#[test]
fn headers_are_decoded_and_what_follows_is_left() {
    for (header, bytes) in headers() {
        let mut followed = bytes.to_vec();
        followed.extend_from_slice(b"payload");
        assert_eq!(Header::decode(&followed), Ok(Some((header, bytes.len()))), "{bytes:02x?}");
    }
}

#[test]
fn a_cut_header_is_neither_right_nor_wrong() {
    for (_, bytes) in headers() {
        for len in 0..bytes.len() {
            assert_eq!(Header::decode(&bytes[..len]), Ok(None), "{len} of {bytes:02x?}");
        }
    }
}

#[test]
fn wrong_headers_are_refused_at_the_byte_that_is_wrong() {
    // Each is wrong at its last byte and not before.
    let cases: [(&[u8], Violation); 20] = [
        (b"\xC1", Violation::ReservedBits),
        (b"\xA1", Violation::ReservedBits),
        (b"\x91", Violation::ReservedBits),
        (b"\xF3", Violation::ReservedBits),
        (b"\x83", Violation::ReservedOpcode),
        (b"\x87", Violation::ReservedOpcode),
        (b"\x8B", Violation::ReservedOpcode),
        (b"\x8F", Violation::ReservedOpcode),
        (b"\x03", Violation::ReservedOpcode),
        (b"\x08", Violation::ControlFragmented),
        (b"\x09", Violation::ControlFragmented),
        (b"\x0A", Violation::ControlFragmented),
        (b"\x88\x7E", Violation::ControlTooLong),
        (b"\x89\xFE", Violation::ControlTooLong),
        (b"\x8A\xFF", Violation::ControlTooLong),
        (b"\x81\x7E\x00\x7D", Violation::LengthNotMinimal),
        (b"\x81\xFE\x00\x00", Violation::LengthNotMinimal),
        (b"\x82\x7F\0\0\0\0\0\0\xFF\xFF", Violation::LengthNotMinimal),
        (b"\x82\xFF\x80\0\0\0\0\0\0\0", Violation::LengthTooLarge),
        (b"\x82\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", Violation::LengthTooLarge),
    ];
    for (bytes, violation) in cases {
        assert_eq!(Header::decode(bytes), Err(violation), "{bytes:02x?}");
        assert_eq!(Header::decode(&bytes[..bytes.len() - 1]), Ok(None), "{bytes:02x?} less one");
    }
}

#[test]
fn frames_to_send_are_those_of_the_rfc() {
    // §5.7, the examples that fit into one frame.
    assert_eq!(&encode(Opcode::Text, b"Hello")[..], b"\x81\x05Hello");
    assert_eq!(&encode_masked(Opcode::Text, b"Hello", KEY)[..], b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    assert_eq!(&encode(Opcode::Ping, b"Hello")[..], b"\x89\x05Hello");
    assert_eq!(&encode_masked(Opcode::Pong, b"Hello", KEY)[..], b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    let medium = encode(Opcode::Binary, &[7; 256]);
    assert_eq!((&medium[..4], &medium[4..]), (&b"\x82\x7E\x01\x00"[..], &[7; 256][..]));
    let long = encode(Opcode::Binary, &[7; 65_536]);
    assert_eq!((&long[..10], &long[10..]), (&b"\x82\x7F\0\0\0\0\0\x01\0\0"[..], &[7; 65_536][..]));
}

#[test]
#[should_panic(expected = "control frame long or fragmented")]
fn a_control_frame_that_is_too_long_never_leaves() {
    encode(Opcode::Ping, &[0; 126]);
}

#[test]
#[should_panic(expected = "control frame long or fragmented")]
fn a_control_frame_in_fragments_never_leaves() {
    Header { fin: false, ..Header::new(Opcode::Close, 0) }.encode();
}

#[test]
#[should_panic(expected = "frame of 2^63 bytes or more")]
fn a_length_with_its_top_bit_set_never_leaves() {
    Header::new(Opcode::Binary, 1 << 63).encode();
}

#[test]
fn masking_is_the_xor_of_the_rfc_for_every_length_and_offset() {
    for len in 0..40_u8 {
        for offset in (0..9).chain([u64::MAX - 5]) {
            let data: Vec<u8> = (0..len).map(|byte| byte.wrapping_mul(37)).collect();
            let mut masked = data.clone();
            apply_mask(&mut masked, KEY, offset);
            // §5.3: transformed-octet-i = original-octet-i XOR masking-key-octet-(i MOD 4).
            let naive: Vec<u8> = (data.iter().enumerate())
                .map(|(i, byte)| byte ^ KEY[(offset.wrapping_add(i as u64) % 4) as usize])
                .collect();
            assert_eq!(masked, naive, "length {len}, offset {offset}");
        }
    }
}
