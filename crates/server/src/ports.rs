//! Time and chance, as the operating system gives them.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bongsu_core::{Chance, Clock, Millis};

/// The system's wall clock, moved ahead by whoever tests what falls due by time.
#[derive(Debug, Default)]
pub(crate) struct ShiftedClock {
    ahead_ms: AtomicU64,
}

impl ShiftedClock {
    pub(crate) fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.ahead_ms.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Millis {
        // A clock before 1970 is a machine without one; everything then happens in 1970.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(0).plus(now).plus(Duration::from_millis(self.ahead_ms.load(Ordering::SeqCst)))
    }
}

/// The system's random numbers, taken in handfuls: each call to the system costs more than a whole poll may.
#[derive(Debug)]
pub(crate) struct OsChance;

/// How many numbers are taken at once.
const HANDFUL: usize = 64;

thread_local! {
    /// Numbers that nobody has had yet.
    static UNUSED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

impl Chance for OsChance {
    fn next(&self) -> u64 {
        UNUSED.with_borrow_mut(|unused| {
            unused.pop().unwrap_or_else(|| {
                let mut bytes = [0; HANDFUL * size_of::<u64>()];
                getrandom::fill(&mut bytes)
                    .expect("an operating system without random numbers cannot give unguessable names");
                let (numbers, _) = bytes.as_chunks();
                unused.extend(numbers.iter().map(|bytes| u64::from_ne_bytes(*bytes)));
                unused.pop().expect("a handful is more than none")
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_number_comes_twice() {
        let numbers: BTreeSet<u64> = (0..10 * HANDFUL).map(|_| OsChance.next()).collect();
        assert_eq!(numbers.len(), 10 * HANDFUL);
        assert!(!numbers.contains(&0));
    }
}
