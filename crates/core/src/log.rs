//! The contract of a log: the only place where events are numbered and kept.
//!
//! Two implementations stand in `bongsu-log` (embedded and memory); one suite tests both. The hub knows this trait
//! and no store.
//!
//! # Contract
//! - **One writer.** [`Log::append`] and [`Log::maintain`] are called by one thread at a time, the one that is the sequencer
//!   just then. Everything else may be called by any thread at any time, also while an append runs.
//! - **Numbers.** Sequence numbers rise strictly over the life of an epoch and are never given twice, also not for events
//!   that are not stored, and not after a crash. Offsets of stored events are dense per channel and are never reused.
//! - **Atomicity.** A [`Group`] is taken whole or not at all.
//! - **Durability.** When `append` returns, every group in it is as durable as its channels' rules say.
//! - **Failure.** A failed write or sync poisons the log: this and all later appends are refused, reads go on.
//!   A full disk, found before anything was written, refuses the append and poisons nothing.
//! - **Trims** take the oldest events of a channel first. What a reader can no longer get is told by [`Lost`], exactly.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::channel::ChannelName;
use crate::cursor::{Epoch, Seq};
use crate::event::{Event, EventKey, EventType, Payload, UserId};
use crate::time::Millis;

/// An event that has no number yet.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The channel to publish to.
    pub channel: ChannelName,
    /// The type; `None` is `message`.
    pub kind: Option<EventType>,
    /// The key, for channels that keep the newest of each.
    pub key: Option<EventKey>,
    /// The user who published it, when a client did.
    pub user: Option<UserId>,
    /// How long it may be delivered.
    pub ttl: Option<Duration>,
    /// Whether the log keeps it.
    pub store: bool,
    /// What was published.
    pub payload: Payload,
    /// Makes a retry harmless.
    pub idempotency: Option<Idempotency>,
    /// How many connections read the channel at this moment: kept with an idempotency key so that a retry gets the
    /// first answer again.
    pub subscribers: u32,
}

/// Names one publish, so that a retry of it is found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// Who publishes: keys of different publishers never meet. Empty in open mode.
    pub publisher: Arc<str>,
    /// The key, 1 to 255 bytes.
    pub key: Arc<str>,
}

/// Drafts that are taken all or none.
#[derive(Clone, Debug)]
pub struct Group {
    /// What to do with them.
    pub entries: Vec<Entry>,
}

/// One thing that is appended.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A new event.
    Publish(Draft),
    /// The history of a channel is dropped. Takes a sequence number, so that a reader at the head notices too.
    Reset(ChannelName),
}

/// What became of one entry.
#[derive(Clone, Debug)]
pub enum Appended {
    /// A new event. Not stored ones come back too, numbered, for the live readers.
    Event(Arc<Event>),
    /// The same publish was taken before; this is its first answer.
    Duplicate(Receipt),
    /// The history was dropped at this sequence number.
    Reset(ChannelName, Seq),
}

/// The answer to a publish, as it is kept for retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The sequence number of the event.
    pub seq: Seq,
    /// Its offset.
    pub offset: u64,
    /// How many connections read the channel when it was taken.
    pub subscribers: u32,
}

/// Why a group was not taken. The other groups of the append are not touched by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The idempotency key was used with another body or type; the index of the entry in its group.
    IdempotencyMismatch(usize),
    /// More idempotency keys are in their window than the log may hold; the limit.
    IdempotencyKeysFull(usize),
    /// More channels exist than the log may hold; the limit.
    ChannelsFull(usize),
}

/// What an append did.
#[derive(Debug, Default)]
pub struct AppendOutcome {
    /// One result per group, in order.
    pub groups: Vec<Result<Vec<Appended>, Refusal>>,
    /// Channels that lost old events to a bound by it, in any order. Resets are told by [`Appended::Reset`] alone.
    pub trims: Vec<Trim>,
}

/// A channel lost old events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trim {
    /// Which channel.
    pub channel: ChannelName,
    /// What it lost.
    pub lost: Lost,
}

/// Everything up to `through` is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The sequence number of the newest event that is gone (or of the reset).
    pub through: Seq,
    /// Why.
    pub reason: LostReason,
}

/// Why events are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LostReason {
    /// Trimmed by number, bytes, age or the total size.
    Expired,
    /// The history was dropped, or the log is another one.
    Reset,
}

impl LostReason {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Reset => "reset",
        }
    }
}

/// Why the log cannot do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogError {
    /// A write or sync failed before; the log takes no more writes until the server is restarted.
    Poisoned(String),
    /// Too little space is left on the disk: free bytes, and how many must stay free.
    DiskFull {
        /// Bytes that are free.
        free: u64,
        /// Bytes that must stay free.
        needed: u64,
    },
    /// What was read is damaged or cannot be read.
    Unreadable(String),
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poisoned(why) => {
                write!(f, "the log takes no more writes: {why}; restart the server once the disk is well")
            }
            Self::DiskFull { free, needed } => {
                write!(f, "the disk of the data directory has {free} bytes free and {needed} must stay free")
            }
            Self::Unreadable(why) => write!(f, "the log cannot be read: {why}"),
        }
    }
}

impl std::error::Error for LogError {}

/// What is known of one channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelState {
    /// The offset of the newest event ever stored; 0 when there was none.
    pub head_offset: u64,
    /// The sequence number of the newest event ever stored (also if it is trimmed by now).
    pub last_seq: Seq,
    /// What the channel lost, if anything.
    pub lost: Option<Lost>,
    /// How many events are kept.
    pub events: u64,
    /// Their bytes of payload.
    pub bytes: u64,
    /// When the oldest kept event was taken.
    pub oldest_time: Option<Millis>,
}

impl ChannelState {
    /// The offset of the oldest kept event; 0 when none is kept.
    #[must_use]
    pub fn oldest_offset(&self) -> u64 {
        if self.events == 0 { 0 } else { self.head_offset - self.events + 1 }
    }
}

/// A part of one channel.
#[derive(Clone, Debug, Default)]
pub struct Slice {
    /// Events in order. None is at or before `lost.through`.
    pub events: Vec<Arc<Event>>,
    /// Set when events after the position asked for are gone.
    pub lost: Option<Lost>,
    /// Whether this is everything up to the end asked for; if not, it was cut by a bound.
    pub complete: bool,
}

/// How much one read may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The most events.
    pub events: usize,
    /// The most bytes of payload; at least one event is brought if there is one.
    pub bytes: usize,
}

/// The whole log in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogUsage {
    /// Channels ever published to.
    pub channels: u64,
    /// Events kept.
    pub events: u64,
    /// Their bytes of payload.
    pub bytes: u64,
    /// Bytes on disk; 0 for the memory log.
    pub disk_bytes: u64,
    /// Bytes still free on that disk.
    pub disk_free_bytes: Option<u64>,
    /// Syncs done since the start, and the time they took.
    pub syncs: u64,
    /// Time spent in syncs since the start.
    pub sync_time: Duration,
    /// Idempotency keys in their window.
    pub idempotency_keys: u64,
}

/// A store of events. See the module's contract.
pub trait Log: Send + Sync + 'static {
    /// Which log this is.
    fn epoch(&self) -> Epoch;

    /// The newest sequence number ever given, at least; where the next append continues.
    fn head(&self) -> Seq;

    /// Numbers and keeps `groups`, in order. Returns when they are durable.
    ///
    /// # Errors
    /// Nothing of it was taken: the log is poisoned or the disk is full.
    fn append(&self, groups: Vec<Group>, now: Millis) -> Result<AppendOutcome, LogError>;

    /// Work that falls due by time: trims by age, forgets idempotency keys. Cheap when nothing is due; called about once
    /// a second, and it does a bounded piece of work at a time.
    ///
    /// # Errors
    /// The log is poisoned, by this call or before.
    fn maintain(&self, now: Millis) -> Result<Vec<Trim>, LogError>;

    /// Whether [`append`](Self::append) never waits for a disk, so that a thread that serves connections may call it.
    fn is_instant(&self) -> bool {
        false
    }

    /// The kept events of `channel` after `after` up to and including `upto`, oldest first, as one consistent view:
    /// exactly those that are kept, and `lost` if any after `after` are not.
    ///
    /// # Errors
    /// The events cannot be read.
    fn read(&self, channel: &ChannelName, after: Seq, upto: Seq, budget: Budget) -> Result<Slice, LogError>;

    /// The position before the newest `count` kept events of `channel` that are at or before `upto`.
    ///
    /// # Errors
    /// The events cannot be read.
    fn seek_last(&self, channel: &ChannelName, count: usize, upto: Seq) -> Result<Seq, LogError>;

    /// How many kept events of `channel` lie after `after` up to and including `upto`.
    ///
    /// # Errors
    /// The events cannot be read.
    fn count(&self, channel: &ChannelName, after: Seq, upto: Seq) -> Result<u64, LogError>;

    /// What is known of `channel`; `None` if nothing was ever stored in it or dropped from it.
    fn channel(&self, channel: &ChannelName) -> Option<ChannelState>;

    /// Channels whose names begin with `prefix`, in order of their names, after the name `after`, at most `limit`.
    fn channels(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<(ChannelName, ChannelState)>;

    /// The log in figures.
    fn usage(&self) -> LogUsage;

    /// Whether the log takes writes.
    ///
    /// # Errors
    /// It does not, and why.
    fn health(&self) -> Result<(), LogError>;

    /// Makes everything durable and marks the log as cleanly closed. Later appends are refused.
    ///
    /// # Errors
    /// The last sync failed.
    fn close(&self) -> Result<(), LogError>;
}
