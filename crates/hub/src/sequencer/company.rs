//! Whether it is worth waiting for those who were just answered before the next batch is begun.
//!
//! Publishers that wait for their acknowledgement come back a moment after it. A batch that is begun at once goes without
//! most of them, and they wait for two syncs instead of one: the group falls apart into two halves. So when a batch took
//! long, its publishers are waited for, as long as a part of what a sync takes; not when there was only one, and seldom if
//! they did not come the last time.

use std::time::Duration;

/// Whom the sequencer expects. See the module.
#[derive(Debug, Default)]
pub(super) struct Company {
    /// How long an append takes, smoothed.
    append: Duration,
    /// How many are expected: those just answered, and those that wait already.
    expected: usize,
    /// How often in a row they did not come.
    missed: u32,
    /// How many batches are begun at once before it is tried again.
    skip: u32,
}

/// Appends that are shorter than this are not worth waiting for company: waking up alone takes about as long.
const WORTH_WAITING: Duration = Duration::from_micros(40);
/// Company is not waited for longer than this, however long an append takes.
const COMPANY_TIME_MAX: Duration = Duration::from_millis(5);
/// After so many vain waits in a row the pause between two does not grow any more.
const MISSED_MAX: u32 = 6;

impl Company {
    /// A batch took so long, and its publishers are about to be answered.
    pub(super) fn answering(&mut self, answered: usize, waiting: usize, took: Duration) {
        self.append = (self.append * 7 + took) / 8;
        self.expected = answered + waiting;
    }

    /// How many jobs are worth waiting for, and how long.
    pub(super) fn expected(&mut self) -> Option<(usize, Duration)> {
        let expected = std::mem::take(&mut self.expected);
        if expected < 2 || self.append < WORTH_WAITING {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        Some((expected, (self.append / 2).min(COMPANY_TIME_MAX)))
    }

    pub(super) fn came(&mut self, came: bool) {
        self.missed = if came { 0 } else { (self.missed + 1).min(MISSED_MAX) };
        self.skip = if came { 0 } else { 1 << self.missed };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn company_is_expected_when_it_pays() {
        let slow = Duration::from_millis(8);
        let mut company = Company::default();
        assert_eq!(company.expected(), None, "nobody was answered yet");
        company.answering(1, 0, slow);
        assert_eq!(company.expected(), None, "alone");
        company.answering(3, 2, slow);
        let (wanted, wait) = company.expected().unwrap();
        assert!(wanted == 5 && wait < slow);
        assert_eq!(company.expected(), None, "once for each batch");
        company.came(false);
        for round in 0..3 {
            company.answering(5, 0, slow);
            assert_eq!(company.expected().is_some(), round == 2, "round {round}");
        }
        company.came(true);
        company.answering(5, 0, slow);
        assert!(company.expected().is_some());
        let mut quick = Company::default();
        quick.answering(64, 0, Duration::from_micros(5));
        assert_eq!(quick.expected(), None, "memory needs no company");
    }
}
