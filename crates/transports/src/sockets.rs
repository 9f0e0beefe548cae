//! How many sockets are open, whoever serves them.
//!
//! A socket that has asked nothing costs a file descriptor and some memory all the same, and is in no table of
//! connections. Whoever accepts looks here first, and waits while there are too many: the peers wait in the backlog of
//! the operating system. It accepts nothing itself and tells nobody; that is its users' business.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering};

/// The count of open sockets, shared by all who accept. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sockets(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max: usize,
    open: AtomicUsize,
    paused_full: AtomicU64,
    paused_failed: AtomicU64,
    /// The operating system's number of the last failure to accept; 0 for none.
    failure: AtomicI32,
}

/// Why accepting paused, and how often it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pauses {
    /// All sockets were taken.
    pub full: u64,
    /// The operating system gave none.
    pub failed: u64,
}

/// An open socket; dropping it takes it off the count. It belongs beside the socket, wherever that goes.
#[derive(Debug)]
pub struct SocketPlace(Sockets);

impl Sockets {
    /// None is open, and at most `max` should be.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Inner {
            max,
            open: AtomicUsize::new(0),
            paused_full: AtomicU64::new(0),
            paused_failed: AtomicU64::new(0),
            failure: AtomicI32::new(0),
        }))
    }

    /// Whether no more should be accepted now. Looked at before, not after: then those who accept may exceed the bound by
    /// one each, and nobody is let in to be thrown out.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.open() >= self.0.max
    }

    /// How many more may be accepted.
    #[must_use]
    pub fn room(&self) -> usize {
        self.0.max.saturating_sub(self.open())
    }

    /// Counts a socket that is open, whatever the bound says.
    #[must_use]
    pub fn enter(&self) -> SocketPlace {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        SocketPlace(self.clone())
    }

    /// Notes that accepting pauses because all are taken.
    pub fn paused_full(&self) {
        self.0.paused_full.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that accepting pauses because the operating system gives no socket.
    pub fn paused_by(&self, error: &io::Error) {
        self.0.failure.store(error.raw_os_error().unwrap_or_default(), Ordering::Relaxed);
        self.0.paused_failed.fetch_add(1, Ordering::Relaxed);
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }

    /// How many should be at most.
    #[must_use]
    pub fn max(&self) -> usize {
        self.0.max
    }

    /// How often accepting has paused.
    #[must_use]
    pub fn pauses(&self) -> Pauses {
        Pauses {
            full: self.0.paused_full.load(Ordering::Relaxed),
            failed: self.0.paused_failed.load(Ordering::Relaxed),
        }
    }

    /// Why the operating system gave no socket the last time.
    #[must_use]
    pub fn last_failure(&self) -> io::Error {
        io::Error::from_raw_os_error(self.0.failure.load(Ordering::Relaxed))
    }
}

impl Drop for SocketPlace {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_until_they_are_dropped() {
        let sockets = Sockets::new(2);
        let one = sockets.enter();
        assert!(!sockets.is_full());
        let two = sockets.enter();
        let handed_over = sockets.enter();
        assert_eq!((sockets.is_full(), sockets.open()), (true, 3));
        drop((one, handed_over));
        assert_eq!((sockets.is_full(), sockets.open()), (false, 1));
        drop(two);
        assert_eq!(sockets.open(), 0);
    }

    #[test]
    fn pauses_are_told_apart() {
        let sockets = Sockets::new(1);
        sockets.paused_full();
        sockets.paused_by(&io::Error::from_raw_os_error(24));
        sockets.paused_by(&io::Error::from_raw_os_error(23));
        assert_eq!(sockets.pauses(), Pauses { full: 1, failed: 2 });
        assert_eq!(sockets.last_failure().raw_os_error(), Some(23));
    }
}
