//! The hub's counters, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that only rise, unless they say otherwise. Read without locks; each is exact, but they are not a snapshot.
#[derive(Debug, Default)]
pub struct Figures {
    /// Events taken, those that are not stored included.
    pub published: Count,
    /// Publishes that turned out to be retries.
    pub duplicates: Count,
    /// Publishes refused after they were handed over.
    pub refused: Count,
    /// Appends to the log; events per append tell how well the group commit gathers.
    pub batches: Count,
    /// Pages read from the log because the ring did not reach back far enough.
    pub cold_pages: Count,
    /// Gaps told to readers.
    pub gaps: Count,
    /// Bytes of recent events held in memory (rises and falls).
    pub ring_bytes: Count,
}

/// One figure.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds `more`.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Replaces the value; for figures that rise and fall.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
