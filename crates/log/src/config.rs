//! What an operator may change about a log, beyond the rules of its channels.

use std::time::Duration;

/// Bounds of a log. [`LogConfig::default`] is what the protocol page promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// How long the answer to a publish with an idempotency key is kept for retries.
    pub idempotency_window: Duration,
    /// The most idempotency keys in their window. One more is refused rather than an older one forgotten early. A key
    /// takes about 80 bytes of memory.
    pub idempotency_keys_max: usize,
    /// The most channels. A channel that was ever stored to keeps its place, so that its offsets are never reused;
    /// it takes about 200 bytes of memory and its name.
    pub channels_max: usize,
    /// The most bytes of all kept events together: their payloads and [`EVENT_OVERHEAD_BYTES`] for each. The oldest
    /// events of all channels go first.
    pub total_bytes_max: u64,
    /// How many bytes must stay free on the disk; below it appends are refused until there is space again. Without
    /// meaning for the memory log.
    pub disk_free_min: u64,
    /// The size at which a file of events is full, in bytes; the first few are smaller. Without meaning for the memory log.
    pub segment_bytes: u64,
}

/// What an event counts for in [`LogConfig::total_bytes_max`] beside its payload, in bytes: about what its record takes on
/// disk, so that many tiny events cannot take many times the space that was allowed.
pub const EVENT_OVERHEAD_BYTES: u64 = 64;

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            idempotency_window: Duration::from_secs(10 * 60),
            idempotency_keys_max: 1_000_000,
            channels_max: 1_000_000,
            total_bytes_max: 10 << 30,
            disk_free_min: 64 << 20,
            segment_bytes: 32 << 20,
        }
    }
}
