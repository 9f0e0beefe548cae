//! Time and chance, as the operating system gives them.

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

/// The system's random numbers.
#[derive(Debug)]
pub(crate) struct OsChance;

impl Chance for OsChance {
    fn next(&self) -> u64 {
        getrandom::u64().expect("an operating system without random numbers cannot give unguessable names")
    }
}
