//! Damage below the log: records, tables and directories that are not what was written.

mod crashes;
mod keeping;

use std::fs;
use std::path::{Path, PathBuf};

use bongsu_core::log::{Draft, LostReason};
use bongsu_core::policy::{Policy, Retention};
use bongsu_core::{ChannelName, ChannelPattern, Payload, PayloadKind};
use bytes::Bytes;
use tempfile::TempDir;

use super::segment::Segment;
use super::*;

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

fn try_open_small(dir: &Path, segment_bytes: u64) -> Result<EmbeddedLog, OpenError> {
    EmbeddedLog::open(dir, rules(), LogConfig { segment_bytes, ..LogConfig::default() }, NOW)
}

fn try_open(dir: &Path) -> Result<EmbeddedLog, OpenError> {
    try_open_small(dir, 1 << 20)
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

fn segments(log: &EmbeddedLog) -> Vec<Arc<Segment>> {
    log.store.segments().clone()
}

/// Waits until the keeper has nothing more to do.
fn settle(log: &EmbeddedLog) {
    let is_busy = || {
        let segments = segments(log);
        let finished = segments.iter().filter(|segment| segment.finished.load(Ordering::Acquire)).count();
        finished + 1 < segments.len() || compact::choose(&segments[..finished], log.config.segment_bytes).is_some()
    };
    while is_busy() {
        log.maintain(NOW).unwrap();
        std::thread::yield_now();
    }
}

fn flip(path: &Path, place: u64) {
    use std::os::unix::fs::FileExt;
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).unwrap();
    file.write_all_at(&[byte[0] ^ 4], place).unwrap();
}

fn unreadable(result: Result<String, LogError>, parts: &[&str]) {
    let Err(LogError::Unreadable(why)) = result else {
        panic!("read: {result:?}");
    };
    for part in parts {
        assert!(why.contains(part), "`{part}` is not in: {why}");
    }
}

/// Where the record of an event is.
fn place(log: &EmbeddedLog, id: u32, seq: u64) -> (PathBuf, frame::Entry) {
    let (segment, entries) = log.store.page(id, Seq(seq - 1)).unwrap().unwrap();
    (segment.path.clone(), entries[0])
}

#[test]
fn a_damaged_record_is_named_and_not_given_out() {
    let dir = directory();
    let log = open(&dir);
    append(&log, "a", numbers(1..=5));
    append(&log, "b", numbers(6..=6));
    let (path, entry) = place(&log, 0, 3);
    for byte in 0..entry.length {
        flip(&path, u64::from(entry.place + byte));
        unreadable(kept(&log, "a", 0), &["event 3", "`a`", "damaged"]);
        unreadable(kept(&log, "a", 2), &["event 3", "`a`", "damaged"]);
        assert_eq!(kept(&log, "a", 3).as_deref(), Ok("4 5"), "what comes after it can be read");
        assert_eq!(kept(&log, "b", 0).as_deref(), Ok("6"));
        let two = Budget { events: 2, bytes: usize::MAX };
        assert_eq!(log.read(&name("a"), Seq(0), END, two).unwrap().events.len(), 2, "so can what comes before it");
        flip(&path, u64::from(entry.place + byte));
    }
    assert_eq!(kept(&log, "a", 0).as_deref(), Ok("1 2 3 4 5"));
    append(&log, "a", numbers(7..=7));
    assert_eq!(kept(&log, "a", 3).as_deref(), Ok("4 5 7"), "and the channel goes on");
}

/// A log of small segments, and what its channels hold.
fn in_many(dir: &TempDir) -> (EmbeddedLog, [String; 2]) {
    let log = try_open_small(dir.path(), 16 << 10).unwrap();
    for round in 0..60 {
        append(&log, "a", (0..5).map(|number| format!("{round}.{number}{}", "x".repeat(100))));
        append(&log, "b", numbers(round * 7..=round * 7 + round % 5));
        append(&log, "few", numbers(round..=round + 1));
    }
    settle(&log);
    assert!(segments(&log).len() > 3);
    let whole = ["a", "b"].map(|channel| kept(&log, channel, 0).unwrap());
    (log, whole)
}

#[test]
fn a_flipped_bit_is_never_given_out() {
    let dir = directory();
    let (log, whole) = in_many(&dir);
    let mut noticed = 0;
    for segment in segments(&log) {
        let length = fs::metadata(&segment.path).unwrap().len();
        for place in (0..length).step_by(397) {
            flip(&segment.path, place);
            for (channel, whole) in ["a", "b"].iter().zip(&whole) {
                match kept(&log, channel, 0) {
                    Ok(read) => assert!(read == *whole, "{} at {place}: wrong data", segment.path.display()),
                    Err(LogError::Unreadable(_)) => noticed += 1,
                    Err(other) => panic!("{other}"),
                }
            }
            flip(&segment.path, place);
        }
    }
    assert!(noticed > 100, "only {noticed} were noticed: the test does not read what it spoils");
}

#[test]
fn a_flipped_bit_neither_kills_nor_lies_when_the_log_is_opened() {
    let dir = directory();
    let (log, whole) = in_many(&dir);
    let paths = segments(&log).iter().map(|segment| segment.path.clone()).collect::<Vec<_>>();
    drop(log);
    let (mut refused, mut told) = (0, 0);
    for path in paths {
        let length = fs::metadata(&path).unwrap().len();
        for place in
            (0..length.min(20 << 10)).step_by(1_009).chain([1, 9, 17, 25, 33, length - 1, length - 12, length - 40])
        {
            let copy = directory();
            copy_all(dir.path(), copy.path());
            flip(&copy.path().join(path.strip_prefix(dir.path()).unwrap()), place);
            let at = format!("{} at {place}", path.display());
            let log = match try_open_small(copy.path(), 16 << 10) {
                Ok(log) => log,
                Err(error) => {
                    assert!(matches!(error, OpenError::Damaged { .. }), "{at}: {error}");
                    refused += 1;
                    continue;
                }
            };
            told += usize::from(log.opened().new_epoch.is_some());
            for (channel, whole) in ["a", "b"].iter().zip(&whole) {
                let read = kept(&log, channel, 0);
                let honest = matches!(&read, Err(LogError::Unreadable(_))) || read.as_ref() == Ok(whole);
                assert!(honest || log.opened().new_epoch.is_some(), "{at}: {read:?}");
            }
        }
    }
    assert!(refused + told > 0, "{refused} {told}");
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

#[test]
fn a_channel_whose_oldest_events_are_damaged_still_trims() {
    let dir = directory();
    let log = try_open_small(dir.path(), 4 << 10).unwrap();
    append(&log, "few", numbers(1..=3));
    // Into a table on disk, which is then spoiled.
    append(&log, "a", (0..10).map(|_| "x".repeat(1_000)));
    append(&log, "a", numbers(1..=1));
    settle(&log);
    let segment = segments(&log)[0].clone();
    let table = segment.end.load(Ordering::Relaxed);
    (0..fs::metadata(&segment.path).unwrap().len() - table)
        .step_by(32)
        .for_each(|entry| flip(&segment.path, table + entry));
    append(&log, "few", numbers(4..=4));
    let state = log.channel(&name("few")).unwrap();
    assert_eq!((state.events, state.bytes, state.head_offset), (1, 1, 4));
    assert_eq!(state.lost.map(|lost| (lost.through, lost.reason)), Some((Seq(3), LostReason::Expired)));
    assert_eq!(kept(&log, "few", 0).as_deref(), Ok("4"), "what nobody can tell apart is given up, and it is told");
    append(&log, "few", numbers(5..=7));
    assert_eq!(kept(&log, "few", 0).as_deref(), Ok("5 6 7"));
}

#[test]
fn a_log_cut_at_any_byte_keeps_what_came_before() {
    let dir = directory();
    let log = try_open_small(dir.path(), 1 << 20).unwrap();
    let mut ends = Vec::new();
    for round in 1..=20_u64 {
        append(&log, "few", numbers(round..=round));
        append(&log, "a", numbers(round..=round));
        ends.push(segments(&log)[0].end.load(Ordering::Relaxed));
    }
    drop(log);
    let path = dir.path().join("segments").join(segment::name(0));
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(dir.path().join("tip")).unwrap();
    for cut in ends[14]..ends[19] {
        fs::write(&path, &bytes[..cut as usize]).unwrap();
        let log = try_open_small(dir.path(), 1 << 20).unwrap();
        let rounds = ends.iter().filter(|end| **end <= cut).count() as u64;
        let expected = numbers(1..=rounds).collect::<Vec<_>>().join(" ");
        assert_eq!(kept(&log, "a", 0), Ok(expected), "cut at {cut}");
        let few = kept(&log, "few", 0).unwrap();
        assert!(few.ends_with(&rounds.to_string()) || few.ends_with(&(rounds + 1).to_string()), "cut at {cut}: {few}");
        drop(log);
        fs::remove_file(dir.path().join("tip")).unwrap();
    }
}

#[test]
fn a_segment_that_is_missing_or_unknown_is_refused_not_skipped() {
    let dir = directory();
    drop(in_many(&dir));
    let path = |number| dir.path().join("segments").join(segment::name(number));
    let first = fs::read(path(0)).unwrap();
    fs::write(path(1), &first).unwrap();
    let log = try_open_small(dir.path(), 16 << 10);
    // Its place is taken by another: what follows it has no ground to stand on, and that is told.
    assert!(matches!(log.unwrap().opened().new_epoch, Some(NewEpoch::SyncedLost { .. })));
}
