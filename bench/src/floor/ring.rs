//! Sends in batches by io_uring: up to [`BATCH`] `send`s by one call into the kernel.
//!
//! It must not know channels or peers. It is the one module of the bench that is allowed `unsafe`: io_uring is given
//! addresses of buffers, which outlives what the borrow checker can see. Here every call waits for all that it began,
//! so the buffers are borrowed for exactly as long as the kernel reads them.
#![expect(unsafe_code, reason = "io_uring takes addresses; see the module's comment")]

use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd as _, BorrowedFd};

use io_uring::{IoUring, opcode, types};

/// Sends per call.
const BATCH: usize = 256;
/// Flags of send(2), as Linux numbers them: give up rather than wait, and no signal when the peer has gone.
const DONT_WAIT: i32 = 0x40;
const NO_SIGNAL: i32 = 0x4000;

/// One send: the socket and the bytes.
pub(super) type Send<'a> = (BorrowedFd<'a>, &'a [u8]);

/// The ring.
pub(crate) struct Ring(IoUring);

impl Ring {
    /// A ring; the error says why there can be none, as in containers that forbid the call.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(IoUring::new(u32::try_from(BATCH).expect("a small number"))?))
    }

    /// Sends all and tells of each, by its place, how many bytes the socket took.
    pub(super) fn send(&mut self, sends: &[Send<'_>], mut sent: impl FnMut(usize, io::Result<usize>)) {
        for (number, batch) in sends.chunks(BATCH).enumerate() {
            self.begin(batch);
            let mut left = batch.len();
            while left > 0 {
                match self.0.submit_and_wait(left) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    // The kernel may still read the buffers: they must not be given back.
                    Err(_) => std::process::abort(),
                }
                for done in self.0.completion() {
                    left -= 1;
                    let place = usize::try_from(done.user_data()).expect("a place in the batch");
                    let result = usize::try_from(done.result());
                    let result = result.map_err(|_| io::Error::from_raw_os_error(-done.result()));
                    sent(number * BATCH + place, result);
                }
            }
        }
    }

    fn begin(&mut self, batch: &[Send<'_>]) {
        let mut queue = self.0.submission();
        for (place, (socket, bytes)) in batch.iter().enumerate() {
            let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            let entry = opcode::Send::new(types::Fd(socket.as_raw_fd()), bytes.as_ptr(), length)
                .flags(DONT_WAIT | NO_SIGNAL)
                .build()
                .user_data(place as u64);
            // SAFETY: `send` borrows socket and bytes until it returns, and it returns only after every entry of the
            // batch was completed, which is when the kernel reads them no more.
            let pushed = unsafe { queue.push(&entry) };
            pushed.expect("the queue has room for a batch and is empty at its beginning");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn more_than_a_batch_arrives_whole_and_in_order() {
        let Ok(mut ring) = Ring::new() else { return };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let ours = TcpStream::connect(listener.local_addr().expect("an address")).expect("a listener");
        let (mut theirs, _) = listener.accept().expect("a connection");
        let texts: Vec<String> = (0..2 * BATCH + 7).map(|number| format!("{number};")).collect();
        let sends: Vec<Send<'_>> = texts.iter().map(|text| (ours.as_fd(), text.as_bytes())).collect();
        let mut sizes = vec![0; sends.len()];
        ring.send(&sends, |place, result| sizes[place] = result.expect("room"));
        assert!(sizes.iter().zip(&texts).all(|(size, text)| *size == text.len()));
        drop(ours);
        let mut all = String::new();
        theirs.read_to_string(&mut all).expect("text");
        assert_eq!(all, texts.concat());
    }

    #[test]
    fn a_full_socket_is_told_not_waited_for() {
        let Ok(mut ring) = Ring::new() else { return };
        let (ours, _theirs) = UnixStream::pair().expect("sockets");
        let bytes = vec![0; 1 << 20];
        let mut kinds = Vec::new();
        ring.send(&[(ours.as_fd(), &bytes), (ours.as_fd(), &bytes)], |_, result| {
            kinds.push(result.map_err(|error| error.kind()));
        });
        assert_eq!(kinds[1], Err(ErrorKind::WouldBlock));
    }
}
