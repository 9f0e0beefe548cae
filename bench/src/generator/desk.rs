//! Where publishes and deliveries meet: what is in flight, who has it, how long it took.
//!
//! A publish is in flight until it was acknowledged *and* every subscriber has it. So a server cannot look fast by
//! acknowledging and delivering later, and no backlog grows in sockets. The desk must not know sockets.

use std::time::Instant;

use crate::Fallible;
use crate::latency::Latency;
use crate::ledger::Ledger;
use crate::parse::object::{Delivered, Scanner};
use crate::payload::Stamp;

/// A publisher's place: the publish it has in flight.
#[derive(Clone, Copy, Default)]
struct Slot {
    id: u32,
    channel: usize,
    sent_ns: u64,
    /// Subscribers that do not have it yet.
    remaining: usize,
    acknowledged: bool,
    busy: bool,
}

/// The desk.
pub(crate) struct Desk {
    /// Finds events in what arrives.
    pub(crate) scanner: Scanner,
    /// Every delivery is checked here.
    pub(crate) ledger: Ledger,
    /// From the write of the publish to the read of the event.
    pub(crate) deliveries: Latency,
    /// From the write of the publish to the read of its acknowledgement.
    pub(crate) acknowledgements: Latency,
    /// Publishes acknowledged.
    pub(crate) published: u64,
    /// Answers of the polling ways, and how many of them had no event.
    pub(crate) answers: (u64, u64),
    /// Bytes that arrived at subscribers, heads included.
    pub(crate) bytes: u64,
    begin: Instant,
    now_ns: u64,
    slots: Vec<Slot>,
    sequence: u32,
    /// Whether acknowledgements tell the offset.
    numbered: bool,
    idle: Vec<usize>,
}

impl Desk {
    /// A desk for so many channels.
    pub(crate) fn new(channels: usize, numbered: bool) -> Self {
        Self {
            scanner: Scanner::new(),
            ledger: Ledger::new(channels),
            deliveries: Latency::new(),
            acknowledgements: Latency::new(),
            published: 0,
            answers: (0, 0),
            bytes: 0,
            begin: Instant::now(),
            now_ns: 0,
            slots: Vec::new(),
            sequence: 0,
            numbered,
            idle: Vec::new(),
        }
    }

    /// Makes places for so many publishers, all idle.
    pub(crate) fn publishers(&mut self, count: usize) {
        self.slots = vec![Slot::default(); count];
        self.idle = (0..count).collect();
    }

    /// Reads the clock: what is taken from now on arrived now.
    pub(crate) fn tick(&mut self) {
        self.now_ns = u64::try_from(self.begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
    }

    /// Forgets figures, not the book: what was before was warming up.
    pub(crate) fn begin_measuring(&mut self) {
        self.deliveries.clear();
        self.acknowledgements.clear();
        self.published = 0;
        self.answers = (0, 0);
        self.bytes = 0;
    }

    /// A publisher that has nothing in flight, if there is one.
    pub(crate) fn next_idle(&mut self) -> Option<usize> {
        self.idle.pop()
    }

    /// Whether nothing is in flight.
    pub(crate) fn is_quiet(&self) -> bool {
        self.slots.iter().all(|slot| !slot.busy)
    }

    /// A publish to `channel` with so many subscribers is about to leave: its stamp.
    pub(crate) fn leaves(&mut self, publisher: usize, channel: usize, subscribers: usize) -> Stamp {
        self.tick();
        let count = u32::try_from(self.slots.len()).expect("a few publishers");
        // The publisher is part of the id, so that a delivery finds its place without a search.
        let id = self.sequence * count + u32::try_from(publisher).expect("a few publishers");
        self.sequence += 1;
        let sent_ns = self.now_ns;
        self.slots[publisher] = Slot { id, channel, sent_ns, remaining: subscribers, acknowledged: false, busy: true };
        Stamp { id, sent_ns }
    }

    /// The answer to a publish has come.
    pub(crate) fn acknowledged(&mut self, publisher: usize, status: u16, body: &[u8]) -> Fallible<()> {
        let offset = self.scanner.acknowledged(body);
        if status != 200 || offset.is_none() && self.numbered {
            return Err(format!("a publish was answered {status}: {}", String::from_utf8_lossy(body)).into());
        }
        let slot = self.slots[publisher];
        if let Some(offset) = offset {
            self.ledger.published(slot.channel, offset, slot.id);
        }
        self.published += 1;
        self.acknowledgements.record(self.now_ns.saturating_sub(slot.sent_ns));
        self.slots[publisher].acknowledged = true;
        self.settle(publisher);
        Ok(())
    }

    /// An event has come to subscriber `who`, whose next offset is `next`.
    pub(crate) fn delivered(&mut self, who: usize, channel: usize, next: &mut u64, event: &Delivered<'_>) {
        let Stamp { id, sent_ns } = event.stamp;
        if !self.ledger.delivered(who, channel, next, event.offset, id) {
            return;
        }
        self.deliveries.record(self.now_ns.saturating_sub(sent_ns));
        let publisher = id as usize % self.slots.len().max(1);
        if let Some(slot) = self.slots.get_mut(publisher)
            && slot.busy
            && slot.id == id
        {
            slot.remaining = slot.remaining.saturating_sub(1);
            self.settle(publisher);
        }
    }

    fn settle(&mut self, publisher: usize) {
        let slot = &mut self.slots[publisher];
        if slot.busy && slot.acknowledged && slot.remaining == 0 {
            slot.busy = false;
            self.idle.push(publisher);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACKNOWLEDGED: &[u8] = br#"{"id":"1","offset":1}"#;

    fn event(offset: u64, stamp: Stamp) -> Delivered<'static> {
        Delivered { cursor: b"", offset, stamp }
    }

    #[test]
    fn a_publish_is_in_flight_until_all_have_it_and_it_is_acknowledged() {
        for acknowledged_first in [true, false] {
            let mut desk = Desk::new(1, true);
            desk.publishers(1);
            assert_eq!(desk.next_idle(), Some(0));
            let stamp = desk.leaves(0, 0, 2);
            let mut nexts = [1, 1];
            if acknowledged_first {
                desk.acknowledged(0, 200, ACKNOWLEDGED).expect("good");
            }
            desk.delivered(0, 0, &mut nexts[0], &event(1, stamp));
            // A duplicate is not the other subscriber's delivery.
            desk.delivered(0, 0, &mut nexts[0], &event(1, stamp));
            assert_eq!(desk.next_idle(), None);
            desk.delivered(1, 0, &mut nexts[1], &event(1, stamp));
            if !acknowledged_first {
                assert!(!desk.is_quiet());
                desk.acknowledged(0, 200, ACKNOWLEDGED).expect("good");
            }
            assert!(desk.is_quiet());
            assert_eq!(desk.next_idle(), Some(0));
            assert_eq!(desk.ledger.tally().duplicated, 1);
        }
    }

    #[test]
    fn refusals_end_the_run() {
        for (status, body, good) in
            [(200, ACKNOWLEDGED, true), (503, ACKNOWLEDGED, false), (200, b"{}".as_slice(), false)]
        {
            let mut desk = Desk::new(1, true);
            desk.publishers(1);
            desk.leaves(0, 0, 0);
            assert_eq!(desk.acknowledged(0, status, body).is_ok(), good, "{status}");
        }
        let mut desk = Desk::new(1, false);
        desk.publishers(1);
        desk.leaves(0, 0, 0);
        assert!(desk.acknowledged(0, 200, b"{}").is_ok(), "an echo does not number");
    }
}
