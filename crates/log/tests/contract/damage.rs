//! Segments that do not end as they were left: torn by a crash, or spoiled by the disk.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use bongsu_core::Seq;
use bongsu_core::log::Log;
use bongsu_log::inspect::Inspection;
use bongsu_log::{LogConfig, NewEpoch};

use super::fixture::*;

/// A log that was killed, its segment, and where each of its events ends in it.
struct Killed {
    fixture: Fixture,
    ends: Vec<u64>,
}

const EVENTS: u64 = 12;

/// Event number `n` of the log: small ones, and one that is larger than a page.
fn text(n: u64) -> String {
    format!("{n} {}", "x".repeat(if n == EVENTS { 9_000 } else { 40 }))
}

impl Killed {
    fn new() -> Self {
        let mut fixture = Fixture::new(Kind::Embedded);
        let mut ends = Vec::new();
        for n in 1..=EVENTS {
            fixture.append(vec![publish(draft("a", &text(n))), publish(keyed("b", &text(n), &text(n)))]);
            ends.push(end(&fixture.path()));
        }
        fixture.kill();
        Self { fixture, ends }
    }

    /// How many events end at or before `place`.
    fn before(&self, place: u64) -> u64 {
        self.ends.iter().filter(|&&end| end <= place).count() as u64
    }

    /// A copy in which the segment is spoiled.
    fn spoiled(&self, spoil: impl FnOnce(&fs::File)) -> tempfile::TempDir {
        let dir = directory();
        copy(&self.fixture.path(), dir.path());
        spoil(&OpenOptions::new().read(true).write(true).open(first_segment(dir.path())).unwrap());
        dir
    }
}

/// Where the last write ends: zeros follow, which are set aside for the next ones.
fn end(dir: &Path) -> u64 {
    let bytes = fs::read(first_segment(dir)).unwrap();
    bytes.iter().rposition(|&byte| byte != 0).unwrap() as u64 + 1
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Opens a spoiled log: it has at least `least` events in each channel and no half of any, it takes new ones, and it says
/// what was lost. Returns how many it has.
fn check_opens(dir: &Path, least: u64, told: &str) -> u64 {
    let log = open(dir, LogConfig::default(), START);
    let read = |channel: &str| log.read(&name(channel), Seq(0), END, ALL).unwrap();
    let (a, b) = (read("a"), read("b"));
    let kept = a.events.len() as u64;
    assert!(kept >= least, "{told}: only {kept} of {least}");
    let expected = (1..=kept).map(text).collect::<Vec<_>>();
    assert_eq!((bodies(&a), bodies(&b)), (expected.iter().map(String::as_str).collect(), bodies(&a)), "{told}");
    let lost = kept < EVENTS;
    let opened = log.opened();
    assert_eq!(matches!(opened.new_epoch, Some(NewEpoch::SyncedLost { .. })), lost, "{told}: {opened:?}");
    assert!(log.head() >= Seq(2 * EVENTS), "{told}: numbers are not given again");
    let outcome =
        log.append(vec![publish(draft("a", "next")), publish(keyed("b", &text(1), &text(1)))], START).unwrap();
    assert!(outcome.groups.iter().all(Result::is_ok), "{told}");
    assert_eq!(read("a").events.last().unwrap().offset, kept + 1, "{told}");
    assert_eq!(read("b").events.len() as u64, kept.max(1), "{told}: the retry was found");
    kept
}

#[test]
fn a_segment_cut_anywhere_keeps_what_came_before() {
    let killed = Killed::new();
    let (first, last) = (killed.ends[EVENTS as usize - 4], killed.ends[EVENTS as usize - 1]);
    let places = (first..=last).step_by(97).chain([first + 1, last - 1, last]).chain(first..first + 30);
    for place in places {
        let dir = killed.spoiled(|segment| segment.set_len(place).unwrap());
        let kept = check_opens(dir.path(), killed.before(place), &format!("cut at {place}"));
        assert_eq!(kept, killed.before(place));
    }
}

#[test]
fn a_segment_spoiled_anywhere_keeps_what_came_before() {
    let killed = Killed::new();
    let (first, last) = (killed.ends[EVENTS as usize - 4], killed.ends[EVENTS as usize - 1]);
    for place in (first..last).step_by(131).chain(first..first + 20) {
        let dir = killed.spoiled(|segment| {
            let mut byte = [0];
            segment.read_exact_at(&mut byte, place).unwrap();
            segment.write_all_at(&[byte[0] ^ 0x10], place).unwrap();
        });
        let kept = check_opens(dir.path(), killed.before(place), &format!("bit flipped at {place}"));
        assert_eq!(kept, killed.before(place), "bit flipped at {place}: what follows has no ground to stand on");
    }
}

#[test]
fn a_page_that_never_reached_the_disk_is_a_torn_end() {
    let killed = Killed::new();
    let (start, end) = (killed.ends[EVENTS as usize - 2], killed.ends[EVENTS as usize - 1]);
    for place in [start, start + 50, start + 2_000, end - 4_200] {
        let dir = killed.spoiled(|segment| segment.write_all_at(&[0; 4_096], place).unwrap());
        check_opens(dir.path(), EVENTS - 1, &format!("page of zeros at {place}"));
    }
    let dir = killed.spoiled(|segment| segment.write_all_at(&[0xa5; 3_000], end).unwrap());
    check_opens(dir.path(), EVENTS, "rubbish after the end");
}

#[test]
fn what_is_cut_off_is_kept_aside_and_told() {
    let killed = Killed::new();
    let middle = killed.ends[5] + 10;
    let dir = killed.spoiled(|segment| segment.write_all_at(b"?", middle).unwrap());
    let mut rest = fs::read(first_segment(dir.path())).unwrap().split_off(killed.ends[5] as usize);
    rest.truncate((killed.ends[EVENTS as usize - 1] - killed.ends[5]) as usize);
    let log = open(dir.path(), LogConfig::default(), START);
    let torn = log.opened().torn.clone().unwrap();
    assert_eq!((torn.at, torn.bytes), (killed.ends[5], rest.len() as u64));
    assert_eq!(fs::read(torn.kept.unwrap().join("0000000000000000.rest")).unwrap(), rest);
    let lost = NewEpoch::SyncedLost { synced: Seq(2 * EVENTS), found: Seq(12) };
    assert_eq!(log.opened().new_epoch, Some(lost));
    drop(log);
    // It is told once; then positions are sound again.
    let log = open(dir.path(), LogConfig::default(), START);
    assert_eq!((log.opened().new_epoch, log.opened().torn.clone()), (None, None));
}

#[test]
fn what_was_never_acknowledged_is_not_kept() {
    let killed = Killed::new();
    let end = killed.ends[EVENTS as usize - 1];
    let dir = killed.spoiled(|segment| segment.write_all_at(b"half a write", end).unwrap());
    let log = open(dir.path(), LogConfig::default(), START);
    let torn = log.opened().torn.clone().unwrap();
    assert_eq!((torn.at, torn.bytes, torn.kept), (end, 12, None));
    assert_eq!(fs::read_dir(dir.path().join("damaged")).unwrap().count(), 0);
}

#[test]
fn an_inspection_of_a_torn_log_leaves_the_loss_to_be_told_by_the_next_opening() {
    let killed = Killed::new();
    let dir = killed.spoiled(|segment| segment.set_len(killed.ends[3]).unwrap());
    let summary = Inspection::open(dir.path()).unwrap().summary().unwrap();
    assert_eq!((summary.newest, summary.synced), (Seq(8), Some(Seq(2 * EVENTS))));
    check_opens(dir.path(), 4, "after an inspection");
}

#[test]
fn a_tip_that_cannot_be_read_says_nothing() {
    let killed = Killed::new();
    let dir = killed.spoiled(|segment| segment.set_len(killed.ends[3]).unwrap());
    fs::write(dir.path().join("tip"), "rubbish").unwrap();
    let log = open(dir.path(), LogConfig::default(), START);
    assert_eq!(log.opened().new_epoch, None, "as if nothing had been acknowledged");
    assert_eq!(log.read(&name("a"), Seq(0), END, ALL).unwrap().events.len(), 4);
}
