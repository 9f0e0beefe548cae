//! The oldest events of channels that are being trimmed.
//!
//! A full channel loses an event for each that it gains, so the ledger asks for its oldest event with every append. A few
//! are read at once and remembered.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bongsu_core::Seq;
use bongsu_core::log::LogError;

use super::record::read_mark;
use super::store::Store;
use crate::ledger::{ChannelId, Mark, Marks};

/// How many marks are read at once.
const AHEAD: usize = 64;
/// Marks lie in the records of their events; no more of these are read ahead than this, in bytes.
const AHEAD_BYTES: u64 = 256 << 10;
/// How many channels are remembered: about 6 MiB.
const CHANNELS_MAX: usize = 4_096;

/// Marks read ahead: of each channel the oldest events that it had when they were read, without a hole. Used by the
/// sequencer only.
#[derive(Debug, Default)]
pub(super) struct MarksAhead(Mutex<HashMap<ChannelId, Vec<Mark>>>);

/// The marks of one store.
pub(super) struct StoredMarks<'a> {
    pub(super) store: &'a Store,
    pub(super) ahead: &'a MarksAhead,
}

impl Marks for StoredMarks<'_> {
    fn oldest(&self, channel: ChannelId, after: Seq) -> Result<Vec<Mark>, LogError> {
        let mut ahead = self.ahead.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The ledger only goes forward, so what was read ahead begins at or before where it is.
        let known = ahead.get(&channel).map(Vec::as_slice).unwrap_or_default();
        let start = known.partition_point(|mark| mark.seq <= after);
        if start < known.len() {
            return Ok(known[start..].to_vec());
        }
        let marks = self.read(channel, after)?;
        if ahead.len() >= CHANNELS_MAX {
            ahead.clear();
        }
        ahead.insert(channel, marks.clone());
        Ok(marks)
    }
}

impl StoredMarks<'_> {
    fn read(&self, channel: ChannelId, after: Seq) -> Result<Vec<Mark>, LogError> {
        let mut marks = Vec::new();
        let mut bytes = 0;
        for record in self.store.events(channel, after, Seq(u64::MAX)).take(AHEAD) {
            let (key, record) = record.map_err(LogError::Unreadable)?;
            let damaged = |_| LogError::Unreadable(format!("a record of channel number {channel} is damaged"));
            let (_, mark) = read_mark(&key, &record).map_err(damaged)?;
            marks.push(mark);
            bytes += mark.bytes;
            if bytes > AHEAD_BYTES {
                break;
            }
        }
        Ok(marks)
    }
}
