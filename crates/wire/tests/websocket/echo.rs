//! The example server over real TCP, driven by the client's half of the same code.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use bongsu_wire::websocket::handshake::ClientHandshake;
use bongsu_wire::websocket::{Close, CloseCode, Event, Opcode, Role, Session, Timing, encode_masked};

use crate::support::KEY;

#[expect(dead_code, reason = "its main() and --listen are for `cargo run --example`")]
#[path = "../../examples/echo.rs"]
mod example;

fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || example::serve(&listener));
    address
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Sends a request head and reads the answer's, byte by byte so as not to read beyond it.
fn exchange(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// An open WebSocket from the client's side.
struct Client {
    stream: TcpStream,
    session: Session,
}

impl Client {
    fn open(address: SocketAddr) -> Self {
        let handshake = ClientHandshake::new(*b"the sample nonce", &["bongsu.v1"]);
        let mut request = format!("GET /test/echo HTTP/1.1\r\nHost: {address}\r\n");
        for (name, value) in handshake.headers() {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let mut stream = connect(address);
        let head = exchange(&mut stream, &request);
        let (status, headers) = head.split_once("\r\n").unwrap();
        assert_eq!(status, "HTTP/1.1 101 Switching Protocols");
        let headers = headers.lines().filter_map(|line| line.split_once(':'));
        let chosen = handshake.verify(101, headers.map(|(name, value)| (name, value.as_bytes())));
        assert_eq!(chosen, Ok(Some("bongsu.v1")));
        let session = Session::new(Role::Client, example::LIMITS, Timing::default(), 0);
        Self { stream, session }
    }

    fn send(&mut self, opcode: Opcode, payload: &[u8]) {
        self.stream.write_all(&encode_masked(opcode, payload, KEY)).unwrap();
    }

    /// The events until the server ends its side, or until `count` have come.
    fn receive(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        let mut buffer = [0; 4096];
        while events.len() < count {
            let len = self.stream.read(&mut buffer).unwrap();
            if len == 0 {
                break;
            }
            let mut input = &buffer[..len];
            while let Some(event) = self.session.receive(&mut input, 0) {
                events.push(event);
            }
            while let Some(frame) = self.session.transmit() {
                self.stream.write_all(&frame.encode_masked(KEY)).unwrap();
            }
        }
        events
    }
}

#[test]
fn messages_come_back_and_the_close_is_clean() {
    let mut client = Client::open(start());
    let large = "봉수 ".repeat(50_000);
    client.send(Opcode::Text, b"hello");
    client.send(Opcode::Binary, &[0, 255]);
    client.send(Opcode::Ping, b"there?");
    client.send(Opcode::Text, large.as_bytes());
    let events = client.receive(4);
    let expected = [Event::Text("hello".into()), Event::Binary(vec![0, 255].into()), Event::Pong, Event::Text(large)];
    assert!(events == expected, "{} events", events.len());

    client.session.close(CloseCode::NORMAL, "done", 0);
    let close = client.session.transmit().unwrap();
    client.send(close.opcode, &close.payload);
    let answer = Close::new(CloseCode::NORMAL, "");
    assert_eq!(client.receive(9), [Event::Closed(Some(answer))], "then the end of the stream");
    assert!(client.session.is_over());
}

#[test]
fn a_violation_is_told_even_when_more_was_on_its_way() {
    let mut client = Client::open(start());
    // Unread input would turn the server's end of the connection into a reset.
    let bytes = [&[0xFF][..], &[0; 300_000]].concat();
    client.stream.write_all(&bytes).unwrap();
    let events = client.receive(9);
    let [Event::Closed(Some(close))] = &events[..] else { panic!("{events:?}") };
    assert_eq!(close.code, CloseCode::PROTOCOL_ERROR);
}

#[test]
fn frames_sent_together_with_the_request_are_not_lost() {
    let address = start();
    let mut stream = connect(address);
    let request = "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let early = [request.as_bytes(), &encode_masked(Opcode::Text, b"early", KEY)].concat();
    stream.write_all(&early).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.ends_with(b"\r\n\r\n\x81\x05early"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn a_request_that_cannot_be_a_websocket_is_told_why() {
    let address = start();
    let cases = [
        ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 426 "),
        ("GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 505 "),
        ("POST / HTTP/1.1\r\n\r\n", "HTTP/1.1 405 "),
    ];
    for (request, status) in cases {
        let answer = exchange(&mut connect(address), request);
        assert!(answer.starts_with(status), "{request:?}: {answer:?}");
    }
}
