//! WebSocket frames: a session gives the same events however the bytes are cut, holds no more than it may, and what it gives can
//! be sent back.
//!
//! The first byte of the input chooses the role, the limits and the cuts; the rest is what the peer sends.

use bongsu_wire::websocket::{
    Event, Limits, Message, Opcode, Reader, Role, Session, Timing, encode, encode_masked, frame,
};

/// What a session may hold beside a message: its own boxes, control frames, and room that vectors have to spare.
const OVERHEAD_BYTES_MAX: usize = 1024;

/// The target.
pub fn websocket(bytes: &[u8]) {
    let Some((&choice, input)) = bytes.split_first() else { return };
    let role = if choice & 1 == 0 { Role::Server } else { Role::Client };
    let message_bytes_max = if choice & 2 == 0 { 1 << 20 } else { 64 };
    let limits = Limits { message_bytes_max, fragments_max: if choice & 4 == 0 { 1024 } else { 3 } };
    let piece_bytes = usize::from(choice >> 3) + 1;
    let whole = events(role, limits, [input].into_iter());
    let pieces = events(role, limits, input.chunks(piece_bytes));
    assert_eq!(whole, pieces, "cut after every {piece_bytes} bytes");
    let end = whole.iter().position(|event| matches!(event, Event::Closed(_) | Event::Failed(_)));
    assert!(end.is_none_or(|end| end + 1 == whole.len()), "events after the last one: {whole:?}");
    for event in &whole {
        check_echo(role, limits, event);
    }
    check_reader(role, limits, input, &whole);
}

/// What a session makes of the pieces, everything it wants to send taken and checked.
fn events<'a>(role: Role, limits: Limits, pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Event> {
    let mut session = Session::new(role, limits, Timing::default(), 0);
    let mut events = Vec::new();
    for mut piece in pieces {
        let mut left = piece.len();
        while let Some(event) = session.receive(&mut piece, 0) {
            // At most one event is given without using up a byte: the end.
            let last = matches!(event, Event::Closed(_) | Event::Failed(_));
            assert!(piece.len() < left || last, "an event out of nothing: {event:?}");
            left = piece.len();
            events.push(event);
            while let Some(outgoing) = session.transmit() {
                check_outgoing(outgoing.opcode, &outgoing.payload);
            }
        }
        assert!(piece.is_empty(), "bytes are left over");
        // Vectors grow by doubling.
        let held_max = 2 * limits.message_bytes_max as usize + OVERHEAD_BYTES_MAX;
        assert!(session.buffered_bytes() <= held_max, "{} bytes held", session.buffered_bytes());
    }
    assert!(!session.is_over() || session.transmit().is_none());
    events
}

fn check_outgoing(opcode: Opcode, payload: &[u8]) {
    assert!(opcode.is_control() && payload.len() <= frame::CONTROL_BYTES_MAX, "{opcode:?} {payload:?}");
    let sent = encode(opcode, payload);
    let mut input = &sent[..];
    let read = Reader::new(Role::Client, Limits::default()).read(&mut input);
    assert!(matches!(read, Ok(Some(_))), "we send what we refuse: {opcode:?} {payload:?}: {read:?}");
}

/// A message keeps to its limits, and comes back the same when it is sent back.
fn check_echo(role: Role, limits: Limits, event: &Event) {
    let (opcode, payload, expected) = match event {
        Event::Text(text) => (Opcode::Text, text.as_bytes(), Message::Text(text.clone())),
        Event::Binary(bytes) => (Opcode::Binary, &bytes[..], Message::Binary(bytes.clone())),
        _ => return,
    };
    assert!(payload.len() <= limits.message_bytes_max as usize);
    let sent = match role {
        Role::Server => encode_masked(opcode, payload, [1, 2, 3, 4]),
        Role::Client => encode(opcode, payload),
    };
    assert_eq!(Reader::new(role, limits).read(&mut &sent[..]), Ok(Some(expected)));
}

/// The reader below the session finds the same messages.
fn check_reader(role: Role, limits: Limits, mut input: &[u8], events: &[Event]) {
    let mut reader = Reader::new(role, limits);
    for event in events {
        let same = match (reader.read(&mut input), event) {
            (Ok(Some(Message::Text(read))), Event::Text(text)) => read == *text,
            (Ok(Some(Message::Binary(read))), Event::Binary(bytes)) => read == *bytes,
            (Ok(Some(Message::Ping(_))), Event::Ping) | (Ok(Some(Message::Pong(_))), Event::Pong) => true,
            (Ok(Some(Message::Close(read))), Event::Closed(close)) => read == *close,
            (Err(read), Event::Failed(violation)) => read == *violation,
            _ => false,
        };
        assert!(same, "the reader does not find {event:?}");
    }
}
