//! The opening handshake from both sides, as tables of headers.

use bongsu_wire::websocket::handshake::{
    self, Accepted, ClientHandshake, Refusal, Rejection, Request, is_upgrade, offered_protocols,
};

type Headers<'a> = Vec<(&'a str, &'a [u8])>;
type Pairs<'a> = &'a [(&'a str, &'a str)];

const GET: Request<'_> = Request { method: "GET", http_1_1: true };

/// §1.3: the nonce "the sample nonce", as key, and the answer to it.
const KEY: &[u8] = b"dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The request of §1.2, with our subprotocol.
fn request() -> Headers<'static> {
    vec![
        ("Host", b"server.example.com"),
        ("Upgrade", b"websocket"),
        ("Connection", b"Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Origin", b"http://example.com"),
        ("Sec-WebSocket-Protocol", b"chat, bongsu.v1"),
        ("Sec-WebSocket-Version", b"13"),
    ]
}

/// The request with one header's value replaced, or left out.
fn with(name: &str, value: Option<&'static [u8]>) -> Headers<'static> {
    let mut headers = request();
    match value {
        Some(value) => headers.iter_mut().filter(|(each, _)| *each == name).for_each(|(_, old)| *old = value),
        None => headers.retain(|(each, _)| *each != name),
    }
    headers
}

fn accept(headers: Headers<'_>) -> Result<Accepted, Rejection> {
    handshake::accept(GET, headers, &["bongsu.v1", "bongsu.v2"])
}

#[test]
fn the_example_of_the_rfc_is_accepted() {
    let accepted = accept(request());
    assert_eq!(accepted, Ok(Accepted { accept: ACCEPT.to_owned(), protocol: Some("bongsu.v1") }));
}

#[test]
fn the_answer_is_a_101_with_its_headers() {
    let mut accepted = accept(request()).unwrap();
    let head = String::from_utf8(accepted.response_head()).unwrap();
    let expected = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
        sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nsec-websocket-protocol: bongsu.v1\r\n\r\n";
    assert_eq!(head, expected);
    accepted.protocol = None;
    let names: Vec<_> = accepted.headers().map(|(name, _)| name).collect();
    assert_eq!(names, ["upgrade", "connection", "sec-websocket-accept"]);
}

#[test]
fn headers_may_be_written_in_any_allowed_way() {
    let cases: [(&str, &[u8]); 8] = [
        ("Upgrade", b"WebSocket"),
        ("Upgrade", b"h2c , websocket"),
        ("Connection", b"keep-alive, Upgrade"),
        ("Connection", b"keep-alive,upgrade"),
        ("Connection", b" ,, UPGRADE\t,"),
        ("Sec-WebSocket-Version", b" 13\t"),
        ("Sec-WebSocket-Key", b" dGhlIHNhbXBsZSBub25jZQ== "),
        ("Origin", b"\xFF\xFE"),
    ];
    for (name, value) in cases {
        assert_eq!(accept(with(name, Some(value))).map(|a| a.accept), Ok(ACCEPT.to_owned()), "{name}: {value:?}");
    }
    let lower: Vec<_> = request().iter().map(|(name, value)| (name.to_lowercase(), *value)).collect();
    assert!(accept(lower.iter().map(|(name, value)| (name.as_str(), *value)).collect()).is_ok());
    let mut two = with("Connection", Some(b"keep-alive"));
    two.push(("connection", b"upgrade"));
    assert!(accept(two.clone()).is_ok(), "a list may be spread over several headers");
    two.extend([("Connection", &b"Upgrade"[..]), ("Upgrade", b"websocket")]);
    assert!(accept(two).is_ok(), "and may say the same again");
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    use Rejection::{Connection, Key, Upgrade, Version};
    let cases: [(&str, Option<&[u8]>, Rejection); 19] = [
        ("Upgrade", None, Upgrade),
        ("Upgrade", Some(b""), Upgrade),
        ("Upgrade", Some(b"websockets"), Upgrade),
        ("Upgrade", Some(b"web socket"), Upgrade),
        ("Upgrade", Some(b"websocket\xFF"), Upgrade),
        ("Connection", None, Connection),
        ("Connection", Some(b"keep-alive"), Connection),
        ("Connection", Some(b"upgraded"), Connection),
        ("Sec-WebSocket-Version", None, Version),
        ("Sec-WebSocket-Version", Some(b"8"), Version),
        ("Sec-WebSocket-Version", Some(b"013"), Version),
        ("Sec-WebSocket-Version", Some(b"13, 8"), Version),
        ("Sec-WebSocket-Key", None, Key),
        ("Sec-WebSocket-Key", Some(b""), Key),
        ("Sec-WebSocket-Key", Some(b"dGhlIHNhbXBsZSBub25jZQ"), Key),
        ("Sec-WebSocket-Key", Some(b"dGhlIHNhbXBsZSBub25jZQ===="), Key),
        ("Sec-WebSocket-Key", Some(b"dGhlIHNhbXBsZSBub25j"), Key),
        ("Sec-WebSocket-Key", Some(b"dGhlIHNhbXBsZSBub25jZSE="), Key),
        ("Sec-WebSocket-Key", Some(b"dGhlIHNhbXBsZSBub25j*Q=="), Key),
    ];
    for (name, value, rejection) in cases {
        assert_eq!(accept(with(name, value)), Err(rejection), "{name}: {value:?}");
    }
}

#[test]
fn headers_that_may_stand_once_may_not_stand_twice() {
    for (name, value, rejection) in
        [("Sec-WebSocket-Key", KEY, Rejection::Key), ("Sec-WebSocket-Version", b"13", Rejection::Version)]
    {
        let mut headers = request();
        headers.push((name, value));
        assert_eq!(accept(headers.clone()), Err(rejection), "{name}");
        headers.push((name, value));
        assert_eq!(accept(headers), Err(rejection), "{name} thrice");
    }
}

#[test]
fn only_get_over_http_1_1_upgrades() {
    let cases = [
        (Request { method: "POST", ..GET }, Rejection::Method),
        (Request { method: "get", ..GET }, Rejection::Method),
        (Request { http_1_1: false, ..GET }, Rejection::HttpVersion),
    ];
    for (request_line, rejection) in cases {
        assert_eq!(handshake::accept(request_line, request(), &[]), Err(rejection), "{request_line:?}");
    }
}

#[test]
fn rejections_carry_what_the_answer_needs() {
    let upgrade = [("upgrade", "websocket"), ("connection", "Upgrade")];
    let version = [upgrade[0], upgrade[1], ("sec-websocket-version", "13")];
    let cases: [(Rejection, u16, Pairs<'_>); 6] = [
        (Rejection::Method, 405, &[("allow", "GET")]),
        (Rejection::HttpVersion, 505, &[]),
        (Rejection::Upgrade, 426, &upgrade),
        (Rejection::Connection, 400, &[]),
        (Rejection::Version, 426, &version),
        (Rejection::Key, 400, &[]),
    ];
    for (rejection, status, headers) in cases {
        assert_eq!((rejection.status(), rejection.headers()), (status, headers), "{rejection:?}");
        assert!(rejection.to_string().contains(' '), "{rejection:?} says what to do");
    }
}

#[test]
fn the_first_known_subprotocol_wins() {
    let cases: [(&[u8], Option<&str>); 8] = [
        (b"bongsu.v1", Some("bongsu.v1")),
        (b"bongsu.v2,bongsu.v1", Some("bongsu.v2")),
        (b"chat, superchat,bongsu.v2", Some("bongsu.v2")),
        (b"bongsu.token.abc, bongsu.v1", Some("bongsu.v1")),
        (b"BONGSU.V1", None),
        (b"bongsu.v10", None),
        (b"", None),
        (b"\xFF, bongsu.v1", None),
    ];
    for (offered, chosen) in cases {
        let accepted = accept(with("Sec-WebSocket-Protocol", Some(offered)));
        assert_eq!(accepted.map(|accepted| accepted.protocol), Ok(chosen), "{offered:?}");
    }
    assert_eq!(accept(with("Sec-WebSocket-Protocol", None)).map(|accepted| accepted.protocol), Ok(None));

    let mut two = request();
    two.push(("sec-websocket-protocol", b"bongsu.v2"));
    assert_eq!(offered_protocols(two.clone()).collect::<Vec<_>>(), ["chat", "bongsu.v1", "bongsu.v2"]);
    assert_eq!(accept(two).map(|accepted| accepted.protocol), Ok(Some("bongsu.v1")));
}

#[test]
fn an_upgrade_is_recognised_even_when_it_is_wrong() {
    assert!(is_upgrade(request()));
    assert!(is_upgrade([("UPGRADE", &b"foo, WebSocket"[..])]));
    assert!(!is_upgrade(with("Upgrade", None)));
    assert!(!is_upgrade([("Upgrade", &b"h2c"[..]), ("Connection", b"websocket")]));
}

fn client() -> ClientHandshake {
    ClientHandshake::new(*b"the sample nonce", &["bongsu.v1", "chat"])
}

#[test]
fn a_client_sends_what_a_server_accepts() {
    let client = client();
    let sent = client.headers();
    let sent: Headers<'_> = sent.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    assert!(sent.contains(&("sec-websocket-key", KEY)), "{sent:?}");
    assert!(sent.contains(&("sec-websocket-protocol", b"bongsu.v1, chat")), "{sent:?}");
    let accepted = accept(sent).unwrap();
    let answer = accepted.headers().map(|(name, value)| (name, value.as_bytes()));
    assert_eq!(client.verify(101, answer), Ok(Some("bongsu.v1")));

    let plain = ClientHandshake::new([0; 16], &[]);
    assert!(plain.headers().iter().all(|(name, _)| *name != "sec-websocket-protocol"));
}

#[test]
fn a_client_refuses_answers_that_do_not_belong_to_it() {
    let answer: Headers<'_> =
        vec![("Upgrade", b"WebSocket"), ("Connection", b"upgrade"), ("Sec-WebSocket-Accept", ACCEPT.as_bytes())];
    assert_eq!(client().verify(101, answer.clone()), Ok(None), "a server need not choose a subprotocol");
    let twice = [answer.clone(), answer.clone()].concat();
    assert_eq!(client().verify(101, twice), Ok(None), "lists may say the same again");
    assert_eq!(client().verify(200, answer.clone()), Err(Refusal::Status(200)));
    assert_eq!(client().verify(426, []), Err(Refusal::Status(426)));

    let without = |index: usize| {
        let mut less = answer.clone();
        less.remove(index);
        less
    };
    assert_eq!(client().verify(101, without(0)), Err(Refusal::Upgrade));
    assert_eq!(client().verify(101, without(1)), Err(Refusal::Connection));
    assert_eq!(client().verify(101, without(2)), Err(Refusal::Accept));

    let extra: [(&str, &[u8], Refusal); 5] = [
        ("Sec-WebSocket-Accept", b"S3PPLMBITXAQ9KYGZZHZRBK+XOO=", Refusal::Accept),
        ("Sec-WebSocket-Accept", b"", Refusal::Accept),
        ("Sec-WebSocket-Protocol", b"soap", Refusal::Protocol("soap".into())),
        ("Sec-WebSocket-Protocol", b"Chat", Refusal::Protocol("Chat".into())),
        ("Sec-WebSocket-Extensions", b"permessage-deflate", Refusal::Extension),
    ];
    for (name, value, refusal) in extra {
        let mut more = answer.clone();
        more.push((name, value));
        assert_eq!(client().verify(101, more), Err(refusal.clone()), "{name}: {value:?}");
        assert!(refusal.to_string().contains(' '));
    }
}
