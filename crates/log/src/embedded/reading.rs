//! The reading half: one consistent view of a channel, although the sequencer appends and trims meanwhile.
//!
//! The ledger says what is kept, the store has it. A read asks the ledger where to begin, reads, and asks again: what was
//! trimmed meanwhile is left out, whether the store still had it or not. And it counts: offsets have no holes, so an
//! event that the store fails to bring is noticed, never skipped.

use std::sync::Arc;

use bongsu_core::log::{Budget, ChannelState, LogError, Slice};
use bongsu_core::{ChannelName, Event, Seq};

use super::EmbeddedLog;
use super::record::read_event;
use crate::ledger::ChannelId;

/// Up to where a channel lost its events.
fn floor(state: &ChannelState) -> Seq {
    state.lost.map_or(Seq::ZERO, |lost| lost.through)
}

/// The events that one pass over the store brought.
struct Pass {
    events: Vec<Arc<Event>>,
    /// The offset of the event at the position itself, if one of the channel's lies there.
    before: Option<u64>,
    complete: bool,
}

impl EmbeddedLog {
    pub(super) fn read_slice(
        &self,
        name: &ChannelName,
        after: Seq,
        upto: Seq,
        budget: Budget,
    ) -> Result<Slice, LogError> {
        let Some((id, first)) = self.ledger().channel(name) else {
            return Ok(Slice { complete: true, ..Slice::default() });
        };
        // What comes later is not visible yet, though the store may have it.
        let upto = upto.min(first.last_seq);
        let mut state = first;
        loop {
            let begin = floor(&state);
            let pass = self.pass(id, name, after.max(begin), upto, budget);
            state = self.state(id);
            let trimmed = floor(&state) > begin;
            let mut pass = match pass {
                Err(_) if trimmed => continue,
                pass => pass?,
            };
            pass.events.retain(|event| event.id.seq > floor(&state));
            if pass.events.is_empty() && !pass.complete && trimmed {
                continue;
            }
            check_dense(name, &pass, after, upto, &first, &state)?;
            let lost = state.lost.filter(|lost| lost.through > after);
            return Ok(Slice { events: pass.events, lost, complete: pass.complete });
        }
    }

    fn pass(&self, id: ChannelId, name: &ChannelName, after: Seq, upto: Seq, budget: Budget) -> Result<Pass, LogError> {
        let mut pass = Pass { events: Vec::new(), before: None, complete: true };
        if upto <= after {
            return Ok(pass);
        }
        // If an event lies at the position itself, its offset tells which one must come next. The reader has it already, so
        // it matters to nobody if that cannot be found out.
        let at = self.store.newest(id, after).ok().flatten();
        pass.before = at.filter(|(_, seq)| *seq == after).map(|(offset, _)| offset);
        let mut bytes = 0;
        for stored in self.store.events(id, after, upto) {
            if pass.events.len() >= budget.events.max(1) {
                // Not looked at if it is not asked for: it may be damaged.
                pass.complete = false;
                break;
            }
            let (entry, record) = stored.map_err(|why| unreadable(name, &why))?;
            let event = read_event(id, entry.seq, &record, name, self.epoch).map_err(|_| damaged(name, entry.seq))?;
            bytes += event.payload.bytes.len();
            if !pass.events.is_empty() && bytes > budget.bytes {
                pass.complete = false;
                break;
            }
            pass.events.push(Arc::new(event));
        }
        Ok(pass)
    }

    pub(super) fn find_last(&self, name: &ChannelName, count: usize, upto: Seq) -> Result<Seq, LogError> {
        let Some((id, state)) = self.ledger().channel(name) else {
            return Ok(upto);
        };
        let end = upto.min(state.last_seq);
        if count == 0 || end <= floor(&state) {
            return Ok(upto);
        }
        if end == state.last_seq && count as u64 >= state.events {
            return Ok(floor(&state));
        }
        let newest = self.offset_at(id, name, end, &state)?;
        let oldest = newest.saturating_sub(count as u64 - 1).max(state.oldest_offset());
        if newest < oldest {
            return Ok(upto);
        }
        let found = self.store.seq_at(id, oldest).map_err(|why| unreadable(name, &why))?;
        // Trimmed since: then what is kept begins where the channel lost its events.
        Ok(found.map_or_else(|| floor(&self.state(id)), |seq| Seq(seq.0 - 1)))
    }

    pub(super) fn count_between(&self, name: &ChannelName, after: Seq, upto: Seq) -> Result<u64, LogError> {
        let Some((id, state)) = self.ledger().channel(name) else {
            return Ok(0);
        };
        let last = self.offset_at(id, name, upto, &state)?;
        let first = self.offset_at(id, name, after, &state)?;
        let state = self.state(id);
        // Offsets have no holes.
        Ok(last.saturating_sub(first.max(state.head_offset - state.events)))
    }

    /// The offset of the newest event at or before `position`.
    fn offset_at(
        &self,
        id: ChannelId,
        name: &ChannelName,
        position: Seq,
        state: &ChannelState,
    ) -> Result<u64, LogError> {
        if position >= state.last_seq {
            return Ok(state.head_offset);
        }
        let trimmed = state.head_offset - state.events;
        if position <= floor(state) {
            return Ok(trimmed);
        }
        let newest = self.store.newest(id, position).map_err(|why| unreadable(name, &why))?;
        Ok(newest.map_or(trimmed, |(offset, _)| offset.max(trimmed)))
    }

    fn state(&self, id: ChannelId) -> ChannelState {
        self.ledger().state(id).expect("a channel never leaves the ledger")
    }
}

/// Fails if an event is missing among those that were read.
fn check_dense(
    name: &ChannelName,
    pass: &Pass,
    after: Seq,
    upto: Seq,
    first: &ChannelState,
    state: &ChannelState,
) -> Result<(), LogError> {
    let missing = |offset: u64| LogError::Unreadable(format!("event {offset} of channel `{name}` is missing"));
    let Some(oldest) = pass.events.first() else {
        // All events at or before `upto` can have been read before, or be lost; else there must be some.
        let expected = upto == first.last_seq && upto > after.max(floor(state));
        return if expected && pass.complete { Err(missing(first.head_offset)) } else { Ok(()) };
    };
    let expected =
        if after <= floor(state) { Some(state.oldest_offset()) } else { pass.before.map(|offset| offset + 1) };
    if let Some(expected) = expected.filter(|&expected| expected != oldest.offset) {
        return Err(missing(expected));
    }
    if let Some(pair) = pass.events.windows(2).find(|pair| pair[1].offset != pair[0].offset + 1) {
        return Err(missing(pair[0].offset + 1));
    }
    let last = pass.events.last().unwrap_or(oldest);
    if pass.complete && upto == first.last_seq && last.offset != first.head_offset {
        return Err(missing(last.offset + 1));
    }
    Ok(())
}

fn unreadable(name: &ChannelName, why: &str) -> LogError {
    LogError::Unreadable(format!("channel `{name}`: {why}"))
}

fn damaged(name: &ChannelName, seq: Seq) -> LogError {
    LogError::Unreadable(format!("event {} of channel `{name}` is damaged", seq.0))
}
