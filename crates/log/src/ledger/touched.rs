//! One channel while an append is being planned: its state as it will be, and the events it will gain.

use std::collections::VecDeque;
use std::sync::Arc;

use bongsu_core::log::{ChannelState, LogError, Lost, LostReason};
use bongsu_core::{ChannelName, Event, Millis, Seq};

use super::table::{ChannelId, Promise};

/// What retention has to know of one kept event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) seq: Seq,
    pub(crate) bytes: u64,
    pub(crate) time: Millis,
}

impl Mark {
    pub(crate) fn of(event: &Event) -> Self {
        Self { seq: event.id.seq, bytes: event.payload.bytes.len() as u64, time: event.time }
    }
}

/// The port through which the ledger learns of events that are kept already: it holds none of them itself.
pub(crate) trait Marks {
    /// The oldest events of a channel after `after`, in order. As many as the store likes, but at least one if there
    /// are any.
    ///
    /// # Errors
    /// They cannot be read.
    fn oldest(&self, channel: ChannelId, after: Seq) -> Result<Vec<Mark>, LogError>;
}

#[derive(Debug)]
pub(crate) struct Touched {
    pub(crate) name: ChannelName,
    pub(crate) promise: Promise,
    /// The state as it will be.
    pub(crate) state: ChannelState,
    /// Whether the table does not know it yet.
    pub(crate) is_new: bool,
    /// Whether it lost events to a bound.
    pub(crate) trimmed: bool,
    /// The events it gains and keeps.
    pub(crate) fresh: VecDeque<Arc<Event>>,
    /// The events it had before and loses, one by one.
    pub(crate) dropped: Vec<Seq>,
    /// Set when it loses everything that it had before, seen or not.
    pub(crate) purged: bool,
    /// The newest event it had before.
    pub(crate) stored_last: Seq,
    /// Up to where it had lost events before.
    pub(crate) lost_before: Seq,
    /// The oldest events it had before, as far as they were looked at.
    front: VecDeque<Mark>,
}

impl Touched {
    pub(crate) fn new(name: ChannelName, promise: Promise, state: Option<ChannelState>) -> Self {
        let is_new = state.is_none();
        let state = state.unwrap_or_default();
        Self {
            name,
            promise,
            state,
            is_new,
            trimmed: false,
            fresh: VecDeque::new(),
            dropped: Vec::new(),
            purged: false,
            stored_last: state.last_seq,
            lost_before: state.lost.map_or(Seq::ZERO, |lost| lost.through),
            front: VecDeque::new(),
        }
    }

    /// Takes a new event, whose offset is the next one.
    pub(crate) fn push(&mut self, event: Arc<Event>) {
        let mark = Mark::of(&event);
        self.state.head_offset = event.offset;
        self.state.last_seq = mark.seq;
        self.state.events += 1;
        self.state.bytes += mark.bytes;
        self.state.oldest_time.get_or_insert(mark.time);
        self.fresh.push_back(event);
    }

    /// Drops everything at sequence number `at`.
    pub(crate) fn reset(&mut self, at: Seq) {
        self.drop_all(Lost { through: at, reason: LostReason::Reset });
    }

    fn drop_all(&mut self, lost: Lost) {
        self.purged |= self.stored() > 0;
        self.fresh.clear();
        self.front.clear();
        self.state = ChannelState { lost: Some(lost), events: 0, bytes: 0, oldest_time: None, ..self.state };
    }

    /// Whether it keeps more than it may.
    pub(crate) fn exceeds(&self, now: Millis) -> bool {
        let retention = &self.promise.retention;
        self.state.events > retention.events_max
            || self.state.bytes > retention.bytes_max
            || self.state.oldest_time.is_some_and(|oldest| now.since(oldest) > retention.age_max)
    }

    /// Drops the oldest kept event; there must be one. Returns how many went: more than one only if the store cannot tell
    /// which comes next.
    pub(crate) fn drop_oldest(&mut self, id: ChannelId, marks: &dyn Marks) -> u64 {
        let before = self.state.events;
        let mark = self.oldest(id, marks);
        // Unless looking gave up some: then what is left may be within the bounds.
        if let Some(mark) = mark.filter(|_| self.state.events == before) {
            if self.stored() > 0 {
                self.front.pop_front();
                self.dropped.push(mark.seq);
            } else {
                self.fresh.pop_front();
            }
            self.state.events -= 1;
            let bytes = self.state.bytes.saturating_sub(mark.bytes);
            self.state.bytes = if self.state.events == 0 { 0 } else { bytes };
            self.lose(mark.seq);
            self.state.oldest_time = self.oldest(id, marks).map(|next| next.time);
        }
        before - self.state.events
    }

    fn lose(&mut self, through: Seq) {
        self.trimmed = true;
        self.state.lost = Some(Lost { through, reason: LostReason::Expired });
    }

    /// How many of the kept events were there before.
    fn stored(&self) -> u64 {
        self.state.events - self.fresh.len() as u64
    }

    fn oldest(&mut self, id: ChannelId, marks: &dyn Marks) -> Option<Mark> {
        if self.stored() > 0 && self.front.is_empty() {
            let after = self.state.lost.map_or(Seq::ZERO, |lost| lost.through);
            self.front = marks.oldest(id, after).unwrap_or_default().into();
            if self.front.is_empty() {
                self.give_up_stored();
            }
        }
        if self.stored() > 0 { self.front.front().copied() } else { self.fresh.front().map(|event| Mark::of(event)) }
    }

    /// The store cannot read its oldest events, so nobody can. Were they kept, the channel could never be trimmed again;
    /// were their number guessed, offsets would have holes. Everything stored is given up, and readers are told.
    fn give_up_stored(&mut self) {
        let fresh = std::mem::take(&mut self.fresh);
        self.drop_all(Lost { through: self.stored_last, reason: LostReason::Expired });
        self.trimmed = true;
        self.state.events = fresh.len() as u64;
        self.state.bytes = fresh.iter().map(|event| Mark::of(event).bytes).sum();
        self.state.oldest_time = fresh.front().map(|event| event.time);
        self.fresh = fresh;
    }
}
