//! What a log on disk promises over the end of its process.

use std::time::Duration;

use bongsu_core::Seq;
use bongsu_core::log::LostReason::{Expired, Reset};
use bongsu_core::log::Refusal::IdempotencyKeysFull;
use bongsu_core::log::{Draft, Receipt};
use bongsu_log::inspect::Inspection;
use bongsu_log::{LogConfig, NewEpoch};

use super::fixture::*;

/// The two ways in which a log ends.
const ENDS: [fn(&mut Fixture) -> bongsu_log::Opened; 2] = [Fixture::restart, |log| {
    log.kill();
    log.start()
}];

#[test]
fn everything_is_there_again() {
    for end in ENDS {
        let mut log = Fixture::new(Kind::Embedded);
        log.text("a", "1");
        log.publish(full("a", &[0, 255, 10]));
        log.texts("few:a", &["1", "2", "3", "4"]);
        log.text("b", "1");
        log.append(vec![reset("b")]);
        log.text("os:a", "1");
        let passing = log.publish(Draft { store: false, ..draft("a", "passing") });
        let channels = log.log.channels("", None, 100);
        let (events, usage, epoch) = (log.all("a").events, log.log.usage(), log.log.epoch());

        end(&mut log);
        assert_eq!((log.log.epoch(), log.log.channels("", None, 100)), (epoch, channels));
        let again = log.all("a").events;
        assert_eq!(format!("{again:?}"), format!("{events:?}"));
        assert_eq!((log.kept("few:a").as_str(), log.lost("few:a")), ("2 3 4", Some((3, Expired))));
        assert_eq!((log.kept("b").as_str(), log.lost("b")), ("", Some((8, Reset))));
        let new = log.log.usage();
        assert_eq!((new.channels, new.events, new.bytes), (usage.channels, usage.events, usage.bytes));

        let next = log.text("a", "next");
        assert!(next.id.seq > passing.id.seq, "numbers of events that are not stored are not given again");
        assert_eq!((next.offset, log.text("b", "next").offset), (3, 2));
    }
}

#[test]
fn a_log_tells_how_it_was_left() {
    let mut log = Fixture::new(Kind::Embedded);
    log.text("a", "1");
    let opened = log.restart();
    assert_eq!((opened.clean, opened.new_epoch, opened.torn), (true, None, None));
    assert_eq!(log.text("a", "2").id.seq, Seq(2), "a log that was closed goes on without a hole");
    log.kill();
    let opened = log.start();
    assert_eq!((opened.clean, opened.new_epoch, opened.torn), (false, None, None));
    assert!(log.text("a", "3").id.seq > Seq(3));
    let new = tempfile::tempdir().unwrap();
    let new = open(new.path(), LogConfig::default(), START);
    assert_eq!((new.opened().clean, new.opened().new_epoch), (true, Some(NewEpoch::Created)));
}

#[test]
fn numbers_are_never_given_twice() {
    let mut log = Fixture::new(Kind::Embedded);
    let mut highest = Seq(0);
    for round in 0..6 {
        for _ in 0..3 {
            // Nothing of this is kept but that the number was given.
            let passing = log.publish(Draft { store: round % 2 == 0, ..draft("a", "x") });
            assert!(passing.id.seq > highest, "{:?} after {highest:?}", passing.id.seq);
            highest = passing.id.seq;
        }
        ENDS[round % 2](&mut log);
        assert!(log.log.head() >= highest);
    }
}

#[test]
fn numbers_go_on_beyond_one_reservation() {
    let mut log = Fixture::new(Kind::Embedded);
    let passing = || publish(Draft { store: false, ..draft("a", "") });
    let mut given = 0;
    for _ in 0..7 {
        log.append((0..10_000).map(|_| passing()).collect());
        given += 10_000;
    }
    log.kill();
    log.start();
    assert!(log.log.head() >= Seq(given));
}

#[test]
fn retries_are_found_after_a_restart() {
    for end in ENDS {
        let mut log = Fixture::new(Kind::Embedded);
        log.text("a", "0");
        log.publish(Draft { subscribers: 7, ..keyed("a", "1", "k") });
        let passing = || Draft { store: false, ..keyed("a", "2", "passing") };
        log.publish(passing());
        log.later(Duration::from_secs(300));
        end(&mut log);
        assert_eq!(log.duplicate(keyed("a", "1", "k")), Receipt { seq: Seq(2), offset: 2, subscribers: 7 });
        assert_eq!(log.duplicate(passing()), Receipt { seq: Seq(3), offset: 0, subscribers: 0 });
        log.later(Duration::from_secs(300));
        log.log.maintain(log.now).unwrap();
        let dir = log.kill();
        let kept = Inspection::open(&dir).unwrap().summary().unwrap().idempotency_keys;
        assert_eq!(kept, 0, "what was forgotten leaves the disk too");
        log.start();
        log.publish(keyed("a", "another", "k"));
    }
}

#[test]
fn the_bound_on_keys_holds_after_a_restart() {
    let config = LogConfig { idempotency_keys_max: 2, ..LogConfig::default() };
    let mut log = Fixture::with_config(Kind::Embedded, config);
    log.publish(keyed("a", "1", "k1"));
    log.publish(keyed("a", "2", "k2"));
    log.restart();
    let results = log.append(vec![publish(keyed("a", "3", "k3"))]);
    assert_eq!(results[0].as_ref().unwrap_err(), &IdempotencyKeysFull(0));
}

#[test]
fn what_fell_due_while_closed_is_trimmed_at_the_start() {
    let mut log = Fixture::new(Kind::Embedded);
    log.texts("short:a", &["1", "2"]);
    log.log.close().unwrap();
    log.kill();
    log.later(Duration::from_secs(2));
    log.start();
    assert_eq!((log.kept("short:a").as_str(), log.lost("short:a")), ("", Some((2, Expired))));
    log.restart();
    assert_eq!(log.text("short:a", "3").offset, 3);
}

#[test]
fn closing_twice_is_no_error() {
    let log = Fixture::new(Kind::Embedded);
    assert_eq!((log.log.close(), log.log.close()), (Ok(()), Ok(())));
}

#[test]
fn a_dropped_history_leaves_the_disk_piece_by_piece() {
    let mut log = Fixture::new(Kind::Embedded);
    let many = || (0..10_000).map(|_| publish(draft("a", "x"))).collect::<Vec<_>>();
    log.append(many());
    log.append(vec![reset("a")]);
    log.text("a", "kept");
    // In the middle of it the process ends; the pieces that are left are done by the next run.
    log.log.maintain(log.now).unwrap();
    log.kill();
    log.start();
    for _ in 0..4 {
        log.log.maintain(log.now).unwrap();
    }
    assert_eq!((log.kept("a").as_str(), log.log.usage().events), ("kept", 1));
    log.log.close().unwrap();
    let dir = log.kill();
    let report = Inspection::open(&dir).unwrap().verify(|_, _| {});
    assert_eq!((report.events, report.damaged), (1, 0));
}

#[test]
fn an_inspection_changes_nothing() {
    let mut log = Fixture::new(Kind::Embedded);
    log.texts("a", &["1", "22"]);
    log.texts("few:a", &["1", "2", "3", "4"]);
    log.publish(keyed("b", "333", "k"));
    let (epoch, channels) = (log.log.epoch(), log.log.channels("", None, 9));
    let dir = log.kill();
    for _ in 0..2 {
        let inspection = Inspection::open(&dir).unwrap();
        let summary = inspection.summary().unwrap();
        assert_eq!((summary.epoch, summary.clean, summary.unsynced), (epoch, false, false));
        assert_eq!((summary.channels, summary.events, summary.bytes, summary.idempotency_keys), (3, 6, 9, 1));
        assert_eq!((summary.newest, summary.synced), (Seq(7), Some(Seq(7))));
        assert!(summary.reserved > Seq(7) && summary.disk_bytes > 0);
        let seen = inspection.channels().map(|(name, state)| (name.clone(), *state)).collect::<Vec<_>>();
        assert_eq!((seen.len(), &seen[0]), (3, &channels[0]));
        let mut told = Vec::new();
        let report = inspection.verify(|done, all| told.push((done, all)));
        assert_eq!((report.events, report.damaged, told.last()), (6, 0, Some(&(6, 6))));
    }
    let opened = log.start();
    assert_eq!((opened.clean, opened.new_epoch), (false, None));
}

#[test]
fn it_is_on_disk_before_anything_can_be_seen_unsynced() {
    let unsynced = |log: &mut Fixture| {
        let dir = log.kill();
        Inspection::open(&dir).unwrap().summary().unwrap().unsynced
    };
    let mut log = Fixture::new(Kind::Embedded);
    log.text("a", "synced");
    log.publish(Draft { store: false, ..draft("os:a", "not kept") });
    assert!(!unsynced(&mut log));
    log.start();
    log.text("os:a", "not synced");
    assert!(unsynced(&mut log));
    log.start();
    assert!(!unsynced(&mut log), "a new run begins with everything in the system's hands");
}

#[test]
fn it_is_synced_when_the_rules_say_so_and_not_oftener() {
    let log = Fixture::new(Kind::Embedded);
    let mut synced = log.log.usage().syncs;
    let mut syncs = |entry: Vec<bongsu_core::log::Group>| {
        log.append(entry);
        let before = std::mem::replace(&mut synced, log.log.usage().syncs);
        synced - before
    };
    let passing = || publish(Draft { store: false, ..draft("a", "passing") });
    assert_eq!(syncs(vec![publish(draft("a", "1")), publish(draft("b", "2"))]), 1, "once for all of an append");
    assert_eq!(syncs(vec![passing()]), 0, "nothing is kept of it");
    assert_eq!(syncs(vec![publish(draft("os:a", "1"))]), 1, "that it may be seen unsynced");
    assert_eq!(syncs(vec![publish(draft("os:a", "2"))]), 0);
    assert_eq!(syncs(vec![publish(draft("os:a", "3")), publish(draft("a", "3"))]), 1);
    assert_eq!(syncs(vec![publish(keyed("a", "4", "k"))]), 1);
    assert_eq!(syncs(vec![publish(keyed("a", "4", "k"))]), 0, "it was kept before");
    assert_eq!(syncs(vec![reset("a")]), 1);
    assert_eq!(syncs((0..65_536).map(|_| passing()).collect()), 1, "for the next numbers");
    assert_eq!(syncs(vec![passing()]), 0, "there are many of them");
    assert!(log.log.usage().sync_time > Duration::ZERO);
}
