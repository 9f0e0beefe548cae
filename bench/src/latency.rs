//! Latencies in an HDR histogram: three significant digits from a microsecond to two minutes.

use hdrhistogram::Histogram;

const LOWEST_NS: u64 = 1_000;
const HIGHEST_NS: u64 = 120_000_000_000;
const DIGITS: u8 = 3;

/// A distribution of latencies.
pub(crate) struct Latency(Histogram<u64>);

impl Latency {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, DIGITS).expect("fixed bounds that fit together"))
    }

    /// Counts one, in nanoseconds; what is outside the range counts at its edge.
    pub(crate) fn record(&mut self, ns: u64) {
        self.0.saturating_record(ns);
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.0.reset();
    }

    /// The latency that the share `quantile` (0 to 1) of all is not above, in microseconds; 0 when there was none.
    pub(crate) fn quantile_us(&self, quantile: f64) -> f64 {
        if self.0.is_empty() { 0.0 } else { micros(self.0.value_at_quantile(quantile)) }
    }

    /// The largest, in microseconds; 0 when there was none.
    pub(crate) fn max_us(&self) -> f64 {
        if self.0.is_empty() { 0.0 } else { micros(self.0.max()) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "two minutes in nanoseconds are far below 2^53")]
fn micros(ns: u64) -> f64 {
    ns as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_to_three_digits() {
        let mut latency = Latency::new();
        for us in 1..=1_000 {
            latency.record(us * 1_000);
        }
        for (quantile, us) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1_000.0)] {
            let seen = latency.quantile_us(quantile);
            assert!((seen - us).abs() <= us * 0.002, "{quantile}: {seen}");
        }
        assert!((latency.max_us() - 1_000.0).abs() <= 2.0);
        latency.clear();
        assert_eq!((latency.quantile_us(0.5), latency.max_us()), (0.0, 0.0));
    }

    #[test]
    fn what_is_out_of_range_counts_at_the_edge() {
        let mut latency = Latency::new();
        latency.record(0);
        latency.record(u64::MAX);
        assert!(latency.quantile_us(0.1) < 2.0);
        assert!(latency.max_us() >= 119_000_000.0);
    }
}
