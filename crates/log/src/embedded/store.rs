//! The segments of a log, and the reading of them. Decides nothing about events.
//!
//! The writer and the keeper change what is here, each its part, under the locks that are named below; readers copy what
//! they need under a lock and read files without one.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bongsu_core::Seq;

use super::frame::Entry;
use super::index::Index;
use super::segment::{Segment, Window};
use crate::ledger::ChannelId;

/// How many entries are looked up at once.
const PAGE_ENTRIES: usize = 64;

/// Some events of a segment.
pub(crate) type Page = (Arc<Segment>, Vec<Entry>);

/// The files of a log and where its events lie in them.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) dir: PathBuf,
    /// Written by the sequencer after each append, by the keeper when a segment is finished or replaced; held for short.
    index: RwLock<Index>,
    /// All segments, in order; the last one is being written. Changed by the sequencer, which adds, and by the keeper, which
    /// replaces.
    segments: Mutex<Vec<Arc<Segment>>>,
    /// Why nothing can be written any more, if the keeper found that.
    failed: OnceLock<String>,
}

impl Store {
    pub(crate) fn new(dir: PathBuf, index: Index, segments: Vec<Arc<Segment>>) -> Self {
        Self { dir, index: RwLock::new(index), segments: Mutex::new(segments), failed: OnceLock::new() }
    }

    pub(crate) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn segments(&self) -> MutexGuard<'_, Vec<Arc<Segment>>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails if the keeper could not sync: nothing more can be written then.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.failed.get().map_or(Ok(()), |why| Err(why.clone()))
    }

    pub(crate) fn fail(&self, why: String) {
        self.failed.get_or_init(|| why);
    }

    /// The events of a channel after `after` up to and including `upto`.
    pub(crate) fn events(&self, channel: ChannelId, after: Seq, upto: Seq) -> Events<'_> {
        let page = Vec::new().into_iter();
        Events { store: self, channel, after, upto, segment: None, page, window: Window::default() }
    }

    /// Where the first events of a channel after `after` lie: those of one segment, not all of them if they are many.
    pub(crate) fn page(&self, channel: ChannelId, after: Seq) -> Result<Option<Page>, String> {
        let part = self.index().part_after(channel, after, PAGE_ENTRIES);
        part.map(|part| Ok((part.segment.clone(), part.after(after, PAGE_ENTRIES)?))).transpose()
    }

    /// The offset and number of the newest event of a channel at or before `position`.
    pub(crate) fn newest(&self, channel: ChannelId, position: Seq) -> Result<Option<(u64, Seq)>, String> {
        let part = self.index().part_at(channel, position);
        let newest = part.map(|part| part.newest(position)).transpose()?.flatten();
        Ok(newest.map(|(offset, entry)| (offset, entry.seq)))
    }

    /// The number of the event at `offset`.
    pub(crate) fn seq_at(&self, channel: ChannelId, offset: u64) -> Result<Option<Seq>, String> {
        let part = self.index().part_with(channel, offset);
        part.map(|part| part.at(offset).map(|entry| entry.seq)).transpose()
    }
}

/// Events of a channel as they lie in the segments, in order. What is trimmed meanwhile may be left out.
pub(crate) struct Events<'a> {
    store: &'a Store,
    channel: ChannelId,
    after: Seq,
    upto: Seq,
    segment: Option<Arc<Segment>>,
    page: std::vec::IntoIter<Entry>,
    window: Window,
}

impl Events<'_> {
    fn step(&mut self) -> Result<Option<(Entry, Vec<u8>)>, String> {
        if self.page.len() == 0 {
            let Some((segment, page)) = self.store.page(self.channel, self.after)? else {
                return Ok(None);
            };
            if self.segment.as_ref().is_none_or(|before| !Arc::ptr_eq(before, &segment)) {
                self.window = Window::default();
            }
            (self.segment, self.page) = (Some(segment), page.into_iter());
        }
        let (Some(entry), Some(segment)) = (self.page.next(), &self.segment) else {
            return Ok(None);
        };
        if entry.seq > self.upto {
            return Ok(None);
        }
        self.after = entry.seq;
        let record = segment.record(&entry, &mut self.window).map_err(|error| error.to_string())?;
        Ok(Some((entry, record)))
    }
}

impl Iterator for Events<'_> {
    type Item = Result<(Entry, Vec<u8>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}
