//! Finds out what the segments of a log hold, and mends what a crash has left of their end.
//!
//! The log is what comes before the first frame that is not whole. A crash leaves such a frame at the very end, and nothing
//! that was acknowledged as synced is behind it. If something is, because the disk lost or spoiled what it had confirmed,
//! what follows has no ground to stand on: it is kept aside and cut off, and the opener, who knows how far the log was
//! synced, tells the loss.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bongsu_core::log::{ChannelState, Lost, LostReason};
use bongsu_core::{ChannelName, Seq};

use super::directory::{Directory, ENTRY_BYTES, Entries, Scan, scan};
use super::error::OpenError;
use super::frame::Head;
use super::home::sync_directory;
use super::index::{Index, Run, Table};
use super::record::LogRecord;
use super::segment::{Segment, finished, list, name};
use crate::ledger::{Answer, ChannelId};

/// What was cut off the end of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The segment that has the end.
    pub segment: PathBuf,
    /// Where the good part ends, in bytes.
    pub at: u64,
    /// How many bytes followed, later segments included.
    pub bytes: u64,
    /// The directory in which they are kept; `None` if nothing that was acknowledged can have been among them.
    pub kept: Option<PathBuf>,
}

impl Torn {
    /// Throws away what was cut off: every crash leaves such an end, and nobody was ever told that it was kept.
    pub(crate) fn forget(&mut self) {
        if let Some(kept) = self.kept.take() {
            // If it stays, it takes a little space.
            let _ = fs::remove_dir_all(kept);
        }
    }
}

/// What the segments hold.
#[derive(Default)]
pub(crate) struct Recovered {
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) index: Index,
    pub(crate) channels: Vec<(ChannelName, ChannelState)>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) log: Option<LogRecord>,
    pub(crate) torn: Option<Torn>,
    /// The number of the next frame.
    pub(crate) next_frame: u64,
    found: BTreeMap<ChannelId, (ChannelName, ChannelState)>,
    forgotten: Seq,
}

/// Reads the segments in `dir`. What has to be cut off is kept in a directory below `aside`.
pub(crate) fn recover(dir: &Path, aside: &Path) -> Result<Recovered, OpenError> {
    let mut recovered = Recovered::default();
    let mut files = list(dir).map_err(OpenError::io(dir, "reading"))?;
    drop_unused(&mut files)?;
    check_complete(dir, &files)?;
    let mut covered = None;
    for (index, (number, path)) in files.iter().enumerate() {
        if covered.is_some_and(|covered| *number <= covered) {
            // Another segment stands for it; the process ended before it was removed.
            fs::remove_file(path).map_err(OpenError::io(path, "removing"))?;
            continue;
        }
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(OpenError::io(path, "opening"))?;
        let next = files.get(index + 1).and_then(|(_, path)| head_of(path));
        match recovered.segment(*number, path, file, next)? {
            Step::Whole(through) => covered = Some(through),
            Step::Cut(place) => {
                let rest = files[index + 1..].iter().map(|(_, path)| path.as_path());
                let torn = cut(path, place, rest, aside).map_err(OpenError::io(path, "mending"))?;
                recovered.torn = torn;
                break;
            }
        }
    }
    recovered.settle(dir)
}

/// Fails if a file is missing among the segments. Files are made and removed in order and with care, so no crash does that.
fn check_complete(dir: &Path, files: &[(u64, PathBuf)]) -> Result<(), OpenError> {
    // The first is always number 0: what takes the place of others has the number of the first of them.
    let mut expected = 0;
    for (number, path) in files {
        if *number > expected {
            return Err(OpenError::damaged(dir, format!("the segment {} is missing", name(expected))));
        }
        let through = head_of(path).map_or(*number, |head| head.through.max(*number));
        expected = expected.max(through + 1);
    }
    Ok(())
}

/// What came out of one segment.
enum Step {
    /// It is good, and stands for all up to this number.
    Whole(u64),
    /// It is good up to this place.
    Cut(u64),
}

impl Recovered {
    fn segment(&mut self, number: u64, path: &Path, file: File, next: Option<Head>) -> Result<Step, OpenError> {
        let expected = self.segments.last().map(|_| self.next_frame);
        let head = head_of(path).filter(|head| head.number == number);
        let Some(head) = head.filter(|head| expected.is_none_or(|expected| expected == head.first_frame)) else {
            return Ok(Step::Cut(0));
        };
        if let Some((directory, table)) = finished(&file).map_err(OpenError::io(path, "reading"))? {
            let segment = Segment::new(head, path.to_owned(), file, table, directory.events);
            segment.finished.store(true, Ordering::Relaxed);
            self.take(segment, directory, Tables::Disk(table));
            return Ok(Step::Whole(head.through));
        }
        if head.through != number {
            return Err(OpenError::damaged(
                path,
                "its directory is unreadable, and its events cannot be found without it",
            ));
        }
        let bytes = fs::read(path).map_err(OpenError::io(path, "reading"))?;
        let unknown = |_| OpenError::damaged(path, "it has a write that is whole and makes no sense");
        let Scan { directory, entries, end } = scan(&bytes, &head).map_err(unknown)?;
        let rest = bytes[end..].iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        // Behind the last frame of a full segment there may be a directory that was not finished.
        let is_full = next.is_some_and(|next| next.first_frame == directory.next_frame);
        let segment = Segment::new(head, path.to_owned(), file, end as u64, directory.events);
        if end == Head::BYTES {
            // Not one whole frame: it is as if it had not been begun.
            return Ok(Step::Cut(0));
        }
        self.take(segment, directory, Tables::Memory(entries));
        if is_full || (rest == 0 && next.is_none()) { Ok(Step::Whole(number)) } else { Ok(Step::Cut(end as u64)) }
    }

    fn take(&mut self, segment: Segment, directory: Directory, mut tables: Tables) {
        let segment = Arc::new(segment);
        for (id, described) in directory.channels {
            self.index.describe(id, segment.head.through);
            let table = tables.next(id, described.count);
            if described.count > 0 {
                let run = Run {
                    segment: segment.clone(),
                    first: described.first,
                    last: described.last,
                    first_offset: described.first_offset,
                    count: described.count,
                    dead: 0,
                    table,
                };
                self.index.restore(id, run);
            }
            self.found.insert(id, (described.name, described.state));
        }
        self.answers.extend(directory.answers);
        self.forgotten = self.forgotten.max(directory.forgotten);
        self.log = directory.log.or(self.log.take());
        self.next_frame = directory.next_frame;
        self.segments.push(segment);
    }

    /// Puts together what all segments told.
    fn settle(mut self, dir: &Path) -> Result<Self, OpenError> {
        for (expected, (id, (name, state))) in (0..).zip(std::mem::take(&mut self.found)) {
            if id != expected {
                return Err(OpenError::damaged(dir, format!("channel number {expected} is missing")));
            }
            self.index.trim(id, state.head_offset - state.events);
            let state = if self.torn.is_some() {
                // What was cut off may have told of trims, for which events were let go.
                self.give_up_missing(id, state).map_err(|what| OpenError::damaged(dir, what))?
            } else {
                state
            };
            self.channels.push((name, state));
        }
        let forgotten = self.forgotten;
        self.answers.retain(|answer| answer.receipt.seq > forgotten);
        Ok(self)
    }
}

impl Recovered {
    /// The state of a channel without the events that are not there, which are its oldest.
    fn give_up_missing(&mut self, id: ChannelId, state: ChannelState) -> Result<ChannelState, String> {
        let oldest = self.index.oldest_dense(id, state.head_offset);
        if oldest <= state.oldest_offset() || state.events == 0 {
            return Ok(state);
        }
        self.index.trim(id, oldest - 1);
        let oldest_entry = self.index.part_with(id, oldest).map(|part| part.at(oldest)).transpose()?;
        let mut bytes = 0;
        // From just before the oldest on, so that nothing of what was given up counts.
        let mut after = oldest_entry.map_or(state.last_seq, |oldest| Seq(oldest.seq.0 - 1));
        let through = after;
        while let Some(part) = self.index.part_after(id, after, usize::MAX) {
            for entry in part.after(after, usize::MAX)? {
                bytes += u64::from(entry.payload);
                after = entry.seq;
            }
        }
        Ok(ChannelState {
            lost: Some(Lost { through, reason: LostReason::Expired }),
            events: state.head_offset + 1 - oldest,
            bytes,
            oldest_time: oldest_entry.map(|oldest| oldest.time),
            ..state
        })
    }
}

/// Where the entries of a segment are.
enum Tables {
    Memory(Entries),
    /// Where the entries of the next channel begin.
    Disk(u64),
}

impl Tables {
    fn next(&mut self, id: ChannelId, count: u32) -> Table {
        match self {
            Self::Memory(entries) => Table::Memory(entries.remove(&id).unwrap_or_default()),
            Self::Disk(place) => {
                let at = *place;
                *place += u64::from(count) * ENTRY_BYTES as u64;
                Table::Disk(at)
            }
        }
    }
}

fn head_of(path: &Path) -> Option<Head> {
    use std::os::unix::fs::FileExt;
    let mut bytes = [0; Head::BYTES];
    File::open(path).and_then(|file| file.read_exact_at(&mut bytes, 0)).ok()?;
    Head::read(&bytes).ok()
}

/// Removes files at the end of the list in which nothing was ever written.
fn drop_unused(files: &mut Vec<(u64, PathBuf)>) -> Result<(), OpenError> {
    while let Some((_, path)) = files.last() {
        let bytes = fs::read(path).map_err(OpenError::io(path, "reading"))?;
        if bytes.iter().any(|&byte| byte != 0) {
            return Ok(());
        }
        fs::remove_file(path).map_err(OpenError::io(path, "removing the unused"))?;
        files.pop();
    }
    Ok(())
}

/// Cuts a segment at `place`, and everything after it; all of it is kept aside.
fn cut<'a>(path: &Path, place: u64, later: impl Iterator<Item = &'a Path>, aside: &Path) -> io::Result<Option<Torn>> {
    let bytes = fs::read(path)?;
    let rest = &bytes[place as usize..];
    let length = rest.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let kept = aside.join(format!("segment-{stem}-from-{place}"));
    fs::create_dir_all(&kept)?;
    let write = |to: &Path, bytes: &[u8]| fs::write(to, bytes).and_then(|()| File::open(to)?.sync_all());
    write(&kept.join(format!("{stem}.rest")), &rest[..length])?;
    let mut cut = length as u64;
    for later in later {
        let bytes = fs::read(later)?;
        let to = kept.join(later.file_name().unwrap_or_default());
        write(&to, &bytes)?;
        cut += bytes.len() as u64;
        sync_directory(&kept)?;
        fs::remove_file(later)?;
    }
    sync_directory(&kept)?;
    // Only now that the rest is safe.
    if place == 0 {
        fs::remove_file(path)?;
    } else {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(place)?;
        file.sync_all()?;
    }
    Ok(Some(Torn { segment: path.to_owned(), at: place, bytes: cut, kept: Some(kept) }))
}
