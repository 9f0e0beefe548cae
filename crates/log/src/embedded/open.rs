//! Opens a log: finds out what the last run left, and whether positions handed out then still mean the same.

use std::fmt;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bongsu_core::policy::Rules;
use bongsu_core::{Epoch, Seq};

use super::error::OpenError;
use super::frame::Head;
use super::home::{Home, Tip};
use super::keeper::capacity;
use super::record::LogRecord;
pub(crate) use super::recover::Recovered;
use super::recover::{Torn, recover};
use super::segment::{self, Segment};
use super::writer::{Active, RESERVE, newest_in};
use crate::config::LogConfig;
use crate::ledger::Ledger;

/// What was found when the log was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Whether the log was closed properly before, or is new.
    pub clean: bool,
    /// Set if the log has another epoch than before, so that every position handed out before is told to be gone.
    pub new_epoch: Option<NewEpoch>,
    /// Set if the newest segment ended in something that could not be read. After a crash that is usual.
    pub torn: Option<Torn>,
}

/// Why a log got another epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewEpoch {
    /// It is a new log.
    Created,
    /// The machine stopped, and readers may have seen events that were not synced.
    UnsyncedLost,
    /// Events that had been synced are gone: the newest that was synced, and the newest that was found.
    SyncedLost {
        /// The newest sequence number known to be synced.
        synced: Seq,
        /// The newest that was found.
        found: Seq,
    },
}

impl fmt::Display for NewEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.write_str("the log is new"),
            Self::UnsyncedLost => f.write_str(
                "the machine stopped while events of channels without `fsync` may not have been on disk yet",
            ),
            Self::SyncedLost { synced, found } => write!(
                f,
                "the disk lost events that it had confirmed: number {} was synced, the newest found is {}",
                synced.0, found.0
            ),
        }
    }
}

/// A log as it was found, before anything is decided. Without a record of the log itself it was never completely made.
pub(crate) struct Found {
    pub(crate) home: Home,
    pub(crate) recovered: Recovered,
}

/// The files of the log in `home`, mended as far as a crash makes necessary.
pub(crate) fn find(home: Home) -> Result<Found, OpenError> {
    let path = home.segments();
    fs::create_dir_all(&path).map_err(OpenError::io(&path, "making the directory"))?;
    let recovered = recover(&path, &home.damaged())?;
    // It is written before the first event: without it, and with events that were synced, this is no unfinished log.
    if recovered.log.is_none() && Tip::open(&home)?.read().is_some_and(|(_, synced)| synced > Seq::ZERO) {
        return Err(OpenError::damaged(&path, "the record of the log itself is missing"));
    }
    Ok(Found { home, recovered })
}

/// What is decided about a log that was found.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) log: LogRecord,
    pub(crate) new_epoch: Option<NewEpoch>,
    /// Where numbering goes on.
    pub(crate) head: Seq,
}

/// What tells how the last run ended.
pub(crate) struct Evidence<'a> {
    /// The log's own record.
    pub(crate) last: Option<&'a LogRecord>,
    /// How far the log was synced, as far as that was remembered.
    pub(crate) tip: Option<(Epoch, Seq)>,
    /// The newest number found in the records.
    pub(crate) newest: Seq,
    /// The present boot of the machine; empty if unknown.
    pub(crate) boot: String,
    /// For the case that a new epoch is needed.
    pub(crate) random: u64,
}

/// Decides with which epoch and number the log goes on.
pub(crate) fn decide(evidence: Evidence<'_>) -> Decided {
    let Evidence { last, tip, newest, boot, random } = evidence;
    let Some(last) = last else {
        let log = next_run(Epoch::from_random(random), Seq::ZERO, boot);
        return Decided { log, new_epoch: Some(NewEpoch::Created), head: Seq::ZERO };
    };
    let synced = tip.filter(|(epoch, _)| *epoch == last.epoch).map_or(Seq::ZERO, |(_, seq)| seq);
    let same_boot = !boot.is_empty() && boot == last.boot;
    let new_epoch = if synced > newest {
        Some(NewEpoch::SyncedLost { synced, found: newest })
    } else if !last.clean && last.unsynced && !same_boot {
        Some(NewEpoch::UnsyncedLost)
    } else {
        None
    };
    let epoch = if new_epoch.is_some() { Epoch::from_random(random) } else { last.epoch };
    // Everything reserved may have been given, unless the log was closed: then this is the exact head.
    let head = last.reserved.max(newest).max(synced);
    Decided { log: next_run(epoch, head, boot), new_epoch, head }
}

fn next_run(epoch: Epoch, head: Seq, boot: String) -> LogRecord {
    LogRecord { epoch, reserved: Seq(head.0 + RESERVE), clean: false, unsynced: false, boot }
}

impl Recovered {
    /// The newest number that any channel tells of.
    pub(crate) fn newest(&self) -> Seq {
        self.channels.iter().map(|(_, state)| newest_in(state)).max().unwrap_or_default()
    }

    /// The ledger of what was found; the rest is left for the store.
    pub(crate) fn ledger(&mut self, rules: Arc<Rules>, config: LogConfig, epoch: Epoch, head: Seq) -> Ledger {
        let mut ledger = Ledger::new(rules, config, epoch, head);
        std::mem::take(&mut self.channels).into_iter().for_each(|(name, state)| ledger.restore_channel(name, state));
        std::mem::take(&mut self.answers).into_iter().for_each(|answer| ledger.restore_answer(answer));
        ledger
    }
}

/// Where the log is written on: behind the last frame, or in a new segment.
pub(crate) fn active(home: &Home, recovered: &mut Recovered, config: &LogConfig) -> std::io::Result<Active> {
    let next_frame = recovered.next_frame;
    let last = recovered.segments.last();
    if let Some(last) = last.filter(|last| !last.finished.load(Ordering::Relaxed)) {
        let length = last.file.metadata()?.len();
        let capacity = length.max(capacity(last.head.number, config.segment_bytes));
        return Ok(Active::new(last.clone(), last.end.load(Ordering::Relaxed), capacity, next_frame));
    }
    let number = last.map_or(0, |last| last.head.through + 1);
    let path = home.segments().join(segment::name(number));
    let capacity = capacity(number, config.segment_bytes);
    // The first one is filled with zeros at once: it is small.
    let file = if number == 0 { segment::set_aside(&path, capacity, || true)? } else { None };
    let file = file.map_or_else(|| segment::create(&path), Ok)?;
    segment::sync_parent(&path)?;
    let head = Head { number, through: number, first_frame: next_frame };
    let segment = Arc::new(Segment::new(head, path, file, 0, 0));
    recovered.segments.push(segment.clone());
    Ok(Active::new(segment, 0, capacity, next_frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: u64 = 7;
    const NEW: u64 = 8;

    fn last(clean: bool, unsynced: bool, boot: &str) -> LogRecord {
        let (epoch, boot) = (Epoch::from_random(OLD), boot.to_owned());
        LogRecord { epoch, reserved: Seq(100), clean, unsynced, boot }
    }

    fn decide_from(last: Option<&LogRecord>, tip: Option<(u64, u64)>, newest: u64, boot: &str) -> Decided {
        let tip = tip.map(|(epoch, seq)| (Epoch::from_random(epoch), Seq(seq)));
        decide(Evidence { last, tip, newest: Seq(newest), boot: boot.to_owned(), random: NEW })
    }

    #[test]
    fn the_epoch_changes_only_when_positions_may_have_lost_their_meaning() {
        let lost = |synced, found| Some(NewEpoch::SyncedLost { synced: Seq(synced), found: Seq(found) });
        let unsynced = Some(NewEpoch::UnsyncedLost);
        let cases = [
            // Closed properly: nothing can be lost, whatever happened to the machine.
            (last(true, true, "a"), None, "b", None),
            (last(true, false, "a"), Some((OLD, 40)), "a", None),
            // Killed: the system still had what was not synced.
            (last(false, true, "a"), None, "a", None),
            // The machine stopped, but everything seen was synced.
            (last(false, false, "a"), Some((OLD, 40)), "b", None),
            // The machine stopped, or nobody knows whether it did.
            (last(false, true, "a"), None, "b", unsynced),
            (last(false, true, "a"), None, "", unsynced),
            (last(false, true, ""), None, "", unsynced),
            // What was synced is gone.
            (last(false, false, "a"), Some((OLD, 41)), "a", lost(41, 40)),
            (last(true, false, "a"), Some((OLD, 41)), "a", lost(41, 40)),
            // The memory of another epoch tells nothing of this one.
            (last(false, false, "a"), Some((NEW, 41)), "a", None),
        ];
        for (last, tip, boot, expected) in cases {
            let told = format!("{last:?}, {tip:?}, boot {boot:?}");
            let decided = decide_from(Some(&last), tip, 40, boot);
            assert_eq!(decided.new_epoch, expected, "{told}");
            let epoch = Epoch::from_random(if expected.is_some() { NEW } else { OLD });
            assert_eq!(decided.log.epoch, epoch, "{told}");
            assert!(!decided.log.clean && !decided.log.unsynced && decided.log.boot == boot, "{told}");
        }
    }

    #[test]
    fn numbers_go_on_after_everything_that_may_have_been_given() {
        for (newest, tip, head) in [(40, 41, 100), (40, 0, 100), (120, 0, 120), (40, 130, 130)] {
            let decided = decide_from(Some(&last(false, false, "a")), Some((OLD, tip)), newest, "a");
            assert_eq!((decided.head, decided.log.reserved), (Seq(head), Seq(head + RESERVE)), "{newest}, {tip}");
        }
        let new = decide_from(None, None, 0, "a");
        assert_eq!((new.head, new.log.reserved, new.new_epoch), (Seq(0), Seq(RESERVE), Some(NewEpoch::Created)));
    }
}
