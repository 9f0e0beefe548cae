//! The writing half: turns a plan into one batch, and remembers what must be remembered between batches.
//!
//! Used by one thread at a time, the sequencer.

use std::collections::BTreeMap;

use bongsu_core::log::ChannelState;
use bongsu_core::policy::Durability;
use bongsu_core::{Millis, Seq};

use super::record::{
    self, LOG_KEY, LogRecord, Purge, TRIMMED_KEY, answer_key, channel_key, event_key, prefix, write_answer,
    write_channel, write_event, write_log, write_name, write_purge, write_trimmed,
};
use super::store::{Batch, Store};
use crate::ledger::{ChannelId, Plan, Touched};

/// How many sequence numbers are reserved at a time: after a crash so many may be skipped, and so often a write is needed
/// for numbers alone.
pub(crate) const RESERVE: u64 = 65_536;
/// How many deletions of a purge go into one batch: about a millisecond of work.
const PURGE_MAX: usize = 4_000;
/// How much may be written before the free space is looked at again, in bytes.
const UNCHECKED_BYTES_MAX: u64 = 1 << 20;
/// How long the free space is not looked at when little is written.
const UNCHECKED_TIME: std::time::Duration = std::time::Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) log: LogRecord,
    /// Deletions of whole stretches that are not done yet.
    pub(crate) purges: BTreeMap<ChannelId, Purge>,
    /// Events that the last batch trimmed and the next one deletes: a reader may be at them until the trim is visible,
    /// and that it is only after its batch.
    pub(crate) trimmed: Vec<(ChannelId, Seq)>,
    pub(crate) space: Space,
    /// The newest number that is kept with a channel, among the batches written so far.
    pub(crate) newest: Seq,
}

impl Writer {
    /// Keeps what the plan says; tells whether it was synced.
    pub(crate) fn write(&mut self, store: &Store, plan: &Plan) -> Result<bool, String> {
        let weak = plan.durability.is_some_and(|durability| durability < Durability::Fsync);
        let synced = plan.durability == Some(Durability::Fsync);
        let mut log = self.log.clone();
        if plan.head > log.reserved {
            log.reserved = Seq(plan.head.0 + RESERVE);
        }
        // Before anything can be seen unsynced, it is on disk that this may be so.
        log.unsynced |= weak && !synced;
        let must_sync = (log.reserved, log.unsynced) != (self.log.reserved, self.log.unsynced);
        if plan.is_empty() && !must_sync {
            return Ok(false);
        }
        let mut batch = store.batch();
        let mut newest = self.newest;
        let mut purges = Vec::new();
        for (&id, touched) in &plan.touched {
            write_touched(&mut batch, id, touched);
            newest = newest.max(newest_in(&touched.state));
            purges.extend(self.purge_of(id, touched).map(|purge| (id, purge)));
        }
        for (id, purge) in &purges {
            let key = channel_key(prefix::PURGE, *id);
            batch.keep(&key, write_purge(&key, purge));
        }
        for answer in &plan.answers {
            let key = answer_key(answer.receipt.seq);
            batch.keep(&key, write_answer(&key, answer));
        }
        for seq in &plan.forgotten {
            batch.drop(&answer_key(*seq));
        }
        let dropped = plan.touched.iter().flat_map(|(&id, touched)| touched.dropped.iter().map(move |&seq| (id, seq)));
        let dropped = dropped.collect::<Vec<_>>();
        self.delete_trimmed(&mut batch, &dropped);
        if must_sync || plan.touched.is_empty() {
            keep_log(&mut batch, &mut log);
        }
        batch.commit(synced || must_sync)?;
        self.trimmed = dropped;
        self.log = log;
        self.purges.extend(purges);
        self.newest = newest;
        Ok(synced || must_sync)
    }

    /// Deletes what the last batch trimmed, and remembers what this one trims.
    fn delete_trimmed(&self, batch: &mut Batch<'_>, dropped: &[(ChannelId, Seq)]) {
        if self.trimmed.is_empty() && dropped.is_empty() {
            return;
        }
        for &(id, seq) in &self.trimmed {
            batch.drop_event(event_key(id, seq));
        }
        batch.keep(&TRIMMED_KEY, write_trimmed(dropped));
    }

    /// What will be left to delete of a channel that lost everything it had.
    fn purge_of(&self, id: ChannelId, touched: &Touched) -> Option<Purge> {
        let after = self.purges.get(&id).map_or(touched.lost_before, |purge| purge.after);
        touched.purged.then_some(Purge { after, through: touched.stored_last })
    }

    /// Deletes a piece of what is gone for readers. The work is bounded; call again until it does nothing.
    pub(crate) fn clean_up(&mut self, store: &Store) -> Result<(), String> {
        if !self.trimmed.is_empty() {
            let mut batch = store.batch();
            self.delete_trimmed(&mut batch, &[]);
            batch.commit(false)?;
            self.trimmed.clear();
        }
        match self.purges.first_key_value() {
            Some((&id, &purge)) => self.purge(store, id, purge),
            None => Ok(()),
        }
    }

    fn purge(&mut self, store: &Store, id: ChannelId, purge: Purge) -> Result<(), String> {
        let mut batch = store.batch();
        let mut last = None;
        // At a key that cannot be read the purge ends: readers do not come here any more, only its space stays taken.
        for key in store.event_keys(id, purge.after, purge.through).take(PURGE_MAX).map_while(Result::ok) {
            let Ok((_, seq)) = record::parse_event_key(&key) else {
                break;
            };
            batch.drop_event(event_key(id, seq));
            last = Some(seq);
        }
        let key = channel_key(prefix::PURGE, id);
        let left = last.filter(|last| *last < purge.through).map(|after| Purge { after, ..purge });
        match &left {
            Some(left) => batch.keep(&key, write_purge(&key, left)),
            None => batch.drop(&key),
        }
        let mut log = self.log.clone();
        keep_log(&mut batch, &mut log);
        batch.commit(false)?;
        self.log = log;
        match left {
            Some(left) => self.purges.insert(id, left),
            None => self.purges.remove(&id),
        };
        Ok(())
    }

    /// Writes the log's own record, synced.
    pub(crate) fn write_log(&mut self, store: &Store) -> Result<(), String> {
        let mut batch = store.batch();
        keep_log(&mut batch, &mut self.log);
        batch.commit(true)
    }
}

fn keep_log(batch: &mut Batch<'_>, log: &mut LogRecord) {
    log.writes += 1;
    batch.keep(&LOG_KEY, write_log(log));
}

fn write_touched(batch: &mut Batch<'_>, id: ChannelId, touched: &Touched) {
    if touched.is_new {
        let key = channel_key(prefix::NAME, id);
        batch.keep(&key, write_name(&key, &touched.name));
    }
    let key = channel_key(prefix::CHANNEL, id);
    batch.keep(&key, write_channel(&key, &touched.state));
    for event in &touched.fresh {
        let key = event_key(id, event.id.seq);
        batch.keep_event(key, write_event(&key, event));
    }
}

/// The newest number that the state of a channel tells of.
pub(crate) fn newest_in(state: &ChannelState) -> Seq {
    state.lost.map_or(Seq::ZERO, |lost| lost.through).max(state.last_seq)
}

/// When the free space on the disk was looked at, and how it was.
#[derive(Debug, Default)]
pub(crate) struct Space {
    looked: Option<Millis>,
    written: u64,
    was_low: bool,
}

impl Space {
    /// Whether the free space must be looked at before `bytes` are written.
    pub(crate) fn is_due(&self, bytes: u64, now: Millis) -> bool {
        let recent = self.looked.is_some_and(|looked| now >= looked && now.since(looked) < UNCHECKED_TIME);
        self.was_low || !recent || self.written.saturating_add(bytes) > UNCHECKED_BYTES_MAX
    }

    pub(crate) fn looked(&mut self, now: Millis, is_low: bool) {
        *self = Self { looked: Some(now), written: 0, was_low: is_low };
    }

    pub(crate) fn wrote(&mut self, bytes: u64) {
        self.written = self.written.saturating_add(bytes);
    }
}
