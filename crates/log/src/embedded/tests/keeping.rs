//! What the keeper does: what is trimmed leaves the disk, and nobody notices.

use std::fs;

use bongsu_core::log::{Appended, Idempotency};

use super::*;
use crate::inspect::Inspection;

fn keyed() -> Group {
    let mut group = group("dropped", "1");
    if let Entry::Publish(draft) = &mut group.entries[0] {
        draft.idempotency = Some(Idempotency { publisher: "".into(), key: "k".into() });
    }
    group
}

#[test]
fn what_is_trimmed_leaves_the_disk_and_what_lives_stays() {
    let dir = directory();
    let config = || try_open_small(dir.path(), 64 << 10).unwrap();
    let log = config();
    append(&log, "quiet", ["the only one".to_owned()]);
    log.append(vec![keyed()], NOW).unwrap();
    append(&log, "dropped", numbers(2..=3));
    log.append(vec![Group { entries: vec![Entry::Reset(name("dropped"))] }], NOW).unwrap();
    for round in 0..400 {
        append(&log, "few", (0..3).map(|number| format!("{round}.{number}{}", "x".repeat(1_000))));
        if round % 50 == 0 {
            append(&log, "quiet", [round.to_string()]);
        }
    }
    settle(&log);
    let disk = log.usage().disk_bytes;
    assert!(disk < 800 << 10, "{disk} bytes for what was 1.2 MB and keeps three events");
    let quiet = "the only one 0 50 100 150 200 250 300 350";
    assert_eq!(kept(&log, "quiet", 0).as_deref(), Ok(quiet));
    let before = (kept(&log, "few", 0), log.channels("", None, 9));
    drop(log);
    let log = config();
    assert_eq!((log.opened().new_epoch, log.opened().torn.clone()), (None, None));
    assert_eq!((kept(&log, "few", 0), log.channels("", None, 9)), before);
    assert_eq!(kept(&log, "quiet", 0).as_deref(), Ok(quiet));
    let again = log.append(vec![keyed()], NOW).unwrap();
    assert!(matches!(again.groups[0].as_deref(), Ok([Appended::Duplicate(receipt)]) if receipt.offset == 1));
    append(&log, "dropped", numbers(4..=4));
    assert_eq!(log.channel(&name("dropped")).unwrap().head_offset, 4, "offsets outlive the segment they were given in");
    drop(log);
    assert_eq!(Inspection::open(dir.path()).unwrap().verify(|_, _| {}).damaged, 0);
}

#[test]
fn a_rewrite_that_was_cut_short_is_found_at_the_opening() {
    let dir = directory();
    let log = try_open_small(dir.path(), 16 << 10).unwrap();
    for round in 0..60 {
        append(&log, "a", [format!("{round}{}", "x".repeat(900))]);
    }
    settle(&log);
    let whole = kept(&log, "a", 0).unwrap();
    let old = segments(&log)[..3].to_vec();
    let saved = old.iter().map(|segment| (segment.path.clone(), fs::read(&segment.path).unwrap())).collect::<Vec<_>>();
    compact::compact(&log.store, &old, || true).unwrap();
    assert_eq!(kept(&log, "a", 0).as_ref(), Ok(&whole), "readers find the events in their new place");
    assert!(compact::compact(&log.store, &segments(&log)[..1], || false).is_err(), "told to stop");
    drop(log);
    // The process ended before the old files were removed, and in the middle of another rewrite.
    for (path, bytes) in &saved[1..] {
        fs::write(path, bytes).unwrap();
    }
    fs::write(saved[0].0.with_extension("new"), b"half").unwrap();
    let log = try_open_small(dir.path(), 16 << 10).unwrap();
    assert_eq!((kept(&log, "a", 0).as_ref(), log.opened().new_epoch), (Ok(&whole), None));
    assert!(!saved[1].0.exists() && !saved[0].0.with_extension("new").exists());
}

#[test]
fn readers_never_miss_what_is_kept_while_segments_are_rewritten() {
    let dir = directory();
    let log = try_open_small(dir.path(), 8 << 10).unwrap();
    append(&log, "quiet", numbers(1..=3));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    assert_eq!(kept(&log, "quiet", 0).as_deref(), Ok("1 2 3"));
                    let few = log.read(&name("few"), Seq(0), log.head(), ALL).unwrap();
                    let offsets = few.events.iter().map(|event| event.offset).collect::<Vec<_>>();
                    assert!(offsets.windows(2).all(|pair| pair[1] == pair[0] + 1), "{offsets:?}");
                }
            });
        }
        for round in 0..1_500 {
            append(&log, "few", (0..round % 4).map(|number| format!("{round}.{number}{}", "x".repeat(300))));
        }
        settle(&log);
        done.store(true, Ordering::Release);
    });
    assert!(segments(&log).len() < 60, "{}", segments(&log).len());
}

#[test]
fn what_is_appended_behind_a_reader_is_not_taken_for_the_zeros_it_saw() {
    let dir = directory();
    let log = open(&dir);
    append(&log, "a", numbers(1..=1));
    let mut events = log.store.events(0, Seq(0), END);
    for number in 1..=5 {
        let (entry, record) = events.next().unwrap().unwrap();
        let event = record::read_event(0, entry.seq, &record, &name("a"), log.epoch).unwrap();
        assert_eq!(event.payload.bytes, number.to_string());
        append(&log, "a", numbers(number + 1..=number + 1));
    }
}
