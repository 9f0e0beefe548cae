//! Where the events of each channel lie: for each channel the runs of its events, segment by segment.
//!
//! The entries of a segment that is being written are in memory; those of a finished one are in its table, so it costs one
//! run for each of its channels and nothing per event. Changed by the sequencer, and by the keeper when a segment is
//! finished or takes the place of others.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bongsu_core::Seq;

use super::frame::Entry;
use super::segment::{Segment, partition};
use crate::ledger::ChannelId;

/// Events of one channel that follow each other without a hole and lie in one segment.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) segment: Arc<Segment>,
    pub(crate) first: Seq,
    pub(crate) last: Seq,
    pub(crate) first_offset: u64,
    pub(crate) count: u32,
    /// How many of them are trimmed, from the oldest on.
    pub(crate) dead: u32,
    pub(crate) table: Table,
}

#[derive(Clone, Debug)]
pub(crate) enum Table {
    Memory(Vec<Entry>),
    /// Where the entry of the first of them is in the segment, in bytes.
    Disk(u64),
}

impl Run {
    fn end_offset(&self) -> u64 {
        self.first_offset + u64::from(self.count)
    }

    fn kill(&mut self, trimmed: u64) {
        let dead = trimmed.saturating_sub(self.first_offset - 1).min(self.count.into()) as u32;
        let more = dead.saturating_sub(self.dead);
        self.dead += more;
        self.segment.live.fetch_sub(more.into(), Ordering::Relaxed);
    }

    fn is_dead(&self) -> bool {
        self.dead == self.count
    }
}

#[derive(Debug, Default)]
struct Channel {
    /// In order.
    runs: VecDeque<Run>,
    /// The offset up to which everything is trimmed.
    trimmed: u64,
    /// The newest segment that describes the channel.
    described: Option<u64>,
}

#[derive(Debug, Default)]
pub(crate) struct Index(Vec<Channel>);

/// A part of a run, to be read without holding the index.
#[derive(Debug)]
pub(crate) struct Part {
    id: ChannelId,
    pub(crate) segment: Arc<Segment>,
    first_offset: u64,
    count: u32,
    table: Table,
}

impl Index {
    fn channel(&mut self, id: ChannelId) -> &mut Channel {
        let index = id as usize;
        if self.0.len() <= index {
            self.0.resize_with(index + 1, Channel::default);
        }
        &mut self.0[index]
    }

    pub(crate) fn described(&self, id: ChannelId) -> Option<u64> {
        self.0.get(id as usize).and_then(|channel| channel.described)
    }

    pub(crate) fn trimmed(&self, id: ChannelId) -> u64 {
        self.0.get(id as usize).map_or(0, |channel| channel.trimmed)
    }

    pub(crate) fn describe(&mut self, id: ChannelId, segment: u64) {
        self.channel(id).described = Some(segment);
    }

    /// Adds new events that were written to `segment`.
    pub(crate) fn extend(&mut self, id: ChannelId, segment: &Arc<Segment>, first_offset: u64, entries: &[Entry]) {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return;
        };
        let runs = &mut self.channel(id).runs;
        segment.live.fetch_add(entries.len() as u64, Ordering::Relaxed);
        if let Some(run) = runs.back_mut()
            && let Table::Memory(known) = &mut run.table
            && run.first_offset + known.len() as u64 == first_offset
            && Arc::ptr_eq(&run.segment, segment)
        {
            known.extend_from_slice(entries);
            run.last = last.seq;
            run.count += entries.len() as u32;
            return;
        }
        runs.push_back(Run {
            segment: segment.clone(),
            first: first.seq,
            last: last.seq,
            first_offset,
            count: entries.len() as u32,
            dead: 0,
            table: Table::Memory(entries.to_vec()),
        });
    }

    /// Adds the next run of a channel of a log that is being opened.
    pub(crate) fn restore(&mut self, id: ChannelId, run: Run) {
        run.segment.live.fetch_add(run.count.into(), Ordering::Relaxed);
        self.channel(id).runs.push_back(run);
    }

    /// Takes out events that no reader may get any more: those of offsets up to `trimmed`.
    pub(crate) fn trim(&mut self, id: ChannelId, trimmed: u64) {
        let channel = self.channel(id);
        channel.trimmed = channel.trimmed.max(trimmed);
        while let Some(run) = channel.runs.front_mut() {
            run.kill(trimmed);
            if !run.is_dead() {
                break;
            }
            channel.runs.pop_front();
        }
        if channel.runs.capacity() > 16 && channel.runs.len() < channel.runs.capacity() / 4 {
            channel.runs.shrink_to(channel.runs.len() * 2);
        }
    }

    /// Puts `run` in the place of all runs of a channel that lie in segments from `first` through `last`.
    pub(crate) fn replace(&mut self, id: ChannelId, first: u64, last: u64, run: Option<Run>) {
        let channel = self.channel(id);
        let is_inside = |run: &Run| run.segment.head.number >= first && run.segment.head.through <= last;
        let at = channel.runs.iter().position(is_inside).unwrap_or(channel.runs.len());
        let had = channel.runs.len();
        channel.runs.retain(|run| !is_inside(run));
        let mut run = run.filter(|_| channel.runs.len() < had);
        if let Some(run) = &mut run {
            run.segment.live.fetch_add(run.count.into(), Ordering::Relaxed);
            run.kill(channel.trimmed);
        }
        if let Some(run) = run.filter(|run| !run.is_dead()) {
            channel.runs.insert(at, run);
        }
    }

    /// The entries of a channel in `segment` are in its table from now on; `run` says where.
    pub(crate) fn use_table(
        &mut self,
        id: ChannelId,
        segment: &Arc<Segment>,
        first_offset: u64,
        count: u32,
        table: u64,
    ) {
        let end = first_offset + u64::from(count);
        for run in self.channel(id).runs.iter_mut().filter(|run| Arc::ptr_eq(&run.segment, segment)) {
            if run.first_offset >= first_offset && run.end_offset() <= end {
                let skipped = (run.first_offset - first_offset) * super::directory::ENTRY_BYTES as u64;
                run.table = Table::Disk(table + skipped);
            }
        }
    }

    /// The offset from which on all events of a channel up to `head` are here.
    pub(crate) fn oldest_dense(&self, id: ChannelId, head: u64) -> u64 {
        let runs = self.0.get(id as usize).map(|channel| channel.runs.iter()).into_iter().flatten();
        runs.rev().fold(head + 1, |oldest, run| if run.end_offset() == oldest { run.first_offset } else { oldest })
    }

    /// The part of the first run that reaches beyond `after`.
    pub(crate) fn part_after(&self, id: ChannelId, after: Seq, most: usize) -> Option<Part> {
        let runs = &self.0.get(id as usize)?.runs;
        let run = runs.get(runs.partition_point(|run| run.last <= after))?;
        Some(run.part(id, |entries| {
            let start = entries.partition_point(|entry| entry.seq <= after);
            start..start.saturating_add(most).min(entries.len())
        }))
    }

    /// The run that begins at or before `position`, last of all such.
    pub(crate) fn part_at(&self, id: ChannelId, position: Seq) -> Option<Part> {
        let runs = &self.0.get(id as usize)?.runs;
        let run = runs.get(runs.partition_point(|run| run.first <= position).checked_sub(1)?)?;
        Some(run.part(id, |entries| {
            let end = entries.partition_point(|entry| entry.seq <= position);
            end.saturating_sub(1)..end
        }))
    }

    /// The run that has the event at `offset`.
    pub(crate) fn part_with(&self, id: ChannelId, offset: u64) -> Option<Part> {
        let runs = &self.0.get(id as usize)?.runs;
        let run = runs.get(runs.partition_point(|run| run.end_offset() <= offset))?;
        let index = usize::try_from(offset.checked_sub(run.first_offset)?).ok()?;
        Some(run.part(id, |_| index..index + 1))
    }
}

impl Run {
    /// The run; of entries in memory only those that are wanted.
    fn part(&self, id: ChannelId, wanted: impl FnOnce(&[Entry]) -> std::ops::Range<usize>) -> Part {
        let Self { segment, first_offset, count, .. } = self;
        let (skipped, count, table) = match &self.table {
            Table::Disk(table) => (0, *count, Table::Disk(*table)),
            Table::Memory(entries) => {
                let wanted = wanted(entries);
                (wanted.start, wanted.len() as u32, Table::Memory(entries[wanted].to_vec()))
            }
        };
        Part { id, segment: segment.clone(), first_offset: first_offset + skipped as u64, count, table }
    }
}

impl Part {
    fn entry(&self, index: u64) -> Result<Entry, String> {
        match &self.table {
            Table::Memory(entries) => Ok(entries[index as usize]),
            Table::Disk(_) => self.entries(self.first_offset + index, 1).map(|entries| entries[0]),
        }
    }

    fn entries(&self, offset: u64, count: usize) -> Result<Vec<Entry>, String> {
        let start = offset - self.first_offset;
        match &self.table {
            Table::Memory(entries) => Ok(entries[start as usize..start as usize + count].to_vec()),
            Table::Disk(table) => self.segment.entries(self.id, *table, self.first_offset, offset, count),
        }
    }

    /// How many of its events lie at or before `position`.
    fn before(&self, position: Seq) -> Result<u64, String> {
        partition(self.count.into(), |index| Ok(self.entry(index)?.seq <= position))
    }

    /// The offset of the newest event at or before `position`, and its entry.
    pub(crate) fn newest(&self, position: Seq) -> Result<Option<(u64, Entry)>, String> {
        match self.before(position)? {
            0 => Ok(None),
            before => Ok(Some((self.first_offset + before - 1, self.entry(before - 1)?))),
        }
    }

    /// The entry of the event at `offset`.
    pub(crate) fn at(&self, offset: u64) -> Result<Entry, String> {
        self.entry(offset - self.first_offset)
    }

    /// The first entries after `after`, at most `most`.
    pub(crate) fn after(&self, after: Seq, most: usize) -> Result<Vec<Entry>, String> {
        let start = self.before(after)?;
        let count = usize::try_from(u64::from(self.count) - start).unwrap_or(usize::MAX).min(most);
        self.entries(self.first_offset + start, count)
    }
}
