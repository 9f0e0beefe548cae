//! Peers that mean harm: the cost to us stays bounded whatever they send.

use std::collections::BTreeSet;

use bongsu_wire::websocket::{Event, Limits, Message, Reader, Role, Session, Timing, Violation};

use crate::support::*;

/// What a reader may hold beside the payload itself: its boxed state and one control payload.
const OVERHEAD_BYTES_MAX: usize = 400;

fn feed(reader: &mut Reader, mut input: &[u8]) -> Result<Vec<Message>, Violation> {
    let mut messages = Vec::new();
    while let Some(message) = reader.read(&mut input)? {
        messages.push(message);
    }
    Ok(messages)
}

#[test]
fn announced_lengths_cost_nothing() {
    // (the frame's first ten bytes, what they are)
    let cases: [(&[u8], Violation); 5] = [
        (b"\x82\xFF\x80\0\0\0\0\0\0\0", Violation::LengthTooLarge),
        (b"\x82\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", Violation::LengthTooLarge),
        (b"\x82\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", Violation::MessageTooBig),
        (b"\x81\xFF\0\0\0\x01\0\0\0\0", Violation::MessageTooBig),
        (b"\x89\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", Violation::ControlTooLong),
    ];
    for (head, violation) in cases {
        let mut reader = Reader::new(Role::Server, Limits::default());
        let bytes = [head, &KEY, &[0; 64]].concat();
        assert_eq!(feed(&mut reader, &bytes), Err(violation), "{head:02x?}");
        assert_eq!(reader.buffered_bytes(), 0, "{head:02x?}");
    }
}

#[test]
fn the_largest_length_after_a_fragment_does_not_overflow() {
    let mut reader = Reader::new(Role::Server, Limits { message_bytes_max: u32::MAX, ..SMALL });
    feed(&mut reader, &masked(BINARY_MORE, b"abc")).unwrap();
    let head = b"\x80\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFFmask";
    assert_eq!(feed(&mut reader, head), Err(Violation::MessageTooBig));
}

#[test]
fn memory_follows_what_has_come_and_not_what_was_announced() {
    let mut reader = Reader::new(Role::Server, Limits::default());
    let frame = masked(BINARY, &vec![1; 1 << 20]);
    feed(&mut reader, &frame[..14 + 86]).unwrap();
    let held = reader.buffered_bytes();
    assert!((86..86 + OVERHEAD_BYTES_MAX).contains(&held), "{held}");

    // A control frame's payload is held and counted as well.
    let mut reader = Reader::new(Role::Server, Limits::default());
    feed(&mut reader, &masked(PING, &[1; 125])[..6]).unwrap();
    let before = reader.buffered_bytes();
    feed(&mut reader, &[1; 100]).unwrap();
    assert!(reader.buffered_bytes() >= before + 100, "{before}, {}", reader.buffered_bytes());
}

#[test]
fn memory_never_exceeds_the_limit_however_slowly_a_message_comes() {
    for first in [TEXT, BINARY] {
        let limits = Limits { message_bytes_max: 100_000, fragments_max: 2 };
        let mut reader = Reader::new(Role::Server, limits);
        let frame = masked(first, &[b'x'; 100_000]);
        let (last, rest) = frame.split_last().unwrap();
        let mut sizes = BTreeSet::new();
        for (before, byte) in rest.iter().enumerate() {
            assert_eq!(feed(&mut reader, &[*byte]), Ok(vec![]));
            let (came, held) = ((before + 1).saturating_sub(14), reader.buffered_bytes());
            assert!((came..=100_000 + OVERHEAD_BYTES_MAX).contains(&held), "{held} after {came}");
            sizes.insert(held);
        }
        assert!(sizes.len() < 25, "it grows by doubling, not {} times", sizes.len());
        assert_eq!(feed(&mut reader, &[*last]).map(|messages| messages.len()), Ok(1));
        assert_eq!(reader.buffered_bytes(), 0);
    }
}

#[test]
fn growing_stops_at_the_limit() {
    let limits = Limits { message_bytes_max: 100_000, fragments_max: 1 };
    let mut reader = Reader::new(Role::Server, limits);
    let frame = masked(BINARY, &[b'x'; 100_000]);
    // Doubling what the first piece took would be more than any message may have.
    feed(&mut reader, &frame[..60_000]).unwrap();
    feed(&mut reader, &frame[60_000..90_000]).unwrap();
    assert!(reader.buffered_bytes() <= 100_000 + OVERHEAD_BYTES_MAX, "{}", reader.buffered_bytes());
}

#[test]
fn nothing_is_held_between_messages() {
    let bytes = stream(&[
        (TEXT_MORE, "안".as_bytes()),
        (PING, b"p"),
        (LAST, "녕".as_bytes()),
        (BINARY, &[0; 900]),
        (PONG, &[0; 125]),
    ]);
    let mut reader = Reader::new(Role::Server, SMALL);
    assert_eq!(feed(&mut reader, &bytes).map(|messages| messages.len()), Ok(4));
    assert_eq!(reader.buffered_bytes(), 0);
    for byte in &bytes {
        feed(&mut reader, &[*byte]).unwrap();
    }
    assert_eq!(reader.buffered_bytes(), 0);
    feed(&mut reader, &bytes[..1]).unwrap();
    assert_ne!(reader.buffered_bytes(), 0, "half a header has to be somewhere");
}

#[test]
fn millions_of_empty_fragments_end_at_the_limit() {
    let mut reader = Reader::new(Role::Server, Limits::default());
    feed(&mut reader, &masked(TEXT_MORE, b"")).unwrap();
    let frame = masked(MORE, b"");
    let flood = frame.repeat(1_000_000);
    let mut input = &flood[..];
    assert_eq!(reader.read(&mut input), Err(Violation::TooManyFragments));
    assert_eq!(input, b"", "the rest is not even looked at");

    // The 1,024th frame is the last one allowed.
    let mut reader = Reader::new(Role::Server, Limits::default());
    feed(&mut reader, &masked(TEXT_MORE, b"")).unwrap();
    assert_eq!(feed(&mut reader, &frame.repeat(1023)), Ok(vec![]));
    assert_eq!(feed(&mut reader, &frame), Err(Violation::TooManyFragments));
}

#[test]
fn many_tiny_fragments_within_the_limit_do_not_lose_a_byte() {
    let limits = Limits { message_bytes_max: 1 << 20, fragments_max: 1 << 20 };
    let mut reader = Reader::new(Role::Server, limits);
    feed(&mut reader, &masked(BINARY_MORE, b"")).unwrap();
    let frames = masked(MORE, b"z").repeat(500_000);
    for piece in frames.chunks(4099) {
        feed(&mut reader, piece).unwrap();
    }
    assert_eq!(feed(&mut reader, &masked(LAST, b"")), Ok(vec![binary(&vec![b'z'; 500_000])]));
}

#[test]
fn a_flood_of_pings_leaves_one_pong() {
    let mut session = Session::new(Role::Server, SMALL, Timing::default(), 0);
    for number in 0..100_000_u32 {
        let bytes = masked(PING, &number.to_be_bytes());
        assert_eq!(session.receive(&mut &bytes[..], 0), Some(Event::Ping));
        assert!(session.buffered_bytes() < 2 * OVERHEAD_BYTES_MAX);
    }
    let pong = session.transmit().map(|frame| frame.payload);
    assert_eq!(pong.as_deref(), Some(&99_999_u32.to_be_bytes()[..]));
    assert_eq!(session.transmit(), None);
}

#[test]
fn http_and_tls_instead_of_frames_fail_at_once() {
    let cases: [(&[u8], Violation); 3] = [
        (b"GET / HTTP/1.1\r\n", Violation::ReservedBits),
        (b"\x16\x03\x01\x02\x00", Violation::ReservedBits),
        (b"\n\n\n\n\n\n\n\n", Violation::ControlFragmented),
    ];
    for (bytes, violation) in cases {
        assert_eq!(read_all(bytes).violation, Some(violation), "{bytes:02x?}");
    }
}
