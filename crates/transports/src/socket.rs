//! An upgraded connection: frames in and out, on tokio.
//!
//! [`run`] owns the socket and the framing session, and asks a [`Peer`] what to say. Reading and writing go on side by
//! side: a client that writes to us while we write to it must not lock both up. The peer is asked for more only when
//! everything it said before is written, so nothing queues up for a client that does not read.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::time::Duration;

use bongsu_wire::websocket::{CloseCode, Event, Limits, Role, Session, Tick, Timing};
use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout_at};

/// How much is read at once.
const READ_BYTES: usize = 8 << 10;
/// How many pieces go into one write.
const PIECES_MAX: usize = 64;
/// While more than this is unwritten, control frames wait in the session, which holds one of a kind: a later Pong takes
/// the place of an earlier one (RFC 6455 §5.5.3). Else a client that sends Pings and never reads fills the memory.
const CONTROLS_BEHIND_BYTES: usize = 4 << 10;

/// The one who answers on a WebSocket.
pub(crate) trait Peer: Send {
    /// Takes a message. Gives the close code and reason if it ends the connection.
    fn hear(&mut self, message: Event, out: &mut Outbox) -> Result<(), (CloseCode, String)>;

    /// Says what there is to say; called when all that was said before is written.
    fn speak(&mut self, out: &mut Outbox) -> Result<(), (CloseCode, String)>;

    /// Says that it is still there; called when nothing was said for one heartbeat.
    fn beat(&mut self, out: &mut Outbox) -> Result<(), (CloseCode, String)>;

    /// Ready when [`Peer::speak`] may have something to say. Dropping the future loses nothing.
    fn ready(&mut self) -> impl Future<Output = ()> + Send;

    /// Whether the peer can take another message while so many bytes are still to be written. While it cannot, nothing is
    /// read, not even signs of life.
    fn has_room(&self, unwritten: usize) -> bool;
}

/// Bytes that wait to be written.
#[derive(Default)]
pub(crate) struct Outbox {
    pieces: VecDeque<Bytes>,
    bytes: usize,
}

impl Outbox {
    pub(crate) fn push(&mut self, bytes: Bytes) {
        self.bytes += bytes.len();
        self.pieces.push_back(bytes);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    async fn write<W: AsyncWrite + Unpin>(&mut self, socket: &mut W) -> io::Result<()> {
        let slices: Vec<IoSlice<'_>> = self.pieces.iter().take(PIECES_MAX).map(|piece| IoSlice::new(piece)).collect();
        let mut written = socket.write_vectored(&slices).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.bytes -= written;
        while let Some(first) = self.pieces.front_mut() {
            if written < first.len() {
                first.advance(written);
                break;
            }
            written -= first.len();
            self.pieces.pop_front();
        }
        Ok(())
    }
}

/// Frames and their rules for one connection.
struct Framing {
    session: Session,
    started: Instant,
    out: Outbox,
}

impl Framing {
    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// When the session wants its next tick.
    fn wake(&self) -> Instant {
        self.started + Duration::from_millis(self.session.wake_ms())
    }

    /// Takes over the control frames there is room for; called again whenever something was written.
    fn transmit(&mut self) {
        while self.out.bytes < CONTROLS_BEHIND_BYTES
            && let Some(frame) = self.session.transmit()
        {
            self.out.push(frame.encode());
        }
    }

    fn close(&mut self, (code, reason): (CloseCode, String)) {
        let now = self.now();
        self.session.close(code, &reason, now);
        self.transmit();
    }

    /// Takes what was read. False when the peer ended the connection.
    fn receive(&mut self, mut input: &[u8], peer: &mut impl Peer) {
        let now = self.now();
        while let Some(event) = self.session.receive(&mut input, now) {
            self.transmit();
            let message = matches!(event, Event::Text(_) | Event::Binary(_));
            if message && let Err(close) = peer.hear(event, &mut self.out) {
                self.close(close);
            }
        }
        self.transmit();
    }

    /// False when the peer is gone.
    fn tick(&mut self) -> bool {
        let now = self.now();
        let alive = self.session.tick(now) != Tick::Expired;
        self.transmit();
        alive
    }
}

/// Talks until one side ends it. `heartbeat` is how often the other side must show a sign of life.
pub(crate) async fn run<S, P>(socket: S, mut peer: P, heartbeat: Duration, limits: Limits)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    P: Peer,
{
    let timing = Timing { heartbeat_ms: heartbeat.as_millis().try_into().unwrap_or(u32::MAX), ..Timing::default() };
    let mut framing = Framing {
        session: Session::new(Role::Server, limits, timing, 0),
        started: Instant::now(),
        out: Outbox::default(),
    };
    let (mut reading, mut writing) = tokio::io::split(socket);
    let mut buffer = vec![0; READ_BYTES];
    let mut beat = Instant::now() + heartbeat;
    loop {
        if framing.session.is_open() && framing.out.is_empty() {
            if let Err(close) = peer.speak(&mut framing.out) {
                framing.close(close);
            }
            if !framing.out.is_empty() {
                beat = Instant::now() + heartbeat;
            }
        }
        framing.transmit();
        if framing.session.is_over() && framing.out.is_empty() {
            break;
        }
        let open = framing.session.is_open();
        let wake = framing.wake();
        let listen = !open || peer.has_room(framing.out.bytes);
        tokio::select! {
            written = framing.out.write(&mut writing), if !framing.out.is_empty() => if written.is_err() { return },
            read = reading.read(&mut buffer), if listen => match read {
                Ok(0) | Err(_) => return,
                Ok(count) => framing.receive(&buffer[..count], &mut peer),
            },
            () = peer.ready(), if open && framing.out.is_empty() => {}
            () = sleep_until(beat), if open && framing.out.is_empty() => {
                if let Err(close) = peer.beat(&mut framing.out) {
                    framing.close(close);
                }
                beat += heartbeat;
            }
            () = sleep_until(wake) => if !framing.tick() { return },
        }
    }
    // Closing a socket with unread input would reset it, and the reset can overtake our Close.
    let deadline = framing.wake();
    if writing.shutdown().await.is_ok() {
        while matches!(timeout_at(deadline, reading.read(&mut buffer)).await, Ok(Ok(1..))) {}
    }
}

#[cfg(test)]
mod tests {
    use bongsu_wire::websocket::{Opcode, encode_masked};
    use tokio::io::duplex;

    use super::*;

    /// Hears nothing and says nothing.
    struct Mute;

    impl Peer for Mute {
        fn hear(&mut self, _: Event, _: &mut Outbox) -> Result<(), (CloseCode, String)> {
            Ok(())
        }

        fn speak(&mut self, _: &mut Outbox) -> Result<(), (CloseCode, String)> {
            Ok(())
        }

        fn beat(&mut self, _: &mut Outbox) -> Result<(), (CloseCode, String)> {
            Ok(())
        }

        async fn ready(&mut self) {
            std::future::pending::<()>().await;
        }

        fn has_room(&self, _: usize) -> bool {
            true
        }
    }

    fn frame(opcode: Opcode, payload: &[u8]) -> Bytes {
        encode_masked(opcode, payload, [1, 2, 3, 4])
    }

    #[tokio::test]
    async fn pings_of_a_client_that_does_not_read_take_no_memory() {
        let mut framing = Framing {
            session: Session::new(Role::Server, Limits::default(), Timing::default(), 0),
            started: Instant::now(),
            out: Outbox::default(),
        };
        for number in 0..10_000_u32 {
            framing.receive(&frame(Opcode::Ping, &number.to_be_bytes()), &mut Mute);
        }
        assert!(framing.out.bytes < CONTROLS_BEHIND_BYTES + 127, "{} bytes wait", framing.out.bytes);
        framing.out = Outbox::default();
        framing.transmit();
        assert_eq!(framing.out.pieces, [Bytes::from_static(b"\x8a\x04\0\0\x27\x0f")], "the newest Ping is answered");
    }

    #[tokio::test(start_paused = true)]
    async fn a_close_behind_many_pings_is_answered() {
        let (mut client, server) = duplex(1 << 20);
        for _ in 0..10_000 {
            client.write_all(&frame(Opcode::Ping, b"")).await.expect("it fits");
        }
        client.write_all(&frame(Opcode::Close, &1000_u16.to_be_bytes())).await.expect("it fits");
        run(server, Mute, Duration::from_secs(20), Limits::default()).await;
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.expect("the end");
        assert!(heard.ends_with(&[0x88, 2, 3, 232]), "{:?}", heard.last_chunk::<8>());
    }
}
