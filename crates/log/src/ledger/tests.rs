//! The ledger by itself: what a plan tells the store, and that a plan changes nothing until it is taken over.
//!
//! What readers see of it is held by the contract suite, for both logs.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use bongsu_core::log::{Draft, Entry, Idempotency, LogError, LostReason, Refusal};
use bongsu_core::policy::{Durability, Policy, Retention};
use bongsu_core::{ChannelPattern, Payload, PayloadKind};
use bytes::Bytes;

use super::*;

const NOW: Millis = Millis(1_763_683_200_000);

/// The events a store would have: sequence number and mark, by channel.
#[derive(Default)]
struct Kept {
    marks: BTreeMap<(ChannelId, Seq), Mark>,
    asked: Cell<usize>,
    broken: Cell<bool>,
}

impl Marks for Kept {
    fn oldest(&self, channel: ChannelId, after: Seq) -> Result<Vec<Mark>, LogError> {
        self.asked.set(self.asked.get() + 1);
        if self.broken.get() {
            return Err(LogError::Unreadable("broken".to_owned()));
        }
        let range = self.marks.range((channel, after.next())..=(channel, Seq(u64::MAX)));
        Ok(range.take(2).map(|(_, mark)| *mark).collect())
    }
}

struct Fixture {
    ledger: Ledger,
    kept: Kept,
    now: Millis,
}

impl Fixture {
    fn new(config: LogConfig) -> Self {
        let rule = |pattern: &str, events_max, durability| {
            let retention = Retention { events_max, age_max: Duration::from_secs(10), ..Retention::default() };
            (ChannelPattern::new(pattern).unwrap(), Policy { retention, durability, ..Policy::default() })
        };
        let rules = vec![rule("few", 3, Durability::Fsync), rule("os", 100, Durability::Os)];
        let fallback = Policy { durability: Durability::Memory, ..Policy::default() };
        let rules = Arc::new(Rules::new(rules, fallback));
        let ledger = Ledger::new(rules, config, Epoch::from_random(1), Seq::ZERO);
        Self { ledger, kept: Kept::default(), now: NOW }
    }

    fn plan(&self, entries: Vec<Entry>) -> Plan {
        self.ledger.plan_append(vec![Group { entries }], self.now, &self.kept)
    }

    /// Keeps what a plan says, as a store would, and checks that the plan knew what was there.
    fn take(&mut self, plan: Plan) -> AppendOutcome {
        for (&id, touched) in &plan.touched {
            for seq in &touched.dropped {
                assert!(self.kept.marks.remove(&(id, *seq)).is_some(), "{seq:?} was not there");
            }
            if touched.purged {
                self.kept.marks.retain(|(of, seq), _| *of != id || *seq > touched.stored_last);
            }
            self.kept.marks.extend(touched.fresh.iter().map(|event| ((id, event.id.seq), Mark::of(event))));
        }
        let outcome = self.ledger.apply(plan);
        let usage = self.ledger.usage();
        assert_eq!(usage.events, self.kept.marks.len() as u64);
        assert_eq!(usage.bytes, self.kept.marks.values().map(|mark| mark.bytes).sum::<u64>());
        outcome
    }

    fn append(&mut self, entries: Vec<Entry>) -> AppendOutcome {
        let plan = self.plan(entries);
        self.take(plan)
    }

    fn maintain(&mut self) -> AppendOutcome {
        let plan = self.ledger.plan_maintenance(self.now, &self.kept);
        self.take(plan)
    }

    fn state(&self, channel: &str) -> ChannelState {
        self.ledger.channel(&name(channel)).unwrap().1
    }
}

fn name(text: &str) -> ChannelName {
    ChannelName::new(text).unwrap()
}

fn draft(channel: &str, key: Option<&str>, store: bool) -> Entry {
    let idempotency = key.map(|key| Idempotency { publisher: "".into(), key: key.into() });
    let payload = Payload { kind: PayloadKind::Json, content_type: None, bytes: Bytes::from_static(b"12345") };
    let channel = name(channel);
    Entry::Publish(Draft {
        channel,
        kind: None,
        key: None,
        user: None,
        ttl: None,
        store,
        payload,
        idempotency,
        subscribers: 0,
    })
}

fn publish(channel: &str) -> Entry {
    draft(channel, None, true)
}

#[test]
fn a_plan_that_is_not_taken_leaves_no_trace() {
    let mut fixture = Fixture::new(LogConfig::default());
    fixture.append(vec![publish("few"), draft("few", Some("k"), true)]);
    let before = format!("{:?}", fixture.ledger);
    fixture.plan(vec![publish("few"), publish("few"), publish("new"), draft("few", Some("l"), true)]);
    fixture.plan(vec![Entry::Reset(name("few")), draft("few", None, false)]);
    fixture.ledger.plan_maintenance(fixture.now.plus(Duration::from_secs(9_999)), &fixture.kept);
    assert_eq!(format!("{:?}", fixture.ledger), before);
}

#[test]
fn a_plan_says_how_safe_it_must_be() {
    use Durability::{Fsync, Memory, Os};
    let fixture = Fixture::new(LogConfig::default());
    let cases = [
        (vec![publish("few")], Some(Fsync)),
        (vec![publish("os")], Some(Os)),
        (vec![publish("other")], Some(Memory)),
        (vec![publish("other"), publish("os")], Some(Os)),
        (vec![publish("os"), publish("few"), publish("other")], Some(Fsync)),
        (vec![Entry::Reset(name("few"))], Some(Fsync)),
        // Nothing of it is kept, unless a retry must be found.
        (vec![draft("few", None, false)], None),
        (vec![draft("few", Some("k"), false)], Some(Fsync)),
    ];
    for (entries, expected) in cases {
        let told = format!("{entries:?}");
        assert_eq!(fixture.plan(entries).durability, expected, "{told}");
    }
}

#[test]
fn what_needs_no_store_is_an_empty_plan() {
    let mut fixture = Fixture::new(LogConfig::default());
    fixture.append(vec![draft("few", Some("k"), true)]);
    let passing = fixture.plan(vec![draft("few", None, false)]);
    assert!(passing.is_empty() && passing.head == Seq(2));
    let retry = fixture.plan(vec![draft("few", Some("k"), true)]);
    assert!(retry.is_empty() && retry.head == Seq(1));
    assert!(fixture.ledger.plan_maintenance(NOW, &fixture.kept).is_empty());
}

#[test]
fn a_full_channel_names_each_event_it_drops() {
    let mut fixture = Fixture::new(LogConfig::default());
    fixture.append(vec![publish("few"), publish("few"), publish("few")]);
    assert_eq!(fixture.kept.asked.get(), 0, "nothing is asked while there is room");
    let plan = fixture.plan(vec![publish("few"), publish("few")]);
    assert_eq!(plan.touched[&0].dropped, [Seq(1), Seq(2)]);
    fixture.take(plan);
    // More than the channel can hold: some of it never gets to the store.
    let plan = fixture.plan((0..5).map(|_| publish("few")).collect());
    assert_eq!((plan.touched[&0].dropped.len(), plan.touched[&0].fresh.len()), (3, 3));
    fixture.take(plan);
    assert_eq!((fixture.state("few").events, fixture.state("few").head_offset), (3, 10));
}

#[test]
fn a_reset_tells_the_store_to_drop_what_it_has_unseen() {
    let mut fixture = Fixture::new(LogConfig::default());
    fixture.append(vec![publish("os"), publish("os")]);
    let plan = fixture.plan(vec![publish("os"), Entry::Reset(name("os")), publish("os")]);
    let touched = &plan.touched[&0];
    assert!(touched.purged && touched.dropped.is_empty());
    assert_eq!((touched.lost_before, touched.stored_last, touched.fresh.len()), (Seq(0), Seq(2), 1));
    fixture.take(plan);
    let plan = fixture.plan(vec![Entry::Reset(name("none"))]);
    assert!(!plan.touched[&1].purged, "there is nothing to drop");
}

#[test]
fn a_store_that_cannot_read_does_not_stop_the_log() {
    let mut fixture = Fixture::new(LogConfig::default());
    fixture.append(vec![publish("few"), publish("few"), publish("few")]);
    fixture.kept.broken.set(true);
    let outcome = fixture.append(vec![publish("few")]);
    assert_eq!((outcome.trims[0].lost.through, outcome.trims[0].lost.reason), (Seq(3), LostReason::Expired));
    let state = fixture.state("few");
    assert_eq!((state.events, state.bytes, state.head_offset, state.oldest_time), (1, 5, 4, Some(NOW)));
}

#[test]
fn the_oldest_of_all_channels_go_first_whatever_their_rules() {
    let total_bytes_max = 3 * (5 + crate::EVENT_OVERHEAD_BYTES);
    let mut fixture = Fixture::new(LogConfig { total_bytes_max, ..LogConfig::default() });
    for channel in ["os", "other", "few"] {
        fixture.append(vec![publish(channel)]);
        fixture.now = fixture.now.plus(Duration::from_millis(1));
    }
    for expected in ["os", "other", "few", "new"] {
        let outcome = fixture.append(vec![publish("new")]);
        fixture.now = fixture.now.plus(Duration::from_millis(1));
        assert_eq!(outcome.trims.iter().map(|trim| trim.channel.as_str()).collect::<Vec<_>>(), [expected]);
    }
    assert_eq!(fixture.state("new").events, 3);
}

#[test]
fn a_clock_that_goes_back_loses_nothing() {
    let mut fixture = Fixture::new(LogConfig::default());
    fixture.append(vec![draft("few", Some("k"), true)]);
    fixture.now = Millis(NOW.0 - 3_600_000);
    assert!(fixture.append(vec![publish("few"), publish("os")]).trims.is_empty());
    assert!(fixture.maintain().trims.is_empty());
    assert!(fixture.plan(vec![draft("few", Some("k"), true)]).is_empty(), "the retry is found");
    // The first event is the oldest, though it is not the one with the smallest time: the rest waits behind it.
    fixture.now = Millis(NOW.0 + 5_000);
    assert_eq!(fixture.maintain().trims.iter().map(|trim| trim.channel.as_str()).collect::<Vec<_>>(), ["os"]);
    fixture.now = Millis(NOW.0 + 10_001);
    fixture.maintain();
    assert_eq!(fixture.state("few").events, 0);
}

#[test]
fn keys_past_their_window_make_room_when_it_is_needed() {
    let config = LogConfig { idempotency_keys_max: 2, ..LogConfig::default() };
    let mut fixture = Fixture::new(config);
    fixture.append(vec![draft("os", Some("1"), true), draft("os", Some("2"), true)]);
    let plan = fixture.plan(vec![draft("os", Some("3"), true)]);
    assert!(matches!(plan.outcome.groups[..], [Err(Refusal::IdempotencyKeysFull(0))]));
    fixture.now = fixture.now.plus(config.idempotency_window);
    let plan = fixture.plan(vec![draft("os", Some("3"), true)]);
    assert_eq!(plan.forgotten, [Seq(1), Seq(2)]);
    fixture.take(plan);
    assert_eq!(fixture.ledger.usage().idempotency_keys, 1);
}

#[test]
fn as_many_keys_make_room_as_are_needed() {
    let config = LogConfig { idempotency_keys_max: 21_000, ..LogConfig::default() };
    let mut fixture = Fixture::new(config);
    let keys = |range: std::ops::Range<u32>| range.map(|key| draft("other", Some(&key.to_string()), false)).collect();
    fixture.append(keys(0..21_000));
    fixture.now = fixture.now.plus(config.idempotency_window);
    let plan = fixture.plan(keys(0..20_500));
    assert_eq!((plan.answers.len(), plan.forgotten.len()), (20_500, 20_500), "more than a call forgets by itself");
}

#[test]
fn a_channel_takes_little_memory() {
    // What the bound on channels promises, without the name; maps are counted with room for growth.
    let row = size_of::<table::Channel>();
    let by_name = size_of::<(ChannelName, ChannelId)>();
    let by_age = size_of::<(Millis, ChannelId)>();
    assert!((row + by_name + by_age) * 3 / 2 <= 200, "{row} + {by_name} + {by_age}");
}
