//! Messages out of frames: fragments, control frames between them, UTF-8, close bodies, limits.

use std::collections::HashSet;

use bongsu_wire::websocket::{Close, CloseCode, Message, Reader, Role, Violation};

use crate::support::*;

/// Checks what a server's reader makes of a client's frames.
#[track_caller]
fn check(frames: &[(u8, &[u8])], messages: &[Message], violation: Option<Violation>) {
    let outcome = read_all(&stream(frames));
    assert_eq!(outcome, Outcome { messages: messages.to_vec(), violation }, "{frames:02x?}");
}

#[test]
fn the_examples_of_the_rfc() {
    // §5.7: "Hello" unmasked, in two fragments, as Ping; then the same masked.
    let server = |bytes: &[u8]| read_pieces(Role::Client, SMALL, [bytes]).messages;
    assert_eq!(server(b"\x81\x05Hello"), [text("Hello")]);
    assert_eq!(server(b"\x01\x03Hel\x80\x02lo"), [text("Hello")]);
    assert_eq!(server(b"\x89\x05Hello"), [Message::Ping("Hello".into())]);
    assert_eq!(read_all(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58").messages, [text("Hello")]);
    assert_eq!(read_all(b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58").messages, [Message::Pong("Hello".into())]);
}

#[test]
fn well_formed_streams_give_their_messages() {
    let ping = || Message::Ping("p".into());
    let pong = || Message::Pong("q".into());
    check(&[], &[], None);
    check(&[(TEXT, b"")], &[text("")], None);
    check(&[(BINARY, b"")], &[binary(b"")], None);
    check(&[(TEXT, b"a"), (BINARY, b"\xFF"), (TEXT, b"b")], &[text("a"), binary(b"\xFF"), text("b")], None);
    check(&[(TEXT_MORE, b"a"), (MORE, b"b"), (LAST, b"c")], &[text("abc")], None);
    check(&[(BINARY_MORE, b"a"), (LAST, b"")], &[binary(b"a")], None);
    check(&[(TEXT_MORE, b""), (MORE, b""), (LAST, b"")], &[text("")], None);
    check(&[(TEXT_MORE, b"a"), (PING, b"p"), (LAST, b"b")], &[ping(), text("ab")], None);
    check(
        &[(TEXT_MORE, b"a"), (PING, b"p"), (MORE, b"b"), (PONG, b"q"), (LAST, b"c"), (PING, b"p")],
        &[ping(), pong(), text("abc"), ping()],
        None,
    );
    check(&[(PING, &[9; 125])], &[Message::Ping(vec![9; 125].into())], None);
    check(&[(TEXT_MORE, b"a"), (CLOSE, b"")], &[Message::Close(None)], None);
}

#[test]
fn frames_in_the_wrong_order_fail_after_what_was_right() {
    let lost = Some(Violation::ContinuationWithoutStart);
    let inside = Some(Violation::StartInsideMessage);
    check(&[(LAST, b"a")], &[], lost);
    check(&[(MORE, b"a")], &[], lost);
    check(&[(TEXT, b"a"), (LAST, b"b")], &[text("a")], lost);
    check(&[(TEXT_MORE, b"a"), (LAST, b"b"), (MORE, b"c")], &[text("ab")], lost);
    check(&[(TEXT_MORE, b"a"), (TEXT, b"b")], &[], inside);
    check(&[(TEXT_MORE, b"a"), (BINARY_MORE, b"b")], &[], inside);
    check(&[(BINARY_MORE, b"a"), (PING, b""), (BINARY, b"b")], &[Message::Ping("".into())], inside);
}

#[test]
fn header_violations_reach_the_caller_and_hide_what_follows() {
    check(&[(TEXT, b"a"), (0xC1, b"b"), (TEXT, b"c")], &[text("a")], Some(Violation::ReservedBits));
    check(&[(0x83, b"")], &[], Some(Violation::ReservedOpcode));
    check(&[(0x09, b"")], &[], Some(Violation::ControlFragmented));
    check(&[(PING, &[0; 126])], &[], Some(Violation::ControlTooLong));
}

#[test]
fn who_must_mask_is_enforced() {
    let cases = [
        (Role::Server, plain(TEXT, b"a"), Some(Violation::Unmasked)),
        (Role::Server, plain(PING, b""), Some(Violation::Unmasked)),
        (Role::Server, masked(TEXT, b"a"), None),
        (Role::Client, masked(TEXT, b"a"), Some(Violation::Masked)),
        (Role::Client, masked(CLOSE, b""), Some(Violation::Masked)),
        (Role::Client, plain(TEXT, b"a"), None),
    ];
    for (role, bytes, violation) in cases {
        assert_eq!(read_pieces(role, SMALL, [&bytes[..]]).violation, violation, "{role:?} {bytes:02x?}");
    }
}

#[test]
fn text_must_be_utf8_over_all_fragments() {
    let bad = Some(Violation::TextNotUtf8);
    let kosme = "κόσμε".as_bytes();
    for cut in 0..=kosme.len() {
        let (first, last) = kosme.split_at(cut);
        check(&[(TEXT_MORE, first), (PING, b""), (LAST, last)], &[Message::Ping("".into()), text("κόσμε")], None);
    }
    check(&[(TEXT, "\u{0}\u{7F}\u{FFFF}\u{10FFFF}".as_bytes())], &[text("\u{0}\u{7F}\u{FFFF}\u{10FFFF}")], None);
    check(&[(TEXT, b"\xCE")], &[], bad);
    check(&[(TEXT_MORE, b"\xF0\x9F"), (LAST, b"\x94")], &[], bad);
    check(&[(TEXT_MORE, b"\xF0\x9F"), (LAST, b"\x94\xA5")], &[text("🔥")], None);
    check(&[(BINARY_MORE, b"\xF0\x9F"), (LAST, b"\xFF")], &[binary(b"\xF0\x9F\xFF")], None);
    check(&[(TEXT, b"\xC0\xAF")], &[], bad);
    check(&[(TEXT, b"\xED\xA0\x80")], &[], bad);
    check(&[(TEXT, b"\xF4\x90\x80\x80")], &[], bad);
}

#[test]
fn a_bad_byte_of_text_fails_at_once_and_not_at_the_end() {
    // The last byte of each can follow nothing valid, and the frame is never finished.
    for start in
        [&b"\xFF"[..], b"a\x80", b"\xC0", b"\xE0\x9F", b"\xED\xA0", b"\xF0\x8F", b"\xF4\x90", b"\xCE\xBAa\xCE\xCE"]
    {
        let frame = masked(TEXT, &[start, &[b'x'; 100][..]].concat());
        let begun = 6 + start.len();
        let before = read_pieces(Role::Server, SMALL, [&frame[..begun - 1]]);
        assert_eq!(before.violation, None, "{start:02x?}");
        let after = read_pieces(Role::Server, SMALL, [&frame[..begun]]);
        assert_eq!(after.violation, Some(Violation::TextNotUtf8), "{start:02x?}");
    }
}

#[test]
fn close_bodies() {
    let close = |code, reason: &str| {
        let code = CloseCode::new(code).expect("the table's codes are valid");
        Message::Close(Some(Close { code, reason: reason.to_owned() }))
    };
    check(&[(CLOSE, b"")], &[Message::Close(None)], None);
    check(&[(CLOSE, b"\x03\xE8")], &[close(1000, "")], None);
    check(&[(CLOSE, b"\x0F\xA1bye \xEC\x95\x88")], &[close(4001, "bye 안")], None);
    check(&[(CLOSE, b"\x03")], &[], Some(Violation::CloseCodeCut));
    check(&[(CLOSE, b"\x03\xE8\xFF")], &[], Some(Violation::CloseReasonNotUtf8));
    check(&[(CLOSE, b"\x03\xE8\xCE")], &[], Some(Violation::CloseReasonNotUtf8));
    check(&[(CLOSE, b"\x03\xED")], &[], Some(Violation::CloseCodeInvalid));
}

#[test]
fn exactly_the_codes_of_the_registry_may_be_sent() {
    let valid = |code: &u16| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    for code in 0..=u16::MAX {
        let expected = if valid(&code) { None } else { Some(Violation::CloseCodeInvalid) };
        assert_eq!(Close::decode(&code.to_be_bytes()).err(), expected, "{code}");
        assert_eq!(CloseCode::new(code).map(CloseCode::get), Some(code).filter(valid), "{code}");
    }
}

#[test]
fn a_close_to_send_fits_into_a_control_frame() {
    let cases = [("", 0), ("bye", 3), (&"x".repeat(123), 123), (&"x".repeat(124), 123), (&"é".repeat(62), 122)];
    for (reason, bytes) in cases {
        let close = Close::new(CloseCode::GOING_AWAY, reason);
        let body = close.encode();
        assert_eq!((body.len(), close.reason.len()), (2 + bytes, bytes), "{reason}");
        assert_eq!(Close::decode(&body), Ok(Some(close)), "{reason}");
        let by_hand = Close { code: CloseCode::GOING_AWAY, reason: reason.to_owned() };
        assert_eq!(by_hand.encode(), body, "{reason}");
    }
}

#[test]
fn message_size_is_limited_over_all_fragments() {
    let big = Some(Violation::MessageTooBig);
    let [max, over] = [vec![b'x'; 1000], vec![b'x'; 1001]];
    let half = &max[..500];
    check(&[(BINARY, &max), (BINARY, &max)], &[binary(&max), binary(&max)], None);
    check(&[(BINARY, &over)], &[], big);
    check(&[(BINARY_MORE, half), (LAST, half)], &[binary(&max)], None);
    check(&[(BINARY_MORE, half), (LAST, &max[..501])], &[], big);
    check(&[(TEXT_MORE, &max), (LAST, b"")], &[text(&"x".repeat(1000))], None);
    check(&[(TEXT_MORE, &max), (LAST, b"x")], &[], big);
    // Control frames are not part of the message.
    check(
        &[(BINARY_MORE, &max), (PING, half.first_chunk::<100>().unwrap()), (LAST, b"")],
        &[Message::Ping(vec![b'x'; 100].into()), binary(&max)],
        None,
    );
}

#[test]
fn a_message_too_big_is_refused_by_its_header_alone() {
    let frame = masked(BINARY, &[0; 1001]);
    assert_eq!(read_all(&frame[..7]).violation, None);
    assert_eq!(read_all(&frame[..8]).violation, Some(Violation::MessageTooBig));
}

#[test]
fn fragments_are_limited_and_empty_ones_count() {
    for payload in [&b""[..], b"x"] {
        let mut frames = vec![(TEXT_MORE, payload)];
        frames.extend([(MORE, payload); 6]);
        frames.push((LAST, payload));
        check(&frames, &[text(&"x".repeat(payload.len() * 8))], None);
        frames.insert(1, (MORE, payload));
        check(&frames, &[], Some(Violation::TooManyFragments));
    }
}

#[test]
fn a_violation_is_final() {
    let mut reader = Reader::new(Role::Server, SMALL);
    for bytes in [&masked(0x83, b"")[..], &masked(TEXT, b"a"), b""] {
        let mut input = bytes;
        assert_eq!(reader.read(&mut input), Err(Violation::ReservedOpcode));
        assert_eq!(input, b"");
    }
    assert_eq!(reader.buffered_bytes(), 0);
}

#[test]
fn every_violation_has_its_close_code_and_its_reason() {
    let cases = [
        (Violation::ReservedBits, 1002),
        (Violation::ReservedOpcode, 1002),
        (Violation::ControlFragmented, 1002),
        (Violation::ControlTooLong, 1002),
        (Violation::Unmasked, 1002),
        (Violation::Masked, 1002),
        (Violation::LengthNotMinimal, 1002),
        (Violation::LengthTooLarge, 1002),
        (Violation::ContinuationWithoutStart, 1002),
        (Violation::StartInsideMessage, 1002),
        (Violation::CloseCodeCut, 1002),
        (Violation::CloseCodeInvalid, 1002),
        (Violation::MessageTooBig, 1009),
        (Violation::TooManyFragments, 1008),
        (Violation::TextNotUtf8, 1007),
        (Violation::CloseReasonNotUtf8, 1007),
    ];
    let reasons: HashSet<_> = cases.iter().map(|(violation, _)| violation.reason()).collect();
    assert_eq!(reasons.len(), cases.len());
    for (violation, code) in cases {
        assert_eq!(violation.close_code().get(), code, "{violation:?}");
        let reason = violation.to_string();
        assert_eq!(Close::new(violation.close_code(), &reason).reason, reason, "{violation:?} is cut");
    }
}
