//! One segment: a file of the log, and the reading of what is at a known place in it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::directory::{self, Directory, ENTRY_BYTES, Entries, TRAILER_BYTES, parse_trailer, read_entry};
use super::frame::{Entry, Head};
use crate::ledger::ChannelId;

/// How much is set aside and synced at a time, in bytes: so little that a sync of the log beside it waits no longer for it.
const SET_ASIDE_STEP_BYTES: usize = 256 << 10;

/// A file of the log. Its frames never change; a finished one has its table and its directory after them.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) head: Head,
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    /// All bytes up to the end of the frames, and how many events they have. Written by whoever writes the segment.
    pub(crate) end: AtomicU64,
    pub(crate) events: AtomicU64,
    /// How many of them are still kept. Changed under the lock of the index.
    pub(crate) live: AtomicU64,
    /// Whether it has its directory, and all of it is on the disk. Set by the keeper.
    pub(crate) finished: AtomicBool,
}

/// The name of the file of a segment.
pub(crate) fn name(number: u64) -> String {
    format!("{number:016x}.seg")
}

/// The number of the segment with this file name.
pub(crate) fn parse_name(path: &Path) -> Option<u64> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".seg")?;
    u64::from_str_radix(stem, 16).ok().filter(|_| stem.len() == 16)
}

impl Segment {
    pub(crate) fn new(head: Head, path: PathBuf, file: File, end: u64, events: u64) -> Self {
        let (end, events) = (AtomicU64::new(end), AtomicU64::new(events));
        Self { head, path, file, end, events, live: AtomicU64::new(0), finished: AtomicBool::new(false) }
    }

    /// The bytes of one record.
    pub(crate) fn record(&self, entry: &Entry, window: &mut Window) -> io::Result<Vec<u8>> {
        window.read(self, u64::from(entry.place), entry.length as usize)
    }

    /// The entries of `count` events of a channel from `offset` on. `table` is where its first, of `first_offset`, is.
    pub(crate) fn entries(
        &self,
        id: ChannelId,
        table: u64,
        first_offset: u64,
        offset: u64,
        count: usize,
    ) -> Result<Vec<Entry>, String> {
        let mut bytes = vec![0; count * ENTRY_BYTES];
        let place = table + (offset - first_offset) * ENTRY_BYTES as u64;
        self.file.read_exact_at(&mut bytes, place).map_err(|error| error.to_string())?;
        let (entries, _) = bytes.as_chunks::<ENTRY_BYTES>();
        let read = |(entry, offset)| read_entry(id, offset, entry).map_err(|_| damaged_entry(offset));
        entries.iter().zip(offset..).map(read).collect()
    }

    /// About how many bytes of it are dead.
    pub(crate) fn dead_bytes(&self) -> u64 {
        let (events, live) = (self.events.load(Ordering::Relaxed), self.live.load(Ordering::Relaxed));
        let bytes = u128::from(self.end.load(Ordering::Relaxed));
        let dead = u128::from(events.saturating_sub(live));
        u64::try_from(bytes * dead / u128::from(events.max(1))).unwrap_or(u64::MAX)
    }
}

fn damaged_entry(offset: u64) -> String {
    format!("the table says nothing of the event at offset {offset} that can be trusted: it is damaged")
}

/// Bytes read ahead from one segment, for records that lie one after the other.
#[derive(Default)]
pub(crate) struct Window {
    place: u64,
    bytes: Vec<u8>,
}

/// How much is read ahead, in bytes.
const WINDOW_BYTES: u64 = 16 << 10;

impl Window {
    fn read(&mut self, segment: &Segment, place: u64, length: usize) -> io::Result<Vec<u8>> {
        if let Some(record) = self.find(place, length) {
            return Ok(record);
        }
        // What comes after the last frame may be written to meanwhile, so it is not remembered.
        let end = segment.end.load(Ordering::Acquire);
        let ahead = end.saturating_sub(place).min(WINDOW_BYTES);
        if length as u64 > ahead / 2 {
            let mut record = vec![0; length];
            return segment.file.read_exact_at(&mut record, place).map(|()| record);
        }
        self.place = place;
        self.bytes.resize(ahead as usize, 0);
        segment.file.read_exact_at(&mut self.bytes, place).inspect_err(|_| self.bytes.clear())?;
        Ok(self.bytes[..length].to_vec())
    }

    fn find(&self, place: u64, length: usize) -> Option<Vec<u8>> {
        let start = usize::try_from(place.checked_sub(self.place)?).ok()?;
        self.bytes.get(start..start.checked_add(length)?).map(<[u8]>::to_vec)
    }
}

/// What a finished segment holds, and where the table of each channel is; `None` if it is not finished.
pub(crate) fn finished(file: &File) -> io::Result<Option<(Directory, u64)>> {
    let length = file.metadata()?.len();
    let Some(at) = length.checked_sub(TRAILER_BYTES as u64) else {
        return Ok(None);
    };
    let mut trailer = [0; TRAILER_BYTES];
    file.read_exact_at(&mut trailer, at)?;
    let Some((start, table, sum)) = parse_trailer(&trailer).filter(|(start, table, _)| table <= start && *start <= at)
    else {
        return Ok(None);
    };
    let mut bytes = vec![0; usize::try_from(at - start).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, start)?;
    Ok(directory::read(&bytes, sum).ok().map(|directory| (directory, table)))
}

/// Writes what a segment holds behind its frames, which end at `place`, and gives back what it did not need.
pub(crate) fn finish(file: &File, directory: &Directory, entries: &Entries, place: u64) -> io::Result<()> {
    let bytes = directory::write(directory, entries, place);
    write_in_steps(file, &bytes, place)?;
    file.set_len(place + bytes.len() as u64)?;
    file.sync_all()
}

/// Writes and syncs piece by piece.
pub(crate) fn write_in_steps(file: &File, bytes: &[u8], place: u64) -> io::Result<()> {
    let mut place = place;
    for step in bytes.chunks(SET_ASIDE_STEP_BYTES) {
        file.write_all_at(step, place)?;
        file.sync_data()?;
        place += step.len() as u64;
    }
    Ok(())
}

/// Fills a new file with zeros, so that a sync of what is written there later need not also bring the length and the places
/// of the file to the disk.
pub(crate) fn set_aside(path: &Path, bytes: u64, go_on: impl Fn() -> bool) -> io::Result<Option<File>> {
    let file = create(path)?;
    let step = [0; SET_ASIDE_STEP_BYTES];
    let mut place = 0;
    while place < bytes {
        if !go_on() {
            return Ok(None);
        }
        file.write_all_at(&step, place)?;
        file.sync_data()?;
        place += step.len() as u64;
    }
    file.sync_all()?;
    Ok(Some(file))
}

/// Makes an empty file for a segment.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)
}

pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// The segments in `dir`, by their numbers. Files that were not finished under another name are removed.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "new") {
            fs::remove_file(&path)?;
        } else if let Some(number) = parse_name(&path) {
            segments.push((number, path));
        }
    }
    segments.sort();
    Ok(segments)
}

/// The position before the first entry that `is_before` does not hold for, found by halving.
pub(crate) fn partition(count: u64, mut is_before: impl FnMut(u64) -> Result<bool, String>) -> Result<u64, String> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(middle)? { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}
