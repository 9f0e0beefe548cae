//! What the log keeps, as fields: events, the state of channels, answers to retries, the log itself.
//!
//! Types of this module are the disk's, not the domain's: they change only with a version.

use bongsu_core::event::{EventKey, EventType, UserId};
use bongsu_core::log::{ChannelState, Lost, LostReason, Receipt};
use bongsu_core::{ChannelName, Cursor, Epoch, Event, Millis, Payload, PayloadKind, Seq};
use bytes::Bytes;

use super::codec::{Damaged, Reader, Writer};
use crate::ledger::{Answer, ChannelId};

/// What the checksum of an event covers beside its record: a record that turns up in another place is as wrong as a changed one.
fn event_key(channel: ChannelId, seq: Seq) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&channel.to_be_bytes());
    key[4..].copy_from_slice(&seq.0.to_be_bytes());
    key
}

/// Which optional fields an event has.
mod field {
    pub(super) const KIND: u8 = 1;
    pub(super) const KEY: u8 = 2;
    pub(super) const USER: u8 = 4;
    pub(super) const EXPIRES: u8 = 8;
    pub(super) const CONTENT_TYPE: u8 = 16;
}

/// Writes the record of an event at the end of `bytes`.
pub(crate) fn write_event(bytes: &mut Vec<u8>, channel: ChannelId, event: &Event) {
    let Event { offset, time, kind, key: of, user, expires, payload, .. } = event;
    let texts = [
        (field::KIND, kind.as_ref().map(EventType::as_str)),
        (field::KEY, of.as_ref().map(EventKey::as_str)),
        (field::USER, user.as_ref().map(UserId::as_str)),
        (field::CONTENT_TYPE, payload.content_type.as_deref()),
    ];
    let flags = texts.iter().filter(|(_, text)| text.is_some()).map(|(flag, _)| flag).sum::<u8>();
    let flags = flags | if expires.is_some() { field::EXPIRES } else { 0 };
    let mut writer = Writer::record(bytes);
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
    writer.finish(&event_key(channel, event.id.seq));
}

/// Reads the offset, the time and the number of bytes of payload of an event, without looking at the rest.
pub(crate) fn read_head(reader: &mut Reader<'_>) -> Result<(u64, Millis, u64), Damaged> {
    Ok((reader.number()?, Millis(reader.number()?), reader.number()?))
}

/// The checked record of the event `seq` of channel number `id`.
pub(crate) fn open_event(id: ChannelId, seq: Seq, record: &[u8]) -> Result<Reader<'_>, Damaged> {
    Reader::new(&event_key(id, seq), record)
}

/// Reads an event of `channel`, which is number `id`.
pub(crate) fn read_event(
    id: ChannelId,
    seq: Seq,
    record: &[u8],
    channel: &ChannelName,
    epoch: Epoch,
) -> Result<Event, Damaged> {
    let mut reader = open_event(id, seq, record)?;
    let (offset, time, length) = read_head(&mut reader)?;
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

/// The first byte of an item that is no event.
pub(crate) mod tag {
    pub(crate) const EVENT: u8 = 1;
    pub(crate) const CHANNEL: u8 = 2;
    pub(crate) const ANSWER: u8 = 3;
    pub(crate) const FORGOTTEN: u8 = 4;
    pub(crate) const LOG: u8 = 5;
}

/// Fields of a channel's state.
pub(crate) fn write_state(writer: &mut Writer<'_>, state: &ChannelState) {
    writer.number(state.head_offset).number(state.last_seq.0).number(state.events).number(state.bytes);
    write_optional(writer, state.oldest_time.map(|time| time.0));
    write_optional(writer, state.lost.map(|lost| lost.through.0));
    if let Some(lost) = state.lost {
        writer.byte(u8::from(lost.reason == LostReason::Reset));
    }
}

pub(crate) fn read_state(reader: &mut Reader<'_>) -> Result<ChannelState, Damaged> {
    let (head_offset, last_seq) = (reader.number()?, Seq(reader.number()?));
    let (events, bytes) = (reader.number()?, reader.number()?);
    let oldest_time = read_optional(reader)?.map(Millis);
    let lost = match read_optional(reader)? {
        None => None,
        Some(through) => {
            let reason = if reader.byte()? == 1 { LostReason::Reset } else { LostReason::Expired };
            Some(Lost { through: Seq(through), reason })
        }
    };
    if events > head_offset {
        return Err(Damaged);
    }
    Ok(ChannelState { head_offset, last_seq, lost, events, bytes, oldest_time })
}

fn write_optional(writer: &mut Writer<'_>, number: Option<u64>) {
    writer.byte(u8::from(number.is_some())).number(number.unwrap_or_default());
}

fn read_optional(reader: &mut Reader<'_>) -> Result<Option<u64>, Damaged> {
    let (is_some, number) = (reader.byte()?, reader.number()?);
    Ok((is_some == 1).then_some(number))
}

pub(crate) fn write_answer(writer: &mut Writer<'_>, answer: &Answer) {
    writer.raw(&answer.id).raw(&answer.fingerprint).number(answer.receipt.seq.0);
    writer.number(answer.receipt.offset).number(answer.receipt.subscribers.into()).number(answer.time.0);
}

pub(crate) fn read_answer(reader: &mut Reader<'_>) -> Result<Answer, Damaged> {
    let (id, fingerprint, seq, offset) = (reader.array()?, reader.array()?, Seq(reader.number()?), reader.number()?);
    let subscribers = u32::try_from(reader.number()?).map_err(|_| Damaged)?;
    let receipt = Receipt { seq, offset, subscribers };
    Ok(Answer { id, fingerprint, receipt, time: Millis(reader.number()?) })
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
}

pub(crate) fn write_log(writer: &mut Writer<'_>, log: &LogRecord) {
    writer.number(log.epoch.to_u64()).number(log.reserved.0).byte(u8::from(log.clean)).byte(u8::from(log.unsynced));
    writer.text(&log.boot);
}

pub(crate) fn read_log(reader: &mut Reader<'_>) -> Result<LogRecord, Damaged> {
    let (epoch, reserved) = (Epoch::from_random(reader.number()?), Seq(reader.number()?));
    let (clean, unsynced) = (reader.byte()? == 1, reader.byte()? == 1);
    Ok(LogRecord { epoch, reserved, clean, unsynced, boot: reader.text()?.to_owned() })
}

pub(crate) fn read_channel_id(reader: &mut Reader<'_>) -> Result<ChannelId, Damaged> {
    ChannelId::try_from(reader.number()?).map_err(|_| Damaged)
}

pub(crate) fn read_name(reader: &mut Reader<'_>) -> Result<ChannelName, Damaged> {
    ChannelName::new(reader.text()?).map_err(|_| Damaged)
}
