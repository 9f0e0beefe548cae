//! Records on disk: the only module that knows fjall.
//!
//! Two keyspaces: `events`, and `state` for everything else. A [`Batch`] is kept whole or not at all. Nothing here decides
//! anything; the layout of records is [`record`](super::record)'s.

use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use bongsu_core::Seq;
use fjall::compaction::Leveled;
use fjall::config::{BlockSizePolicy, FilterPolicy};
use fjall::{
    Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, OwnedWriteBatch, PersistMode, UserKey, UserValue,
};

use super::error::OpenError;
use super::record::event_key;
use crate::ledger::ChannelId;

/// How much is gathered in memory before it becomes a table, in bytes. Larger means fewer pauses and more memory: up to
/// four of these can exist at a time.
const EVENTS_MEMTABLE_BYTES: u64 = 32 << 20;
const STATE_MEMTABLE_BYTES: u64 = 8 << 20;
/// The size of tables, in bytes: what one step of compaction rewrites, and so the free space it needs, grows with it.
const TABLE_BYTES: u64 = 16 << 20;
/// Journals may take this much before tables are written early to be rid of them, in bytes.
const JOURNALS_BYTES_MAX: u64 = 256 << 20;
/// Records from this size on are kept beside the tables, in bytes, so that compaction does not copy them again and again.
const LARGE_BYTES: u32 = 16 << 10;
/// Events are read in runs, so blocks are larger than for single values, in bytes; and the index is smaller for it.
const EVENTS_BLOCK_BYTES: u32 = 16 << 10;
/// One thread would wait for itself when the queue of its tasks is full; with two, one always takes tasks off it.
const WORKERS: usize = 2;
/// Files held open.
const FILES_MAX: usize = 256;

pub(crate) struct Store {
    database: Database,
    events: Keyspace,
    state: Keyspace,
}

/// A key with its record.
pub(crate) type Record = (UserKey, UserValue);

/// Records to keep and to delete together.
pub(crate) struct Batch<'a> {
    store: &'a Store,
    batch: OwnedWriteBatch,
}

impl Batch<'_> {
    pub(crate) fn keep_event(&mut self, key: [u8; 12], record: Vec<u8>) {
        self.batch.insert(&self.store.events, key, record);
    }

    pub(crate) fn drop_event(&mut self, key: [u8; 12]) {
        self.batch.remove(&self.store.events, key);
    }

    pub(crate) fn keep(&mut self, key: &[u8], record: Vec<u8>) {
        self.batch.insert(&self.store.state, key, record);
    }

    pub(crate) fn drop(&mut self, key: &[u8]) {
        self.batch.remove(&self.store.state, key);
    }

    /// Keeps it all. The system has it when this returns, and with `sync` the disk has.
    ///
    /// # Errors
    /// It is unknown what was kept, and nothing more can be written.
    pub(crate) fn commit(self, sync: bool) -> Result<(), String> {
        let mode = if sync { PersistMode::SyncData } else { PersistMode::Buffer };
        self.batch.durability(Some(mode)).commit().map_err(|error| explain(&error))
    }
}

impl Store {
    /// Opens the store in `path`, and makes it if there is none.
    pub(crate) fn open(path: &Path, cache_bytes: u64) -> Result<Self, OpenError> {
        // A store must not bring the process down, whatever is in its files; some of fjall's checks are assertions.
        match catch_unwind(AssertUnwindSafe(|| Self::try_open(path, cache_bytes))) {
            Ok(Ok(store)) => Ok(store),
            Ok(Err(fjall::Error::Io(error))) if !is_damage(&error) => Err(OpenError::io(path, "opening")(error)),
            Ok(Err(error)) => Err(OpenError::damaged(path, explain(&error))),
            Err(_) => Err(OpenError::damaged(path, "its files contradict each other")),
        }
    }

    fn try_open(path: &Path, cache_bytes: u64) -> fjall::Result<Self> {
        let database = Database::builder(path)
            .cache_size(cache_bytes)
            .max_journaling_size(JOURNALS_BYTES_MAX)
            .max_cached_files(Some(FILES_MAX))
            .worker_threads(WORKERS)
            .open()?;
        let leveled = || std::sync::Arc::new(Leveled::default().with_table_target_size(TABLE_BYTES));
        let events = database.keyspace("events", || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(EVENTS_MEMTABLE_BYTES)
                .compaction_strategy(leveled())
                .data_block_size_policy(BlockSizePolicy::all(EVENTS_BLOCK_BYTES))
                // Events are never looked up singly, so filters would only take memory.
                .filter_policy(FilterPolicy::disabled())
                .with_kv_separation(Some(KvSeparationOptions::default().separation_threshold(LARGE_BYTES)))
        })?;
        let state = database.keyspace("state", || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(STATE_MEMTABLE_BYTES)
                .compaction_strategy(leveled())
                .filter_policy(FilterPolicy::disabled())
        })?;
        Ok(Self { database, events, state })
    }

    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch { store: self, batch: self.database.batch() }
    }

    /// Makes everything durable.
    pub(crate) fn sync(&self) -> Result<(), String> {
        self.database.persist(PersistMode::SyncAll).map_err(|error| explain(&error))
    }

    /// Fails if a task in the background has failed: nothing more can be written then.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.database.persist(PersistMode::Buffer).map_err(|error| explain(&error))
    }

    /// Writes everything that is in memory to tables, for tests that spoil tables.
    #[cfg(test)]
    pub(crate) fn write_out(&self) {
        for keyspace in [&self.events, &self.state] {
            keyspace.rotate_memtable_and_wait().expect("the memory can be written out");
        }
    }

    /// The records of a channel after `after` up to and including `upto`, from either end.
    pub(crate) fn events(
        &self,
        channel: ChannelId,
        after: Seq,
        upto: Seq,
    ) -> impl DoubleEndedIterator<Item = Result<Record, String>> + use<> {
        self.range(channel, after, upto).map(|guard| guard.into_inner().map_err(|error| explain(&error)))
    }

    /// The keys of the same records.
    pub(crate) fn event_keys(
        &self,
        channel: ChannelId,
        after: Seq,
        upto: Seq,
    ) -> impl DoubleEndedIterator<Item = Result<UserKey, String>> + use<> {
        self.range(channel, after, upto).map(|guard| guard.key().map_err(|error| explain(&error)))
    }

    fn range(&self, channel: ChannelId, after: Seq, upto: Seq) -> fjall::Iter {
        // A range that ends before it begins is empty here, and an error there.
        let end = event_key(channel, upto.max(after));
        self.events.range((Bound::Excluded(event_key(channel, after)), Bound::Included(end)))
    }

    /// All records that are no events and whose keys begin with `prefix`, in order of their keys.
    pub(crate) fn state(&self, prefix: u8) -> impl Iterator<Item = Result<Record, String>> + use<> {
        self.state.prefix([prefix]).map(|guard| guard.into_inner().map_err(|error| explain(&error)))
    }
}

/// Some damage is found as a file that ends too early or has nonsense in it.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::NotFound)
}

/// What fjall said, in one line.
fn explain(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) => error.to_string(),
        fjall::Error::Storage(error) => format!("{error}"),
        fjall::Error::Poisoned => "an earlier write, sync or task in the background failed".to_owned(),
        other => format!("{other:?}"),
    }
}
