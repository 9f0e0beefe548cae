//! Idempotency keys.

use std::time::Duration;

use bongsu_core::event::{EventKey, EventType};
use bongsu_core::log::Refusal::{IdempotencyKeysFull, IdempotencyMismatch};
use bongsu_core::log::{Appended, Draft, Entry, Idempotency, Receipt};
use bongsu_core::{PayloadKind, Seq};
use bongsu_log::LogConfig;

use super::fixture::*;

pub(crate) fn a_retry_gets_the_first_answer(kind: Kind) {
    let mut log = Fixture::new(kind);
    log.text("a", "before");
    let first = log.publish(Draft { subscribers: 3, ..keyed("a", "1", "k") });
    log.text("a", "after");
    log.later(Duration::from_secs(599));
    let receipt = log.duplicate(Draft { subscribers: 9, ..keyed("a", "1", "k") });
    assert_eq!(receipt, Receipt { seq: first.id.seq, offset: 2, subscribers: 3 });
    assert_eq!(log.kept("a"), "before 1 after");
    assert_eq!(log.log.usage().idempotency_keys, 1);
}

pub(crate) fn a_key_is_free_again_after_its_window(kind: Kind) {
    let mut log = Fixture::new(kind);
    log.publish(keyed("a", "1", "k"));
    log.later(Duration::from_secs(600));
    log.publish(keyed("a", "another", "k"));
    assert_eq!(log.kept("a"), "1 another");
    log.duplicate(keyed("a", "another", "k"));
    log.later(Duration::from_secs(600));
    log.log.maintain(log.now).unwrap();
    assert_eq!(log.log.usage().idempotency_keys, 0);
}

pub(crate) fn keys_of_others_and_of_other_channels_do_not_meet(kind: Kind) {
    let log = Fixture::new(kind);
    let by = |publisher: &str, channel: &str, key: &str| Draft {
        idempotency: Some(Idempotency { publisher: publisher.into(), key: key.into() }),
        ..draft(channel, "1")
    };
    for (publisher, channel, key) in
        [("p", "a", "k"), ("q", "a", "k"), ("p", "b", "k"), ("pa", "k", "k"), ("", "pa", "k")]
    {
        log.publish(by(publisher, channel, key));
        log.duplicate(by(publisher, channel, key));
    }
}

pub(crate) fn a_key_used_for_something_else_is_refused(kind: Kind) {
    let log = Fixture::new(kind);
    let first = || keyed("a", "1", "k");
    log.publish(first());
    let with = |change: fn(&mut Draft)| {
        let mut draft = first();
        change(&mut draft);
        draft
    };
    let others = [
        keyed("a", "2", "k"),
        with(|draft| draft.kind = EventType::new("t").ok()),
        with(|draft| draft.key = EventKey::new("t").ok()),
        with(|draft| draft.ttl = Some(Duration::from_secs(1))),
        with(|draft| draft.store = false),
        with(|draft| draft.payload.kind = PayloadKind::Json),
        with(|draft| draft.payload.content_type = Some("text/plain".into())),
    ];
    for other in others {
        let told = format!("{other:?}");
        let whole = group(vec![Entry::Publish(draft("a", "lost")), Entry::Publish(other)]);
        let results = log.append(vec![whole, publish(first())]);
        assert_eq!(results[0].as_ref().unwrap_err(), &IdempotencyMismatch(1), "{told}");
        assert!(matches!(results[1].as_deref(), Ok([Appended::Duplicate(_)])), "{told}");
    }
    assert_eq!((log.kept("a").as_str(), log.log.head()), ("1", Seq(1)));
}

pub(crate) fn retries_within_one_append_are_found(kind: Kind) {
    let log = Fixture::new(kind);
    let twice = || group(vec![Entry::Publish(keyed("a", "1", "k")), Entry::Publish(keyed("a", "1", "k"))]);
    let mismatch = group(vec![Entry::Publish(keyed("a", "2", "l")), Entry::Publish(keyed("a", "3", "l"))]);
    let results = log.append(vec![twice(), twice(), mismatch, publish(keyed("a", "4", "l"))]);
    let is_new = |result: &_| match result {
        Appended::Event(_) => true,
        Appended::Duplicate(receipt) => {
            assert_eq!(*receipt, Receipt { seq: Seq(1), offset: 1, subscribers: 0 });
            false
        }
        other => panic!("{other:?}"),
    };
    let new = |index: usize| results[index].as_ref().unwrap().iter().map(is_new).collect::<Vec<_>>();
    assert_eq!((new(0), new(1), new(3)), (vec![true, false], vec![false, false], vec![true]));
    assert_eq!(results[2].as_ref().unwrap_err(), &IdempotencyMismatch(1));
    assert_eq!(log.kept("a"), "1 4", "the refused group left its key free");
}

pub(crate) fn keys_hold_for_events_that_are_not_stored(kind: Kind) {
    let log = Fixture::new(kind);
    let passing = || Draft { store: false, ..keyed("a", "1", "k") };
    let first = log.publish(passing());
    assert_eq!(log.duplicate(passing()), Receipt { seq: first.id.seq, offset: 0, subscribers: 0 });
}

pub(crate) fn more_keys_than_the_bound_are_refused(kind: Kind) {
    let mut log = Fixture::with_config(kind, LogConfig { idempotency_keys_max: 3, ..LogConfig::default() });
    log.publish(keyed("a", "1", "k1"));
    log.later(Duration::from_secs(1));
    log.publish(keyed("a", "2", "k2"));
    let whole = group(vec![Entry::Publish(keyed("a", "lost", "k3")), Entry::Publish(keyed("a", "lost", "k4"))]);
    let results = log.append(vec![whole, publish(keyed("a", "1", "k1")), publish(draft("a", "plain"))]);
    assert_eq!(results[0].as_ref().unwrap_err(), &IdempotencyKeysFull(1));
    assert!(results[1].is_ok() && results[2].is_ok(), "retries and plain publishes need no room");
    log.publish(keyed("a", "3", "k3"));
    let results = log.append(vec![publish(keyed("a", "lost", "k4"))]);
    assert_eq!(results[0].as_ref().unwrap_err(), &IdempotencyKeysFull(0));
    // The first key leaves its window; nobody had to be forgotten early.
    log.later(Duration::from_secs(599));
    log.publish(keyed("a", "4", "k4"));
    log.duplicate(keyed("a", "2", "k2"));
    let results = log.append(vec![publish(keyed("a", "lost", "k5"))]);
    assert_eq!(results[0].as_ref().unwrap_err(), &IdempotencyKeysFull(0));
    assert_eq!(log.kept("a"), "1 2 plain 3 4");
}
