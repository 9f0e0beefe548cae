//! The book of what was published and what arrived: every delivery is checked, none is sampled.
//!
//! Offsets are dense, so a subscriber's next offset is known: a higher one means that events were left out, a lower
//! one that an event came twice or late. And the event at an offset must be the one that was acknowledged there, the
//! same for all. The ledger must not know ways, sockets or time.

use std::collections::{BTreeSet, HashMap};

/// An offset whose publish is not known yet.
const UNKNOWN: u32 = u32::MAX;
/// The furthest jump of an offset that is taken for loss; beyond it the server's figures make no sense.
const JUMP_MAX: u64 = 1 << 20;

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Events that arrived for the first time.
    pub(crate) delivered: u64,
    /// Events that a subscriber should have and has not.
    pub(crate) lost: u64,
    /// Events that a subscriber got again.
    pub(crate) duplicated: u64,
    /// Events that a subscriber got after a later one.
    pub(crate) disordered: u64,
    /// Events with another content than was acknowledged or delivered to others at their offset.
    pub(crate) mismatched: u64,
    /// Gaps that the server told: not silent, but in a bench nothing may be missing.
    pub(crate) gaps: u64,
}

/// The book.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Per channel the publish at each offset, beginning with offset 1.
    channels: Vec<Vec<u32>>,
    /// Per subscriber what it was passed over with; only those that lost something stand here.
    missing: HashMap<usize, BTreeSet<u64>>,
    tally: Tally,
}

impl Ledger {
    /// A book for so many channels.
    pub(crate) fn new(channels: usize) -> Self {
        Self { channels: vec![Vec::new(); channels], ..Self::default() }
    }

    /// What was counted so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// Notes gaps that the server told.
    pub(crate) fn gaps(&mut self, count: u64) {
        self.tally.gaps += count;
    }

    /// The newest offset of a channel that is known.
    pub(crate) fn head(&self, channel: usize) -> u64 {
        self.channels[channel].len() as u64
    }

    /// Notes that a channel has so many events, of which some may not be known yet.
    pub(crate) fn expect(&mut self, channel: usize, events: u64) {
        let ids = &mut self.channels[channel];
        if events > ids.len() as u64 {
            ids.resize(usize::try_from(events).unwrap_or(ids.len()), UNKNOWN);
        }
    }

    /// Notes an event that came to a channel it was not published to.
    pub(crate) fn astray(&mut self) {
        self.tally.mismatched += 1;
    }

    /// Notes that publish `id` was acknowledged, or seen, at `offset`.
    pub(crate) fn published(&mut self, channel: usize, offset: u64, id: u32) {
        let ids = &mut self.channels[channel];
        let Some(place) = offset.checked_sub(1).filter(|place| *place < ids.len() as u64 + JUMP_MAX) else {
            self.tally.mismatched += 1;
            return;
        };
        let place = usize::try_from(place).expect("less than a length and a jump");
        if place >= ids.len() {
            ids.resize(place + 1, UNKNOWN);
        }
        if ids[place] == UNKNOWN {
            ids[place] = id;
        } else if ids[place] != id {
            self.tally.mismatched += 1;
        }
    }

    /// Checks the event at `offset` that subscriber `who`, whose next offset is `next`, was given. True when it is
    /// one that this subscriber did not have.
    pub(crate) fn delivered(&mut self, who: usize, channel: usize, next: &mut u64, offset: u64, id: u32) -> bool {
        self.published(channel, offset, id);
        if offset == *next {
            *next += 1;
        } else if offset < *next {
            return self.late(who, offset);
        } else if offset - *next > JUMP_MAX {
            self.tally.mismatched += 1;
            return false;
        } else {
            self.tally.lost += offset - *next;
            self.missing.entry(who).or_default().extend(*next..offset);
            *next = offset + 1;
        }
        self.tally.delivered += 1;
        true
    }

    /// An event below the next offset: late when it was missing, else a duplicate.
    fn late(&mut self, who: usize, offset: u64) -> bool {
        let was_missing = self.missing.get_mut(&who).is_some_and(|missing| missing.remove(&offset));
        if was_missing {
            self.tally.lost -= 1;
            self.tally.disordered += 1;
            self.tally.delivered += 1;
        } else {
            self.tally.duplicated += 1;
        }
        was_missing
    }

    /// At the end: what a subscriber whose next offset is `next` never got at the end of its channel is lost.
    pub(crate) fn finish(&mut self, channel: usize, next: u64) {
        self.tally.lost += (self.head(channel) + 1).saturating_sub(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Publishes ids 11, 12, 13 at offsets 1, 2, 3, delivers `offsets` to one subscriber and finishes.
    fn tally_of(offsets: &[u64]) -> Tally {
        let mut ledger = Ledger::new(1);
        for (offset, id) in [(1, 11), (2, 12), (3, 13)] {
            ledger.published(0, offset, id);
        }
        let mut next = 1;
        for offset in offsets {
            ledger.delivered(0, 0, &mut next, *offset, u32::try_from(*offset).expect("small") + 10);
        }
        ledger.finish(0, next);
        ledger.tally()
    }

    #[test]
    fn losses_duplicates_and_order() {
        // offsets delivered: delivered, lost, duplicated, disordered
        let cases: &[(&[u64], [u64; 4])] = &[
            (&[1, 2, 3], [3, 0, 0, 0]),
            (&[1, 3], [2, 1, 0, 0]),
            (&[3], [1, 2, 0, 0]),
            (&[1], [1, 2, 0, 0]),
            (&[], [0, 3, 0, 0]),
            (&[1, 1, 2, 3], [3, 0, 1, 0]),
            (&[1, 2, 3, 1], [3, 0, 1, 0]),
            (&[1, 3, 2], [3, 0, 0, 1]),
            (&[2, 1, 1, 3], [3, 0, 1, 1]),
        ];
        for (offsets, [delivered, lost, duplicated, disordered]) in cases {
            let expected = Tally {
                delivered: *delivered,
                lost: *lost,
                duplicated: *duplicated,
                disordered: *disordered,
                ..Tally::default()
            };
            assert_eq!(tally_of(offsets), expected, "{offsets:?}");
        }
    }

    #[test]
    fn another_event_at_an_acknowledged_offset_is_seen() {
        let mut ledger = Ledger::new(2);
        ledger.published(1, 1, 7);
        let mut next = 1;
        assert!(ledger.delivered(0, 1, &mut next, 1, 8));
        assert_eq!(ledger.tally().mismatched, 1);
        // Delivered before it was acknowledged, and alike: fine.
        assert!(ledger.delivered(0, 1, &mut next, 2, 9));
        ledger.published(1, 2, 9);
        assert_eq!(ledger.tally().mismatched, 1);
    }

    #[test]
    fn impossible_offsets_are_seen_and_cost_no_memory() {
        for offset in [0, u64::MAX, JUMP_MAX + 5] {
            let mut ledger = Ledger::new(1);
            ledger.delivered(0, 0, &mut 1, offset, 1);
            assert!(ledger.tally().mismatched > 0, "{offset}");
            assert!(ledger.head(0) < JUMP_MAX);
        }
    }

    #[test]
    fn subscribers_are_counted_apart() {
        let mut ledger = Ledger::new(1);
        let mut nexts = [1, 1];
        for (who, offset) in [(0, 1), (1, 2), (0, 2), (1, 1)] {
            assert!(ledger.delivered(who, 0, &mut nexts[who], offset, u32::try_from(offset).expect("small")));
        }
        let tally = ledger.tally();
        assert_eq!((tally.delivered, tally.lost, tally.disordered), (4, 0, 1));
    }
}
