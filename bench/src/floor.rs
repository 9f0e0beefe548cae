//! The floors: what the kernel and the disk allow when a server does nothing but the least.
//!
//! A floor is no product: no limits, no errors told, trust in its only client. It gives the figure that results are
//! divided by, so it must stay this simple: a change here moves every ratio.
//!
//! - `sse`: an epoll loop that answers a publish by one `write` per subscriber, of bytes made once.
//! - `sse` in tens: the same, but ten events of a channel leave in one `write`.
//! - `sse` with a ring: the same as the first, with the `send`s of a round handed to the kernel in batches, see [`ring`].
//! - `echo`: the same loop, which answers a publish with its body and does nothing else.
//! - `echo` with a file: what arrived in one round is appended and synced before it is answered.
//! - `commit`: no network at all, see [`commit`].

mod channels;
pub(crate) mod commit;
mod reply;
pub(crate) mod ring;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use slab::Slab;

use self::channels::Channels;
use crate::Fallible;
use crate::parse::http;

const LISTENER: Token = Token(usize::MAX);
const READ_BYTES: usize = 64 << 10;
const EVENTS: usize = 1_024;
const BACKLOG: i32 = 4_096;
/// How long fewer than ten events wait for more, when sending in tens.
const GATHER: Duration = Duration::from_millis(2);

/// What the floor does with a publish.
pub(crate) enum Job {
    /// Writes it to the channel's subscribers; keeps the newest so many per channel for who comes back.
    Fanout {
        /// Events kept per channel.
        keep: usize,
        /// How they leave.
        sending: Sending,
    },
    /// Answers with the body, after writing and syncing it when there is a file.
    Echo(Option<File>),
}

/// How events leave.
#[derive(Default)]
pub(crate) enum Sending {
    /// One write per delivery.
    #[default]
    Each,
    /// One write per ten deliveries to a subscriber.
    Tens,
    /// One send per delivery, handed to the kernel in batches.
    Ring(Box<ring::Ring>),
}

/// A connection.
pub(crate) struct Peer {
    stream: TcpStream,
    /// Bytes the socket had no room for.
    unsent: Vec<u8>,
    /// The beginning of a request whose rest has not come.
    partial: Vec<u8>,
    /// What it subscribes to.
    channel: Option<usize>,
}

struct Floor {
    poll: Poll,
    listener: TcpListener,
    peers: Slab<Peer>,
    job: Job,
    channels: Channels,
    /// One buffer for all reads.
    buffer: Vec<u8>,
    /// Answers that wait for the round's sync, and what is to be written before it.
    held: Vec<(usize, Vec<u8>)>,
    record: Vec<u8>,
}

/// Serves on a free port of 127.0.0.1, written to `port_file`, until the process is killed.
pub(crate) fn serve(mut job: Job, port_file: &Path) -> Fallible<()> {
    let sending = if let Job::Fanout { sending, .. } = &mut job { std::mem::take(sending) } else { Sending::Each };
    let mut listener = listen()?;
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let address = listener.local_addr()?;
    let mut floor = Floor {
        poll,
        listener,
        peers: Slab::new(),
        job,
        channels: Channels::new(sending),
        buffer: vec![0; READ_BYTES],
        held: Vec::new(),
        record: Vec::new(),
    };
    write_in_one_step(port_file, &format!("{address}\n"))?;
    let mut events = Events::with_capacity(EVENTS);
    loop {
        floor.round(&mut events)?;
    }
}

/// A listener with room for a storm of connections: the standard library's 128 places overflow, and a connection that
/// is dropped there comes a second later.
fn listen() -> io::Result<TcpListener> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Whoever waits for the file must not see half of it.
fn write_in_one_step(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    std::fs::write(&unfinished, text)?;
    std::fs::rename(unfinished, path)
}

impl Floor {
    fn round(&mut self, events: &mut Events) -> io::Result<()> {
        let wait = self.channels.is_gathering().then_some(GATHER);
        match self.poll.poll(events, wait) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        self.channels.tick();
        for event in events.iter() {
            if event.token() == LISTENER { self.accept()? } else { self.ready(event) }
        }
        if events.is_empty() {
            self.channels.release(&mut self.peers);
        }
        self.channels.send_queued(&mut self.peers);
        self.commit()
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((mut stream, _)) => {
                    stream.set_nodelay(true)?;
                    let entry = self.peers.vacant_entry();
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    self.poll.registry().register(&mut stream, Token(entry.key()), interest)?;
                    entry.insert(Peer { stream, unsent: Vec::new(), partial: Vec::new(), channel: None });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn ready(&mut self, event: &Event) {
        let key = event.token().0;
        let Some(peer) = self.peers.get_mut(key) else { return };
        if event.is_writable() && !peer.unsent.is_empty() && peer.flush().is_err() {
            return self.drop_peer(key);
        }
        if event.is_readable() && self.read(key, event.is_read_closed()).is_err() {
            self.drop_peer(key);
        }
    }

    fn drop_peer(&mut self, key: usize) {
        if let Some(peer) = self.peers.try_remove(key)
            && let Some(channel) = peer.channel
        {
            self.channels.leave(channel, key);
        }
    }

    /// Reads until the socket has no more, and answers each whole request. A short read means that there is no more,
    /// but for the end of the connection, of which there is no other sign when it came with the last bytes.
    fn read(&mut self, key: usize, at_end: bool) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = loop {
            match self.peers[key].stream.read(&mut buffer) {
                Ok(0) => break Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    let result = self.requests(key, &buffer[..count]);
                    if result.is_err() || count < buffer.len() && !at_end {
                        break result;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.buffer = buffer;
        result
    }

    fn requests(&mut self, key: usize, bytes: &[u8]) -> io::Result<()> {
        let mut partial = std::mem::take(&mut self.peers[key].partial);
        if partial.is_empty() {
            let used = self.whole_requests(key, bytes)?;
            partial.extend_from_slice(&bytes[used..]);
        } else {
            partial.extend_from_slice(bytes);
            let used = self.whole_requests(key, &partial)?;
            partial.drain(..used);
        }
        self.peers[key].partial = partial;
        Ok(())
    }

    fn whole_requests(&mut self, key: usize, bytes: &[u8]) -> io::Result<usize> {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            let Some((request, head)) = http::request(rest).map_err(io::Error::other)? else { return Ok(used) };
            let Some(body) = rest.get(head..head + request.length) else { return Ok(used) };
            self.answer(key, &request, body)?;
            used += head + request.length;
        }
    }

    fn answer(&mut self, key: usize, request: &http::Request<'_>, body: &[u8]) -> io::Result<()> {
        match (&self.job, request.method) {
            (Job::Echo(None), _) => self.peers[key].send(&reply::json(body)),
            (Job::Echo(Some(_)), _) => {
                self.record.extend_from_slice(body);
                self.held.push((key, reply::json(body)));
                Ok(())
            }
            (Job::Fanout { keep, .. }, b"POST") => {
                let keep = *keep;
                let answer = self.channels.publish(&mut self.peers, request.path, body, keep);
                self.peers[key].send(&reply::json(answer.as_bytes()))
            }
            (Job::Fanout { .. }, _) => {
                let (channel, first) =
                    self.channels.join(&mut self.peers, request.path, reply::since(request.query), key);
                self.peers[key].channel = Some(channel);
                self.peers[key].send(&first)
            }
        }
    }

    /// One write and one sync for all that arrived in this round, then the answers.
    fn commit(&mut self) -> io::Result<()> {
        if let Job::Echo(Some(file)) = &mut self.job
            && !self.held.is_empty()
        {
            file.write_all(&self.record)?;
            file.sync_data()?;
            self.record.clear();
            for (key, answer) in self.held.drain(..) {
                if let Some(peer) = self.peers.get_mut(key) {
                    // A publisher that went away is noticed when its socket is read.
                    let _ = peer.send(&answer);
                }
            }
        }
        Ok(())
    }
}

impl Peer {
    /// One write when the socket has room; what it has no room for goes out when it has.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return Ok(());
        }
        let sent = match self.stream.write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            other => other?,
        };
        self.unsent.extend_from_slice(&bytes[sent..]);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
