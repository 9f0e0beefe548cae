//! What the connections of a shard hold, counted a few at a time.
//!
//! Looking at a hundred thousand connections takes milliseconds, in which nobody would be served.

use tokio::sync::oneshot;

use super::thread::Thread;
use crate::Memory;

/// How many places are looked at per round.
const PLACES_MAX: usize = 512;

/// A census in progress.
pub(super) struct Counting {
    memory: Memory,
    /// All places before this one are counted. Who comes or goes behind it is missed; it is soon over.
    next: usize,
    answer: oneshot::Sender<Memory>,
}

impl Counting {
    pub(super) fn new(answer: oneshot::Sender<Memory>) -> Self {
        Self { memory: Memory::default(), next: 0, answer }
    }
}

impl Thread {
    /// Goes on with the census, and answers when it is done.
    pub(super) fn count_on(&mut self) {
        let Some(mut counting) = self.counting.take() else { return };
        let places = self.conns.capacity();
        let end = places.min(counting.next + PLACES_MAX);
        for conn in (counting.next..end).filter_map(|index| self.conns.get(index)) {
            counting.memory.count(conn.way(), conn.bytes());
        }
        counting.next = end;
        if end < places {
            self.counting = Some(counting);
            return;
        }
        // Whoever has asked may be gone.
        let _ = counting.answer.send(counting.memory);
    }
}
