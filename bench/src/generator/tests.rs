//! What only shows over time: when polls are sent, and when who was refused comes back.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use super::{Dialect, Generator, Plan, Way};

const PATIENCE: Duration = Duration::from_secs(20);
const INTERVAL: Duration = Duration::from_millis(5);
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Length: 47\r\n\r\n{\"events\":[],\"cursor\":\"e.1\",\"more\":false,\"x\":1}";

/// Answers so many polls, each after several intervals, and says how many requests had come by then.
fn slow_server(listener: &TcpListener, answers: usize) -> usize {
    let (mut stream, _) = listener.accept().expect("a generator");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut requests = 0;
    let mut buffer = [0; 4096];
    for _ in 0..answers {
        std::thread::sleep(4 * INTERVAL);
        let count = stream.read(&mut buffer).expect("a generator that goes on");
        requests += String::from_utf8_lossy(&buffer[..count]).matches("GET ").count();
        stream.write_all(ANSWER).expect("a generator that goes on");
    }
    requests
}

/// A second poll with the same cursor would be given the same events: duplicates that are no fault of the server.
#[test]
fn a_poll_that_is_not_answered_is_not_asked_again() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let target = listener.local_addr().expect("an address");
    let server = std::thread::spawn(move || slow_server(&listener, 5));
    let mut generator = Generator::new(Plan {
        each: 1,
        interval: Some(INTERVAL),
        comes_back: true,
        ..Plan::new(target, Dialect::Bongsu, Way::Poll)
    })
    .expect("a generator");
    generator.join(PATIENCE).expect("a first answer");
    assert!(generator.run(PATIENCE, |it| it.desk.answers.0 == 5).expect("a server that goes on"));
    assert_eq!(server.join().expect("a server that ends"), 5);
}

/// Refuses the first connection by what it says, and welcomes the second.
fn refusing_server(listener: &TcpListener, refusal: &str) -> usize {
    let welcome = "HTTP/1.1 200 OK\r\n\r\ndata: {\"type\":\"$live\",\"cursor\":\"e.0\"}\n\n";
    let mut served = Vec::new();
    for answer in [refusal, welcome] {
        let (mut stream, _) = listener.accept().expect("a generator");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let count = stream.read(&mut [0; 4096]).expect("a request");
        assert!(count > 0);
        stream.write_all(answer.as_bytes()).expect("a generator that goes on");
        served.push(stream);
    }
    served.len()
}

#[test]
fn who_is_refused_comes_back_when_told() {
    let close = r#"{"type":"$close","code":4013,"reason":"overloaded","reconnect":true,"retry_ms":40}"#;
    let by_close = format!("HTTP/1.1 200 OK\r\n\r\nretry: 40\n\ndata: {close}\n\n");
    let by_status = "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n".to_owned();
    for refusal in [by_close, by_status] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let target = listener.local_addr().expect("an address");
        let server = std::thread::spawn(move || refusing_server(&listener, &refusal));
        let plan = Plan { each: 1, returns: true, ..Plan::new(target, Dialect::Bongsu, Way::Sse) };
        let mut generator = Generator::new(plan).expect("a generator");
        generator.join(PATIENCE).expect("let in at last");
        assert_eq!((generator.refusals, server.join().expect("a server that ends")), (1, 2));
    }
}

#[test]
fn who_does_not_come_back_takes_a_refusal_for_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let target = listener.local_addr().expect("an address");
    let refusal = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
    std::thread::spawn(move || refusing_server(&listener, refusal));
    let plan = Plan { each: 1, ..Plan::new(target, Dialect::Bongsu, Way::Sse) };
    let error = Generator::new(plan).expect("a generator").join(PATIENCE).expect_err("a refusal").to_string();
    assert!(error.contains("7000 ms"), "{error}");
}
