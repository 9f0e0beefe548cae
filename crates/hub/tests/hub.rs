//! The hub over the memory log: what publishers and readers are promised, whatever the ring holds.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bongsu_core::cursor::{Cursor, Since};
use bongsu_core::limits::Limits;
use bongsu_core::log::{Budget, Draft, Idempotency};
use bongsu_core::policy::{Policy, Retention, Rules};
use bongsu_core::read::{From, Way};
use bongsu_core::subscription::{Item, ReadError};
use bongsu_core::{ChannelName, Clock, ErrorCode, Millis, Payload, PayloadKind, Problem};
use bongsu_hub::{Hub, Published, Reader, Running, Wake};
use bongsu_log::{LogConfig, MemoryLog};
use bytes::Bytes;

const ALL: Budget = Budget { events: 10_000, bytes: 64 << 20 };

#[derive(Default)]
struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
}

/// A wake that a thread can wait for.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    ring: Condvar,
}

impl Wake for Bell {
    fn wake(&self) {
        *self.rung.lock().unwrap() = true;
        self.ring.notify_one();
    }
}

impl Bell {
    /// False if nothing rang for long.
    fn wait(&self) -> bool {
        let rung = self.rung.lock().unwrap();
        let (mut rung, timeout) = self.ring.wait_timeout_while(rung, Duration::from_secs(20), |rung| !*rung).unwrap();
        *rung = false;
        !timeout.timed_out()
    }
}

struct House {
    hub: Hub,
    running: Option<Running>,
    clock: Arc<TestClock>,
}

impl House {
    fn new(limits: Limits, retention: Retention) -> Self {
        let rules = Arc::new(Rules::new(Vec::new(), Policy { retention, ..Policy::default() }));
        let clock = Arc::new(TestClock::default());
        let log = Arc::new(MemoryLog::new(rules.clone(), LogConfig::default()));
        let (hub, running) = Hub::start(log, rules, &limits, clock.clone()).unwrap();
        Self { hub, running: Some(running), clock }
    }

    fn default() -> Self {
        Self::new(Limits::default(), Retention::default())
    }

    fn try_publish(&self, drafts: Vec<Draft>) -> Result<Vec<Published>, Problem> {
        let (done, answer) = channel();
        self.hub.publish(drafts, move |result| done.send(result).unwrap())?;
        answer.recv().unwrap()
    }

    fn publish(&self, channel: &str, text: &str) -> Published {
        self.try_publish(vec![draft(channel, text)]).unwrap().remove(0)
    }

    fn drop_history(&self, name: &str) {
        let (done, answer) = channel();
        self.hub.drop_history(name.parse().unwrap(), move |result| done.send(result).unwrap()).unwrap();
        answer.recv().unwrap().unwrap();
    }

    fn read(&self, channels: &[&str], from: From) -> (Reader, Arc<Bell>) {
        let bell = Arc::new(Bell::default());
        let names: Vec<ChannelName> = channels.iter().map(|name| name.parse().unwrap()).collect();
        (self.hub.subscribe(Way::Sse, &names, from, Vec::new(), bell.clone()).unwrap(), bell)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.close().unwrap();
        }
    }
}

fn draft(channel: &str, text: &str) -> Draft {
    let payload =
        Payload { kind: PayloadKind::Text, content_type: None, bytes: Bytes::copy_from_slice(text.as_bytes()) };
    Draft {
        channel: channel.parse().unwrap(),
        kind: None,
        key: None,
        user: None,
        ttl: None,
        store: true,
        payload,
        idempotency: None,
        subscribers: 0,
    }
}

/// Everything up to the head, in words: texts of events, `gap:` with its reason, `live`.
fn words(reader: &mut Reader) -> Vec<String> {
    let mut words = Vec::new();
    loop {
        let page = match reader.page(ALL) {
            Ok(page) => page,
            Err(ReadError::Cold) => reader.page_cold(ALL).unwrap(),
            Err(error) => panic!("{error:?}"),
        };
        words.extend(page.items.iter().map(|item| match item {
            Item::Event(event) => String::from_utf8(event.payload.bytes.to_vec()).unwrap(),
            Item::Gap { channel, reason, .. } => format!("gap:{channel}:{}", reason.as_str()),
            Item::Live { .. } => "live".into(),
        }));
        if page.caught_up {
            return words;
        }
    }
}

fn at(published: &Published) -> From {
    From::Since(Since::At(published.id.unwrap()))
}

const START: From = From::Since(Since::Start);
const NOW: From = From::Since(Since::Now);

#[test]
fn events_are_numbered_and_read_from_any_position() {
    let house = House::default();
    let published: Vec<Published> = ["a", "b", "c"].iter().map(|text| house.publish("x", text)).collect();
    let offsets: Vec<_> = published.iter().map(|published| published.offset.unwrap()).collect();
    assert_eq!(offsets, [1, 2, 3]);
    let cases = [
        (START, vec!["a", "b", "c", "live"]),
        (NOW, vec!["live"]),
        (at(&published[0]), vec!["b", "c", "live"]),
        (at(&published[2]), vec!["live"]),
        (From::Last(2), vec!["b", "c", "live"]),
        (From::Last(9), vec!["a", "b", "c", "live"]),
    ];
    for (from, expected) in cases {
        assert_eq!(words(&mut house.read(&["x"], from).0), expected, "{from:?}");
    }
}

#[test]
fn several_channels_come_in_log_order_and_one_cursor_resumes_them_all() {
    let house = House::default();
    for (channel, text) in [("x", "1"), ("y", "2"), ("x", "3"), ("z", "4"), ("y", "5")] {
        house.publish(channel, text);
    }
    let (mut reader, _) = house.read(&["x", "y", "z"], START);
    assert_eq!(words(&mut reader), ["1", "2", "3", "4", "5", "live"]);
    let cursor = reader.cursor();
    drop(reader);
    house.publish("z", "6");
    house.publish("other", "no");
    house.publish("x", "7");
    let (mut reader, _) = house.read(&["y", "z", "x"], From::Since(Since::At(cursor)));
    assert_eq!(words(&mut reader), ["6", "7", "live"]);
}

#[test]
fn the_log_serves_what_the_ring_has_given_up() {
    // A ring of one byte holds nothing for longer than a batch.
    let house = House::new(Limits { ring_bytes_max: 1, ..Limits::default() }, Retention::default());
    let first = house.publish("x", "0");
    let (mut live, _) = house.read(&["x"], NOW);
    for index in 1..50 {
        house.publish("x", &index.to_string());
    }
    let (mut reader, _) = house.read(&["x"], at(&first));
    let expected: Vec<String> = (1..50).map(|index| index.to_string()).chain(["live".into()]).collect();
    assert_eq!(words(&mut reader), expected);
    assert!(house.hub.figures().cold_pages.get() > 0, "nothing was read from the log");
    assert_eq!(words(&mut live)[1..], expected[..49]);
    assert!(house.hub.figures().ring_bytes.get() <= 1);
}

#[test]
fn what_retention_took_is_a_gap_also_when_the_ring_had_it() {
    let house = House::new(Limits::default(), Retention { events_max: 3, ..Retention::default() });
    let first = house.publish("x", "1");
    let (mut stalled, _) = house.read(&["x"], NOW);
    for index in 2..=6 {
        house.publish("x", &index.to_string());
    }
    assert_eq!(words(&mut house.read(&["x"], at(&first)).0), ["gap:x:expired", "4", "5", "6", "live"]);
    assert_eq!(words(&mut house.read(&["x"], START).0), ["4", "5", "6", "live"]);
    assert_eq!(words(&mut stalled), ["gap:x:expired", "live", "4", "5", "6"]);
}

#[test]
fn readers_hear_of_a_dropped_history_once_and_go_on() {
    let house = House::default();
    let last = house.publish("x", "old");
    let (mut live, bell) = house.read(&["x"], NOW);
    assert_eq!(words(&mut live), ["live"]);
    house.drop_history("x");
    assert!(bell.wait(), "the reader was not woken");
    assert_eq!(words(&mut live), ["gap:x:reset"]);
    assert_eq!(house.publish("x", "new").offset, Some(2), "offsets go on");
    assert_eq!(words(&mut live), ["new"]);
    assert_eq!(words(&mut house.read(&["x"], at(&last)).0), ["gap:x:reset", "new", "live"]);
}

#[test]
fn events_that_are_not_stored_reach_only_those_who_are_there() {
    let house = House::default();
    let (mut there, _) = house.read(&["x"], NOW);
    let stored = house.publish("x", "stored");
    let passing = house.try_publish(vec![Draft { store: false, ..draft("x", "passing") }]).unwrap().remove(0);
    assert_eq!((passing.id, passing.offset), (None, None));
    house.publish("x", "after");
    assert_eq!(words(&mut there), ["live", "stored", "passing", "after"]);
    assert_eq!(words(&mut house.read(&["x"], START).0), ["stored", "after", "live"]);
    assert_eq!(words(&mut house.read(&["x"], at(&stored)).0), ["after", "live"]);
}

#[test]
fn an_expired_event_is_passed_over_without_a_gap() {
    let house = House::default();
    house.try_publish(vec![Draft { ttl: Some(Duration::from_secs(5)), ..draft("x", "short") }]).unwrap();
    house.publish("x", "long");
    assert_eq!(words(&mut house.read(&["x"], START).0), ["short", "long", "live"]);
    house.clock.0.store(5_000, Ordering::SeqCst);
    assert_eq!(words(&mut house.read(&["x"], START).0), ["long", "live"]);
}

#[test]
fn a_retry_gets_the_first_answer_again() {
    let house = House::default();
    let key = Some(Idempotency { publisher: "".into(), key: "k".into() });
    let keyed = |text: &str| vec![Draft { idempotency: key.clone(), ..draft("x", text) }];
    let first = house.try_publish(keyed("once")).unwrap().remove(0);
    let reader = house.read(&["x"], NOW);
    let again = house.try_publish(keyed("once")).unwrap().remove(0);
    assert_eq!(again, Published { duplicate: true, ..first });
    drop(reader);
    let mismatch = house.try_publish(keyed("other")).unwrap_err();
    assert_eq!(mismatch.code, ErrorCode::IdempotencyMismatch);
    assert_eq!(words(&mut house.read(&["x"], START).0), ["once", "live"]);
}

#[test]
fn a_group_is_taken_whole_or_not_at_all() {
    let house = House::default();
    let key = Some(Idempotency { publisher: "".into(), key: "k".into() });
    house.try_publish(vec![Draft { idempotency: key.clone(), ..draft("y", "first") }]).unwrap();
    let clash = vec![draft("x", "no"), Draft { idempotency: key, ..draft("y", "another") }];
    assert_eq!(house.try_publish(clash).unwrap_err().code, ErrorCode::IdempotencyMismatch);
    assert_eq!(words(&mut house.read(&["x", "y"], START).0), ["first", "live"]);
}

#[test]
fn subscribers_are_counted_by_way_and_leave_when_they_are_dropped() {
    let house = House::default();
    let name: ChannelName = "x".parse().unwrap();
    let readers = [house.read(&["x"], NOW), house.read(&["x", "y"], NOW)];
    assert_eq!(house.publish("x", "a").subscribers, 2);
    assert_eq!(house.hub.channel(&name).1.by(Way::Sse), 2);
    assert_eq!(house.hub.channel(&name).1.by(Way::Poll), 0);
    drop(readers);
    assert_eq!(house.hub.channel(&name).1.total(), 0);
    assert_eq!(house.publish("x", "b").subscribers, 0);
}

#[test]
fn too_much_in_flight_is_refused_and_nothing_else_is_lost() {
    let house = House::new(Limits { publishes_in_flight_max: 2, ..Limits::default() }, Retention::default());
    let (done, answers) = channel();
    let (told, problems) = channel();
    let hub = house.hub.clone();
    // While the sequencer calls back it takes nothing more, so these pile up.
    let flood = move |first: Result<_, _>| {
        done.send(first).unwrap();
        for index in 0..100 {
            let done = done.clone();
            let handed = hub.publish(vec![draft("x", &index.to_string())], move |result| done.send(result).unwrap());
            handed.or_else(|problem| told.send(problem)).unwrap();
        }
    };
    house.hub.publish(vec![draft("x", "first")], flood).unwrap();
    assert_eq!(answers.iter().filter(Result::is_ok).count(), 3);
    assert_eq!(
        problems
            .iter()
            .map(|problem| {
                assert_eq!(problem.code, ErrorCode::Overloaded);
                assert!(problem.detail.contains("publishes_in_flight_max"), "{}", problem.detail);
            })
            .count(),
        98
    );
    assert_eq!(words(&mut house.read(&["x"], START).0).len(), 3 + 1);
}

#[test]
fn a_closed_hub_refuses_and_what_was_handed_over_is_answered() {
    let mut house = House::default();
    let (done, answers) = channel();
    for index in 0..100 {
        let done = done.clone();
        house.hub.publish(vec![draft("x", &index.to_string())], move |result| done.send(result).unwrap()).unwrap();
    }
    drop(done);
    house.running.take().unwrap().close().unwrap();
    assert_eq!(answers.iter().filter(Result::is_ok).count(), 100);
    let refused = house.hub.publish(vec![draft("x", "late")], |_| ()).unwrap_err();
    assert_eq!(refused.code, ErrorCode::Draining);
    assert!(house.hub.health().is_err());
}

/// Publishers on several threads; readers that stall, drop and resume at random, with a ring that holds next to nothing.
#[test]
fn every_reader_gets_everything_once_and_in_order_under_load() {
    const PUBLISHERS: usize = 4;
    const EACH: usize = 2_000;
    let limits = Limits { ring_bytes_max: 20_000, ..Limits::default() };
    let house = House::new(limits, Retention::default());
    let channels = ["a", "b", "c"];
    std::thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let house = &house;
            scope.spawn(move || {
                for index in 0..EACH {
                    house.publish(channels[(publisher + index) % 3], &format!("{publisher}:{index}"));
                }
            });
        }
        for seed in 0..6_u64 {
            let house = &house;
            scope.spawn(move || follow(house, &channels, seed, PUBLISHERS * EACH));
        }
    });
}

fn follow(house: &House, channels: &[&str], seed: u64, total: usize) {
    let mut chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        chance
    };
    let mut seen = 0;
    let mut last: Option<Cursor> = None;
    let mut offsets: HashMap<ChannelName, u64> = HashMap::new();
    let (mut reader, mut bell) = house.read(channels, START);
    while seen < total {
        let budget = Budget { events: 1 + (next() % 40) as usize, bytes: 1 << 20 };
        let page = match reader.page(budget) {
            Ok(page) => page,
            Err(ReadError::Cold) => reader.page_cold(budget).unwrap(),
            Err(error) => panic!("{error:?}"),
        };
        for item in &page.items {
            let Item::Event(event) = item else {
                assert!(matches!(item, Item::Live { .. }), "{item:?}");
                continue;
            };
            assert!(last.is_none_or(|last| last.seq < event.id.seq), "out of order or twice");
            let offset = offsets.entry(event.channel.clone()).or_default();
            assert_eq!(event.offset, *offset + 1, "a hole in {}", event.channel);
            *offset = event.offset;
            last = Some(event.id);
            seen += 1;
        }
        if next() % 10 == 0 {
            let from = if next() % 2 == 0 { last.unwrap_or(reader.cursor()) } else { reader.cursor() };
            (reader, bell) = house.read(channels, From::Since(Since::At(from)));
        } else if page.caught_up && seen < total {
            assert!(bell.wait(), "reader {seed} was not woken at {seen} of {total}");
        }
    }
}
