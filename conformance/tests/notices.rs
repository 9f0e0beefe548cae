//! The runner against a peer that says exactly what it is told to: right answers pass, and each
//! kind of wrong answer is noticed. Without this, a broken matcher could make everything pass.

use bongsu_conformance::run::{Lease, trial_on};
use bongsu_conformance::scenario;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

/// A peer that answers its connections, one after the other, with these bytes after one read each.
fn peer(answers: &[String]) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("it is bound");
    let answers = answers.to_vec();
    let handle = std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (addr, handle)
}

/// Runs the steps against the answers.
fn run(way: &str, steps: &str, answers: &[String]) -> Result<(), String> {
    let ways = if way.is_empty() { String::new() } else { format!("'{way}'") };
    let text = format!("[[scenario]]\nname='s'\npromise='§2: w'\nways=[{ways}]\ntimeout_s=5\nsteps=[{steps}]");
    let trials = scenario::parse("t", &text).expect("a right scenario");
    let (addr, handle) = peer(answers);
    let outcome = trial_on(&mut Lease::At(addr), "t1", &trials[0]);
    // Unblocks a peer that still waits for a connection the scenario did not come to.
    while !handle.is_finished() {
        let _ = std::net::TcpStream::connect(addr);
    }
    outcome
}

fn head(status: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{fields}\r\n{body}")
}

const READ: &str = "Cache-Control: no-store, no-transform\r\nX-Accel-Buffering: no\r\n\
                    Vary: Accept, Prefer, Origin\r\n";

fn event(offset: u64, more: &str) -> String {
    format!(r#"{{"id":"c{offset}","channel":"a:t1","offset":{offset},"time":1,{more}"data":{offset}}}"#)
}

fn poll_answer(events: &[String], cursor: &str, fields: &str) -> String {
    let body = format!(r#"{{"events":[{}],"cursor":"{cursor}","more":false,"retry_ms":1000}}"#, events.join(","));
    head("200 OK", &format!("Content-Type: application/json\r\n{fields}"), &body)
}

fn good_poll() -> String {
    let fields = format!("{READ}ETag: \"c2\"\r\n");
    poll_answer(&[event(1, ""), event(2, "")], "c2", &fields)
}

const TWO: &str = "{ open = 'r', channels = ['a'], since = 'start' },
    { receive = 'r', items = [{ offset = 1, data = 1 }, { channel = 'a', offset = 2 }] },";

#[test]
fn polls() {
    assert_eq!(run("poll", TWO, &[good_poll()]), Ok(()));
    let wrong = [
        ("another offset", good_poll().replace("\"offset\":2", "\"offset\":3")),
        ("another payload", good_poll().replace("\"data\":1", "\"data\":7")),
        ("another channel", good_poll().replace("a:t1", "b:t1")),
        ("an id that is no cursor", good_poll().replace("\"id\":\"c1\"", "\"id\":\"c/\"")),
        ("another tag", good_poll().replace("ETag: \"c2\"", "ETag: \"c1\"")),
        ("no tag", good_poll().replace("ETag", "X-Tag")),
        ("may be stored", good_poll().replace("no-store", "no-cache")),
        ("no Vary", good_poll().replace("Vary", "X-Vary")),
        ("another type", good_poll().replace("application/json", "text/html")),
        ("no JSON", good_poll().replace("{\"events\"", "<\"events\"")),
        ("another member", good_poll().replace("\"more\"", "\"next\"")),
        ("another status", good_poll().replace("200 OK", "500 Oh no")),
        ("a body cut short", good_poll().replace("Length: ", "Length: 1")),
    ];
    for (what, answer) in wrong {
        assert!(run("poll", TWO, &[answer]).is_err(), "{what}");
    }
}

fn chunk(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n", body.len())
}

fn sse(chunks: &[&str]) -> String {
    let chunks: String = chunks.iter().map(|c| chunk(c)).collect();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n{READ}\r\n{chunks}0\r\n\r\n"
    )
}

#[test]
fn event_streams() {
    let open = "event: $open\ndata: {\"type\":\"$open\",\"cursor\":\"c0\"}\n\n";
    let one = format!("id: c1\ndata: {}\n\n", event(1, ""));
    let two = format!("id: c2\ndata: {}\n\n", event(2, ""));
    let named = format!("id: c2\nevent: x\ndata: {}\n\n", event(2, "\"type\":\"x\","));
    let gap =
        "event: $gap\ndata: {\"type\":\"$gap\",\"channel\":\"a:t1\",\"reason\":\"expired\",\"cursor\":\"c1\"}\n\n";

    assert_eq!(run("sse", TWO, &[sse(&[open, &one, &two])]), Ok(()));
    let (left, right) = one.split_at(17);
    assert_eq!(run("sse", TWO, &[sse(&[open, left, right, &two])]), Ok(()));
    assert_eq!(run("sse", TWO, &[sse(&[open, &one, &named])]), Ok(()));
    let wrong = [
        ("an event missing", vec![open, &one]),
        ("an event twice", vec![open, &one, &one]),
        ("the other order", vec![open, &two, &one]),
        ("a gap", vec![open, gap, &two]),
        ("an end inside an event", vec![open, &one, &two[..20]]),
    ];
    for (what, chunks) in wrong {
        assert!(run("sse", TWO, &[sse(&chunks)]).is_err(), "{what}");
    }
    for (what, bad) in [
        ("another id: line", two.replace("id: c2", "id: c1")),
        ("no id: line", two.replace("id: c2\n", "")),
        ("an event: line for the default type", two.replace("data:", "event: message\ndata:")),
        ("no event: line for a type", named.replace("event: x\n", "")),
        ("a hole in the offsets", two.replace("\"offset\":2", "\"offset\":4")),
    ] {
        assert!(run("sse", TWO, &[sse(&[open, &one, &bad])]).is_err(), "{what}");
    }
    let broken = sse(&[open, &one, &two]).replacen("\r\n\r\n", "\r\n\r\nx", 1);
    assert!(run("sse", TWO, &[broken]).is_err(), "broken chunks");
}

#[test]
fn resuming() {
    let steps = "{ open = 'r', channels = ['a'], since = 'start' },
        { receive = 'r', items = [{ offset = 1 }] },
        { close = 'r' },
        { reopen = 'r' },
        { receive = 'r', items = [{ offset = 2 }] },";
    let fields = |n: u64| format!("{READ}ETag: \"c{n}\"\r\n");
    let first = poll_answer(&[event(1, "")], "c1", &fields(1));
    let second = poll_answer(&[event(2, "")], "c2", &fields(2));
    let again = poll_answer(&[event(1, ""), event(2, "")], "c2", &fields(2));
    let skipped = poll_answer(&[event(3, "")], "c3", &fields(3));
    assert_eq!(run("poll", steps, &[first.clone(), second]), Ok(()));
    assert!(run("poll", steps, &[first.clone(), again]).is_err(), "an event twice");
    assert!(run("poll", steps, &[first, skipped]).is_err(), "an event lost");
}

#[test]
fn silence_is_told_from_events() {
    let steps = "{ open = 'r', channels = ['a'], since = 'start' }, { receive_none = 'r', for_ms = 100 },";
    let fields = format!("{READ}ETag: \"c0\"\r\n");
    let silent = poll_answer(&[], "c0", &fields);
    let more = poll_answer(&[event(1, "")], "c1", &format!("{READ}ETag: \"c1\"\r\n"));
    // The peer answers once and closes, so the second poll is a closed connection, not silence.
    assert!(run("poll", steps, &[more]).is_err(), "an event is no silence");
    let failure = run("poll", steps, &[silent]).unwrap_err();
    assert!(failure.contains("connection ended"), "{failure}");
}

#[test]
fn problems() {
    let steps =
        "{ request = 'GET /x?limit=0', expect = { status = 400, problem = 'bad_limit', mentions = ['limit'] } },";
    let body = r#"{"type":"https://x/errors#bad_limit","title":"Bad","status":400,"code":"bad_limit","detail":"limit is 1-1000"}"#;
    let kind = "Content-Type: application/problem+json\r\n";
    assert_eq!(run("", steps, &[head("400 Bad", kind, body)]), Ok(()));
    let wrong = [
        ("another status", head("404 Not", kind, body)),
        ("plain JSON", head("400 Bad", "Content-Type: application/json\r\n", body)),
        ("another code", head("400 Bad", kind, &body.replace("bad_limit", "bad_other"))),
        ("no word of the field", head("400 Bad", kind, &body.replace("limit is", "it is"))),
        ("a text", head("400 Bad", kind, "limit is bad_limit")),
    ];
    for (what, answer) in wrong {
        assert!(run("", steps, &[answer]).is_err(), "{what}");
    }
}

#[test]
fn a_handshake_that_is_none() {
    let steps = "{ open = 'r', channels = ['a'] },";
    let right = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let open = "{\"type\":\"$open\",\"cursor\":\"c0\"}";
    let frame = format!("\u{1}{}{open}", char::from(open.len() as u8));
    // A text frame without FIN is no whole message; with it (0x81) this peer cannot write it as
    // UTF-8, so the right handshake only gets as far as waiting for the end of the message.
    for (what, answer) in [
        ("an unfinished message", format!("{right}{frame}")),
        ("another accept", right.replace("s3pP", "s3pQ")),
        ("no upgrade", right.replace("Upgrade: websocket\r\n", "")),
        ("a 200", head("200 OK", "", "")),
    ] {
        assert!(run("websocket", steps, &[answer]).is_err(), "{what}");
    }
}

#[test]
fn answers_of_one_socket() {
    let [one, two] = ["1", "2"].map(|body| head("200 OK", "", body));
    let interim = "HTTP/1.1 100 Continue\r\n\r\n";
    let both = "{ raw = 'x', closed_within_ms = 2000, answers = [{ body = '1' }, { body = '2' }] },";
    let at_most_one = "{ raw = 'x', closed_within_ms = 2000, answers_max = 1 },";
    let kept = "{ raw = 'x', on = 'c', expect = { status = 100 } }, { raw = 'y', on = 'c', expect = { body = '1' } },";
    let cases = [
        (both, format!("{one}{two}"), true),
        (both, format!("{two}{one}"), false),
        (both, one.clone(), false),
        (both, format!("{one}{two}{one}"), false),
        (both, format!("{one}{two}x"), false),
        (both, format!("{interim}{one}{two}"), false),
        (at_most_one, String::new(), true),
        (at_most_one, one.clone(), true),
        (at_most_one, format!("{one}{two}"), false),
        (at_most_one, format!("{one}x"), false),
        (kept, format!("{interim}{one}"), true),
        (kept, one.clone(), false),
        ("{ raw = 'x', cut_after = 3 },", "abc".to_owned(), true),
        ("{ raw = 'x', cut_after = 4 },", "abc".to_owned(), false),
    ];
    for (steps, answer, good) in cases {
        let outcome = run("", steps, std::slice::from_ref(&answer));
        assert_eq!(outcome.is_ok(), good, "{steps} {answer:?} {outcome:?}");
    }
}
