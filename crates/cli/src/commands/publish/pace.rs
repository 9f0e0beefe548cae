//! So many events per second. Pure: the time is passed in.

use std::time::{Duration, Instant};

/// Spreads events evenly over each second.
#[derive(Debug)]
pub(super) struct Pace {
    rate: u32,
    /// When the present second began.
    began: Instant,
    /// How many events of this second are given away.
    given: u32,
}

impl Pace {
    /// `rate` events per second, the first at once.
    pub(super) fn new(rate: u32, now: Instant) -> Self {
        Self { rate, began: now, given: 0 }
    }

    /// When the next event may go.
    pub(super) fn due(&mut self, now: Instant) -> Instant {
        if self.given == self.rate {
            // A source that paused does not earn the seconds it let pass.
            self.began = (self.began + Duration::from_secs(1)).max(now);
            self.given = 0;
        }
        let due = self.began + Duration::from_secs(1) * self.given / self.rate;
        self.given += 1;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn events_are_spread_over_each_second() {
        let start = Instant::now();
        let mut pace = Pace::new(4, start);
        let dues: Vec<u128> = (0..10).map(|_| (pace.due(start) - start).as_millis()).collect();
        assert_eq!(dues, [0, 250, 500, 750, 1000, 1250, 1500, 1750, 2000, 2250]);
    }

    #[test]
    fn a_pause_earns_no_burst() {
        let start = Instant::now();
        let mut pace = Pace::new(4, start);
        pace.due(start);
        let late = start + 10_000 * MILLISECOND;
        let dues: Vec<bool> = (0..8).map(|_| pace.due(late) > late).collect();
        assert_eq!(dues.iter().filter(|waits| !**waits).count(), 4, "at most one second's worth at once: {dues:?}");
    }
}
