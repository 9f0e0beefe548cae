//! A WebSocket echo server on plain threads: the smallest driver of `bongsu_wire::websocket`.
//!
//! `cargo run -p bongsu-wire --example echo -- --listen 127.0.0.1:9001`
//!
//! It shows which duties remain with a driver: read the request's head, own the socket and the clock,
//! write what the session wants written, and end the socket so that the last frame arrives. It prints
//! the address it listens on, and serves any path.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use bongsu_wire::websocket::handshake::{self, Accepted, Rejection, Request};
use bongsu_wire::websocket::{Event, Limits, Opcode, Role, Session, Tick, Timing, encode};

/// The largest request head; an upgrade request needs a few hundred bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Room for the largest messages of public conformance suites, also in frames of 64 bytes.
pub(crate) const LIMITS: Limits = Limits { message_bytes_max: 16 << 20, fragments_max: 1 << 18 };

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let address = match (args.next().as_deref(), args.next()) {
        (None, _) => "127.0.0.1:0".to_owned(),
        (Some("--listen"), Some(address)) => address,
        _ => return Err(io::Error::other("usage: echo [--listen ADDRESS:PORT]")),
    };
    let listener = TcpListener::bind(address)?;
    writeln!(io::stdout(), "ws://{}/", listener.local_addr()?)?;
    serve(&listener)
}

/// Serves connections, each on its own thread, until accepting fails.
pub(crate) fn serve(listener: &TcpListener) -> io::Result<()> {
    loop {
        let (stream, peer) = listener.accept()?;
        std::thread::spawn(move || {
            if let Err(error) = converse(stream) {
                let _ = writeln!(io::stderr(), "{peer}: {error}");
            }
        });
    }
}

/// One connection, from its first byte to its last.
fn converse(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(Duration::from_secs(60)))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let (head, after) = read_head(&mut stream)?;
    match upgrade(&head) {
        Ok(accepted) => {
            stream.write_all(&accepted.response_head())?;
            echo(&mut stream, &after)
        }
        Err(rejection) => stream.write_all(&refuse(rejection)),
    }
}

/// The request's head, and the bytes that came with it but lie behind it.
fn read_head(stream: &mut TcpStream) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while head.len() < HEAD_BYTES_MAX {
        let len = stream.read(&mut buffer)?;
        if len == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&buffer[..len]);
        if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            let after = head.split_off(end + 4);
            return Ok((head, after));
        }
    }
    Err(io::Error::other("request head too large"))
}

/// Parses just enough HTTP for the handshake to judge it.
fn upgrade(head: &[u8]) -> Result<Accepted, Rejection> {
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let first = str::from_utf8(lines.next().unwrap_or_default()).unwrap_or_default();
    let request =
        Request { method: first.split(' ').next().unwrap_or_default(), http_1_1: first.ends_with("HTTP/1.1") };
    let headers = lines.filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((str::from_utf8(&line[..colon]).ok()?, &line[colon + 1..]))
    });
    handshake::accept(request, headers, &["bongsu.v1"])
}

fn refuse(rejection: Rejection) -> Vec<u8> {
    let body = rejection.reason();
    let mut answer = format!("HTTP/1.1 {} Refused\r\ncontent-length: {}\r\n", rejection.status(), body.len());
    for (name, value) in rejection.headers() {
        answer.push_str(&format!("{name}: {value}\r\n"));
    }
    answer.push_str("\r\n");
    answer.push_str(body);
    answer.into_bytes()
}

/// Sends every message back. `first` is what was read together with the request.
fn echo(stream: &mut TcpStream, first: &[u8]) -> io::Result<()> {
    let clock = Instant::now();
    let now_ms = || clock.elapsed().as_millis() as u64;
    let mut session = Session::new(Role::Server, LIMITS, Timing::default(), 0);
    let mut buffer = vec![0; 64 * 1024];
    let mut out = Vec::new();
    let mut ended = false;
    answer(&mut session, first, now_ms(), &mut out);
    loop {
        stream.write_all(&out)?;
        out.clear();
        if session.is_over() && !std::mem::replace(&mut ended, true) {
            // Only the writing side: closing with unread input would reset the connection, and the
            // reset can overtake our last frame.
            stream.shutdown(Shutdown::Write)?;
        }
        let wait_ms = session.wake_ms().saturating_sub(now_ms()).max(1);
        stream.set_read_timeout(Some(Duration::from_millis(wait_ms)))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => answer(&mut session, &buffer[..len], now_ms(), &mut out),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
        if session.tick(now_ms()) == Tick::Expired {
            return Ok(());
        }
        transmit(&mut session, &mut out);
    }
}

/// Appends to `out` what `input` calls for.
fn answer(session: &mut Session, mut input: &[u8], now_ms: u64, out: &mut Vec<u8>) {
    while let Some(event) = session.receive(&mut input, now_ms) {
        match event {
            Event::Text(text) => out.extend_from_slice(&encode(Opcode::Text, text.as_bytes())),
            Event::Binary(bytes) => out.extend_from_slice(&encode(Opcode::Binary, &bytes)),
            Event::Ping | Event::Pong | Event::Closed(_) | Event::Failed(_) => {}
        }
        transmit(session, out);
    }
}

/// Appends the control frames that wait.
fn transmit(session: &mut Session, out: &mut Vec<u8>) {
    while let Some(frame) = session.transmit() {
        out.extend_from_slice(&frame.encode());
    }
}
