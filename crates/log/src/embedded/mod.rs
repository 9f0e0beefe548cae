//! The durable log in a directory of its own.
//!
//! What records mean is decided by the ledger. The parts, from the outside in: [`home`] is the directory, [`open`] decides
//! what a crash has left, [`recover`] finds it, [`writer`] turns a plan into one write, [`reading`] gives consistent views,
//! [`keeper`] and [`compact`] do in the background what need not be done at once, [`store`] and [`index`] know where each
//! event lies, [`segment`] is a file, [`directory`], [`frame`], [`record`] and [`codec`] are the bytes.
//!
//! # Promises
//! - What was synced survives everything but a broken disk, and a broken disk is told, not hidden.
//! - [`Durability::Memory`](bongsu_core::policy::Durability::Memory) is treated as `Os`: the system has the event before it
//!   is acknowledged, which costs next to nothing.
//! - After a failed write or sync nothing is written any more until the log is opened again, and a sync is never repeated:
//!   the second one would report success without having done anything.

mod codec;
mod compact;
mod directory;
mod error;
mod frame;
mod home;
mod index;
mod keeper;
mod marks;
mod open;
mod reading;
mod record;
mod recover;
mod segment;
mod store;
mod writer;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use bongsu_core::log::{AppendOutcome, Budget, ChannelState, Entry, Group, Log, LogError, LogUsage, Slice, Trim};
use bongsu_core::policy::Rules;
use bongsu_core::{ChannelName, Epoch, Millis, Seq};

/// What it takes to look into a log without opening it for use.
pub(crate) mod offline {
    pub(crate) use super::home::{Home, Tip};
    pub(crate) use super::open::{Found, find};
    pub(crate) use super::record::{LogRecord, read_event};
    pub(crate) use super::store::Store;
}

pub use error::OpenError;
pub use open::{NewEpoch, Opened};
pub use recover::Torn;

use crate::config::LogConfig;
use crate::ledger::{Ledger, Plan};
use home::{Home, Tip};
use keeper::Keeper;
use marks::{MarksAhead, StoredMarks};
use store::Store;
use writer::{Writer, trims};

/// A write that takes longer than this is not slow, it hangs.
const WRITE_TIME_MAX: Duration = Duration::from_secs(30);

/// The log in a directory. See the module.
pub struct EmbeddedLog {
    epoch: Epoch,
    config: LogConfig,
    opened: Opened,
    /// Locked by the sequencer for the length of an append; nobody else waits for it but `close`.
    writer: Mutex<Writer>,
    /// Written by the sequencer only, in one short step after the store has kept a plan; readers copy a few words.
    ledger: RwLock<Ledger>,
    marks: MarksAhead,
    /// Why nothing can be written any more, once something failed.
    failed: OnceLock<String>,
    closed: AtomicBool,
    /// When the batch that is being written was begun. Set and cleared by the sequencer, looked at by `health`.
    writing: Mutex<Option<Instant>>,
    syncs: AtomicU64,
    sync_nanos: AtomicU64,
    tip: Tip,
    store: Arc<Store>,
    /// Last: the directory is given free when everything else is gone.
    home: Home,
}

impl EmbeddedLog {
    /// Opens the log in `dir`, and makes it if the directory is empty or missing.
    ///
    /// # Errors
    /// The directory is no log's, is in use, cannot be written, is of a newer version or is damaged.
    ///
    /// # Panics
    /// The system gives no random numbers.
    pub fn open(dir: &Path, rules: Arc<Rules>, config: LogConfig, now: Millis) -> Result<Self, OpenError> {
        let open::Found { home, mut recovered } = open::find(Home::claim(dir)?)?;
        let tip = Tip::open(&home)?;
        let random = getrandom::u64().expect("the system's random source works");
        let (last, newest, boot) = (recovered.log.take(), recovered.newest(), home::boot_id());
        let decided = open::decide(open::Evidence { last: last.as_ref(), tip: tip.read(), newest, boot, random });
        let clean = last.is_none_or(|last| last.clean);
        let mut torn = recovered.torn.take();
        let is_lost = matches!(decided.new_epoch, Some(NewEpoch::SyncedLost { .. })) || tip.read().is_none();
        if let Some(torn) = torn.as_mut().filter(|_| !is_lost) {
            torn.forget();
        }
        let opened = Opened { clean, new_epoch: decided.new_epoch, torn };
        let epoch = decided.log.epoch;
        let ledger = recovered.ledger(rules, config, epoch, decided.head);
        let active = open::active(&home, &mut recovered, &config).map_err(OpenError::io(dir, "writing to"))?;
        let store = Arc::new(Store::new(home.segments(), recovered.index, recovered.segments));
        let keeper = Keeper::start(store.clone(), config.segment_bytes, config.disk_free_min);
        let mut writer = Writer::new(decided.log, newest, active, keeper.map_err(OpenError::io(dir, "starting"))?);
        writer.finish_older(&store);
        let failed =
            |what| OpenError::Io { path: dir.to_owned(), doing: "writing to", error: std::io::Error::other(what) };
        writer.write_log(&store).map_err(failed)?;
        tip.write(epoch, newest);
        let log = Self {
            epoch,
            config,
            opened,
            writer: Mutex::new(writer),
            ledger: RwLock::new(ledger),
            marks: MarksAhead::default(),
            failed: OnceLock::new(),
            closed: AtomicBool::new(false),
            writing: Mutex::new(None),
            syncs: AtomicU64::new(0),
            sync_nanos: AtomicU64::new(0),
            tip,
            store,
            home,
        };
        // What fell due while the log was closed; nobody reads yet, so nobody has to be told.
        log.maintain(now).map_err(|error| failed(error.to_string()))?;
        Ok(log)
    }

    /// What was found when the log was opened.
    #[must_use]
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    fn ledger(&self) -> RwLockReadGuard<'_, Ledger> {
        self.ledger.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writing half, if the log still takes writes.
    fn writer(&self) -> Result<MutexGuard<'_, Writer>, LogError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_open().map(|()| writer)
    }

    fn check_open(&self) -> Result<(), LogError> {
        match self.failed.get() {
            Some(why) => Err(LogError::Poisoned(why.clone())),
            None if self.closed.load(Ordering::Acquire) => Err(LogError::Poisoned("the log is closed".to_owned())),
            None => Ok(()),
        }
    }

    fn poison(&self, why: String) -> LogError {
        LogError::Poisoned(self.failed.get_or_init(|| why).clone())
    }

    fn set_writing(&self, since: Option<Instant>) {
        *self.writing.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// Fails if a write does not come back: some disks do not fail, they hang.
    fn check_writing(&self) -> Result<(), LogError> {
        let since = *self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        match since.map(|since| since.elapsed()) {
            Some(time) if time > WRITE_TIME_MAX => {
                Err(LogError::Poisoned(format!("a write has not come back for {} s", time.as_secs())))
            }
            _ => Ok(()),
        }
    }

    fn marks(&self) -> StoredMarks<'_> {
        StoredMarks { store: &self.store, ahead: &self.marks }
    }

    /// Keeps what the plan says, then makes it visible.
    fn carry_out(&self, writer: &mut Writer, plan: Plan) -> Result<AppendOutcome, LogError> {
        let started = Instant::now();
        self.set_writing(Some(started));
        let written = writer.write(&self.store, &plan);
        self.set_writing(None);
        if written.map_err(|why| self.poison(why))? {
            self.syncs.fetch_add(1, Ordering::Relaxed);
            let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.sync_nanos.fetch_add(nanos, Ordering::Relaxed);
            self.tip.write(self.epoch, writer.newest);
        }
        let trims = trims(&plan);
        let outcome = self.ledger.write().unwrap_or_else(PoisonError::into_inner).apply(plan);
        // Only now that readers are told: the other way round, one would find an event missing that nobody told to be lost.
        if !trims.is_empty() {
            let mut index = self.store.index_mut();
            trims.into_iter().for_each(|(id, trimmed)| index.trim(id, trimmed));
        }
        Ok(outcome)
    }

    fn check_space(&self, writer: &mut Writer, bytes: u64, now: Millis) -> Result<(), LogError> {
        if writer.space.is_due(bytes, now) {
            let free = self.home.free_bytes();
            let is_low = free.is_some_and(|free| free.saturating_sub(bytes) < self.config.disk_free_min);
            writer.space.looked(now, is_low);
            if let Some(free) = free.filter(|_| is_low) {
                return Err(LogError::DiskFull { free, needed: self.config.disk_free_min });
            }
        }
        writer.space.wrote(bytes);
        Ok(())
    }
}

/// About how many bytes the store will have to write for `groups`.
fn bytes_to_write(groups: &[Group]) -> u64 {
    let bytes = |entry: &Entry| match entry {
        Entry::Publish(draft) if draft.store => draft.payload.bytes.len() as u64 + 256,
        _ => 256,
    };
    groups.iter().flat_map(|group| &group.entries).map(bytes).sum()
}

impl Log for EmbeddedLog {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn head(&self) -> Seq {
        self.ledger().head()
    }

    fn append(&self, groups: Vec<Group>, now: Millis) -> Result<AppendOutcome, LogError> {
        let mut writer = self.writer()?;
        self.check_space(&mut writer, bytes_to_write(&groups), now)?;
        let plan = self.ledger().plan_append(groups, now, &self.marks());
        self.carry_out(&mut writer, plan)
    }

    fn maintain(&self, now: Millis) -> Result<Vec<Trim>, LogError> {
        let mut writer = self.writer()?;
        let plan = self.ledger().plan_maintenance(now, &self.marks());
        let outcome = self.carry_out(&mut writer, plan)?;
        writer.keeper.tidy();
        Ok(outcome.trims)
    }

    fn read(&self, channel: &ChannelName, after: Seq, upto: Seq, budget: Budget) -> Result<Slice, LogError> {
        self.read_slice(channel, after, upto, budget)
    }

    fn seek_last(&self, channel: &ChannelName, count: usize, upto: Seq) -> Result<Seq, LogError> {
        self.find_last(channel, count, upto)
    }

    fn count(&self, channel: &ChannelName, after: Seq, upto: Seq) -> Result<u64, LogError> {
        self.count_between(channel, after, upto)
    }

    fn channel(&self, channel: &ChannelName) -> Option<ChannelState> {
        self.ledger().channel(channel).map(|(_, state)| state)
    }

    fn channels(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<(ChannelName, ChannelState)> {
        self.ledger().channels(prefix, after, limit)
    }

    fn usage(&self) -> LogUsage {
        LogUsage {
            disk_bytes: self.home.disk_bytes(),
            disk_free_bytes: self.home.free_bytes(),
            syncs: self.syncs.load(Ordering::Relaxed),
            sync_time: Duration::from_nanos(self.sync_nanos.load(Ordering::Relaxed)),
            ..self.ledger().usage()
        }
    }

    fn health(&self) -> Result<(), LogError> {
        self.check_open()?;
        self.check_writing()?;
        self.store.check().map_err(|why| self.poison(why))?;
        match self.home.free_bytes() {
            Some(free) if free < self.config.disk_free_min => {
                Err(LogError::DiskFull { free, needed: self.config.disk_free_min })
            }
            _ => Ok(()),
        }
    }

    fn close(&self) -> Result<(), LogError> {
        let mut writer = match self.writer() {
            Err(_) if self.failed.get().is_none() => return Ok(()),
            writer => writer?,
        };
        self.closed.store(true, Ordering::Release);
        writer.log.clean = true;
        writer.log.reserved = self.ledger().head();
        writer.write_log(&self.store).map_err(|why| self.poison(why))
    }
}
