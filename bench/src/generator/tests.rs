//! What only shows over time: when polls are sent.

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
