//! The judgement: what was acknowledged, what the log holds, what the readers saw.

use crate::error::{Failure, Result};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// An acknowledged publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ack {
    /// Where the answer says it is.
    pub(crate) channel: String,
    pub(crate) offset: u64,
    pub(crate) id: String,
    /// What was published: unique over the whole run.
    pub(crate) data: String,
}

/// An event, from the log or from a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) channel: String,
    pub(crate) offset: u64,
    pub(crate) id: String,
    pub(crate) data: String,
}

impl Entry {
    pub(crate) fn from_event(event: &Value) -> Result<Self> {
        let text = |member: &str| event[member].as_str().map(str::to_owned);
        match (text("channel"), event["offset"].as_u64(), text("id"), text("data")) {
            (Some(channel), Some(offset), Some(id), Some(data)) => Ok(Self { channel, offset, id, data }),
            _ => Err(Failure::wrong(format!("not an event of this test: {event}"))),
        }
    }
}

/// The log against the acknowledgements: dense, whole, nothing twice, nothing else.
pub(crate) fn log(log: &[Entry], acks: &[Ack]) -> Result<()> {
    let mut offsets: HashMap<&str, u64> = HashMap::new();
    let mut payloads = HashSet::new();
    for entry in log {
        let last = offsets.entry(&entry.channel).or_default();
        if entry.offset != *last + 1 {
            return Err(Failure::wrong(format!("after offset {last} comes {entry:?}")));
        }
        *last = entry.offset;
        if !payloads.insert(entry.data.as_str()) {
            return Err(Failure::wrong(format!("published once, in the log twice: {entry:?}")));
        }
    }
    let by_place: HashMap<(&str, u64), &Entry> = log.iter().map(|e| ((e.channel.as_str(), e.offset), e)).collect();
    for ack in acks {
        let found = by_place.get(&(ack.channel.as_str(), ack.offset));
        if !found.is_some_and(|e| e.id == ack.id && e.data == ack.data) {
            return Err(Failure::wrong(format!("acknowledged but not in the log: {ack:?}; there: {found:?}")));
        }
    }
    // Every publisher sends an event until it is acknowledged, so nothing else can be there.
    if log.len() != acks.len() {
        return Err(Failure::wrong(format!("{} events in the log, {} acknowledged", log.len(), acks.len())));
    }
    Ok(())
}

/// What a reader saw against the log: the same, in the same order.
pub(crate) fn same(log: &[Entry], seen: &[Entry]) -> Result<()> {
    for (n, (expected, entry)) in log.iter().zip(seen).enumerate() {
        if expected != entry {
            return Err(Failure::wrong(format!("event {n} should be {expected:?}, was {entry:?}")));
        }
    }
    if log.len() != seen.len() {
        return Err(Failure::wrong(format!("saw {} events of {}", seen.len(), log.len())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(list: &[(&str, u64, &str)]) -> Vec<Entry> {
        list.iter()
            .map(|(channel, offset, data)| Entry {
                channel: (*channel).to_owned(),
                offset: *offset,
                id: format!("{channel}{offset}"),
                data: (*data).to_owned(),
            })
            .collect()
    }

    fn acks(list: &[(&str, u64, &str)]) -> Vec<Ack> {
        entries(list)
            .into_iter()
            .map(|e| Ack { channel: e.channel, offset: e.offset, id: e.id, data: e.data })
            .collect()
    }

    #[test]
    fn a_whole_log_passes() {
        let list = [("a", 1, "x"), ("b", 1, "y"), ("a", 2, "z")];
        assert!(log(&entries(&list), &acks(&list)).is_ok());
    }

    #[test]
    fn each_kind_of_loss_is_noticed() {
        let all = [("a", 1, "x"), ("a", 2, "y")];
        // (log, acknowledgements)
        let cases: [(&[_], &[_]); 7] = [
            (&[("a", 1, "x")], &all),
            (&[("a", 1, "x"), ("a", 3, "y")], &[("a", 1, "x"), ("a", 3, "y")]),
            (&[("a", 2, "y"), ("a", 1, "x")], &all),
            (&[("a", 1, "x"), ("a", 2, "x")], &[("a", 1, "x")]),
            (&[("a", 1, "y"), ("a", 2, "x")], &all),
            (&all, &[("a", 1, "x")]),
            (&[("a", 2, "y")], &[("a", 2, "y")]),
        ];
        for (events, acknowledged) in cases {
            assert!(log(&entries(events), &acks(acknowledged)).is_err(), "{events:?}");
        }
        let mut other_id = acks(&all);
        other_id[1].id = "other".into();
        assert!(log(&entries(&all), &other_id).is_err());
    }

    #[test]
    fn readers_have_to_see_the_log() {
        let all = entries(&[("a", 1, "x"), ("a", 2, "y")]);
        assert!(same(&all, &all).is_ok());
        assert!(same(&all, &all[..1]).is_err());
        assert!(same(&all[..1], &all).is_err());
        let swapped = [all[1].clone(), all[0].clone()];
        assert!(same(&all, &swapped).is_err());
    }
}
