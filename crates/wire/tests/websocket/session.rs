//! Conversations: pings, pongs and closing, against a clock that the test moves.

use bongsu_wire::websocket::{
    Close, CloseCode, Event, MaskKey, Opcode, Outgoing, Role, Session, Tick, Timing, Violation,
};

use crate::support::*;

const TIMING: Timing = Timing { heartbeat_ms: 1000, close_wait_ms: 300 };

fn server() -> Session {
    Session::new(Role::Server, SMALL, TIMING, 0)
}

/// Everything that `bytes` bring about.
fn receive(session: &mut Session, bytes: &[u8], now_ms: u64) -> Vec<Event> {
    let mut input = bytes;
    let events = std::iter::from_fn(|| session.receive(&mut input, now_ms)).collect();
    assert_eq!(input, b"", "receive() left bytes although it had no event");
    events
}

fn transmit(session: &mut Session) -> Vec<Outgoing> {
    std::iter::from_fn(|| session.transmit()).collect()
}

fn outgoing(opcode: Opcode, payload: &[u8]) -> Outgoing {
    Outgoing { opcode, payload: payload.to_vec().into() }
}

fn close(code: CloseCode, reason: &str) -> Outgoing {
    outgoing(Opcode::Close, &Close::new(code, reason).encode())
}

fn closed(code: CloseCode, reason: &str) -> Event {
    Event::Closed(Some(Close::new(code, reason)))
}

#[test]
fn data_is_handed_on_and_answered_by_nothing() {
    let mut session = server();
    let events = receive(&mut session, &stream(&[(TEXT, b"a"), (BINARY, b"b"), (PONG, b"c")]), 0);
    assert_eq!(events, [Event::Text("a".into()), Event::Binary("b".into()), Event::Pong]);
    assert_eq!(transmit(&mut session), []);
    assert!(session.is_open());
}

#[test]
fn every_ping_is_answered_while_the_socket_takes_it() {
    let mut session = server();
    let bytes = stream(&[(PING, b"1"), (PING, b"2"), (TEXT, b"a"), (PING, b"")]);
    let mut input = &bytes[..];
    let mut sent = Vec::new();
    while session.receive(&mut input, 0).is_some() {
        sent.extend(transmit(&mut session));
    }
    assert_eq!(sent, [b"1", b"2", &b""[..]].map(|payload| outgoing(Opcode::Pong, payload)));
}

#[test]
fn only_the_latest_ping_is_answered_when_it_does_not() {
    let mut session = server();
    receive(&mut session, &stream(&[(PING, b"1"), (PING, b"2"), (PING, b"3")]), 0);
    assert_eq!(transmit(&mut session), [outgoing(Opcode::Pong, b"3")]);
}

#[test]
fn a_close_is_echoed_and_ends_the_session() {
    let cases: [(&[u8], Event, Outgoing); 3] = [
        (b"", Event::Closed(None), outgoing(Opcode::Close, b"")),
        (b"\x03\xE8bye", closed(CloseCode::NORMAL, "bye"), outgoing(Opcode::Close, b"\x03\xE8")),
        (b"\x0B\xB8", closed(CloseCode::new(3000).unwrap(), ""), outgoing(Opcode::Close, b"\x0B\xB8")),
    ];
    for (body, event, answer) in cases {
        let mut session = server();
        // What follows the Close is ignored, right or wrong.
        let bytes = [masked(CLOSE, body), masked(TEXT, b"late"), vec![0xFF; 9]].concat();
        assert_eq!(receive(&mut session, &bytes, 0), [event]);
        assert!(!session.is_open());
        assert!(!session.is_over(), "the answer has not been written");
        assert_eq!(transmit(&mut session), [answer]);
        assert!(session.is_over());
        assert_eq!(receive(&mut session, &masked(PING, b"late"), 0), []);
        assert_eq!(transmit(&mut session), []);
    }
}

#[test]
fn a_pong_that_is_due_leaves_before_the_close() {
    let mut session = server();
    receive(&mut session, &stream(&[(PING, b"1"), (CLOSE, b"\x03\xE8")]), 0);
    assert_eq!(transmit(&mut session), [outgoing(Opcode::Pong, b"1"), close(CloseCode::NORMAL, "")]);
}

#[test]
fn our_close_waits_for_the_peers_and_ignores_its_data() {
    let mut session = server();
    session.close(CloseCode::GOING_AWAY, "draining", 100);
    assert!(!session.is_open());
    assert_eq!(transmit(&mut session), [close(CloseCode::GOING_AWAY, "draining")]);
    assert!(!session.is_over());

    let late = stream(&[(TEXT, b"a"), (PING, b"b"), (PONG, b"c"), (BINARY_MORE, b"d")]);
    assert_eq!(receive(&mut session, &late, 200), []);
    assert_eq!(transmit(&mut session), [], "nothing may follow a Close");

    let answer = masked(CLOSE, b"\x03\xE9");
    assert_eq!(receive(&mut session, &answer, 300), [closed(CloseCode::GOING_AWAY, "")]);
    assert_eq!(transmit(&mut session), []);
    assert!(session.is_over());
}

#[test]
fn closing_twice_says_it_once() {
    let mut session = server();
    session.close(CloseCode::GOING_AWAY, "first", 0);
    session.close(CloseCode::NORMAL, "second", 250);
    assert_eq!(transmit(&mut session), [close(CloseCode::GOING_AWAY, "first")]);
    session.close(CloseCode::NORMAL, "third", 250);
    assert_eq!(transmit(&mut session), []);
    assert_eq!(session.tick(300), Tick::Expired, "later calls do not prolong the wait");
}

#[test]
fn closes_that_cross_are_one_handshake() {
    let mut session = server();
    session.close(CloseCode::GOING_AWAY, "", 0);
    // Ours has not been written when the peer's comes; it still has to leave.
    assert_eq!(receive(&mut session, &masked(CLOSE, b"\x03\xE8"), 0), [closed(CloseCode::NORMAL, "")]);
    assert!(!session.is_over());
    assert_eq!(transmit(&mut session), [close(CloseCode::GOING_AWAY, "")]);
    assert!(session.is_over());
}

#[test]
fn a_violation_is_answered_with_its_close_after_what_was_right() {
    let cases = [
        (masked(0xC1, b""), Violation::ReservedBits),
        (plain(TEXT, b"a"), Violation::Unmasked),
        (masked(TEXT, b"\xFF"), Violation::TextNotUtf8),
        (masked(BINARY, &[0; 1001]), Violation::MessageTooBig),
        (masked(CLOSE, b"\x03\xED"), Violation::CloseCodeInvalid),
    ];
    for (bytes, violation) in cases {
        let mut session = server();
        let bytes = [masked(TEXT, b"right"), bytes, masked(TEXT, b"late")].concat();
        assert_eq!(receive(&mut session, &bytes, 0), [Event::Text("right".into()), Event::Failed(violation)]);
        assert_eq!(transmit(&mut session), [close(violation.close_code(), violation.reason())]);
        assert!(session.is_over());
    }
}

#[test]
fn a_violation_after_our_close_is_not_answered_again() {
    let mut session = server();
    session.close(CloseCode::NORMAL, "", 0);
    assert_eq!(transmit(&mut session).len(), 1);
    assert_eq!(receive(&mut session, &[0xFF], 0), [Event::Failed(Violation::ReservedBits)]);
    assert_eq!(transmit(&mut session), []);
    assert!(session.is_over());
}

#[test]
fn one_ping_each_heartbeat() {
    let mut session = server();
    assert_eq!((session.wake_ms(), session.tick(999)), (1000, Tick::Wait));
    assert_eq!(transmit(&mut session), []);
    assert_eq!(session.tick(1000), Tick::Ping);
    assert_eq!(transmit(&mut session), [outgoing(Opcode::Ping, b"")]);
    assert_eq!(session.tick(1001), Tick::Wait);
    receive(&mut session, &masked(PONG, b""), 1010);
    assert_eq!((session.wake_ms(), session.tick(1999)), (2000, Tick::Wait));
    // A late tick: the next ping counts from it, so that two never come together.
    assert_eq!(session.tick(2500), Tick::Ping);
    assert_eq!(transmit(&mut session).len(), 1);
    receive(&mut session, &masked(PONG, b""), 2510);
    assert_eq!(session.wake_ms(), 3500);
}

#[test]
fn pings_that_cannot_be_written_do_not_pile_up() {
    let mut session = server();
    for beat in 1..=5 {
        receive(&mut session, &masked(TEXT, b"a"), beat * 1000);
        assert_eq!(session.tick(beat * 1000), Tick::Ping);
    }
    assert_eq!(transmit(&mut session), [outgoing(Opcode::Ping, b"")]);
}

#[test]
fn two_silent_heartbeats_are_the_end() {
    let mut session = server();
    // A single byte of a frame is a sign of life; an empty read is not.
    receive(&mut session, &masked(TEXT, b"a")[..1], 500);
    receive(&mut session, b"", 900);
    assert_eq!(session.tick(1000), Tick::Ping);
    assert_eq!(session.tick(2000), Tick::Ping);
    assert_eq!((session.wake_ms(), session.tick(2499)), (2500, Tick::Wait));
    assert_eq!(session.tick(2500), Tick::Expired);
    assert!(session.is_over());
    assert_eq!(transmit(&mut session), [], "there is nobody to write to");
}

#[test]
fn closing_has_a_deadline_of_its_own() {
    let mut session = server();
    session.close(CloseCode::NORMAL, "", 900);
    assert_eq!((session.wake_ms(), session.tick(1199)), (1200, Tick::Wait), "and no ping at 1000");
    assert_eq!(transmit(&mut session).len(), 1);
    // Data keeps a closing connection alive no longer.
    receive(&mut session, &masked(TEXT, b"a"), 1199);
    assert_eq!(session.tick(1200), Tick::Expired);
}

#[test]
fn the_peer_has_so_long_to_end_its_side_after_both_closes() {
    for bytes in [masked(CLOSE, b""), vec![0xFF]] {
        let mut session = server();
        receive(&mut session, &bytes, 500);
        transmit(&mut session);
        assert_eq!((session.wake_ms(), session.tick(799)), (800, Tick::Wait));
        assert_eq!(session.tick(800), Tick::Expired);
    }
}

#[test]
fn a_due_ping_is_dropped_by_a_close() {
    let mut session = server();
    assert_eq!(session.tick(1000), Tick::Ping);
    session.close(CloseCode::NORMAL, "", 1000);
    assert_eq!(transmit(&mut session), [close(CloseCode::NORMAL, "")]);
}

#[test]
fn the_heartbeat_can_be_changed_while_open() {
    let mut session = server();
    session.set_heartbeat(5000, 100);
    assert_eq!((session.wake_ms(), session.tick(5099)), (5100, Tick::Wait));
    assert_eq!(session.tick(5100), Tick::Ping);
    assert_eq!(session.wake_ms(), 10_000, "two heartbeats after the last sign of life");

    session.close(CloseCode::NORMAL, "", 6000);
    session.set_heartbeat(1, 6000);
    assert_eq!(session.wake_ms(), 6300);
}

#[test]
fn an_idle_session_holds_no_memory() {
    let mut session = server();
    session.tick(1000);
    assert_ne!(session.buffered_bytes(), 0);
    transmit(&mut session);
    receive(&mut session, &masked(PONG, b""), 1000);
    assert_eq!(session.buffered_bytes(), 0);
}

#[test]
fn what_waits_in_a_session_is_counted() {
    let mut session = server();
    receive(&mut session, &masked(PING, &[1; 125]), 0);
    let pong = session.buffered_bytes();
    assert!((125..400).contains(&pong), "{pong}");
    session.close(CloseCode::NORMAL, &"x".repeat(123), 0);
    let both = session.buffered_bytes();
    assert_eq!(both, pong + 125);
    receive(&mut session, &masked(TEXT, &[b'a'; 500])[..300], 0);
    assert!(session.buffered_bytes() >= both + 292, "{}", session.buffered_bytes());
}

#[test]
fn two_sessions_understand_each_other() {
    const KEY: MaskKey = [1, 2, 3, 4];
    let mut client = Session::new(Role::Client, SMALL, TIMING, 0);
    let mut server = server();

    client.tick(1000);
    let ping = client.transmit().unwrap().encode_masked(KEY);
    assert_eq!(receive(&mut server, &ping, 1000), [Event::Ping]);
    let pong = server.transmit().unwrap().encode();
    assert_eq!(receive(&mut client, &pong, 1000), [Event::Pong]);

    server.close(CloseCode::GOING_AWAY, "draining", 1500);
    let close = server.transmit().unwrap().encode();
    assert_eq!(receive(&mut client, &close, 1500), [closed(CloseCode::GOING_AWAY, "draining")]);
    let answer = client.transmit().unwrap().encode_masked(KEY);
    assert_eq!(receive(&mut server, &answer, 1500), [closed(CloseCode::GOING_AWAY, "")]);
    assert_eq!((transmit(&mut client), transmit(&mut server)), (vec![], vec![]));
    assert!(client.is_over() && server.is_over());
}
