//! Heads of HTTP/1.1: what [`http1::parse`] calls plain, a strict reader and hyper must read alike.
//!
//! The input is what a peer sends on a connection.

mod by_hyper;
mod strict;

use bongsu_wire::HeaderLookup as _;
use bongsu_wire::http1::{self, Head, Parsed, head_end, parse, storage};

use self::strict::Message;

/// Wide enough for most inputs, and a bound that many of them reach.
const BOUNDS: [usize; 2] = [16 << 10, 96];

/// The target.
pub fn head(bytes: &[u8]) {
    for head_bytes_max in BOUNDS {
        let whole = told(bytes, head_bytes_max);
        check_bound(bytes, head_bytes_max, &whole);
        // Places that differ from input to input, the last byte among them.
        for end in [bytes.len() / 3, bytes.len() / 2, bytes.len().saturating_sub(1)] {
            let early = told(&bytes[..end], head_bytes_max);
            assert!(early == Told::Partial || early == whole, "{early:?} after {end} bytes, then {whole:?}");
            let looked_at = head_end(&bytes[..end], 0);
            assert_eq!(looked_at.or_else(|| head_end(bytes, end)), head_end(bytes, 0), "looked at {end} bytes before");
        }
    }
    let mut room = storage();
    if let Parsed::Plain(head) = parse(bytes, &mut room, BOUNDS[0]) {
        check_plain(bytes, &head);
    }
}

/// What [`parse`] says, in types that outlive it.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Partial,
    Foreign,
    Plain(Message),
}

fn told(bytes: &[u8], head_bytes_max: usize) -> Told {
    match parse(bytes, &mut storage(), head_bytes_max) {
        Parsed::Partial => Told::Partial,
        Parsed::Foreign => Told::Foreign,
        Parsed::Plain(head) => Told::Plain(message(&head)),
    }
}

fn message(head: &Head<'_>) -> Message {
    Message {
        method: head.method.as_str().to_owned(),
        path: head.path.to_owned(),
        query: head.query.to_owned(),
        head_bytes: head.bytes,
        body_bytes: head.body_bytes,
        keep_alive: head.keep_alive,
        upgrade: head.upgrade,
        headers: head.pairs().map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect(),
    }
}

fn check_bound(bytes: &[u8], head_bytes_max: usize, told: &Told) {
    match told {
        Told::Partial => assert!(bytes.len() < head_bytes_max, "a full buffer cannot become a head"),
        Told::Plain(message) => assert!(message.head_bytes <= head_bytes_max.min(bytes.len())),
        Told::Foreign => {}
    }
}

/// Everybody reads a plain head as we do, and nobody reads on from another place.
fn check_plain(bytes: &[u8], head: &Head<'_>) {
    let ours = message(head);
    assert_eq!(head_end(bytes, 0), Some(ours.head_bytes));
    assert_eq!(strict::read(bytes), Ok(ours.clone()), "the strict reader");
    check_lookup(head, &ours);
    let again = written(&ours);
    let expected = Message { head_bytes: again.len(), ..ours.clone() };
    assert_eq!(told(&again, usize::MAX), Told::Plain(expected), "written again");
    by_hyper::check(bytes, &ours);
}

/// What is asked of the headers gets the answer that a header map would give.
fn check_lookup(head: &Head<'_>, ours: &Message) {
    for (name, _) in &ours.headers {
        let mut found = Vec::new();
        head.each_value(name, &mut |value| {
            found.push(value);
            true
        });
        let expected: Vec<&[u8]> =
            ours.headers.iter().filter(|(known, _)| known == name).map(|(_, v)| &v[..]).collect();
        assert_eq!((&found, head.first_value(name)), (&expected, expected.first().copied()), "{name}");
    }
}

/// The head as a careful client would write it.
fn written(message: &Message) -> Vec<u8> {
    let mark = if message.query.is_empty() { "" } else { "?" };
    let mut out = format!("{} {}{mark}{} HTTP/1.1\r\n", message.method, message.path, message.query).into_bytes();
    for (name, value) in &message.headers {
        http1::push_header(&mut out, name, value);
    }
    out.extend_from_slice(b"\r\n");
    out
}
