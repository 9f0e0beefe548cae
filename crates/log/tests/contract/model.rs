//! Both logs against a model that is too simple to be wrong: lists that are searched from end to end.

use std::time::Duration;

use bongsu_core::log::{Appended, Budget, ChannelState, Draft, Entry, Lost, LostReason, Receipt, Refusal};
use bongsu_core::policy::Rules;
use bongsu_core::{Millis, Seq};
use bongsu_log::{EVENT_OVERHEAD_BYTES, LogConfig};
use proptest::prelude::*;

use super::fixture::*;

const CHANNELS: [&str; 6] = ["a", "few:a", "small:a", "short:a", "os:a", "few:b"];
const CONFIG: LogConfig = LogConfig {
    idempotency_window: Duration::from_secs(2),
    idempotency_keys_max: 4,
    channels_max: 5,
    total_bytes_max: 12 * (EVENT_OVERHEAD_BYTES + 3),
    disk_free_min: 0,
    // So small that segments are finished and rewritten all the time.
    segment_bytes: 2_048,
};

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Vec<Change>>),
    Later(u64),
    Maintain,
    Restart { close: bool },
    Read { channel: usize, after: u64, upto: u64, events: usize, bytes: usize },
}

#[derive(Clone, Debug)]
enum Change {
    Publish { channel: usize, body: usize, key: Option<u8>, store: bool },
    Reset { channel: usize },
}

fn change() -> impl Strategy<Value = Change> {
    let channel = 0..CHANNELS.len();
    let publish =
        (channel.clone(), 0..12_usize, proptest::option::weighted(0.3, 0..4_u8), proptest::bool::weighted(0.9));
    prop_oneof![
        12 => publish.prop_map(|(channel, body, key, store)| Change::Publish { channel, body, key, store }),
        1 => channel.prop_map(|channel| Change::Reset { channel }),
    ]
}

fn step(restarts: u32) -> impl Strategy<Value = Step> {
    let groups = proptest::collection::vec(proptest::collection::vec(change(), 1..4), 1..5);
    let read = (0..CHANNELS.len(), 0..60_u64, 0..60_u64, 0..6_usize, 0..20_usize);
    prop_oneof![
        8 => groups.prop_map(Step::Append),
        3 => (1..1_500_u64).prop_map(Step::Later),
        2 => Just(Step::Maintain),
        restarts => any::<bool>().prop_map(|close| Step::Restart { close }),
        4 => read.prop_map(|(channel, after, upto, events, bytes)| Step::Read { channel, after, upto, events, bytes }),
    ]
}

#[derive(Clone, Debug)]
struct ModelEvent {
    seq: u64,
    offset: u64,
    bytes: u64,
    time: Millis,
}

#[derive(Clone, Debug)]
struct ModelChannel {
    name: &'static str,
    events: Vec<ModelEvent>,
    head_offset: u64,
    last_seq: u64,
    lost: Option<Lost>,
}

#[derive(Clone, Debug)]
struct ModelKey {
    channel: usize,
    key: u8,
    body: usize,
    store: bool,
    receipt: Receipt,
    time: Millis,
}

#[derive(Clone, Debug, Default)]
struct Model {
    /// In the order in which they were made.
    channels: Vec<ModelChannel>,
    keys: Vec<ModelKey>,
    head: u64,
}

impl ModelChannel {
    fn drop_oldest(&mut self) {
        let through = Seq(self.events.remove(0).seq);
        self.lost = Some(Lost { through, reason: LostReason::Expired });
    }

    fn trim(&mut self, rules: &Rules, now: Millis) {
        let bounds = rules.policy(&name(self.name)).retention;
        let exceeds = |events: &[ModelEvent]| {
            events.len() as u64 > bounds.events_max
                || events.iter().map(|event| event.bytes).sum::<u64>() > bounds.bytes_max
                || events.first().is_some_and(|oldest| now.since(oldest.time) > bounds.age_max)
        };
        while exceeds(&self.events) {
            self.drop_oldest();
        }
    }

    fn state(&self) -> ChannelState {
        ChannelState {
            head_offset: self.head_offset,
            last_seq: Seq(self.last_seq),
            lost: self.lost,
            events: self.events.len() as u64,
            bytes: self.events.iter().map(|event| event.bytes).sum(),
            oldest_time: self.events.first().map(|event| event.time),
        }
    }
}

impl Model {
    fn channel(&mut self, channel: usize) -> &mut ModelChannel {
        let name = CHANNELS[channel];
        let place = self.channels.iter().position(|channel| channel.name == name).unwrap_or_else(|| {
            self.channels.push(ModelChannel { name, events: vec![], head_offset: 0, last_seq: 0, lost: None });
            self.channels.len() - 1
        });
        &mut self.channels[place]
    }

    /// Takes a group; the sequence numbers and offsets it got, or why it got none.
    fn group(&mut self, changes: &[Change], now: Millis) -> Result<Vec<(u64, u64)>, Refusal> {
        let mut after = self.clone();
        after.keys.retain(|key| now.since(key.time) < CONFIG.idempotency_window);
        let mut told = Vec::new();
        for (index, change) in changes.iter().enumerate() {
            told.push(after.change(index, change, now)?);
        }
        *self = after;
        Ok(told)
    }

    fn change(&mut self, index: usize, change: &Change, now: Millis) -> Result<(u64, u64), Refusal> {
        let (channel, publish) = match *change {
            Change::Reset { channel } => (channel, None),
            Change::Publish { channel, body, key, store } => (channel, Some((body, key, store))),
        };
        if let Some((body, Some(key), store)) = publish {
            if let Some(known) = self.keys.iter().find(|known| (known.channel, known.key) == (channel, key)) {
                let same = (known.body, known.store) == (body, store);
                let told = (known.receipt.seq.0, known.receipt.offset);
                return if same { Ok(told) } else { Err(Refusal::IdempotencyMismatch(index)) };
            }
            if self.keys.len() == CONFIG.idempotency_keys_max {
                return Err(Refusal::IdempotencyKeysFull(index));
            }
        }
        let is_stored = publish.is_none_or(|(_, _, store)| store);
        let is_new = !self.channels.iter().any(|known| known.name == CHANNELS[channel]);
        if is_stored && is_new && self.channels.len() == CONFIG.channels_max {
            return Err(Refusal::ChannelsFull(index));
        }
        self.head += 1;
        let seq = self.head;
        let Some((body, key, store)) = publish else {
            let channel = self.channel(channel);
            channel.events.clear();
            channel.lost = Some(Lost { through: Seq(seq), reason: LostReason::Reset });
            return Ok((seq, 0));
        };
        let mut offset = 0;
        if store {
            let channel = self.channel(channel);
            channel.head_offset += 1;
            (channel.last_seq, offset) = (seq, channel.head_offset);
            channel.events.push(ModelEvent { seq, offset, bytes: body as u64, time: now });
        }
        if let Some(key) = key {
            let receipt = Receipt { seq: Seq(seq), offset, subscribers: 0 };
            self.keys.push(ModelKey { channel, key, body, store, receipt, time: now });
        }
        Ok((seq, offset))
    }

    fn trim_total(&mut self) {
        let weight =
            |channel: &ModelChannel| channel.state().bytes + channel.events.len() as u64 * EVENT_OVERHEAD_BYTES;
        while self.channels.iter().map(weight).sum::<u64>() > CONFIG.total_bytes_max {
            let oldest = self.channels.iter_mut().filter(|channel| !channel.events.is_empty());
            oldest.min_by_key(|channel| channel.events[0].time).unwrap().drop_oldest();
        }
    }
}

fn entry(change: &Change) -> Entry {
    match *change {
        Change::Reset { channel } => Entry::Reset(name(CHANNELS[channel])),
        Change::Publish { channel, body, key, store } => {
            let body = "x".repeat(body);
            let draft = match key {
                Some(key) => keyed(CHANNELS[channel], &body, &key.to_string()),
                None => draft(CHANNELS[channel], &body),
            };
            Entry::Publish(Draft { store, ..draft })
        }
    }
}

fn told(appended: &Appended) -> (u64, u64) {
    match appended {
        Appended::Event(event) => (event.id.seq.0, event.offset),
        Appended::Duplicate(receipt) => (receipt.seq.0, receipt.offset),
        Appended::Reset(_, seq) => (seq.0, 0),
    }
}

/// Runs the steps on a log and the model side by side.
fn run(kind: Kind, steps: &[Step]) {
    let mut log = Fixture::with_config(kind, CONFIG);
    let (mut model, rules) = (Model::default(), rules());
    for step in steps {
        match step {
            Step::Later(millis) => log.later(Duration::from_millis(*millis)),
            Step::Append(groups) => append(&log, &mut model, groups, &rules),
            Step::Maintain => {
                log.log.maintain(log.now).unwrap();
                model.channels.iter_mut().for_each(|channel| channel.trim(&rules, log.now));
                model.trim_total();
            }
            Step::Restart { close } => {
                let opened = if *close {
                    log.restart()
                } else {
                    log.kill();
                    log.start()
                };
                assert_eq!((opened.clean, opened.new_epoch, opened.torn), (*close, None, None));
                assert!(log.log.head().0 >= model.head && (!close || log.log.head().0 == model.head));
                model.head = log.log.head().0;
                model.channels.iter_mut().for_each(|channel| channel.trim(&rules, log.now));
                model.trim_total();
            }
            Step::Read { channel, after, upto, events, bytes } => {
                // Positions near what is there, also after numbers were skipped.
                let base = model.head.saturating_sub(50);
                let budget = Budget { events: *events, bytes: *bytes };
                check_read(&log, &mut model, CHANNELS[*channel], Seq(base + after), Seq(base + upto), budget);
            }
        }
        assert_eq!(log.log.head().0, model.head);
        for channel in &model.channels {
            assert_eq!(log.log.channel(&name(channel.name)), Some(channel.state()), "{}", channel.name);
        }
        assert_eq!(log.log.channels("", None, 99).len(), model.channels.len());
    }
}

fn append(log: &Fixture, model: &mut Model, groups: &[Vec<Change>], rules: &Rules) {
    let lost_before = model.channels.iter().map(|channel| (channel.name, channel.lost)).collect::<Vec<_>>();
    let expected = groups.iter().map(|changes| model.group(changes, log.now)).collect::<Vec<_>>();
    let touched = groups.iter().zip(&expected).filter(|(_, result)| result.is_ok()).flat_map(|(changes, _)| changes);
    let touched = touched.filter_map(|change| match *change {
        Change::Publish { channel, store: true, .. } | Change::Reset { channel } => Some(CHANNELS[channel]),
        Change::Publish { .. } => None,
    });
    let touched = touched.collect::<Vec<_>>();
    // A channel that was only retried on is not looked at; that it would be trimmed then shows nowhere but by age.
    for channel in model.channels.iter_mut().filter(|channel| touched.contains(&channel.name)) {
        if channel.last_seq.max(channel.lost.map_or(0, |lost| lost.through.0)) > log.log.head().0 {
            channel.trim(rules, log.now);
        }
    }
    model.trim_total();
    let entries = groups.iter().map(|changes| group(changes.iter().map(entry).collect())).collect();
    let outcome = log.log.append(entries, log.now).unwrap();
    let results = outcome.groups.iter().map(|result| match result {
        Ok(appended) => Ok(appended.iter().map(told).collect::<Vec<_>>()),
        Err(refusal) => Err(refusal.clone()),
    });
    assert_eq!(results.collect::<Vec<_>>(), expected);
    for trim in &outcome.trims {
        let before = lost_before.iter().find(|(name, _)| *name == trim.channel.as_str()).and_then(|(_, lost)| *lost);
        let after = model.channels.iter().find(|channel| channel.name == trim.channel.as_str()).unwrap().lost;
        assert_eq!(Some(trim.lost), after);
        assert!(before != after && trim.lost.reason == LostReason::Expired);
    }
    let expired = |channel: &&ModelChannel| channel.lost.is_some_and(|lost| lost.reason == LostReason::Expired);
    for channel in model.channels.iter().filter(expired) {
        let is_new = !lost_before.contains(&(channel.name, channel.lost));
        assert_eq!(outcome.trims.iter().any(|trim| trim.channel.as_str() == channel.name), is_new, "{}", channel.name);
    }
}

fn check_read(log: &Fixture, model: &mut Model, channel: &str, after: Seq, upto: Seq, budget: Budget) {
    let known = model.channels.iter().find(|known| known.name == channel);
    let events = known.map(|known| known.events.as_slice()).unwrap_or_default();
    let wanted = events.iter().filter(|event| event.seq > after.0 && event.seq <= upto.0).collect::<Vec<_>>();
    let mut bytes = 0;
    let fits = |(index, event): &(usize, &&ModelEvent)| {
        bytes += event.bytes as usize;
        *index == 0 || (*index < budget.events && bytes <= budget.bytes)
    };
    let expected = wanted.iter().enumerate().take_while(fits).map(|(_, event)| (event.seq, event.offset));
    let expected = expected.collect::<Vec<_>>();
    let slice = log.log.read(&name(channel), after, upto, budget).unwrap();
    let read = slice.events.iter().map(|event| (event.id.seq.0, event.offset)).collect::<Vec<_>>();
    assert_eq!((&read, slice.complete), (&expected, expected.len() == wanted.len()));
    assert_eq!(slice.lost, known.and_then(|known| known.lost).filter(|lost| lost.through > after));
    assert_eq!(log.log.count(&name(channel), after, upto), Ok(wanted.len() as u64));
    let last = log.log.seek_last(&name(channel), budget.events, upto).unwrap();
    let newest = events.iter().filter(|event| event.seq <= upto.0).rev().take(budget.events).last();
    let from_there = events.iter().find(|event| event.seq > last.0);
    let expected = newest.or_else(|| events.iter().find(|event| event.seq > upto.0)).map(|event| event.seq);
    assert_eq!(from_there.map(|event| event.seq), expected, "the newest {} up to {upto:?}", budget.events);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_memory_log_does_what_the_model_does(steps in proptest::collection::vec(step(0), 1..40)) {
        run(Kind::Memory, &steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_embedded_log_does_what_the_model_does(steps in proptest::collection::vec(step(1), 1..40)) {
        run(Kind::Embedded, &steps);
    }
}
