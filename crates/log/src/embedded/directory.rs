//! What a segment holds, as it is known without reading its events: its directory.
//!
//! It is found out by reading the frames, and written after them once the segment takes no more, together with a table of
//! where each event lies; so a log is opened without reading its events. Pure: knows no files.

use std::collections::BTreeMap;

use bongsu_core::Seq;
use bongsu_core::log::ChannelState;
use bongsu_core::{ChannelName, Millis};

use super::codec::{Damaged, Reader, Writer};
use super::frame::{Entry, Head, Item, frame_at, items};
use super::record::{
    LogRecord, read_answer, read_channel_id, read_log, read_name, read_state, write_answer, write_log, write_state,
};
use crate::ledger::{Answer, ChannelId};

/// The length of an entry in a table, in bytes.
pub(crate) const ENTRY_BYTES: usize = 32;
/// The length of what follows a directory, in bytes: where its two parts begin, and their checksum.
pub(crate) const TRAILER_BYTES: usize = 28;
const TRAILER_MAGIC: [u8; 8] = *b"bongsuD2";

/// One channel in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) name: ChannelName,
    /// After the last frame of the segment.
    pub(crate) state: ChannelState,
    /// The offset of the first of its events.
    pub(crate) first_offset: u64,
    pub(crate) first: Seq,
    pub(crate) last: Seq,
    /// How many of its events are here, without a hole.
    pub(crate) count: u32,
}

/// What a segment holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Directory {
    pub(crate) channels: BTreeMap<ChannelId, Described>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) forgotten: Seq,
    pub(crate) log: Option<LogRecord>,
    /// The number of the frame that comes after this segment.
    pub(crate) next_frame: u64,
    /// All events in it, those that lie before a hole included.
    pub(crate) events: u64,
}

/// Where the events of each channel lie.
pub(crate) type Entries = BTreeMap<ChannelId, Vec<Entry>>;

/// What the frames of a segment tell.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) directory: Directory,
    pub(crate) entries: Entries,
    /// The end of the last whole frame.
    pub(crate) end: usize,
}

/// Reads all frames of a segment, up to the first that is not whole.
pub(crate) fn scan(segment: &[u8], head: &Head) -> Result<Scan, Damaged> {
    let mut scan = Scan { end: Head::BYTES, ..Scan::default() };
    scan.directory.next_frame = head.first_frame;
    while let Some(frame) = frame_at(segment, scan.end, scan.directory.next_frame) {
        let place = scan.end;
        items(frame, place, |item| scan.take(item))?;
        scan.end += frame.len();
        scan.directory.next_frame += 1;
    }
    // A channel is described by the frame that first names it here.
    if scan.entries.keys().any(|id| !scan.directory.channels.contains_key(id)) {
        return Err(Damaged);
    }
    for (id, described) in &mut scan.directory.channels {
        let entries = scan.entries.get(id).map(Vec::as_slice).unwrap_or_default();
        described.first = entries.first().map_or(Seq::ZERO, |entry| entry.seq);
        described.last = entries.last().map_or(Seq::ZERO, |entry| entry.seq);
        described.count = u32::try_from(entries.len()).map_err(|_| Damaged)?;
    }
    Ok(scan)
}

impl Scan {
    fn take(&mut self, item: Item) {
        let Self { directory, entries, .. } = self;
        match item {
            Item::Event { channel, offset, entry } => {
                directory.events += 1;
                let entries = entries.entry(channel).or_default();
                if let Some(described) = directory.channels.get_mut(&channel) {
                    // What lies before a hole was trimmed by the frame that made the hole.
                    if described.first_offset + entries.len() as u64 != offset {
                        entries.clear();
                    }
                    follow(&mut described.state, offset, &entry);
                    if entries.is_empty() {
                        described.first_offset = offset;
                    }
                }
                entries.push(entry);
            }
            // It comes after the events of its frame, and says what they lead to.
            Item::Channel { id, name, state } => {
                let count = entries.get(&id).map_or(0, Vec::len) as u64;
                let first_offset = directory.channels.get(&id).map(|described| described.first_offset);
                let first_offset = first_offset.filter(|_| count > 0).unwrap_or(state.head_offset + 1 - count);
                let described = Described { name, state, first_offset, first: Seq::ZERO, last: Seq::ZERO, count: 0 };
                directory.channels.insert(id, described);
            }
            Item::Answer(answer) => directory.answers.push(answer),
            Item::Forgotten(through) => directory.forgotten = through,
            Item::Log(log) => directory.log = Some(log),
        }
    }
}

/// What an event does to the state of its channel, if nothing else happened.
fn follow(state: &mut ChannelState, offset: u64, entry: &Entry) {
    if offset <= state.head_offset {
        return;
    }
    state.head_offset = offset;
    state.last_seq = entry.seq;
    state.events += 1;
    state.bytes += u64::from(entry.payload);
    state.oldest_time.get_or_insert(entry.time);
}

/// The bytes that follow the frames of a finished segment: the table, the directory, the trailer. `place` is where they will
/// begin. Entries are asked for channel by channel.
pub(crate) fn write(directory: &Directory, entries: &Entries, place: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (&id, described) in &directory.channels {
        for (entry, offset) in entries.get(&id).into_iter().flatten().zip(described.first_offset..) {
            write_entry(&mut bytes, id, offset, entry);
        }
    }
    let start = bytes.len();
    let mut writer = Writer::fields(&mut bytes);
    writer.number(directory.next_frame).number(directory.events).number(directory.forgotten.0);
    writer.byte(u8::from(directory.log.is_some()));
    directory.log.iter().for_each(|log| write_log(&mut writer, log));
    writer.number(directory.answers.len() as u64);
    directory.answers.iter().for_each(|answer| write_answer(&mut writer, answer));
    writer.number(directory.channels.len() as u64);
    for (&id, described) in &directory.channels {
        writer.number(id.into()).text(described.name.as_str());
        write_state(&mut writer, &described.state);
        writer.number(described.count.into()).number(described.first_offset);
        writer.number(described.first.0).number(described.last.0);
    }
    let sum = crc32fast::hash(&bytes[start..]);
    let mut trailer = Vec::with_capacity(TRAILER_BYTES);
    trailer.extend(TRAILER_MAGIC);
    trailer.extend((place + start as u64).to_le_bytes());
    trailer.extend(place.to_le_bytes());
    trailer.extend(sum.to_le_bytes());
    bytes.extend(trailer);
    bytes
}

/// Where the parts of a directory begin, from the last bytes of a segment; `None` if they are no trailer.
pub(crate) fn parse_trailer(trailer: &[u8]) -> Option<(u64, u64, [u8; 4])> {
    let mut reader = Reader::fields(trailer);
    let is_trailer = reader.array().ok()? == TRAILER_MAGIC;
    let (directory, table) = (u64::from_le_bytes(reader.array().ok()?), u64::from_le_bytes(reader.array().ok()?));
    let sum = reader.array().ok()?;
    is_trailer.then_some((directory, table, sum))
}

/// The directory that `bytes` hold.
pub(crate) fn read(bytes: &[u8], sum: [u8; 4]) -> Result<Directory, Damaged> {
    if crc32fast::hash(bytes).to_le_bytes() != sum {
        return Err(Damaged);
    }
    let mut reader = Reader::fields(bytes);
    let (next_frame, events, forgotten) = (reader.number()?, reader.number()?, Seq(reader.number()?));
    let log = (reader.byte()? == 1).then(|| read_log(&mut reader)).transpose()?;
    let answers = (0..reader.number()?).map(|_| read_answer(&mut reader)).collect::<Result<_, _>>()?;
    let mut channels = BTreeMap::new();
    for _ in 0..reader.number()? {
        let (id, name) = (read_channel_id(&mut reader)?, read_name(&mut reader)?);
        let state = read_state(&mut reader)?;
        let count = u32::try_from(reader.number()?).map_err(|_| Damaged)?;
        let (first_offset, first, last) = (reader.number()?, Seq(reader.number()?), Seq(reader.number()?));
        channels.insert(id, Described { name, state, first_offset, first, last, count });
    }
    Ok(Directory { channels, answers, forgotten, log, next_frame, events })
}

pub(crate) fn write_entry(bytes: &mut Vec<u8>, id: ChannelId, offset: u64, entry: &Entry) {
    let start = bytes.len();
    bytes.extend(entry.seq.0.to_le_bytes());
    bytes.extend(entry.time.0.to_le_bytes());
    for part in [entry.place, entry.length, entry.payload] {
        bytes.extend(part.to_le_bytes());
    }
    let sum = entry_checksum(id, offset, &bytes[start..]);
    bytes.extend(sum);
}

/// The entry of the event that has this offset in this channel.
pub(crate) fn read_entry(id: ChannelId, offset: u64, bytes: &[u8; ENTRY_BYTES]) -> Result<Entry, Damaged> {
    let (fields, sum) = bytes.split_at(ENTRY_BYTES - 4);
    if entry_checksum(id, offset, fields) != sum {
        return Err(Damaged);
    }
    let mut reader = Reader::fields(fields);
    let (seq, time) = (u64::from_le_bytes(reader.array()?), u64::from_le_bytes(reader.array()?));
    let mut part = || reader.array().map(u32::from_le_bytes);
    Ok(Entry { seq: Seq(seq), time: Millis(time), place: part()?, length: part()?, payload: part()? })
}

fn entry_checksum(id: ChannelId, offset: u64, fields: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&id.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(fields);
    hasher.finalize().to_le_bytes()
}
