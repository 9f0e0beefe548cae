//! The bare group commit: append a batch, sync, again. No network, no index, no checksum.
//!
//! With as many records per batch as there are publishers it is what a log could do at most for publishers that
//! each wait for their acknowledgement.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::Fallible;
use crate::latency::Latency;

/// What the loop reached.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Committed {
    /// Records written and synced.
    pub(crate) records: u64,
    /// How long it took, in seconds.
    pub(crate) seconds: f64,
    /// The median time of one write and sync, in microseconds.
    pub(crate) p50_us: f64,
    /// The time that 99 of 100 were not above, in microseconds.
    pub(crate) p99_us: f64,
    /// The longest, in microseconds.
    pub(crate) max_us: f64,
}

/// Appends batches of `batch` records of `record_bytes` to `file` for the time given.
pub(crate) fn run(file: &Path, batch: u32, record_bytes: usize, time: Duration) -> Fallible<Committed> {
    let mut file = File::create_new(file)?;
    let bytes = vec![b'x'; batch as usize * record_bytes];
    let mut latency = Latency::new();
    let mut records = 0;
    let begin = Instant::now();
    while begin.elapsed() < time {
        let round = Instant::now();
        file.write_all(&bytes)?;
        file.sync_data()?;
        latency.record(u64::try_from(round.elapsed().as_nanos()).unwrap_or(u64::MAX));
        records += u64::from(batch);
    }
    Ok(Committed {
        records,
        seconds: begin.elapsed().as_secs_f64(),
        p50_us: latency.quantile_us(0.5),
        p99_us: latency.quantile_us(0.99),
        max_us: latency.max_us(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_records_are_in_the_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log");
        let committed = run(&path, 4, 100, Duration::from_millis(20)).expect("a disk that works");
        assert!(committed.records > 0);
        assert_eq!(std::fs::metadata(path).expect("the file").len(), committed.records * 100);
    }
}
