//! A socket of which something was read before it came to hyper.
//!
//! hyper looks at the first bytes of a connection without a time limit, and a socket shard has read a request before it
//! knows that it is not for shards. Both need a way to give bytes back.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bongsu_transports::{Peer, SocketPlace};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What an HTTP/2 client with prior knowledge says first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A socket that first gives what was read before.
#[derive(Debug)]
pub(crate) struct Prefixed {
    /// What was read before and not yet given, from `given` on.
    read: Vec<u8>,
    given: usize,
    stream: TcpStream,
    /// Counts the socket for as long as anybody has it.
    _place: SocketPlace,
}

impl Prefixed {
    pub(crate) fn new(read: Vec<u8>, stream: TcpStream, place: SocketPlace) -> Self {
        Self { read, given: 0, stream, _place: place }
    }

    /// The other side; `None` if it is gone.
    pub(crate) fn peer(&self) -> Option<Peer> {
        self.stream.peer_addr().ok().map(|address| Peer::new(address.ip()))
    }

    /// Waits until it can be told which HTTP the peer speaks; says whether that is HTTP/2. May be dropped at any time
    /// without a loss.
    ///
    /// # Errors
    /// The connection broke, or ended before.
    pub(crate) async fn is_http2(&mut self) -> io::Result<bool> {
        while self.read.len() < PREFACE.len() && PREFACE.starts_with(&self.read) {
            // No more than that: what follows is for hyper's larger buffer.
            let missing = PREFACE.len() - self.read.len();
            let stream = &mut self.stream;
            let mut piece = [0; PREFACE.len()];
            let count = stream.read(&mut piece[..missing]).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.read.extend_from_slice(&piece[..count]);
        }
        Ok(self.read.starts_with(PREFACE))
    }
}

impl AsyncRead for Prefixed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = &self.read[self.given..];
        if left.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let count = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..count]);
        self.given += count;
        if self.given == self.read.len() {
            // A connection may live long after its first bytes.
            (self.read, self.given) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use bongsu_transports::Sockets;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    /// The two ends of a connection.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (client.unwrap(), accepted.unwrap().0)
    }

    #[tokio::test]
    async fn what_was_read_before_comes_first_and_nothing_is_lost() {
        let http2 = std::str::from_utf8(PREFACE).unwrap();
        let cases = [
            // What was read before, what comes, and whether it is HTTP/2.
            ("", "GET / HTTP/1.1\r\n\r\n", Some(false)),
            ("GET /v1/x HTTP/1.1\r\nHo", "st: x\r\n\r\n", Some(false)),
            ("P", "OST / HTTP/1.1\r\n\r\nand a body that is longer than the preface", Some(false)),
            ("PR", "I * HTTP/2.0\r\n\r\nSM\r\n\r\nand more", Some(true)),
            ("", http2, Some(true)),
            (http2, "", Some(true)),
            ("", "\n", Some(false)),
            ("", "", None),
            ("PRI", " * HTTP", None),
        ];
        for (before, comes, expected) in cases {
            let (mut client, server) = pair().await;
            client.write_all(comes.as_bytes()).await.unwrap();
            client.shutdown().await.unwrap();
            let place = Sockets::new(1).enter();
            let mut socket = Prefixed::new(before.as_bytes().to_vec(), server, place);
            assert_eq!(socket.is_http2().await.ok(), expected, "{before:?} {comes:?}");
            // In pieces that are smaller than what was read before.
            let (mut all, mut piece) = (Vec::new(), [0; 3]);
            while let count @ 1.. = socket.read(&mut piece).await.unwrap() {
                all.extend_from_slice(&piece[..count]);
            }
            assert_eq!(String::from_utf8(all).unwrap(), format!("{before}{comes}"));
            assert_eq!(socket.read.capacity(), 0, "the memory of the first bytes is given back");
        }
    }

    #[tokio::test]
    async fn a_preface_may_come_byte_by_byte() {
        let (mut client, server) = pair().await;
        let sending = tokio::spawn(async move {
            for byte in PREFACE {
                client.write_all(&[*byte]).await.unwrap();
                tokio::task::yield_now().await;
            }
            client
        });
        let sockets = Sockets::new(1);
        let mut socket = Prefixed::new(Vec::new(), server, sockets.enter());
        assert!(socket.is_http2().await.unwrap());
        socket.write_all(b"settings").await.unwrap();
        let mut client = sending.await.unwrap();
        drop(socket);
        assert_eq!(sockets.open(), 0);
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "settings");
    }
}
