//! What must be true of any bytes, cut anywhere.

use bongsu_wire::websocket::{
    Close, CloseCode, Limits, MaskKey, Message, Opcode, Reader, Role, Violation, apply_mask, encode, encode_masked,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::*;

/// What a reader may hold beside the payload itself: its boxed state and one control payload.
const OVERHEAD_BYTES_MAX: usize = 400;

fn config() -> ProptestConfig {
    // A failure is printed with the shrunken case; it becomes a row of a table, not a file of seeds.
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) }
}

/// Cuts `bytes` at the given places.
fn cut<'a>(bytes: &'a [u8], places: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.sort_unstable();
    places.push(bytes.len());
    let mut start = 0;
    let piece = |end: usize| &bytes[std::mem::replace(&mut start, end)..end];
    places.into_iter().map(piece).collect()
}

/// A message, the places where its payload is cut into fragments, and a Ping after each fragment
/// where the flag says so.
fn script() -> impl Strategy<Value = Vec<(Message, Vec<Index>, bool, MaskKey)>> {
    let control = || vec(any::<u8>(), 0..=125);
    let message = prop_oneof![
        4 => "\\PC{0,60}".prop_map(Message::Text),
        2 => vec(any::<u8>(), 0..400).prop_map(|bytes| Message::Binary(bytes.into())),
        1 => control().prop_map(|bytes| Message::Ping(bytes.into())),
        1 => control().prop_map(|bytes| Message::Pong(bytes.into())),
        1 => (3000..=4999_u16, "\\PC{0,30}").prop_map(|(code, reason)| {
            Message::Close(CloseCode::new(code).map(|code| Close::new(code, &reason)))
        }),
    ];
    vec((message, vec(any::<Index>(), 0..6), any::<bool>(), any::<MaskKey>()), 0..8)
}

/// One frame with FIN as told, as `role`'s peer sends it.
fn frame(role: Role, opcode: Opcode, fin: bool, payload: &[u8], key: MaskKey) -> Vec<u8> {
    let mut frame = match role {
        Role::Server => encode_masked(opcode, payload, key).to_vec(),
        Role::Client => encode(opcode, payload).to_vec(),
    };
    frame[0] &= if fin { 0xFF } else { 0x7F };
    frame
}

/// The bytes of a script and the messages that must come of it.
fn perform(role: Role, script: &[(Message, Vec<Index>, bool, MaskKey)]) -> (Vec<u8>, Vec<Message>) {
    let (mut bytes, mut messages) = (Vec::new(), Vec::new());
    for (message, cuts, ping, key) in script {
        let (opcode, payload) = match message {
            Message::Text(text) => (Opcode::Text, text.as_bytes().to_vec()),
            Message::Binary(bytes) => (Opcode::Binary, bytes.to_vec()),
            Message::Ping(bytes) => (Opcode::Ping, bytes.to_vec()),
            Message::Pong(bytes) => (Opcode::Pong, bytes.to_vec()),
            Message::Close(close) => (Opcode::Close, close.as_ref().map(Close::encode).unwrap_or_default()),
        };
        let cuts = if opcode.is_control() { &[][..] } else { cuts };
        let pieces = cut(&payload, cuts);
        for (number, piece) in pieces.iter().enumerate() {
            let opcode = if number == 0 { opcode } else { Opcode::Continuation };
            let last = number + 1 == pieces.len();
            bytes.extend(frame(role, opcode, last, piece, *key));
            if *ping && !last {
                bytes.extend(frame(role, Opcode::Ping, true, b"between", *key));
                messages.push(Message::Ping("between".into()));
            }
        }
        messages.push(message.clone());
    }
    (bytes, messages)
}

/// Bytes that are often almost right: headers with small lengths, some text, some of anything.
fn almost_frames() -> impl Strategy<Value = Vec<u8>> {
    let firsts = vec![TEXT, BINARY, CLOSE, PING, PONG, TEXT_MORE, BINARY_MORE, MORE, MORE, LAST, LAST];
    let first = prop_oneof![9 => prop::sample::select(firsts), 1 => any::<u8>()];
    let payload = prop_oneof![
        4 => "\\PC{0,20}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..300),
        1 => (990..1010_u16, "[a-z]{0,5}").prop_map(|(code, reason)| [&code.to_be_bytes(), reason.as_bytes()].concat()),
    ];
    let frame = prop_oneof![
        30 => (first, payload).prop_map(|(first, payload)| masked(first, &payload)),
        1 => vec(any::<u8>(), 0..20),
    ];
    vec(frame, 0..20).prop_map(|frames| frames.concat())
}

/// Bytes that are text, or almost.
fn almost_text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => any::<char>().prop_map(|c| c.to_string().into_bytes()),
        1 => any::<char>().prop_map(|c| c.to_string().into_bytes()[1..].to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn messages_survive_encoding_fragments_and_any_split(
        script in script(),
        cuts in vec(any::<Index>(), 0..20),
        server in any::<bool>(),
    ) {
        let role = if server { Role::Server } else { Role::Client };
        let (bytes, messages) = perform(role, &script);
        let outcome = read_pieces(role, Limits::default(), cut(&bytes, &cuts));
        prop_assert_eq!(outcome, Outcome { messages, violation: None });
    }

    #[test]
    fn any_bytes_mean_the_same_in_any_split(
        bytes in prop_oneof![3 => almost_frames(), 1 => vec(any::<u8>(), 0..200)],
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let whole = read_all(&bytes);
        prop_assert_eq!(&read_pieces(Role::Server, SMALL, cut(&bytes, &cuts)), &whole);
        prop_assert_eq!(&read_pieces(Role::Server, SMALL, bytes.chunks(1)), &whole);
    }

    #[test]
    fn any_bytes_cost_no_more_than_the_limit(
        bytes in prop_oneof![3 => almost_frames(), 1 => vec(any::<u8>(), 0..200)],
        message_bytes_max in 0..300_u32,
        step in 1..50_usize,
    ) {
        let mut reader = Reader::new(Role::Server, Limits { message_bytes_max, fragments_max: 8 });
        for mut piece in bytes.chunks(step) {
            while let Ok(Some(message)) = reader.read(&mut piece) {
                prop_assert!(payload_bytes(&message) <= message_bytes_max as usize);
                prop_assert!(reader.buffered_bytes() <= OVERHEAD_BYTES_MAX);
            }
            prop_assert!(reader.buffered_bytes() <= message_bytes_max as usize + OVERHEAD_BYTES_MAX);
        }
    }

    #[test]
    fn text_fails_at_the_first_byte_that_no_text_can_have_there(
        payload in almost_text(),
        cuts in vec(any::<Index>(), 0..6),
    ) {
        let pieces = cut(&payload, &cuts);
        let mut reader = Reader::new(Role::Server, Limits::default());
        let mut fed = 0;
        for (number, piece) in pieces.iter().enumerate() {
            let first = if number == 0 { TEXT_MORE } else { MORE };
            let frame = masked(first, piece);
            let head = frame.len() - piece.len();
            for (position, byte) in frame.iter().enumerate() {
                let result = reader.read(&mut &[*byte][..]);
                fed += usize::from(position >= head);
                // The standard library, asked about everything so far, is the judge.
                let judge = str::from_utf8(&payload[..fed]).is_err_and(|error| error.error_len().is_some());
                let expected = if judge { Err(Violation::TextNotUtf8) } else { Ok(None) };
                prop_assert_eq!(result, expected, "after {} bytes of text", fed);
                if judge {
                    return Ok(());
                }
            }
        }
        let end = match String::from_utf8(payload) {
            Ok(text) => Ok(Some(Message::Text(text))),
            Err(_) => Err(Violation::TextNotUtf8),
        };
        prop_assert_eq!(reader.read(&mut &masked(LAST, b"")[..]), end);
    }

    #[test]
    fn masking_in_pieces_is_masking_and_twice_is_nothing(
        data in vec(any::<u8>(), 0..100),
        key in any::<MaskKey>(),
        cuts in vec(any::<Index>(), 0..5),
    ) {
        let mut whole = data.clone();
        apply_mask(&mut whole, key, 0);
        let mut pieces = Vec::new();
        for piece in cut(&data, &cuts) {
            let mut masked = piece.to_vec();
            apply_mask(&mut masked, key, pieces.len() as u64);
            pieces.extend(masked);
        }
        prop_assert_eq!(&pieces, &whole);
        apply_mask(&mut whole, key, 0);
        prop_assert_eq!(whole, data);
    }
}

/// What counts against the limit.
fn payload_bytes(message: &Message) -> usize {
    match message {
        Message::Text(text) => text.len(),
        Message::Binary(bytes) => bytes.len(),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) => 0,
    }
}
