//! How the rest of the server reaches a shard: letters, and a wake if it sleeps.
//!
//! A wake is a system call, so it is only made when the shard says that it is about to sleep: a busy shard finds what came
//! at its next round.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bongsu_core::Problem;
use bongsu_hub::{Fetched, Found, Published, Wake};
use mio::Waker;
use mio::net::TcpStream;
use tokio::sync::oneshot;

use crate::{Memory, SocketPlace};

/// A connection of a shard. Its number is used again, its generation is not for a long time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// What a shard is told.
pub(crate) enum Letter {
    /// A connection to serve.
    Accepted(TcpStream, SocketPlace),
    /// Somebody wants this connection to end: look at its entry.
    Called(Key),
    /// Where a reader begins.
    Found(Key, Result<Found, Problem>),
    /// What a reader needs next, from the disk.
    Fetched(Key, Result<Fetched, Problem>),
    /// The publish of this number was answered.
    Published(Key, u32, Result<Vec<Published>, Problem>),
    /// Somebody wants to know what the connections hold.
    Census(oneshot::Sender<Memory>),
    /// Connections without a request end.
    Drain,
    /// The thread ends.
    Stop,
}

/// Where letters wait for a shard.
pub(crate) struct Mailbox {
    letters: Mutex<Vec<Letter>>,
    /// Set by the sequencer when a channel of the shard's group has something new.
    rung: AtomicBool,
    /// Set by the shard before it sleeps, cleared by whoever wakes it.
    sleeps: AtomicBool,
    waker: Waker,
}

impl Mailbox {
    pub(crate) fn new(waker: Waker) -> Self {
        Self { letters: Mutex::default(), rung: AtomicBool::new(false), sleeps: AtomicBool::new(false), waker }
    }

    pub(crate) fn post(&self, letter: Letter) {
        self.lock().push(letter);
        self.rouse();
    }

    /// Takes out what is there.
    pub(crate) fn take(&self, into: &mut Vec<Letter>) {
        into.append(&mut self.lock());
    }

    /// Whether the group was rung for since this was last asked.
    pub(crate) fn take_rung(&self) -> bool {
        self.rung.load(Ordering::Relaxed) && self.rung.swap(false, Ordering::SeqCst)
    }

    /// Announces that the shard will sleep. False if there is something to do first.
    ///
    /// Whoever comes after the announcement sees it and wakes the shard; what came before is seen here.
    pub(crate) fn may_sleep(&self) -> bool {
        self.sleeps.store(true, Ordering::SeqCst);
        let idle = self.lock().is_empty() && !self.rung.load(Ordering::SeqCst);
        if !idle {
            self.awake();
        }
        idle
    }

    /// The shard is awake.
    pub(crate) fn awake(&self) {
        self.sleeps.store(false, Ordering::SeqCst);
    }

    fn rouse(&self) {
        if self.sleeps.load(Ordering::SeqCst) && self.sleeps.swap(false, Ordering::SeqCst) {
            // It fails only when the shard is gone, which then needs no waking.
            let _ = self.waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Letter>> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Mailbox {
    fn wake(&self) {
        self.rung.store(true, Ordering::SeqCst);
        self.rouse();
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("letters", &self.lock().len()).finish()
    }
}
