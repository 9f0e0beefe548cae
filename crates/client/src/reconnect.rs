//! When to come back after a failure. Pure: chance is passed in, nothing sleeps.
//!
//! Clients that lose one server together must not return together. So every wait is drawn anew from the whole window
//! (full jitter), and the window is capped *before* the draw: a cap after it would put all late attempts on the cap.
//! The first attempt already waits: most storms are made by clients that come back "at once".

use std::time::Duration;

/// The window of the first attempt. Long enough to spread a fleet that has no hint, short enough not to be noticed.
pub(crate) const WINDOW_FIRST: Duration = Duration::from_millis(500);
/// The widest window: a server that was away for long gets its clients back within this time.
pub(crate) const WINDOW_MAX: Duration = Duration::from_secs(30);
/// The longest wait a server may ask for; beyond it a slip in its configuration would silence clients for days.
pub(crate) const HINT_MAX: Duration = Duration::from_secs(600);
/// A connection that stood so long counts as one that worked, also without any event.
pub(crate) const SETTLED_AFTER: Duration = Duration::from_secs(5);

const _: () = assert!(WINDOW_FIRST.as_millis() < WINDOW_MAX.as_millis());

/// What the server asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// A time that the server drew for this very client from its own window (`retry_ms`, SSE `retry:`). To draw again
    /// from it would crowd the clients at its front, so the first attempt takes it as it is.
    Drawn(Duration),
    /// The same time for every client (`Retry-After`): wait so long, and then spread.
    NotBefore(Duration),
}

/// Counts failures in a row and draws the waits between attempts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Something worked: the next failure is the first again.
    pub(crate) fn worked(&mut self) {
        self.failures = 0;
    }

    /// How many attempts have failed in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Notes a failure and says how long to wait before the next attempt. `random` is uniform over all of `u64`.
    pub(crate) fn failed(&mut self, hint: Option<Hint>, random: u64) -> Duration {
        let jittered = uniform(window(self.failures), random);
        let first = self.failures == 0;
        self.failures = self.failures.saturating_add(1);
        match hint {
            Some(Hint::Drawn(drawn)) if first => drawn.min(HINT_MAX),
            // The server was not there, or sent us away again: the plan was too short.
            Some(Hint::Drawn(drawn)) => drawn.min(HINT_MAX).max(jittered),
            Some(Hint::NotBefore(earliest)) => earliest.min(HINT_MAX) + jittered,
            None => jittered,
        }
    }
}

/// The window from which the wait after so many failures is drawn.
fn window(failures: u32) -> Duration {
    let factor = 1u32.checked_shl(failures).unwrap_or(u32::MAX);
    WINDOW_FIRST.saturating_mul(factor).min(WINDOW_MAX)
}

/// A time in `0..window`, by `random`.
fn uniform(window: Duration, random: u64) -> Duration {
    let nanos = (window.as_nanos() * u128::from(random)) >> 64;
    // Less than the window, which is less than 2^64 ns.
    Duration::from_nanos(nanos as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn windows_double_up_to_the_cap() {
        let cases = [(0, 500), (1, 1_000), (2, 2_000), (5, 16_000), (6, 30_000), (31, 30_000), (u32::MAX, 30_000)];
        for (failures, expected) in cases {
            assert_eq!(window(failures), MS(expected), "{failures}");
        }
    }

    #[test]
    fn draws_reach_both_ends_of_the_window_and_never_its_end() {
        assert_eq!(uniform(MS(500), 0), Duration::ZERO);
        assert_eq!(uniform(MS(500), 1 << 63), MS(250));
        assert!(uniform(MS(500), u64::MAX) < MS(500));
    }

    #[test]
    fn hints() {
        let half = 1 << 63;
        let drawn = |ms| Some(Hint::Drawn(MS(ms)));
        let not_before = |ms| Some(Hint::NotBefore(MS(ms)));
        // The hint, how many attempts had failed before, and the wait when chance lies in the middle.
        let cases = [
            (None, 0, 250),
            (None, 3, 2_000),
            (drawn(1_234), 0, 1_234),
            (drawn(0), 0, 0),
            (drawn(0), 3, 2_000),
            (drawn(5_000), 1, 5_000),
            (drawn(u64::MAX), 0, 600_000),
            (not_before(2_000), 0, 2_250),
            (not_before(2_000), 3, 4_000),
            (not_before(u64::MAX), 9, 615_000),
        ];
        for (hint, failures, expected) in cases {
            let mut backoff = Backoff { failures };
            assert_eq!(backoff.failed(hint, half), MS(expected), "{hint:?} after {failures}");
            assert_eq!(backoff.failures(), failures + 1);
        }
    }

    #[test]
    fn success_begins_anew() {
        let mut backoff = Backoff { failures: 9 };
        backoff.worked();
        assert_eq!(backoff.failed(None, u64::MAX).as_millis(), 499);
    }

    /// Guards against the cap after the jitter, which leaves late attempts without any: a fleet at its tenth attempt
    /// must still cover the window evenly.
    #[test]
    fn late_attempts_are_spread_like_early_ones() {
        for failures in [0, 3, 10, 100] {
            let mut tenths = [0; 10];
            for client in 0..1_000u64 {
                // An even sweep over all chances.
                let wait = Backoff { failures }.failed(None, client * (u64::MAX / 1_000));
                tenths[(wait.as_nanos() * 10 / window(failures).as_nanos()) as usize] += 1;
            }
            assert!(tenths.iter().all(|&clients| (99..=101).contains(&clients)), "{failures}: {tenths:?}");
        }
    }

    proptest! {
        #[test]
        fn a_wait_is_never_beyond_its_bound(failures: u32, random: u64, hint_ms: u64) {
            let bound = window(failures);
            let wait = Backoff { failures }.failed(None, random);
            prop_assert!(wait < bound);
            let hint = Hint::NotBefore(MS(hint_ms));
            let wait = Backoff { failures }.failed(Some(hint), random);
            prop_assert!(wait < HINT_MAX + bound);
        }
    }
}
