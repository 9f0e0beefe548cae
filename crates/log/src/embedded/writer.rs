//! The writing half: turns a plan into one frame, and goes on to the next segment when one is full.
//!
//! Used by one thread at a time, the sequencer.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bongsu_core::log::ChannelState;
use bongsu_core::policy::Durability;
use bongsu_core::{Millis, Seq};

use super::frame::{Entry, FrameWriter, Head};
use super::keeper::{Keeper, capacity};
use super::record::{LogRecord, write_event};
use super::segment::{self, Segment};
use super::store::Store;
use crate::ledger::{ChannelId, Plan, Touched};

/// How many sequence numbers are reserved at a time: after a crash so many may be skipped, and so often a write is needed
/// for numbers alone.
pub(crate) const RESERVE: u64 = 65_536;
/// How much may be written before the free space is looked at again, in bytes.
const UNCHECKED_BYTES_MAX: u64 = 1 << 20;
/// How long the free space is not looked at when little is written.
const UNCHECKED_TIME: std::time::Duration = std::time::Duration::from_secs(1);
/// A buffer that grew beyond this for one large write is given back, in bytes.
const BUFFER_BYTES_MAX: usize = 1 << 20;

pub(crate) struct Writer {
    pub(crate) log: LogRecord,
    pub(crate) space: Space,
    /// The newest number that is kept with a channel, among the frames written so far.
    pub(crate) newest: Seq,
    pub(crate) active: Active,
    pub(crate) keeper: Keeper,
    /// The frame that is being made, and where its events will lie; kept for their memory.
    buffer: Vec<u8>,
    entries: Vec<Entry>,
}

/// The segment that is being written.
pub(crate) struct Active {
    pub(crate) segment: Arc<Segment>,
    /// Where the next frame goes.
    pub(crate) end: u64,
    /// From here on the next segment is begun.
    pub(crate) capacity: u64,
    pub(crate) next_frame: u64,
    /// Whether a file for the next segment was asked for.
    pub(crate) ordered: bool,
    /// Segments before this one that have something that may not be synced, and whether this one has.
    unsynced: Vec<Arc<Segment>>,
    is_unsynced: bool,
    /// A segment to be finished, once the one after it has its first frame.
    full: Option<Arc<Segment>>,
}

impl Active {
    pub(crate) fn new(segment: Arc<Segment>, end: u64, capacity: u64, next_frame: u64) -> Self {
        Self { segment, end, capacity, next_frame, ordered: false, unsynced: Vec::new(), is_unsynced: true, full: None }
    }

    /// Syncs everything that was written.
    fn sync(&mut self) -> std::io::Result<()> {
        for segment in &self.unsynced {
            segment.file.sync_data()?;
        }
        self.segment.file.sync_data()?;
        self.unsynced.clear();
        self.is_unsynced = false;
        Ok(())
    }
}

/// The events of one channel in the frame that is being made.
struct Written {
    id: ChannelId,
    first_offset: u64,
    entries: std::ops::Range<usize>,
    is_described: bool,
}

impl Writer {
    pub(crate) fn new(log: LogRecord, newest: Seq, active: Active, keeper: Keeper) -> Self {
        let (buffer, entries) = Default::default();
        Self { log, space: Space::default(), newest, active, keeper, buffer, entries }
    }

    /// Keeps what the plan says; tells whether it was synced.
    pub(crate) fn write(&mut self, store: &Store, plan: &Plan) -> Result<bool, String> {
        store.check()?;
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
        self.go_on(store)?;
        let mut frame = self.begin();
        if must_sync || self.active.end == 0 {
            frame.log(&log);
        }
        let written = self.put_channels(store, plan, &mut frame);
        plan.answers.iter().for_each(|answer| frame.answer(answer));
        plan.forgotten.last().iter().for_each(|through| frame.forgotten(**through));
        self.commit(store, frame, synced || must_sync)?;
        self.publish(store, &written);
        let newest = plan.touched.values().map(|touched| newest_in(&touched.state)).max();
        self.newest = self.newest.max(newest.unwrap_or_default());
        self.log = log;
        Ok(synced || must_sync)
    }

    /// Has the segments finished that the last run left full.
    pub(crate) fn finish_older(&self, store: &Store) {
        let segments = store.segments();
        let is_older = |segment: &&Arc<Segment>| !Arc::ptr_eq(segment, &self.active.segment);
        let unfinished = |segment: &&Arc<Segment>| !segment.finished.load(Ordering::Relaxed);
        segments.iter().filter(is_older).filter(unfinished).for_each(|segment| self.keeper.finish(segment.clone()));
    }

    /// Writes the log's own record, synced.
    pub(crate) fn write_log(&mut self, store: &Store) -> Result<(), String> {
        self.go_on(store)?;
        let mut frame = self.begin();
        frame.log(&self.log);
        self.commit(store, frame, true)
    }

    fn begin(&mut self) -> FrameWriter {
        let mut bytes = std::mem::take(&mut self.buffer);
        bytes.clear();
        if self.active.end == 0 {
            self.active.segment.head.write(&mut bytes);
        }
        FrameWriter::new(bytes, self.active.end)
    }

    fn put_channels(&mut self, store: &Store, plan: &Plan, frame: &mut FrameWriter) -> Vec<Written> {
        let number = self.active.segment.head.number;
        self.entries.clear();
        let index = store.index();
        let mut put = |(&id, touched): (&ChannelId, &Touched)| {
            let start = self.entries.len();
            for event in &touched.fresh {
                let (place, length) = frame.event(id, event.id.seq, |bytes| write_event(bytes, id, event));
                // A frame that is too long for these is refused as a whole.
                let narrow = |wide: u64| u32::try_from(wide).unwrap_or(u32::MAX);
                self.entries.push(Entry {
                    seq: event.id.seq,
                    time: event.time,
                    place: narrow(place),
                    length: narrow(length as u64),
                    payload: narrow(event.payload.bytes.len() as u64),
                });
            }
            // What the events themselves do not tell.
            let is_described =
                touched.is_new || has_lost(touched) || index.described(id).is_none_or(|segment| segment != number);
            if is_described {
                frame.channel(id, &touched.name, &touched.state);
            }
            let first_offset = touched.fresh.front().map_or(0, |event| event.offset);
            Written { id, first_offset, entries: start..self.entries.len(), is_described }
        };
        plan.touched.iter().map(&mut put).collect()
    }

    /// Lets readers find what was written.
    fn publish(&self, store: &Store, written: &[Written]) {
        let segment = &self.active.segment;
        segment.events.fetch_add(self.entries.len() as u64, Ordering::Relaxed);
        let mut index = store.index_mut();
        for Written { id, first_offset, entries, is_described } in written {
            if *is_described {
                index.describe(*id, segment.head.number);
            }
            index.extend(*id, segment, *first_offset, &self.entries[entries.clone()]);
        }
    }

    fn commit(&mut self, store: &Store, frame: FrameWriter, sync: bool) -> Result<(), String> {
        let active = &mut self.active;
        let bytes = frame.finish(active.next_frame).ok_or("a write is larger than a frame may be")?;
        active.segment.file.write_all_at(&bytes, active.end).map_err(|error| error.to_string())?;
        active.end += bytes.len() as u64;
        active.segment.end.store(active.end, Ordering::Release);
        active.next_frame += 1;
        active.is_unsynced = true;
        if sync {
            active.sync().map_err(|error| error.to_string())?;
        }
        if bytes.capacity() <= BUFFER_BYTES_MAX {
            self.buffer = bytes;
        }
        if let Some(full) = active.full.take() {
            self.keeper.finish(full);
        }
        if !active.ordered && active.end >= active.capacity / 2 {
            active.ordered = true;
            self.keeper.set_aside(capacity(active.segment.head.number + 1, self.keeper.segment_bytes()));
        }
        store.check()
    }

    /// Begins the next segment if this one is full.
    fn go_on(&mut self, store: &Store) -> Result<(), String> {
        if self.active.end < self.active.capacity {
            return Ok(());
        }
        let last = &self.active.segment;
        let number = last.head.number + 1;
        let path = store.dir.join(segment::name(number));
        let file = match self.keeper.take_spare() {
            Some((spare, file)) => std::fs::rename(spare, &path).map(|()| file),
            // The keeper did not get to it: this one grows as it is written.
            None => segment::create(&path),
        };
        let file =
            file.and_then(|file| segment::sync_parent(&path).map(|()| file)).map_err(|error| error.to_string())?;
        let head = Head { number, through: number, first_frame: self.active.next_frame };
        let segment = Arc::new(Segment::new(head, path, file, 0, 0));
        store.segments().push(segment.clone());
        let capacity = capacity(number, self.keeper.segment_bytes());
        let last = std::mem::replace(&mut self.active, Active::new(segment, 0, capacity, head.first_frame));
        self.active.unsynced = last.unsynced;
        if last.is_unsynced {
            self.active.unsynced.push(last.segment.clone());
        }
        self.active.full = Some(last.segment);
        Ok(())
    }
}

fn has_lost(touched: &Touched) -> bool {
    touched.state.lost.map_or(Seq::ZERO, |lost| lost.through) != touched.lost_before
}

/// What readers can no longer get of the channels of a plan: up to which offset.
pub(crate) fn trims(plan: &Plan) -> Vec<(ChannelId, u64)> {
    let touched = plan.touched.iter().filter(|(_, touched)| has_lost(touched));
    touched.map(|(&id, touched)| (id, touched.state.head_offset - touched.state.events)).collect()
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
