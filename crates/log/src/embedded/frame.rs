//! The bytes of a segment: a head, then frames, one for each write, taken whole or not at all.
//!
//! A frame has its length, a checksum over everything else in it, a number that is one more than that of the frame before it,
//! then items, and an end that is not zero, so that the zeros set aside after it can be told apart. Items are fields; see
//! [`record`](super::record). Pure: knows no files.

use bongsu_core::Seq;
use bongsu_core::log::ChannelState;
use bongsu_core::{ChannelName, Millis};

use super::codec::{Damaged, Reader, Writer};
use super::record::{
    LogRecord, open_event, read_answer, read_channel_id, read_head, read_log, read_name, read_state, tag, write_answer,
    write_log, write_state,
};
use crate::ledger::{Answer, ChannelId};

/// Length, checksum, number.
const HEAD_BYTES: usize = 16;
/// The last byte of a frame.
const END: u8 = 0xb0;
/// The largest frame, in bytes: places in a segment are 32 bits.
pub(crate) const FRAME_BYTES_MAX: usize = 1 << 30;

/// Which segment a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Segments are numbered without holes.
    pub(crate) number: u64,
    /// The last number that this segment stands for: more than its own if it took the place of several.
    pub(crate) through: u64,
    /// The number of its first frame.
    pub(crate) first_frame: u64,
}

impl Head {
    /// The length of a head, in bytes.
    pub(crate) const BYTES: usize = 36;
    const MAGIC: [u8; 8] = *b"bongsuS2";

    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.extend(Self::MAGIC);
        for number in [self.number, self.through, self.first_frame] {
            bytes.extend(number.to_le_bytes());
        }
        let sum = crc32fast::hash(&bytes[start..]);
        bytes.extend(sum.to_le_bytes());
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Damaged> {
        let (head, sum) = bytes.get(..Self::BYTES).and_then(<[u8]>::split_last_chunk::<4>).ok_or(Damaged)?;
        if *sum != crc32fast::hash(head).to_le_bytes() {
            return Err(Damaged);
        }
        let mut reader = Reader::fields(head);
        if reader.array()? != Self::MAGIC {
            return Err(Damaged);
        }
        let mut number = || reader.array().map(u64::from_le_bytes);
        Ok(Self { number: number()?, through: number()?, first_frame: number()? })
    }
}

/// Where an event lies in its segment, and what retention has to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) seq: Seq,
    pub(crate) time: Millis,
    /// Where its record begins, in bytes.
    pub(crate) place: u32,
    /// How long its record is, in bytes.
    pub(crate) length: u32,
    /// How long its payload is, in bytes.
    pub(crate) payload: u32,
}

/// One frame while it is being made.
#[derive(Debug)]
pub(crate) struct FrameWriter {
    bytes: Vec<u8>,
    /// Where the frame begins in `bytes`: a head may come before it.
    start: usize,
    /// Where `bytes` will begin in the segment.
    place: u64,
}

impl FrameWriter {
    /// A frame whose bytes will be at `place`, after what is in `bytes` already.
    pub(crate) fn new(mut bytes: Vec<u8>, place: u64) -> Self {
        let start = bytes.len();
        bytes.extend([0; HEAD_BYTES]);
        Self { bytes, start, place }
    }

    /// Puts in an event; its record is written by `write`.
    pub(crate) fn event(&mut self, channel: ChannelId, seq: Seq, write: impl FnOnce(&mut Vec<u8>)) -> (u64, usize) {
        Writer::fields(&mut self.bytes).byte(tag::EVENT).number(channel.into()).number(seq.0);
        // The length comes before the record and is known after it.
        let before = self.bytes.len();
        self.bytes.extend([0; 4]);
        write(&mut self.bytes);
        let length = self.bytes.len() - before - 4;
        let in_four_bytes = u32::try_from(length).unwrap_or(u32::MAX);
        self.bytes[before..before + 4].copy_from_slice(&in_four_bytes.to_le_bytes());
        (self.place + before as u64 + 4, length)
    }

    /// The state of a channel after this frame.
    pub(crate) fn channel(&mut self, id: ChannelId, name: &ChannelName, state: &ChannelState) {
        let mut writer = Writer::fields(&mut self.bytes);
        writer.byte(tag::CHANNEL).number(id.into()).text(name.as_str());
        write_state(&mut writer, state);
    }

    pub(crate) fn answer(&mut self, answer: &Answer) {
        let mut writer = Writer::fields(&mut self.bytes);
        write_answer(writer.byte(tag::ANSWER), answer);
    }

    /// Answers up to this one are forgotten.
    pub(crate) fn forgotten(&mut self, through: Seq) {
        Writer::fields(&mut self.bytes).byte(tag::FORGOTTEN).number(through.0);
    }

    pub(crate) fn log(&mut self, log: &LogRecord) {
        let mut writer = Writer::fields(&mut self.bytes);
        write_log(writer.byte(tag::LOG), log);
    }

    /// The finished bytes, or `None` if they are more than a frame may have.
    pub(crate) fn finish(mut self, number: u64) -> Option<Vec<u8>> {
        self.bytes.push(END);
        let frame = &mut self.bytes[self.start..];
        let length = u32::try_from(frame.len()).ok().filter(|length| *length as usize <= FRAME_BYTES_MAX)?;
        frame[..4].copy_from_slice(&length.to_le_bytes());
        frame[8..HEAD_BYTES].copy_from_slice(&number.to_le_bytes());
        let sum = checksum(frame);
        frame[4..8].copy_from_slice(&sum);
        Some(self.bytes)
    }
}

fn checksum(frame: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[..4]);
    hasher.update(&frame[8..]);
    hasher.finalize().to_le_bytes()
}

/// One thing in a frame.
#[derive(Debug)]
pub(crate) enum Item {
    Event { channel: ChannelId, offset: u64, entry: Entry },
    Channel { id: ChannelId, name: ChannelName, state: ChannelState },
    Answer(Answer),
    Forgotten(Seq),
    Log(LogRecord),
}

/// The frame that begins at `place` of a segment and has this number, if there is one that is whole.
pub(crate) fn frame_at(segment: &[u8], place: usize, number: u64) -> Option<&[u8]> {
    let rest = segment.get(place..)?;
    let length = u32::from_le_bytes(*rest.first_chunk()?) as usize;
    let frame = rest.get(..length).filter(|frame| frame.len() > HEAD_BYTES)?;
    let is_whole =
        frame[4..8] == checksum(frame) && frame[8..HEAD_BYTES] == number.to_le_bytes() && frame.last() == Some(&END);
    is_whole.then_some(frame)
}

/// The items of a frame that begins at `place` of its segment.
pub(crate) fn items(frame: &[u8], place: usize, mut take: impl FnMut(Item)) -> Result<(), Damaged> {
    let mut reader = Reader::fields(&frame[HEAD_BYTES..frame.len() - 1]);
    while reader.left() > 0 {
        take(match reader.byte()? {
            tag::EVENT => {
                let (channel, seq) = (read_channel_id(&mut reader)?, Seq(reader.number()?));
                let length = u32::from_le_bytes(reader.array()?);
                let at = place + frame.len() - 1 - reader.left();
                let record = reader.raw(length as usize)?;
                let (offset, time, payload) = read_head(&mut open_event(channel, seq, record)?)?;
                let place = u32::try_from(at).map_err(|_| Damaged)?;
                let payload = u32::try_from(payload).map_err(|_| Damaged)?;
                Item::Event { channel, offset, entry: Entry { seq, time, place, length, payload } }
            }
            tag::CHANNEL => {
                let (id, name) = (read_channel_id(&mut reader)?, read_name(&mut reader)?);
                Item::Channel { id, name, state: read_state(&mut reader)? }
            }
            tag::ANSWER => Item::Answer(read_answer(&mut reader)?),
            tag::FORGOTTEN => Item::Forgotten(Seq(reader.number()?)),
            tag::LOG => Item::Log(read_log(&mut reader)?),
            _ => return Err(Damaged),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u64) -> Vec<u8> {
        let mut writer = FrameWriter::new(Vec::new(), 0);
        let name = ChannelName::new("a").unwrap();
        writer.channel(7, &name, &ChannelState { head_offset: 3, events: 2, ..ChannelState::default() });
        writer.forgotten(Seq(9));
        writer.finish(number).unwrap()
    }

    #[test]
    fn a_frame_is_read_whole_or_not_at_all() {
        let good = frame(5);
        assert!(frame_at(&good, 0, 5).is_some());
        assert!(frame_at(&good, 0, 6).is_none(), "another number is another frame");
        for length in 0..good.len() {
            assert!(frame_at(&good[..length], 0, 5).is_none(), "cut to {length}");
        }
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(frame_at(&bad, 0, 5).is_none(), "bit {bit}");
        }
        assert!(frame_at(&[0; 100], 0, 0).is_none(), "zeros are no frame");
    }

    #[test]
    fn a_head_is_read_whole_or_not_at_all() {
        let head = Head { number: 3, through: 5, first_frame: 77 };
        let mut good = Vec::new();
        head.write(&mut good);
        assert_eq!((good.len(), Head::read(&good)), (Head::BYTES, Ok(head)));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::read(&bad), Err(Damaged), "bit {bit}");
        }
    }
}
