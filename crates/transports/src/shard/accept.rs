//! How connections come to a shard: the first accepts for all of them, and deals them round.

use std::io;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Token};
use socket2::{SockRef, TcpKeepalive};

use super::conn::Conn;
use super::thread::Thread;
use super::{Key, Letter};
use crate::SocketPlace;

/// Connections accepted per round.
const ACCEPTS_MAX: usize = 64;
/// How long to wait when there may be no more sockets; the peers wait in the backlog meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Thread {
    /// Takes what waits, up to a bound.
    pub(super) fn accept(&mut self) {
        if self.accept_again.is_some_and(|again| again > self.now) || !self.accepts {
            return;
        }
        self.accept_again = None;
        let Some(listener) = &self.listener else {
            self.accepts = false;
            return;
        };
        let room = self.context.sockets.room().min(ACCEPTS_MAX);
        if room == 0 {
            self.context.sockets.paused_full();
            self.accept_again = Some(self.now + ACCEPT_PAUSE);
            return;
        }
        let mut accepted = Vec::new();
        while accepted.len() < room {
            match listener.accept() {
                Ok((stream, _)) => accepted.push((stream, self.context.sockets.enter())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.accepts = false;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    self.context.sockets.paused_by(&error);
                    self.accept_again = Some(self.now + ACCEPT_PAUSE);
                    break;
                }
            }
        }
        for (stream, place) in accepted {
            self.deal(stream, place);
        }
    }

    /// Gives the connection to the shard whose turn it is.
    fn deal(&mut self, stream: TcpStream, place: SocketPlace) {
        self.next = (self.next + 1) % self.mailboxes.len();
        if self.next == self.number {
            self.take_in(stream, place);
        } else {
            self.mailboxes[self.next].post(Letter::Accepted(stream, place));
        }
    }

    /// Serves a connection from now on.
    pub(super) fn take_in(&mut self, mut stream: TcpStream, place: SocketPlace) {
        self.generation = self.generation.wrapping_add(1);
        let entry = self.conns.vacant_entry();
        let key = Key { index: entry.key() as u32, generation: self.generation };
        let token = Token(key.index as usize | (key.generation as usize) << 32);
        let prepared = prepare(&stream, self.context.limits.write_timeout);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if prepared.and_then(|()| self.poll.registry().register(&mut stream, token, interest)).is_err() {
            // It was gone before it was served.
            return;
        }
        entry.insert(Conn::new(stream, self.generation, place));
        self.due_in(key.index, self.context.limits.head_timeout);
    }
}

fn prepare(stream: &TcpStream, write_timeout: Duration) -> io::Result<()> {
    // Small events must not wait for the acknowledgement of earlier ones.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    // A peer that vanished, or takes nothing for so long, is given up by the kernel; it resumes by its cursor.
    socket.set_tcp_user_timeout(Some(write_timeout))?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(write_timeout))
}
