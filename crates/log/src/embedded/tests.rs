//! Damage below the log: records and tables that are not what was written.

use std::fs;
use std::path::{Path, PathBuf};

use bongsu_core::log::{Draft, LostReason};
use bongsu_core::policy::{Policy, Retention};
use bongsu_core::{ChannelName, ChannelPattern, Payload, PayloadKind};
use bytes::Bytes;
use tempfile::TempDir;

use super::record::{channel_key, event_key, prefix};
use super::*;
use crate::inspect::Inspection;

const NOW: Millis = Millis(1_763_683_200_000);
const ALL: Budget = Budget { events: usize::MAX, bytes: usize::MAX };
const END: Seq = Seq(u64::MAX);

fn rules() -> Arc<Rules> {
    let few = Retention { events_max: 3, ..Retention::default() };
    let few = (ChannelPattern::new("few").unwrap(), Policy { retention: few, ..Policy::default() });
    Arc::new(Rules::new(vec![few], Policy::default()))
}

fn directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn try_open(dir: &Path) -> Result<EmbeddedLog, OpenError> {
    // Nothing read from disk is remembered, so that what is spoiled is seen.
    EmbeddedLog::open(dir, rules(), LogConfig { cache_bytes: 0, ..LogConfig::default() }, NOW)
}

fn open(dir: &TempDir) -> EmbeddedLog {
    try_open(dir.path()).unwrap()
}

fn name(text: &str) -> ChannelName {
    ChannelName::new(text).unwrap()
}

fn group(channel: &str, body: &str) -> Group {
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    let draft = Draft {
        channel: name(channel),
        kind: None,
        key: None,
        user: None,
        ttl: None,
        store: true,
        payload: Payload { kind: PayloadKind::Text, content_type: None, bytes },
        idempotency: None,
        subscribers: 0,
    };
    Group { entries: vec![Entry::Publish(draft)] }
}

fn append(log: &EmbeddedLog, channel: &str, bodies: impl IntoIterator<Item = String>) {
    log.append(bodies.into_iter().map(|body| group(channel, &body)).collect(), NOW).unwrap();
}

fn numbers(range: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = String> {
    range.map(|number| number.to_string())
}

fn kept(log: &EmbeddedLog, channel: &str, after: u64) -> Result<String, LogError> {
    let slice = log.read(&name(channel), Seq(after), END, ALL)?;
    let bodies = slice.events.iter().map(|event| String::from_utf8_lossy(&event.payload.bytes).into_owned());
    Ok(bodies.collect::<Vec<_>>().join(" "))
}

/// Does something to the store behind the log's back.
fn tamper(log: &EmbeddedLog, change: impl FnOnce(&mut store::Batch<'_>)) {
    let mut batch = log.store.batch();
    change(&mut batch);
    batch.commit(false).unwrap();
}

fn unreadable(result: Result<String, LogError>, parts: &[&str]) {
    let Err(LogError::Unreadable(why)) = result else {
        panic!("read: {result:?}");
    };
    for part in parts {
        assert!(why.contains(part), "`{part}` is not in: {why}");
    }
}

#[test]
fn a_damaged_record_is_named_and_not_given_out() {
    let dir = directory();
    let log = open(&dir);
    append(&log, "a", numbers(1..=5));
    append(&log, "b", numbers(6..=6));
    let of_another =
        record::write_event(&event_key(0, Seq(2)), &log.read(&name("a"), Seq(1), Seq(2), ALL).unwrap().events[0]);
    for record in [b"rubbish".to_vec(), Vec::new(), of_another] {
        tamper(&log, |batch| batch.keep_event(event_key(0, Seq(3)), record.clone()));
        unreadable(kept(&log, "a", 0), &["event 3", "`a`", "damaged"]);
        unreadable(kept(&log, "a", 2), &["event 3", "`a`", "damaged"]);
        assert_eq!(kept(&log, "a", 3).as_deref(), Ok("4 5"), "what comes after it can be read");
        assert_eq!(kept(&log, "b", 0).as_deref(), Ok("6"));
    }
    let two = Budget { events: 2, bytes: usize::MAX };
    assert_eq!(log.read(&name("a"), Seq(0), END, two).unwrap().events.len(), 2, "so can what comes before it");
    append(&log, "a", numbers(7..=7));
    assert_eq!(kept(&log, "a", 3).as_deref(), Ok("4 5 7"), "and the channel goes on");
    drop(log);
    let report = Inspection::open(dir.path()).unwrap().verify(|_, _| {});
    assert_eq!((report.events, report.damaged, report.damage[0].seq), (6, 1, Some(Seq(3))));
}

#[test]
fn a_missing_event_is_noticed_wherever_it_is() {
    for missing in 1..=5 {
        let dir = directory();
        let log = open(&dir);
        append(&log, "a", numbers(1..=5));
        tamper(&log, |batch| batch.drop_event(event_key(0, Seq(missing))));
        let part = format!("event {missing} of channel `a` is missing");
        unreadable(kept(&log, "a", 0), &[&part]);
        unreadable(kept(&log, "a", missing - 1), &[&part]);
        drop(log);
        assert!(Inspection::open(dir.path()).unwrap().verify(|_, _| {}).damaged > 0, "event {missing}");
    }
}

#[test]
fn a_channel_whose_oldest_events_are_damaged_still_trims() {
    let dir = directory();
    let log = open(&dir);
    append(&log, "few", numbers(1..=3));
    tamper(&log, |batch| batch.keep_event(event_key(0, Seq(1)), b"rubbish".to_vec()));
    append(&log, "few", numbers(4..=4));
    let state = log.channel(&name("few")).unwrap();
    assert_eq!((state.events, state.bytes, state.head_offset), (1, 1, 4));
    assert_eq!(state.lost.map(|lost| (lost.through, lost.reason)), Some((Seq(3), LostReason::Expired)));
    assert_eq!(kept(&log, "few", 0).as_deref(), Ok("4"), "what nobody can tell apart is given up, and it is told");
    append(&log, "few", numbers(5..=7));
    assert_eq!(kept(&log, "few", 0).as_deref(), Ok("5 6 7"));
    log.maintain(NOW).unwrap();
    drop(log);
    assert_eq!(Inspection::open(dir.path()).unwrap().verify(|_, _| {}).damaged, 0);
}

#[test]
fn damaged_state_is_named_when_the_log_is_opened() {
    let cases: [(&[u8], &str); 4] = [
        (&channel_key(prefix::CHANNEL, 1), "the state of channel `b` is unreadable"),
        (&channel_key(prefix::NAME, 0), "the name of channel number 0 is unreadable"),
        (&record::answer_key(Seq(9)), "an idempotency key is unreadable"),
        (&record::LOG_KEY, "the record of the log itself is unreadable"),
    ];
    for (key, part) in cases {
        let dir = directory();
        let log = open(&dir);
        append(&log, "a", numbers(1..=1));
        append(&log, "b", numbers(2..=2));
        tamper(&log, |batch| batch.keep(key, b"rubbish".to_vec()));
        drop(log);
        let error = try_open(dir.path()).err().unwrap().to_string();
        assert!(error.contains(part) && error.contains("restore a backup"), "`{part}` is not in: {error}");
    }
}

#[test]
fn a_channel_that_lost_its_state_is_noticed() {
    for prefix in [prefix::CHANNEL, prefix::NAME] {
        let dir = directory();
        let log = open(&dir);
        append(&log, "a", numbers(1..=1));
        append(&log, "b", numbers(2..=2));
        tamper(&log, |batch| batch.drop(&channel_key(prefix, 0)));
        drop(log);
        assert!(matches!(try_open(dir.path()), Err(OpenError::Damaged { .. })));
    }
}

#[test]
fn what_is_trimmed_is_deleted_with_the_next_batch_or_the_next_run() {
    let dir = directory();
    let log = open(&dir);
    let there = |log: &EmbeddedLog| log.store.event_keys(0, Seq::ZERO, END).count();
    append(&log, "few", numbers(1..=3));
    append(&log, "few", numbers(4..=5));
    assert_eq!(there(&log), 5, "readers may still be at what was trimmed");
    append(&log, "other", numbers(6..=6));
    assert_eq!(there(&log), 3);
    append(&log, "few", numbers(7..=7));
    log.maintain(NOW).unwrap();
    assert_eq!(there(&log), 3);
    append(&log, "few", numbers(8..=8));
    drop(log);
    let log = open(&dir);
    assert_eq!(there(&log), 3);
    assert_eq!(kept(&log, "few", 0).as_deref(), Ok("5 7 8"));
}

#[test]
fn a_dropped_history_is_deleted_in_pieces_also_over_a_restart() {
    let dir = directory();
    let log = open(&dir);
    let there = |log: &EmbeddedLog| log.store.event_keys(0, Seq::ZERO, END).count();
    let reset = |log: &EmbeddedLog| log.append(vec![Group { entries: vec![Entry::Reset(name("a"))] }], NOW).unwrap();
    append(&log, "a", numbers(1..=9_000));
    reset(&log);
    append(&log, "a", numbers(1..=1));
    assert_eq!(there(&log), 9_001);
    log.maintain(NOW).unwrap();
    assert_eq!(there(&log), 5_001);
    // Dropped again before the first is done: both go on as one.
    reset(&log);
    log.maintain(NOW).unwrap();
    assert_eq!(there(&log), 1_001);
    drop(log);
    let log = open(&dir);
    assert_eq!(there(&log), 0, "opening does a piece of what is due");
    append(&log, "a", numbers(2..=2));
    log.maintain(NOW).unwrap();
    assert_eq!((there(&log), kept(&log, "a", 0).as_deref()), (1, Ok("2")));
}

/// The files that are no journals, and so have everything once the memory was written out.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if path.extension().is_none_or(|extension| extension != "jnl") && entry.metadata().unwrap().len() > 0 {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn flip(path: &Path, place: u64) {
    use std::os::unix::fs::FileExt;
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).unwrap();
    file.write_all_at(&[byte[0] ^ 4], place).unwrap();
}

/// A log with everything in tables, and what its two channels hold.
fn in_tables(dir: &TempDir) -> EmbeddedLog {
    let log = open(dir);
    append(&log, "a", (1..=300).map(|number| format!("{number}{}", "x".repeat(500))));
    append(&log, "b", numbers(301..=600));
    // Large enough to be kept beside the tables.
    append(&log, "b", (601..=604).map(|number| number.to_string().repeat(10_000)));
    log.store.write_out();
    log
}

#[test]
fn a_flipped_bit_in_a_table_is_never_given_out() {
    let dir = directory();
    let log = in_tables(&dir);
    let whole = ["a", "b"].map(|channel| kept(&log, channel, 0).unwrap());
    let mut noticed = 0;
    for path in files(&dir.path().join("store")) {
        let length = fs::metadata(&path).unwrap().len();
        for place in (0..length).step_by(usize::try_from(length / 25 + 1).unwrap()) {
            flip(&path, place);
            for (channel, whole) in ["a", "b"].iter().zip(&whole) {
                match kept(&log, channel, 0) {
                    Ok(read) => assert!(read == *whole, "{} at {place}: wrong data", path.display()),
                    Err(LogError::Unreadable(_)) => noticed += 1,
                    Err(other) => panic!("{other}"),
                }
            }
            flip(&path, place);
        }
    }
    assert!(noticed > 10, "only {noticed} were noticed: the test does not read what it spoils");
}

#[test]
fn a_flipped_bit_anywhere_neither_kills_nor_lies_when_the_log_is_opened() {
    let dir = directory();
    drop(in_tables(&dir));
    let whole = {
        let log = open(&dir);
        ["a", "b"].map(|channel| kept(&log, channel, 0).unwrap())
    };
    let mut refused = 0;
    for path in files(&dir.path().join("store")) {
        let length = fs::metadata(&path).unwrap().len();
        for place in (0..length).step_by(usize::try_from(length / 4 + 1).unwrap()) {
            let copy = directory();
            copy_all(dir.path(), copy.path());
            flip(&copy.path().join(path.strip_prefix(dir.path()).unwrap()), place);
            let told = format!("{} at {place}", path.display());
            let log = match try_open(copy.path()) {
                Ok(log) => log,
                Err(error) => {
                    assert!(matches!(error, OpenError::Damaged { .. }), "{told}: {error}");
                    refused += 1;
                    continue;
                }
            };
            for (channel, whole) in ["a", "b"].iter().zip(&whole) {
                let read = kept(&log, channel, 0);
                let honest = matches!(&read, Err(LogError::Unreadable(_))) || read.as_ref() == Ok(whole);
                assert!(honest || log.opened().new_epoch.is_some(), "{told}: {read:?}");
            }
        }
    }
    assert!(refused > 0);
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
