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
    /// Subscribers below this number are timed; those from it on are a crowd that only has to get everything.
    timed: usize,
    /// In open loop a publisher is idle as soon as it is answered.
    open: bool,
    /// Of servers that do not number events: the channel of each publish, and the place it was first seen at.
    unnumbered: Vec<(usize, u64)>,
    /// Of servers that do not number events: per channel how many were acknowledged, and how many were seen.
    counts: Vec<(u64, u64)>,
}

impl Desk {
    /// A desk for so many channels.
    pub(crate) fn new(channels: usize, numbered: bool) -> Self {
        let counts = if numbered { Vec::new() } else { vec![(0, 0); channels] };
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
            timed: usize::MAX,
            open: false,
            unnumbered: Vec::new(),
            counts,
        }
    }

    /// Times only the subscribers below `timed`.
    pub(crate) fn time_only(&mut self, timed: usize) {
        self.timed = timed;
    }

    /// From now on publishers do not wait for deliveries (true), or do.
    pub(crate) fn open(&mut self, open: bool) {
        self.open = open;
    }

    /// The time, in nanoseconds since the generator began.
    pub(crate) fn now_ns(&mut self) -> u64 {
        self.tick();
        self.now_ns
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
        self.left(publisher, channel, subscribers, self.now_ns)
    }

    /// The same for a publish that should have left at `sent_ns`, which is what its latency counts from.
    pub(crate) fn left(&mut self, publisher: usize, channel: usize, subscribers: usize, sent_ns: u64) -> Stamp {
        let count = u32::try_from(self.slots.len()).expect("a few publishers");
        // The publisher is part of the id, so that a delivery finds its place without a search.
        let id = self.sequence * count + u32::try_from(publisher).expect("a few publishers");
        self.sequence += 1;
        if !self.numbered {
            self.unnumbered.push((channel, 0));
        }
        self.slots[publisher] = Slot { id, channel, sent_ns, remaining: subscribers, acknowledged: false, busy: true };
        Stamp { id, sent_ns }
    }

    /// The answer to a publish has come.
    pub(crate) fn acknowledged(&mut self, publisher: usize, status: u16, body: &[u8]) -> Fallible<()> {
        let offset = self.scanner.acknowledged(body);
        // A server of another kind says 201 and 202, too.
        let good = status == 200 || !self.numbered && matches!(status, 201 | 202);
        if !good || offset.is_none() && self.numbered {
            return Err(format!("a publish was answered {status}: {}", String::from_utf8_lossy(body)).into());
        }
        let slot = self.slots[publisher];
        if let Some(offset) = offset.filter(|_| self.numbered) {
            self.ledger.published(slot.channel, offset, slot.id);
        } else if let Some((acknowledged, _)) = self.counts.get_mut(slot.channel) {
            *acknowledged += 1;
            self.ledger.expect(slot.channel, *acknowledged);
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
        if who < self.timed {
            self.deliveries.record(self.now_ns.saturating_sub(sent_ns));
        }
        let publisher = id as usize % self.slots.len().max(1);
        if let Some(slot) = self.slots.get_mut(publisher)
            && slot.busy
            && slot.id == id
        {
            slot.remaining = slot.remaining.saturating_sub(1);
            self.settle(publisher);
        }
    }

    /// An event without an offset has come. The first subscriber that gets it says which place it has in its channel;
    /// from then on all others must get it there.
    pub(crate) fn delivered_bare(&mut self, who: usize, channel: usize, next: &mut u64, stamp: Stamp) {
        let sequence = stamp.id as usize / self.slots.len().max(1);
        let known = self.unnumbered.get_mut(sequence).filter(|(published_to, _)| *published_to == channel);
        let Some((_, place)) = known else { return self.ledger.astray() };
        if *place == 0 {
            self.counts[channel].1 += 1;
            *place = self.counts[channel].1;
        }
        let offset = *place;
        self.delivered(who, channel, next, &Delivered { cursor: b"", offset, stamp });
    }

    fn settle(&mut self, publisher: usize) {
        let slot = &mut self.slots[publisher];
        if slot.busy && slot.acknowledged && (self.open || slot.remaining == 0) {
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

    /// Publishes three events, delivers those of the sequences given to each subscriber, and counts.
    fn bare_tally(deliveries: &[(usize, usize)]) -> crate::ledger::Tally {
        let mut desk = Desk::new(2, false);
        desk.publishers(3);
        let mut stamps = Vec::new();
        for publisher in 0..3 {
            stamps.push(desk.leaves(publisher, 0, 2));
            desk.acknowledged(publisher, 201, b"queued").expect("good");
        }
        let mut nexts = [1, 1];
        for (who, sequence) in deliveries {
            desk.delivered_bare(*who, 0, &mut nexts[*who], stamps[*sequence]);
        }
        nexts.iter().for_each(|next| desk.ledger.finish(0, *next));
        desk.ledger.tally()
    }

    #[test]
    fn events_without_offsets_are_checked_by_who_got_them_first() {
        let good = [(0, 1), (0, 0), (1, 1), (0, 2), (1, 0), (1, 2)];
        assert_eq!(bare_tally(&good), crate::ledger::Tally { delivered: 6, ..Default::default() });
        // One never came to subscriber 1; the first order was another; one came twice; nobody got the third.
        assert_eq!(bare_tally(&good[..5]).lost, 1);
        let tally = bare_tally(&[(0, 0), (0, 1), (0, 2), (1, 1), (1, 0), (1, 2)]);
        assert_eq!((tally.disordered, tally.lost), (1, 0));
        assert_eq!(bare_tally(&[(0, 0), (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]).duplicated, 1);
        assert_eq!(bare_tally(&[(0, 0), (0, 1), (1, 0), (1, 1)]).lost, 2);
    }

    #[test]
    fn an_event_of_another_channel_is_seen() {
        let mut desk = Desk::new(2, false);
        desk.publishers(1);
        let stamp = desk.leaves(0, 0, 1);
        desk.delivered_bare(0, 1, &mut 1, stamp);
        assert_eq!(desk.ledger.tally().mismatched, 1);
    }

    #[test]
    fn in_open_loop_a_publisher_waits_for_its_answer_only() {
        let mut desk = Desk::new(1, true);
        desk.publishers(1);
        desk.open(true);
        assert_eq!(desk.next_idle(), Some(0));
        desk.left(0, 0, 2, 0);
        desk.acknowledged(0, 200, ACKNOWLEDGED).expect("good");
        assert_eq!(desk.next_idle(), Some(0));
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
