//! What is kept, what is lost, and how it is told.

use std::time::Duration;

use bongsu_core::Seq;
use bongsu_core::log::LostReason::{Expired, Reset};
use bongsu_core::log::{Appended, Draft, Entry, Trim};
use bongsu_log::{EVENT_OVERHEAD_BYTES, LogConfig};

use super::fixture::*;

fn told(trims: &[Trim]) -> Vec<(&str, u64)> {
    let mut told = trims.iter().map(|trim| (trim.channel.as_str(), trim.lost.through.0)).collect::<Vec<_>>();
    told.sort_unstable();
    told
}

pub(crate) fn a_channel_never_keeps_more_events_than_its_bound(kind: Kind) {
    let log = Fixture::new(kind);
    log.texts("few:a", &["1", "2", "3"]);
    assert_eq!((log.kept("few:a").as_str(), log.lost("few:a")), ("1 2 3", None));
    let outcome = log.log.append(vec![publish(draft("few:a", "4")), publish(draft("b", "x"))], log.now).unwrap();
    assert_eq!(told(&outcome.trims), [("few:a", 1)]);
    assert_eq!((log.kept("few:a").as_str(), log.lost("few:a")), ("2 3 4", Some((1, Expired))));
    let state = log.log.channel(&name("few:a")).unwrap();
    assert_eq!((state.head_offset, state.events, state.bytes, state.oldest_offset()), (4, 3, 3, 2));
}

pub(crate) fn events_can_be_trimmed_by_the_append_that_brought_them(kind: Kind) {
    let log = Fixture::new(kind);
    log.text("few:a", "1");
    let many = ["2", "3", "4", "5", "6"].map(|text| Entry::Publish(draft("few:a", text)));
    let outcome = log.log.append(vec![group(many.to_vec())], log.now).unwrap();
    assert_eq!(outcome.groups[0].as_ref().unwrap().len(), 5, "live readers still get them all");
    assert_eq!(told(&outcome.trims), [("few:a", 3)]);
    assert_eq!(log.kept("few:a"), "4 5 6");
}

pub(crate) fn a_channel_never_keeps_more_bytes_than_its_bound(kind: Kind) {
    let log = Fixture::new(kind);
    log.texts("small:a", &["1234", "5678", "90"]);
    assert_eq!(log.kept("small:a"), "1234 5678 90");
    log.text("small:a", "x");
    assert_eq!(log.kept("small:a"), "5678 90 x");
    log.text("small:a", "0123456789");
    assert_eq!(log.kept("small:a"), "0123456789");
    log.text("small:a", "more than ten bytes");
    assert_eq!((log.kept("small:a").as_str(), log.lost("small:a")), ("", Some((6, Expired))));
    log.text("small:a", "next");
    assert_eq!((log.kept("small:a"), log.all("small:a").events[0].offset), ("next".into(), 7));
}

pub(crate) fn events_older_than_the_bound_go(kind: Kind) {
    let mut log = Fixture::new(kind);
    log.texts("short:a", &["1", "2"]);
    log.text("short:b", "3");
    log.text("long", "4");
    log.later(Duration::from_millis(600));
    log.text("short:a", "5");
    log.later(Duration::from_millis(400));
    assert_eq!(log.log.maintain(log.now), Ok(vec![]), "a second old is not older than a second");
    log.later(Duration::from_millis(1));
    assert_eq!(told(&log.log.maintain(log.now).unwrap()), [("short:a", 2), ("short:b", 3)]);
    assert_eq!((log.kept("short:a"), log.kept("short:b"), log.kept("long")), ("5".into(), "".into(), "4".into()));
    assert_eq!(log.log.maintain(log.now), Ok(vec![]));
    log.later(Duration::from_secs(1));
    log.text("short:a", "6");
    assert_eq!(log.kept("short:a"), "6", "an append trims what is due in its own channel");
    assert_eq!(log.text("short:b", "7").offset, 2, "offsets go on");
}

pub(crate) fn the_bound_on_everything_takes_the_oldest_first(kind: Kind) {
    let total_bytes_max = 4 * (EVENT_OVERHEAD_BYTES + 1);
    let mut log = Fixture::with_config(kind, LogConfig { total_bytes_max, ..LogConfig::default() });
    for (channel, text) in [("a", "1"), ("b", "2"), ("a", "3"), ("b", "4")] {
        log.text(channel, text);
        log.later(Duration::from_millis(1));
    }
    assert_eq!((log.kept("a"), log.kept("b")), ("1 3".into(), "2 4".into()));
    let outcome = log.log.append(vec![publish(draft("c", "5"))], log.now).unwrap();
    assert_eq!(told(&outcome.trims), [("a", 1)]);
    log.later(Duration::from_millis(1));
    let two = group(vec![Entry::Publish(draft("c", "6")), Entry::Publish(draft("a", "7"))]);
    let outcome = log.log.append(vec![two], log.now).unwrap();
    assert_eq!(told(&outcome.trims), [("a", 3), ("b", 2)]);
    assert_eq!((log.kept("a"), log.kept("b"), log.kept("c")), ("7".into(), "4".into(), "5 6".into()));
    log.text("d", &"x".repeat(total_bytes_max as usize));
    assert_eq!(log.log.usage().events, 0, "what cannot fit at all is not kept, and does not stay over the bound");
}

pub(crate) fn a_read_tells_what_is_gone_exactly(kind: Kind) {
    let log = Fixture::new(kind);
    log.texts("few:a", &["1", "2", "3", "4", "5"]);
    let cases = [(0, Some(2), "3 4 5"), (1, Some(2), "3 4 5"), (2, None, "3 4 5"), (3, None, "4 5"), (5, None, "")];
    for (after, lost, expected) in cases {
        let slice = log.read("few:a", Seq(after), END);
        assert_eq!(slice.lost.map(|lost| (lost.through.0, lost.reason)), lost.map(|seq| (seq, Expired)), "{after}");
        assert_eq!(bodies(&slice).join(" "), expected, "after {after}");
    }
    let slice = log.read("few:a", Seq(0), Seq(1));
    assert!(slice.events.is_empty() && slice.lost.is_some() && slice.complete);
}

pub(crate) fn a_reset_drops_the_history_and_takes_a_number(kind: Kind) {
    let log = Fixture::new(kind);
    log.texts("a", &["1", "2"]);
    log.text("b", "3");
    let outcome = log.log.append(vec![reset("a")], log.now).unwrap();
    assert!(
        matches!(&outcome.groups[0].as_ref().unwrap()[..], [Appended::Reset(channel, Seq(4))] if *channel == name("a"))
    );
    assert_eq!(outcome.trims, [], "the reset tells it already");
    assert_eq!((log.kept("a").as_str(), log.kept("b").as_str(), log.lost("a")), ("", "3", Some((4, Reset))));
    let state = log.log.channel(&name("a")).unwrap();
    assert_eq!((state.head_offset, state.last_seq, state.events, state.bytes), (2, Seq(2), 0, 0));
    assert_eq!(log.text("a", "5").offset, 3, "offsets go on");
    let at_head = log.read("a", Seq(3), END);
    assert_eq!(at_head.lost.map(|lost| lost.reason), Some(Reset), "a reader that had everything is told too");
    assert_eq!(log.read("a", Seq(4), END).lost, None);
}

pub(crate) fn a_reset_among_publishes_drops_what_came_before_it(kind: Kind) {
    let log = Fixture::new(kind);
    log.text("a", "0");
    let publish = |text| Entry::Publish(draft("a", text));
    let mixed = group(vec![publish("1"), Entry::Reset(name("a")), publish("3"), publish("4")]);
    log.append(vec![mixed]);
    assert_eq!((log.kept("a").as_str(), log.lost("a")), ("3 4", Some((3, Reset))));
    assert_eq!(log.all("a").events[0].offset, 3);
    log.append(vec![reset("new")]);
    assert_eq!(log.lost("new"), Some((6, Reset)), "a channel nobody published to can be dropped as well");
}

pub(crate) fn trims_after_a_reset_are_told_as_expired(kind: Kind) {
    let log = Fixture::new(kind);
    log.text("few:a", "1");
    log.append(vec![reset("few:a")]);
    log.texts("few:a", &["2", "3", "4"]);
    assert_eq!(log.lost("few:a"), Some((2, Reset)));
    log.text("few:a", "5");
    assert_eq!((log.lost("few:a"), log.kept("few:a").as_str()), (Some((3, Expired)), "3 4 5"));
}

pub(crate) fn many_events_due_at_once_are_trimmed_in_pieces(kind: Kind) {
    let mut log = Fixture::new(kind);
    let many = (0..25_000).map(|_| publish(Draft { ..draft("short:a", "x") })).collect();
    log.append(many);
    log.later(Duration::from_secs(2));
    let mut left = Vec::new();
    while left.last() != Some(&0) {
        log.log.maintain(log.now).unwrap();
        left.push(log.log.usage().events);
        assert_eq!(log.all("short:a").events.len() as u64, left[left.len() - 1]);
    }
    assert_eq!(left, [15_000, 5_000, 0]);
}
