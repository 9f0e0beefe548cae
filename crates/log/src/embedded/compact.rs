//! Rewrites segments in which little lives as one in which nothing else is.
//!
//! Within a segment the events of a channel that live are always its newest, since trims take the oldest first. So segments
//! that follow each other become one in which every channel is again one run without a hole. The new file takes the place of
//! the first of the old ones and says which others it stands for; a crash before they are removed is seen at the opening.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bongsu_core::Seq;

use super::directory::{Described, Directory, ENTRY_BYTES, Entries};
use super::frame::Head;
use super::index::{Run, Table};
use super::segment::{self, Segment, Window, create, finished, sync_parent, write_in_steps};
use super::store::Store;
use crate::ledger::ChannelId;

/// So many segments that follow each other are made one if they are small.
const SMALL_SEGMENTS: usize = 8;
/// How many entries are read at once.
const ENTRIES_AT_ONCE: u64 = 512;
/// How much is gathered before it is written, in bytes.
const WRITE_BYTES: usize = 1 << 20;

/// Which segments are worth rewriting: those that give back at least as much as has to be copied.
pub(crate) fn choose(segments: &[Arc<Segment>], segment_bytes: u64) -> Option<Range<usize>> {
    let sizes = segments.iter().map(|segment| (segment.end.load(Ordering::Relaxed), segment.dead_bytes()));
    choose_of(&sizes.collect::<Vec<_>>(), segment_bytes)
}

fn choose_of(sizes: &[(u64, u64)], segment_bytes: u64) -> Option<Range<usize>> {
    let (mut start, mut kept, mut dead) = (0, 0, 0);
    for (index, (bytes, dead_bytes)) in sizes.iter().enumerate() {
        let lives = bytes - dead_bytes.min(bytes);
        if kept + lives > segment_bytes {
            (start, kept, dead) = (index, 0, 0);
        }
        (kept, dead) = (kept + lives, dead + dead_bytes.min(bytes));
        let range = start..index + 1;
        let is_small = range.len() >= SMALL_SEGMENTS && kept <= segment_bytes / 4;
        if (dead >= kept && dead >= segment_bytes / 2) || is_small {
            return Some(range);
        }
    }
    None
}

/// What is left of one channel.
struct Left {
    described: Described,
    /// Its segments, with where its table is, the offset it begins with there, and the offsets that live.
    parts: Vec<(Arc<Segment>, u64, u64, Range<u64>)>,
}

/// Makes one segment of `old`, which follow each other and are finished.
pub(crate) fn compact(store: &Store, old: &[Arc<Segment>], go_on: impl Fn() -> bool) -> io::Result<()> {
    let (Some(first), Some(last)) = (old.first(), old.last()) else {
        return Ok(());
    };
    let head = Head { through: last.head.through, ..first.head };
    let Some((mut directory, left)) = gather(store, old)? else {
        return Err(io::Error::other("a segment is not finished"));
    };
    sync_newer(store, head.through)?;
    let path = first.path.with_extension("new");
    let file = create(&path)?;
    let mut copy = Copy { file, place: 0, bytes: Vec::new(), entries: Entries::new() };
    head.write(&mut copy.bytes);
    for (&id, left) in &left {
        if !go_on() {
            return Err(io::Error::other("stopped"));
        }
        copy.channel(id, left)?;
    }
    copy.flush()?;
    let Copy { file, place: end, entries, .. } = copy;
    directory.events = entries.values().map(|entries| entries.len() as u64).sum();
    describe(&mut directory, &entries, left);
    segment::finish(&file, &directory, &entries, end)?;
    fs::rename(&path, &first.path)?;
    sync_parent(&path)?;
    let new = Arc::new(Segment::new(head, first.path.clone(), file, end, directory.events));
    new.finished.store(true, Ordering::Release);
    swap(store, &new, &directory, end);
    for old in &old[1..] {
        // If it stays, the next opening removes it.
        let _ = fs::remove_file(&old.path);
    }
    Ok(())
}

/// What has to be kept of `old`: events that live, and all channels, also those that newer segments tell of too: if the disk
/// loses these, the log can go on from here.
fn gather(store: &Store, old: &[Arc<Segment>]) -> io::Result<Option<(Directory, BTreeMap<ChannelId, Left>)>> {
    let mut directory = Directory::default();
    let mut left: BTreeMap<ChannelId, Left> = BTreeMap::new();
    for segment in old {
        let Some((found, mut table)) = finished(&segment.file)? else {
            return Ok(None);
        };
        directory.answers.extend(found.answers);
        directory.forgotten = directory.forgotten.max(found.forgotten);
        directory.log = found.log.or(directory.log);
        directory.next_frame = found.next_frame;
        for (id, described) in found.channels {
            let (at, count) = (table, u64::from(described.count));
            table += count * ENTRY_BYTES as u64;
            let first = described.first_offset;
            let lives = first.max(store.index().trimmed(id) + 1)..first + count;
            let known = left.entry(id).or_insert_with(|| Left { described: described.clone(), parts: Vec::new() });
            known.described = described;
            if !lives.is_empty() {
                known.parts.push((segment.clone(), at, first, lives));
            }
        }
    }
    directory.answers.retain(|answer| answer.receipt.seq > directory.forgotten);
    Ok(Some((directory, left)))
}

/// What is left out is left out because newer segments say so: they must be on the disk before the older ones go.
fn sync_newer(store: &Store, than: u64) -> io::Result<()> {
    let segments = store.segments().clone();
    let is_newer = |segment: &&Arc<Segment>| segment.head.number > than && !segment.finished.load(Ordering::Acquire);
    for segment in segments.iter().filter(is_newer) {
        let synced = File::open(&segment.path).and_then(|file| file.sync_data());
        synced.inspect_err(|error| store.fail(error.to_string()))?;
    }
    Ok(())
}

/// The new segment while it is being written.
struct Copy {
    file: File,
    /// How much is written.
    place: u64,
    bytes: Vec<u8>,
    entries: Entries,
}

impl Copy {
    fn channel(&mut self, id: ChannelId, left: &Left) -> io::Result<()> {
        for (segment, table, first, lives) in &left.parts {
            let mut window = Window::default();
            let mut offset = lives.start;
            while offset < lives.end {
                let count = (lives.end - offset).min(ENTRIES_AT_ONCE);
                let found = segment.entries(id, *table, *first, offset, count as usize).map_err(io::Error::other)?;
                for mut entry in found {
                    let record = segment.record(&entry, &mut window)?;
                    entry.place =
                        u32::try_from(self.place + self.bytes.len() as u64).map_err(|_| io::ErrorKind::FileTooLarge)?;
                    self.bytes.extend_from_slice(&record);
                    self.entries.entry(id).or_default().push(entry);
                }
                offset += count;
                if self.bytes.len() >= WRITE_BYTES {
                    self.flush()?;
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        write_in_steps(&self.file, &self.bytes, self.place)?;
        self.place += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }
}

fn describe(directory: &mut Directory, entries: &Entries, left: BTreeMap<ChannelId, Left>) {
    for (id, Left { mut described, parts }) in left {
        let entries = entries.get(&id).map(Vec::as_slice).unwrap_or_default();
        described.first_offset = parts.first().map_or(described.state.head_offset + 1, |(_, _, _, lives)| lives.start);
        described.count = entries.len() as u32;
        described.first = entries.first().map_or(Seq::ZERO, |entry| entry.seq);
        described.last = entries.last().map_or(Seq::ZERO, |entry| entry.seq);
        directory.channels.insert(id, described);
    }
}

/// Lets readers find the events where they are now.
fn swap(store: &Store, new: &Arc<Segment>, directory: &Directory, mut table: u64) {
    let Head { number, through, .. } = new.head;
    // Channels of which nothing lives have no run here; a run that died meanwhile was taken out already.
    for (&id, described) in &directory.channels {
        let run = Run {
            segment: new.clone(),
            first: described.first,
            last: described.last,
            first_offset: described.first_offset,
            count: described.count,
            dead: 0,
            table: Table::Disk(table),
        };
        table += u64::from(described.count) * ENTRY_BYTES as u64;
        store.index_mut().replace(id, number, through, Some(run).filter(|run| run.count > 0));
    }
    let mut segments = store.segments();
    let at = segments.partition_point(|segment| segment.head.number < number);
    segments.retain(|segment| segment.head.number < number || segment.head.number > through);
    segments.insert(at, new.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gives_back_as_much_as_it_costs_is_rewritten() {
        let cases = [
            (vec![], None),
            (vec![(100, 0), (100, 49)], None),
            (vec![(100, 100)], Some(0..1)),
            (vec![(100, 50)], Some(0..1)),
            (vec![(100, 0), (100, 60)], Some(1..2)),
            (vec![(100, 30), (100, 30), (100, 100)], Some(1..3)),
            (vec![(10, 0); 7], None),
            (vec![(3, 0); 8], Some(0..8)),
        ];
        for (sizes, expected) in cases {
            assert_eq!(choose_of(&sizes, 100), expected, "{sizes:?}");
        }
    }
}
