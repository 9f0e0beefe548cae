//! What the log keeps, as records: events, the state of channels, answers to retries, unfinished deletions, the log itself.
//!
//! Types of this module are the disk's, not the domain's: they change only with a version.

use bongsu_core::event::{EventKey, EventType, UserId};
use bongsu_core::log::{ChannelState, Lost, LostReason, Receipt};
use bongsu_core::{ChannelName, Cursor, Epoch, Event, Millis, Payload, PayloadKind, Seq};
use bytes::Bytes;

use super::codec::{Damaged, Reader, Writer};
use crate::ledger::{Answer, ChannelId, Mark};

/// The key of an event: its channel, then its sequence number, so that a channel lies together in its order.
pub(crate) fn event_key(channel: ChannelId, seq: Seq) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&channel.to_be_bytes());
    key[4..].copy_from_slice(&seq.0.to_be_bytes());
    key
}

pub(crate) fn parse_event_key(key: &[u8]) -> Result<(ChannelId, Seq), Damaged> {
    let (channel, seq) = key.split_first_chunk().ok_or(Damaged)?;
    let seq = seq.try_into().map_err(|_| Damaged)?;
    Ok((ChannelId::from_be_bytes(*channel), Seq(u64::from_be_bytes(seq))))
}

/// Which optional fields an event has.
mod field {
    pub(super) const KIND: u8 = 1;
    pub(super) const KEY: u8 = 2;
    pub(super) const USER: u8 = 4;
    pub(super) const EXPIRES: u8 = 8;
    pub(super) const CONTENT_TYPE: u8 = 16;
}

pub(crate) fn write_event(key: &[u8], event: &Event) -> Vec<u8> {
    let Event { offset, time, kind, key: of, user, expires, payload, .. } = event;
    let texts = [
        (field::KIND, kind.as_ref().map(EventType::as_str)),
        (field::KEY, of.as_ref().map(EventKey::as_str)),
        (field::USER, user.as_ref().map(UserId::as_str)),
        (field::CONTENT_TYPE, payload.content_type.as_deref()),
    ];
    let flags = texts.iter().filter(|(_, text)| text.is_some()).map(|(flag, _)| flag).sum::<u8>();
    let flags = flags | if expires.is_some() { field::EXPIRES } else { 0 };
    let mut writer = Writer::new(32 + payload.bytes.len());
    writer.number(*offset).number(time.0).number(payload.bytes.len() as u64).byte(flags);
    writer.byte(match payload.kind {
        PayloadKind::Json => 0,
        PayloadKind::Text => 1,
        PayloadKind::Binary => 2,
    });
    if let Some(expires) = expires {
        writer.number(expires.0);
    }
    for text in texts.iter().filter_map(|(_, text)| *text) {
        writer.text(text);
    }
    writer.raw(&payload.bytes);
    writer.finish(key)
}

/// The offset and mark of an event.
pub(crate) fn read_mark(key: &[u8], record: &[u8]) -> Result<(u64, Mark), Damaged> {
    let (_, seq) = parse_event_key(key)?;
    let mut reader = Reader::new(key, record)?;
    let (offset, time, bytes) = (reader.number()?, Millis(reader.number()?), reader.number()?);
    Ok((offset, Mark { seq, bytes, time }))
}

pub(crate) fn read_event(key: &[u8], record: &[u8], channel: &ChannelName, epoch: Epoch) -> Result<Event, Damaged> {
    let (_, seq) = parse_event_key(key)?;
    let mut reader = Reader::new(key, record)?;
    let (offset, time, length) = (reader.number()?, Millis(reader.number()?), reader.number()?);
    let flags = reader.byte()?;
    let payload_kind = match reader.byte()? {
        0 => PayloadKind::Json,
        1 => PayloadKind::Text,
        2 => PayloadKind::Binary,
        _ => return Err(Damaged),
    };
    let has = |flag| flags & flag != 0;
    let expires = has(field::EXPIRES).then(|| reader.number()).transpose()?.map(Millis);
    let mut text = |flag| has(flag).then(|| reader.text()).transpose();
    let kind = text(field::KIND)?.map(EventType::new).transpose().map_err(|_| Damaged)?;
    let of = text(field::KEY)?.map(EventKey::new).transpose().map_err(|_| Damaged)?;
    let user = text(field::USER)?.map(UserId::new).transpose().map_err(|_| Damaged)?;
    let content_type = text(field::CONTENT_TYPE)?.map(Into::into);
    let bytes = Bytes::copy_from_slice(reader.rest());
    if bytes.len() as u64 != length {
        return Err(Damaged);
    }
    Ok(Event {
        id: Cursor::new(epoch, seq),
        channel: channel.clone(),
        offset,
        time,
        kind,
        key: of,
        user,
        expires,
        payload: Payload { kind: payload_kind, content_type, bytes },
        stored: true,
        encoded: Default::default(),
    })
}

/// The first byte of a key in the keyspace of everything that is no event.
pub(crate) mod prefix {
    pub(crate) const LOG: u8 = b'l';
    pub(crate) const NAME: u8 = b'n';
    pub(crate) const CHANNEL: u8 = b'c';
    pub(crate) const PURGE: u8 = b'p';
    pub(crate) const ANSWER: u8 = b'a';
    pub(crate) const TRIMMED: u8 = b't';
}

/// The key of a record of one channel.
pub(crate) fn channel_key(prefix: u8, id: ChannelId) -> [u8; 5] {
    let mut key = [prefix; 5];
    key[1..].copy_from_slice(&id.to_be_bytes());
    key
}

pub(crate) fn parse_channel_key(key: &[u8]) -> Result<ChannelId, Damaged> {
    let id = key.get(1..).and_then(|id| id.try_into().ok()).ok_or(Damaged)?;
    Ok(ChannelId::from_be_bytes(id))
}

/// The key of the answer to a publish: in the order of their numbers they are oldest first.
pub(crate) fn answer_key(seq: Seq) -> [u8; 9] {
    let mut key = [prefix::ANSWER; 9];
    key[1..].copy_from_slice(&seq.0.to_be_bytes());
    key
}

pub(crate) fn write_name(key: &[u8], name: &ChannelName) -> Vec<u8> {
    let mut writer = Writer::new(name.as_str().len());
    writer.raw(name.as_str().as_bytes());
    writer.finish(key)
}

pub(crate) fn read_name(key: &[u8], record: &[u8]) -> Result<ChannelName, Damaged> {
    let text = std::str::from_utf8(Reader::new(key, record)?.rest()).map_err(|_| Damaged)?;
    ChannelName::new(text).map_err(|_| Damaged)
}

pub(crate) fn write_channel(key: &[u8], state: &ChannelState) -> Vec<u8> {
    let mut writer = Writer::new(40);
    writer.number(state.head_offset).number(state.last_seq.0).number(state.events).number(state.bytes);
    write_optional(&mut writer, state.oldest_time.map(|time| time.0));
    write_optional(&mut writer, state.lost.map(|lost| lost.through.0));
    if let Some(lost) = state.lost {
        writer.byte(u8::from(lost.reason == LostReason::Reset));
    }
    writer.finish(key)
}

pub(crate) fn read_channel(key: &[u8], record: &[u8]) -> Result<ChannelState, Damaged> {
    let mut reader = Reader::new(key, record)?;
    let (head_offset, last_seq) = (reader.number()?, Seq(reader.number()?));
    let (events, bytes) = (reader.number()?, reader.number()?);
    let oldest_time = read_optional(&mut reader)?.map(Millis);
    let lost = match read_optional(&mut reader)? {
        None => None,
        Some(through) => {
            let reason = if reader.byte()? == 1 { LostReason::Reset } else { LostReason::Expired };
            Some(Lost { through: Seq(through), reason })
        }
    };
    Ok(ChannelState { head_offset, last_seq, lost, events, bytes, oldest_time })
}

fn write_optional(writer: &mut Writer, number: Option<u64>) {
    writer.byte(u8::from(number.is_some())).number(number.unwrap_or_default());
}

fn read_optional(reader: &mut Reader<'_>) -> Result<Option<u64>, Damaged> {
    let (is_some, number) = (reader.byte()?, reader.number()?);
    Ok((is_some == 1).then_some(number))
}

pub(crate) fn write_answer(key: &[u8], answer: &Answer) -> Vec<u8> {
    let mut writer = Writer::new(56);
    writer.raw(&answer.id).raw(&answer.fingerprint);
    writer.number(answer.receipt.offset).number(answer.receipt.subscribers.into()).number(answer.time.0);
    writer.finish(key)
}

pub(crate) fn read_answer(key: &[u8], record: &[u8]) -> Result<Answer, Damaged> {
    let seq = key.get(1..).and_then(|seq| seq.try_into().ok()).ok_or(Damaged)?;
    let mut reader = Reader::new(key, record)?;
    let (id, fingerprint, offset) = (reader.array()?, reader.array()?, reader.number()?);
    let subscribers = u32::try_from(reader.number()?).map_err(|_| Damaged)?;
    let receipt = Receipt { seq: Seq(u64::from_be_bytes(seq)), offset, subscribers };
    Ok(Answer { id, fingerprint, receipt, time: Millis(reader.number()?) })
}

/// Events of a channel that are gone for every reader but still take space: those after `after` up to `through`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Purge {
    pub(crate) after: Seq,
    pub(crate) through: Seq,
}

pub(crate) fn write_purge(key: &[u8], purge: &Purge) -> Vec<u8> {
    let mut writer = Writer::new(20);
    writer.number(purge.after.0).number(purge.through.0);
    writer.finish(key)
}

pub(crate) fn read_purge(key: &[u8], record: &[u8]) -> Result<Purge, Damaged> {
    let mut reader = Reader::new(key, record)?;
    Ok(Purge { after: Seq(reader.number()?), through: Seq(reader.number()?) })
}

/// The key of the events that were trimmed by the newest batch that trimmed any.
pub(crate) const TRIMMED_KEY: [u8; 1] = [prefix::TRIMMED];

pub(crate) fn write_trimmed(events: &[(ChannelId, Seq)]) -> Vec<u8> {
    let mut writer = Writer::new(8 * events.len() + 8);
    writer.number(events.len() as u64);
    for (channel, seq) in events {
        writer.number((*channel).into()).number(seq.0);
    }
    writer.finish(&TRIMMED_KEY)
}

pub(crate) fn read_trimmed(record: &[u8]) -> Result<Vec<(ChannelId, Seq)>, Damaged> {
    let mut reader = Reader::new(&TRIMMED_KEY, record)?;
    let count = reader.number()?;
    let mut event = || {
        let channel = ChannelId::try_from(reader.number()?).map_err(|_| Damaged)?;
        Ok((channel, Seq(reader.number()?)))
    };
    (0..count).map(|_| event()).collect()
}

/// The log as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogRecord {
    pub(crate) epoch: Epoch,
    /// No sequence number above this was ever given.
    pub(crate) reserved: Seq,
    /// Whether the log was closed and everything synced.
    pub(crate) clean: bool,
    /// Whether anything since the last opening may have been seen before it was synced.
    pub(crate) unsynced: bool,
    /// The boot of the machine during which the log was opened last; empty if unknown.
    pub(crate) boot: String,
    /// Rises with each write of this record: gives every batch a key that is never deleted.
    pub(crate) writes: u64,
}

/// The key of the log's own record.
pub(crate) const LOG_KEY: [u8; 1] = [prefix::LOG];

pub(crate) fn write_log(log: &LogRecord) -> Vec<u8> {
    let mut writer = Writer::new(80);
    writer.number(log.epoch.to_u64()).number(log.reserved.0).byte(u8::from(log.clean)).byte(u8::from(log.unsynced));
    writer.text(&log.boot).number(log.writes);
    writer.finish(&LOG_KEY)
}

pub(crate) fn read_log(record: &[u8]) -> Result<LogRecord, Damaged> {
    let mut reader = Reader::new(&LOG_KEY, record)?;
    let (epoch, reserved) = (Epoch::from_random(reader.number()?), Seq(reader.number()?));
    let (clean, unsynced) = (reader.byte()? == 1, reader.byte()? == 1);
    Ok(LogRecord { epoch, reserved, clean, unsynced, boot: reader.text()?.to_owned(), writes: reader.number()? })
}
