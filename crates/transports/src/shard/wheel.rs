//! Coarse timers: a wheel of slots that hold connection numbers.
//!
//! A timer that is moved to later costs nothing: its entry stays, and whoever owns it finds when it fires that it is not due
//! yet, and puts it back. So a connection has one entry of four bytes, however often its heartbeat is put off.

use std::time::Duration;

/// A number of ticks since the wheel was made.
pub(crate) type Tick = u32;

/// How long a tick is: heartbeats and waits are whole seconds, so a tenth more or less is not noticed.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// Further than this a timer comes round early and is put back.
const SLOTS: usize = 1_024;

pub(crate) struct Wheel {
    slots: Vec<Vec<u32>>,
    /// All slots up to this tick have fired.
    now: Tick,
    /// The first slot that has something; there is none where it is [`Tick::MAX`].
    first: Tick,
}

impl Wheel {
    /// What a timer takes, in bytes.
    pub(crate) const ENTRY_BYTES: usize = size_of::<u32>();

    pub(crate) fn new() -> Self {
        Self { slots: vec![Vec::new(); SLOTS], now: 0, first: Tick::MAX }
    }

    /// The tick by which `elapsed` is over.
    pub(crate) fn tick(elapsed: Duration) -> Tick {
        (elapsed.as_millis() / TICK.as_millis()) as Tick
    }

    /// So many ticks that `duration` is surely over, however far the present tick has run.
    pub(crate) fn ticks(duration: Duration) -> Tick {
        (duration.as_millis().div_ceil(TICK.as_millis()) + 1).try_into().unwrap_or(Tick::MAX / 2)
    }

    /// Puts `number` in to fire at `due`, or as far towards it as the wheel reaches; returns when it fires.
    pub(crate) fn insert(&mut self, number: u32, due: Tick) -> Tick {
        let at = due.clamp(self.now + 1, self.now + SLOTS as Tick - 1);
        self.slots[at as usize % SLOTS].push(number);
        self.first = self.first.min(at);
        at
    }

    /// Fires everything up to `now` into `fired`, each with the tick it was put in for.
    pub(crate) fn advance(&mut self, now: Tick, fired: &mut Vec<(u32, Tick)>) {
        while self.first <= now {
            self.now = self.first;
            let slot = &mut self.slots[self.now as usize % SLOTS];
            fired.extend(slot.drain(..).map(|number| (number, self.now)));
            // A storm that came at one time must not hold its memory for ever.
            if slot.capacity() > 4_096 {
                *slot = Vec::new();
            }
            self.first = self.find_first();
        }
        self.now = self.now.max(now);
    }

    /// When the next timer fires.
    pub(crate) fn next(&self) -> Option<Tick> {
        (self.first != Tick::MAX).then_some(self.first)
    }

    fn find_first(&self) -> Tick {
        let mut ahead = (1..SLOTS as Tick).map(|ahead| self.now + ahead);
        ahead.find(|tick| !self.slots[*tick as usize % SLOTS].is_empty()).unwrap_or(Tick::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_at_their_tick_and_not_before() {
        let mut wheel = Wheel::new();
        let mut fired = Vec::new();
        for (number, due) in [(1, 5), (2, 5), (3, 900), (4, 0), (5, 5_000)] {
            let at = wheel.insert(number, due);
            assert_eq!(at, due.clamp(1, 1_023), "{number}");
        }
        assert_eq!(wheel.next(), Some(1));
        wheel.advance(4, &mut fired);
        assert_eq!(fired, [(4, 1)]);
        wheel.advance(5, &mut fired);
        assert_eq!(fired, [(4, 1), (1, 5), (2, 5)]);
        wheel.advance(2_000, &mut fired);
        assert_eq!(fired[3..], [(3, 900), (5, 1_023)]);
        assert_eq!(wheel.next(), None);
        // Round the wheel again.
        assert_eq!(wheel.insert(6, 2_001), 2_001);
        assert_eq!(wheel.next(), Some(2_001));
    }

    #[test]
    fn a_time_is_never_over_early() {
        for millis in [0, 1, 99, 100, 101, 1_000, 25_000] {
            let duration = Duration::from_millis(millis);
            for started in [0, 1, 50, 99] {
                let due = Wheel::tick(Duration::from_millis(started)) + Wheel::ticks(duration);
                assert!(TICK * due >= duration + Duration::from_millis(started), "{millis} from {started}");
            }
        }
    }
}
