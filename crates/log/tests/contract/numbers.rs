//! Numbers, offsets, groups and what an event carries.

use std::time::Duration;

use bongsu_core::log::{Appended, Entry};
use bongsu_core::{Cursor, Seq};
use bongsu_log::LogConfig;

use super::fixture::*;

pub(crate) fn events_are_numbered_in_order(kind: Kind) {
    let log = Fixture::new(kind);
    assert_eq!(log.log.head(), Seq(0));
    let a1 = log.text("a", "1");
    let b1 = log.text("b", "2");
    let a2 = log.text("a", "3");
    assert!(a1.id.seq > Seq(0) && a1.id.seq < b1.id.seq && b1.id.seq < a2.id.seq);
    assert_eq!((a1.offset, b1.offset, a2.offset), (1, 1, 2));
    assert_eq!(log.log.head(), a2.id.seq);
    assert_eq!(a2.id, Cursor::new(log.log.epoch(), a2.id.seq));
    assert_eq!((log.kept("a"), log.kept("b"), log.kept("c")), ("1 3".into(), "2".into(), String::new()));
}

pub(crate) fn one_append_keeps_the_order_of_its_groups(kind: Kind) {
    let log = Fixture::new(kind);
    let two = group(vec![Entry::Publish(draft("a", "1")), Entry::Publish(draft("b", "2"))]);
    let results = log.append(vec![two, publish(draft("a", "3"))]);
    let seqs = results.iter().flatten().flatten().map(|appended| match appended {
        Appended::Event(event) => (event.id.seq.0, event.offset),
        other => panic!("{other:?}"),
    });
    assert_eq!(seqs.collect::<Vec<_>>(), [(1, 1), (2, 1), (3, 2)]);
    assert_eq!(log.kept("a"), "1 3");
}

pub(crate) fn an_event_comes_back_as_it_went_in(kind: Kind) {
    let log = Fixture::new(kind);
    let bytes = (0..=255).collect::<Vec<u8>>();
    let told = log.publish(full("a", &bytes));
    let plain = log.text("a", "");
    let read = log.all("a").events;
    for (told, read) in [told, plain].iter().zip(&read) {
        assert_eq!((read.id, &read.channel, read.offset), (told.id, &told.channel, told.offset));
        assert_eq!((&read.kind, &read.key, &read.user), (&told.kind, &told.key, &told.user));
        assert_eq!((read.time, read.expires, &read.payload), (told.time, told.expires, &told.payload));
        assert!(read.stored && told.stored);
    }
    assert_eq!(read[0].expires, Some(START.plus(Duration::from_secs(60))));
    assert_eq!((read[0].time, &read[0].payload.bytes[..]), (START, &bytes[..]));
    assert_eq!((read[1].expires, read.len()), (None, 2));
}

pub(crate) fn events_that_are_not_stored_take_numbers_but_no_offsets(kind: Kind) {
    let log = Fixture::new(kind);
    let first = log.text("a", "1");
    let passing = log.publish(bongsu_core::log::Draft { store: false, ..draft("a", "2") });
    let second = log.text("a", "3");
    assert!(first.id.seq < passing.id.seq && passing.id.seq < second.id.seq);
    assert_eq!((passing.offset, passing.stored, second.offset), (0, false, 2));
    assert_eq!(log.kept("a"), "1 3");
    let only_passing = bongsu_core::log::Draft { store: false, ..draft("never", "4") };
    log.publish(only_passing);
    assert_eq!(log.log.channel(&name("never")), None);
}

pub(crate) fn a_channel_is_described(kind: Kind) {
    let mut log = Fixture::new(kind);
    assert_eq!(log.log.channel(&name("a")), None);
    log.text("a", "123");
    log.later(Duration::from_secs(1));
    let last = log.text("a", "4567");
    let state = log.log.channel(&name("a")).unwrap();
    assert_eq!((state.head_offset, state.last_seq, state.lost), (2, last.id.seq, None));
    assert_eq!((state.events, state.bytes, state.oldest_time), (2, 7, Some(START)));
    assert_eq!(state.oldest_offset(), 1);
    let usage = log.log.usage();
    assert_eq!((usage.channels, usage.events, usage.bytes), (1, 2, 7));
}

pub(crate) fn channels_are_listed_by_name(kind: Kind) {
    let log = Fixture::new(kind);
    for channel in ["b:2", "a", "b:1", "b", "b:10", "c", "봉"] {
        log.text(channel, "x");
    }
    let cases: [(&str, Option<&str>, usize, &[&str]); 9] = [
        ("", None, 10, &["a", "b", "b:1", "b:10", "b:2", "c", "봉"]),
        ("b:", None, 10, &["b:1", "b:10", "b:2"]),
        ("b:", Some("b:1"), 10, &["b:10", "b:2"]),
        ("b:", Some("b:11"), 10, &["b:2"]),
        ("b:", Some("a"), 2, &["b:1", "b:10"]),
        ("b:", Some("c"), 10, &[]),
        ("", Some("b"), 1, &["b:1"]),
        ("", None, 0, &[]),
        ("x", None, 10, &[]),
    ];
    for (prefix, after, limit, expected) in cases {
        let listed = log.log.channels(prefix, after, limit);
        let names = listed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
        assert_eq!(names, expected, "{prefix:?} after {after:?} limit {limit}");
    }
}

pub(crate) fn the_bound_on_channels_refuses_the_group(kind: Kind) {
    use bongsu_core::log::Refusal::ChannelsFull;
    let log = Fixture::with_config(kind, LogConfig { channels_max: 2, ..LogConfig::default() });
    log.text("a", "1");
    let whole = group(vec![
        Entry::Publish(draft("a", "lost")),
        Entry::Publish(draft("b", "lost")),
        Entry::Publish(draft("b", "lost")),
        Entry::Publish(draft("c", "lost")),
    ]);
    let results = log.append(vec![whole, publish(draft("b", "2")), publish(draft("c", "3")), reset("d")]);
    assert_eq!(results[0].as_ref().unwrap_err(), &ChannelsFull(3));
    assert_eq!(results[2].as_ref().unwrap_err(), &ChannelsFull(0));
    assert_eq!(results[3].as_ref().unwrap_err(), &ChannelsFull(0));
    assert_eq!((log.kept("a"), log.kept("b"), log.kept("c")), ("1".into(), "2".into(), String::new()));
    let passing = bongsu_core::log::Draft { store: false, ..draft("c", "4") };
    assert_eq!(log.publish(passing).id.seq, Seq(3), "what was refused took no number, and this needs no channel");
}

pub(crate) fn a_closed_log_takes_nothing_more(kind: Kind) {
    let log = Fixture::new(kind);
    log.text("a", "1");
    assert_eq!(log.log.health(), Ok(()));
    log.log.close().unwrap();
    assert!(log.log.health().is_err());
    assert!(log.log.append(vec![publish(draft("a", "2"))], START).is_err());
    assert_eq!(log.kept("a"), "1");
}
