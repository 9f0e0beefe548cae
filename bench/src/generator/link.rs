//! A non-blocking TCP connection of the generator, from one of many loopback addresses.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicUsize, Ordering};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};

/// Connections per source address: an address has some 28,000 ports, and ports of earlier runs rest for a minute.
const CONNECTIONS_PER_SOURCE: usize = 1_000;

/// A connection.
pub(crate) struct Link {
    stream: TcpStream,
    /// What the socket had no room for.
    unsent: Vec<u8>,
}

impl Link {
    /// Begins to connect; the connection is there when the poll says that it can be written.
    pub(crate) fn open(registry: &Registry, token: Token, target: SocketAddr, number: usize) -> io::Result<Self> {
        Self::open_with(registry, token, target, number, None)
    }

    /// The same with a receive buffer of so many bytes; None: as the kernel likes.
    pub(crate) fn open_with(
        registry: &Registry,
        token: Token,
        target: SocketAddr,
        number: usize,
        receive_bytes: Option<usize>,
    ) -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        if let Some(bytes) = receive_bytes {
            // Before connecting: the window that is offered depends on it.
            sockopt::set_socket_recv_buffer_size(&socket, bytes)?;
        }
        bind(&socket, &SocketAddrV4::new(source(number), 0))?;
        match connect(&socket, &target) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let mut stream = TcpStream::from_std(socket.into());
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, unsent: Vec::new() })
    }

    /// Whether connecting has failed, once the poll has said something.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.stream.take_error()?.map_or(Ok(()), Err)
    }

    /// Never looks at the connection again, and keeps it open.
    pub(crate) fn ignore(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.stream)
    }

    /// Writes; what the socket has no room for goes out by [`flush`](Self::flush).
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.unsent.extend_from_slice(bytes);
        self.flush()
    }

    /// Writes what is left.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(sent) if sent == self.unsent.len() => self.unsent.clear(),
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The other side has gone: the next read says so.
                Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                    self.unsent.clear();
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads once. None when there is nothing at the moment, 0 at the end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.stream.read(buffer) {
            Ok(count) => Ok(Some(count)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
            // A server that was killed resets; for a reader that is an end like another.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(Some(0)),
            Err(error) => Err(error),
        }
    }
}

/// Source numbers for so many connections, which no other generator of this process has. Ports of connections that were
/// closed rest for a minute, and runs follow one another faster than that.
pub(super) fn next_sources(count: usize) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(count.next_multiple_of(CONNECTIONS_PER_SOURCE), Ordering::Relaxed)
}

/// The address that connection `number` comes from: 127.0.0.2 and on.
fn source(number: usize) -> Ipv4Addr {
    let step = u32::try_from(number / CONNECTIONS_PER_SOURCE).unwrap_or(0) % 0xffff;
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 0, 0, 2).to_bits() + step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        for (number, address) in
            [(0, [127, 0, 0, 2]), (999, [127, 0, 0, 2]), (1_000, [127, 0, 0, 3]), (299_000, [127, 0, 1, 45])]
        {
            assert_eq!(source(number), Ipv4Addr::from(address), "{number}");
        }
    }
}
