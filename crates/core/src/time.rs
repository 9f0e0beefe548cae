//! Time as a value, and the port through which it comes in.
//!
//! Nothing in the state machines reads a clock: whoever drives them passes the time. Only the outermost layer
//! (and tests, with a time of their own) implements [`Clock`].

use std::time::Duration;

/// Milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// The time `duration` later; stops at the largest value instead of wrapping.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// How long after `earlier` this is; zero when it is not after.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// The port through which wall-clock time enters the server.
pub trait Clock: Send + Sync + 'static {
    /// The present time.
    fn now(&self) -> Millis;
}
