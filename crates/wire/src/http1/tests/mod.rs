//! What is plain, what is not, and where a head ends.

mod cases;

use proptest::prelude::*;

use self::cases::{foreign, plain, with};
use super::*;

const MAX: usize = 16 << 10;

/// The answer of [`parse`], in words.
fn told(bytes: &[u8], head_bytes_max: usize) -> String {
    match parse(bytes, &mut storage(), head_bytes_max) {
        Parsed::Partial => "partial".into(),
        Parsed::Foreign => "foreign".into(),
        Parsed::Plain(head) => shown(&head),
    }
}

fn shown(head: &Head<'_>) -> String {
    let Head { method, path, query, bytes, body_bytes, keep_alive, upgrade, .. } = head;
    let pairs: Vec<_> = head.pairs().map(|(name, value)| (name, String::from_utf8_lossy(value))).collect();
    let method = method.as_str();
    format!("{method} {path} {query} {bytes}+{body_bytes} alive={keep_alive} upgrade={upgrade} {pairs:?}")
}

#[test]
fn plain_heads() {
    for (head, expected) in plain() {
        let mut storage = storage();
        let Parsed::Plain(found) = parse(head.as_bytes(), &mut storage, MAX) else { panic!("{head:?}") };
        assert_eq!((found.body_bytes, found.keep_alive, found.upgrade), expected, "{head:?}");
        assert_eq!(found.bytes, head.len(), "{head:?}");
    }
}

#[test]
fn a_head_in_full() {
    let text = "POST /a/b?c=d?e HTTP/1.1\r\nHost: h\r\nContent-LENGTH:3\r\nX:  y z \t\r\nx:\r\n\r\nabc";
    assert_eq!(
        told(text.as_bytes(), MAX),
        "POST /a/b c=d?e 70+3 alive=true upgrade=false \
         [(\"Host\", \"h\"), (\"Content-LENGTH\", \"3\"), (\"X\", \"y z\"), (\"x\", \"\")]"
    );
    let mut storage = storage();
    let Parsed::Plain(head) = parse(text.as_bytes(), &mut storage, MAX) else { panic!() };
    let mut values = Vec::new();
    head.each_value("x", &mut |value| {
        values.push(value);
        true
    });
    assert_eq!(values, [&b"y z"[..], b""]);
    assert_eq!(head.first_value("content-length"), Some(&b"3"[..]));
    assert_eq!(head.first_value("missing"), None);
}

#[test]
fn everything_else_is_foreign() {
    for head in foreign() {
        assert_eq!(told(head.as_bytes(), MAX), "foreign", "{head:?}");
        // However it comes, it is never plain on the way, and once foreign it stays foreign.
        let mut before = String::from("partial");
        for end in 1..head.len() {
            let now = told(&head.as_bytes()[..end], MAX);
            assert!(now == before || now == "foreign", "{:?} is {now} after {before}", &head.as_bytes()[..end]);
            before = now;
        }
    }
}

#[test]
fn what_never_ends_is_foreign_at_its_first_bytes() {
    for bytes in [&b"\x16\x03\x01"[..], b"PR", b"PROXY TCP4", b"\r", b"\n", b" ", b"GETX", b"D", b"\0", b"g"] {
        assert_eq!(told(bytes, MAX), "foreign", "{bytes:?}");
    }
    for bytes in [&b""[..], b"P", b"POST", b"GET ", b"HEAD /"] {
        assert_eq!(told(bytes, MAX), "partial", "{bytes:?}");
    }
}

#[test]
fn a_head_cut_anywhere_is_partial_and_then_the_same() {
    for (head, _) in plain() {
        let whole = told(head.as_bytes(), MAX);
        for end in 0..head.len() {
            assert_eq!(told(&head.as_bytes()[..end], MAX), "partial", "{:?}", &head[..end]);
        }
        // As a driver reads it: looking at each byte once.
        let mut from = 0;
        let found = (0..=head.len()).find(|&end| {
            let found = head_end(&head.as_bytes()[..end], from);
            from = end;
            found.is_some()
        });
        assert_eq!(found, Some(head.len()), "{head:?}");
        for after in ["\r\n", "\n", "GET / HTTP/1.1\r\n\r\n", "\0", "body \u{e4}"] {
            assert_eq!(told(format!("{head}{after}").as_bytes(), MAX), whole, "{head:?} then {after:?}");
        }
    }
}

#[test]
fn pipelined_requests_are_read_one_after_the_other() {
    let heads = plain();
    let mut stream = Vec::new();
    for (head, (body_bytes, ..)) in &heads {
        stream.extend_from_slice(head.as_bytes());
        // A body that looks like a request is none.
        stream.extend(b"GET / HTTP/1.1\r\n\r\n".iter().cycle().take(*body_bytes));
    }
    let mut rest = &stream[..];
    for (head, _) in &heads {
        let mut storage = storage();
        let Parsed::Plain(found) = parse(rest, &mut storage, MAX) else { panic!("{head:?}") };
        assert_eq!(found.bytes, head.len(), "{head:?}");
        rest = &rest[found.bytes + found.body_bytes..];
    }
    assert_eq!(told(rest, MAX), "partial");
}

#[test]
fn the_bound_holds_for_whole_heads_and_for_beginnings() {
    let head = with("X: y\r\n");
    let bytes = head.as_bytes();
    assert_ne!(told(bytes, bytes.len()), "foreign");
    assert_eq!(told(bytes, bytes.len() - 1), "foreign");
    assert_eq!(told(&bytes[..bytes.len() - 1], bytes.len()), "partial");
    // A full buffer of that size can never become a head.
    assert_eq!(told(&bytes[..bytes.len() - 1], bytes.len() - 1), "foreign");
    // What follows does not count.
    assert_ne!(told(&[bytes, &[b'x'; 100][..]].concat(), bytes.len()), "foreign");
    // The `http` crate has bounds of its own, which no setting lifts.
    let long = with(&format!("X: {}\r\n", "y".repeat(HEAD_BYTES_LIMIT)));
    assert_eq!(told(long.as_bytes(), usize::MAX), "foreign");
    let headers = with(&"x:\r\n".repeat(HEADERS_MAX - 1));
    assert_ne!(told(headers.as_bytes(), MAX), "foreign");
}

#[test]
fn ends_of_heads() {
    let cases: &[(&str, usize, Option<usize>)] = &[
        ("", 0, None),
        ("a\r\n", 0, None),
        ("a\r\n\r\n", 0, Some(5)),
        ("a\r\n\r\n", 4, Some(5)),
        ("a\r\n\r\n", 5, None),
        ("a\r\n\r\n", 6, None),
        ("a\r\n\r\n\r\n", 5, Some(7)),
        ("a\n\n", 0, Some(3)),
        ("a\n\r\n", 0, Some(4)),
        ("a\r\n\n", 0, Some(4)),
        ("a\r\r\n", 0, None),
        ("\r\n", 0, Some(2)),
        ("\n", 0, Some(1)),
        ("a\r\nb\r\n\r\nc", 3, Some(8)),
    ];
    for (text, from, expected) in cases {
        assert_eq!(head_end(text.as_bytes(), *from), *expected, "{text:?} from {from}");
    }
}

/// Pieces of which attacks are made, in any order.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "GET ",
        "POST ",
        "HEAD ",
        "/",
        "/a?b",
        " HTTP/1.1",
        " HTTP/1.0",
        "\r\n",
        "\n",
        "\r",
        "\r\n\r\n",
        ":",
        ": ",
        " ",
        "\t",
        ",",
        "Host: h",
        "Content-Length: ",
        "Content-Length: 3",
        "Transfer-Encoding: chunked",
        "Connection: close",
        "upgrade",
        "Upgrade: websocket",
        "Connection: ",
        "X",
        "close",
        "0",
        "5",
        "GET / HTTP/1.1\r\nHost: h\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n",
    ]);
    let piece = prop_oneof![8 => known.prop_map(|text| text.as_bytes().to_vec()), 1 => prop::collection::vec(any::<u8>(), 1..3)];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    // A failure is printed with the shrunken case; it becomes a row of a table, not a file of seeds.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) })]

    #[test]
    fn a_plain_head_written_again_reads_the_same(bytes in pieces()) {
        let mut room = storage();
        let Parsed::Plain(head) = parse(&bytes, &mut room, MAX) else { return Ok(()) };
        let mark = if head.query.is_empty() { "" } else { "?" };
        let mut again = format!("{} {}{mark}{} HTTP/1.1\r\n", head.method.as_str(), head.path, head.query).into_bytes();
        for (name, value) in head.pairs() {
            push_header(&mut again, name, value);
        }
        again.extend_from_slice(b"\r\n");
        let bytes_again = again.len();
        let mut room = storage();
        let Parsed::Plain(read) = parse(&again, &mut room, MAX) else { panic!("{again:?}") };
        prop_assert_eq!(Head { bytes: bytes_again, ..head }, read);
    }

    #[test]
    fn what_is_parsed_again_after_each_byte_never_changes_its_mind(bytes in pieces()) {
        let whole = told(&bytes, MAX);
        for end in 0..bytes.len() {
            let early = told(&bytes[..end], MAX);
            prop_assert!(early == "partial" || early == whole, "{:?}: {}, then {}", &bytes[..end], early, whole);
        }
    }
}
