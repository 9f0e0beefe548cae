//! The oldest events of channels that are being trimmed.
//!
//! A full channel loses an event for each that it gains, so the ledger asks for its oldest event with every append. A few
//! are looked up at once and remembered; the events themselves are not read.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bongsu_core::Seq;
use bongsu_core::log::LogError;

use super::store::Store;
use crate::ledger::{ChannelId, Mark, Marks};

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
            // Few are needed as a rule: a full channel loses about as many as it gains.
            return Ok(known[start..(start + 4).min(known.len())].to_vec());
        }
        let page = self.store.page(channel, after).map_err(LogError::Unreadable)?;
        let mark = |entry: super::frame::Entry| Mark { seq: entry.seq, bytes: entry.payload.into(), time: entry.time };
        let marks: Vec<Mark> = page.into_iter().flat_map(|(_, entries)| entries).map(mark).collect();
        if ahead.len() >= CHANNELS_MAX {
            ahead.clear();
        }
        ahead.insert(channel, marks.clone());
        Ok(marks)
    }
}
