//! Looks into a log that no server has open.
//!
//! Nothing is decided and nothing is marked here: a log that was not closed properly stays so, for its server to find. What
//! the server does when it opens a log after a crash, mending a torn segment, happens here too.

use std::path::Path;

use bongsu_core::log::{ChannelState, Lost};
use bongsu_core::{ChannelName, Epoch, Seq};

use crate::embedded::offline::{Found, Home, LogRecord, Store, Tip, find, read_event};
use crate::embedded::{OpenError, Torn};
use crate::ledger::ChannelId;

/// Damage is listed one by one up to here; beyond it, it is only counted.
const DAMAGE_LISTED_MAX: usize = 1_000;
/// After how many events progress is told.
const PROGRESS_EVENTS: u64 = 1_000;

/// A log that is open for looking at. While it is, no server can open it.
pub struct Inspection {
    home: Home,
    store: Store,
    log: LogRecord,
    channels: Vec<(ChannelName, ChannelState)>,
    idempotency_keys: u64,
    newest: Seq,
    torn: Option<Torn>,
}

/// A log in figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Which log it is.
    pub epoch: Epoch,
    /// Whether it was closed properly.
    pub clean: bool,
    /// Whether events may have been seen before they were synced, in the last run.
    pub unsynced: bool,
    /// The newest sequence number that any channel tells of.
    pub newest: Seq,
    /// The newest one known to be synced, if that is remembered. If it is above `newest`, events were lost.
    pub synced: Option<Seq>,
    /// No number above this one was given.
    pub reserved: Seq,
    /// Channels ever stored to.
    pub channels: u64,
    /// Events kept.
    pub events: u64,
    /// Their bytes of payload.
    pub bytes: u64,
    /// Idempotency keys kept, those past their window included.
    pub idempotency_keys: u64,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// What was cut off a torn segment just now.
    pub torn: Option<Torn>,
}

/// What [`Inspection::verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Events that are well.
    pub events: u64,
    /// What is wrong, the first thousand of it.
    pub damage: Vec<Damage>,
    /// How much is wrong in all.
    pub damaged: u64,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// In which channel.
    pub channel: ChannelName,
    /// With which event, if it is one.
    pub seq: Option<Seq>,
    /// What it is.
    pub what: String,
}

impl Inspection {
    /// Opens the log in `dir`.
    ///
    /// # Errors
    /// There is no log, it is in use, of a newer version, or damaged beyond reading.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let Found { home, mut recovered } = find(Home::claim_existing(dir)?)?;
        let Some(log) = recovered.log.take() else {
            return Err(OpenError::Missing { path: dir.to_owned() });
        };
        Ok(Self {
            log,
            newest: recovered.newest(),
            channels: recovered.channels,
            idempotency_keys: recovered.answers.len() as u64,
            torn: recovered.torn,
            store: Store::new(home.segments(), recovered.index, recovered.segments),
            home,
        })
    }

    /// The log in figures.
    ///
    /// # Errors
    /// A file of the log cannot be opened.
    pub fn summary(&self) -> Result<Summary, OpenError> {
        let sum = |of: fn(&ChannelState) -> u64| self.channels.iter().map(|(_, state)| of(state)).sum();
        let tip = Tip::open(&self.home)?.read();
        Ok(Summary {
            epoch: self.log.epoch,
            clean: self.log.clean,
            unsynced: self.log.unsynced,
            newest: self.newest,
            synced: tip.filter(|(epoch, _)| *epoch == self.log.epoch).map(|(_, seq)| seq),
            reserved: self.log.reserved,
            channels: self.channels.len() as u64,
            events: sum(|state| state.events),
            bytes: sum(|state| state.bytes),
            idempotency_keys: self.idempotency_keys,
            disk_bytes: self.home.disk_bytes(),
            torn: self.torn.clone(),
        })
    }

    /// All channels, in the order in which they were first stored to.
    pub fn channels(&self) -> impl Iterator<Item = (&ChannelName, &ChannelState)> {
        self.channels.iter().map(|(name, state)| (name, state))
    }

    /// Reads every kept event and tells what is wrong. `progress` is told how many events are done, of how many.
    pub fn verify(&self, mut progress: impl FnMut(u64, u64)) -> Report {
        let mut report = Report::default();
        let all = self.channels.iter().map(|(_, state)| state.events).sum();
        for (id, (name, state)) in (0..).zip(&self.channels) {
            self.verify_channel(id, name, state, &mut report, &mut |done| progress(done, all));
        }
        progress(report.events, all);
        report
    }

    fn verify_channel(
        &self,
        id: ChannelId,
        name: &ChannelName,
        state: &ChannelState,
        report: &mut Report,
        progress: &mut dyn FnMut(u64),
    ) {
        let mut wrong = |seq, what: String| {
            report.damaged += 1;
            if report.damage.len() < DAMAGE_LISTED_MAX {
                report.damage.push(Damage { channel: name.clone(), seq, what });
            }
        };
        let floor = state.lost.map_or(Seq::ZERO, |lost: Lost| lost.through);
        let mut expected = state.oldest_offset();
        let mut bytes = 0;
        let mut whole = true;
        for stored in self.store.events(id, floor, Seq(u64::MAX)) {
            let event = match stored {
                Ok((entry, record)) => read_event(id, entry.seq, &record, name, self.log.epoch).map_err(|_| entry.seq),
                Err(what) => {
                    wrong(None, format!("what follows offset {} cannot be read: {what}", expected.saturating_sub(1)));
                    return;
                }
            };
            match event {
                Ok(event) => {
                    if event.offset != expected {
                        wrong(Some(event.id.seq), format!("has offset {}, and {expected} should come", event.offset));
                    }
                    (expected, bytes) = (event.offset + 1, bytes + event.payload.bytes.len() as u64);
                    report.events += 1;
                    if report.events.is_multiple_of(PROGRESS_EVENTS) {
                        progress(report.events);
                    }
                }
                Err(seq) => {
                    wrong(Some(seq), "is not what was written".to_owned());
                    (expected, whole) = (expected + 1, false);
                }
            }
        }
        if state.events > 0 && expected != state.head_offset + 1 {
            wrong(None, format!("ends at offset {}, and should at {}", expected.saturating_sub(1), state.head_offset));
        } else if whole && bytes != state.bytes {
            wrong(None, format!("has {bytes} bytes of payload, and should have {}", state.bytes));
        }
    }
}
