//! Whether to send a request again that must be taken exactly once. Pure.
//!
//! Only requests with an idempotency key come here: sending them again is harmless, giving up leaves it open whether the
//! server took them.

use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::reconnect::{Backoff, Hint};

/// One request and its attempts.
#[derive(Debug)]
pub(crate) struct Patience {
    backoff: Backoff,
    /// How long to go on, from the first attempt.
    total: Duration,
}

impl Patience {
    pub(crate) fn new(total: Duration) -> Self {
        Self { backoff: Backoff::default(), total }
    }

    /// Something worked: the next failure is the first again.
    pub(crate) fn worked(&mut self) {
        self.backoff.worked();
    }

    /// How long to wait before the next attempt; `None` to give up.
    ///
    /// `elapsed` is the time since the first attempt, or since something last worked. `known` says whether this server
    /// ever answered: where none ever did, none was started, and a person should learn that now.
    pub(crate) fn again(&mut self, error: &Error, elapsed: Duration, known: bool, random: u64) -> Option<Duration> {
        if !error.is_retryable() || (error.kind() == ErrorKind::Unreachable && !known) {
            return None;
        }
        let wait = self.backoff.failed(error.retry_after().map(Hint::NotBefore), random);
        (elapsed + wait < self.total).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problem;

    #[test]
    fn when_to_send_again() {
        let unreachable = || Error::unreachable("x", std::io::Error::other("x"));
        let refused = |status, after| Error::refused(Problem::from_answer(status, b"", after));
        let s = Duration::from_secs;
        // The error, seconds so far, whether the server is known, and the wait in ms when chance lies in the middle.
        let cases = [
            (Error::interrupted("x"), 0, false, Some(250)),
            (Error::interrupted("x"), 29, true, Some(250)),
            (Error::interrupted("x"), 30, true, None),
            (unreachable(), 0, true, Some(250)),
            (unreachable(), 0, false, None),
            (refused(503, None), 0, true, Some(250)),
            (refused(503, Some(s(2))), 0, true, Some(2250)),
            (refused(503, Some(s(20))), 15, true, None),
            (refused(400, None), 0, true, None),
            (Error::usage("x"), 0, true, None),
            (Error::protocol("x"), 0, true, None),
        ];
        for (error, elapsed, known, expected) in cases {
            let wait = Patience::new(s(30)).again(&error, s(elapsed), known, 1 << 63);
            assert_eq!(wait.map(|wait| wait.as_millis()), expected, "{error} {elapsed} {known}");
        }
    }
}
