//! The table of open connections: streaming answers, WebSockets and waiting long polls.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bongsu_core::control::Close;
use bongsu_core::read::{ReadRequest, Way};
use bongsu_core::{ChannelName, Millis, UserId};
use bongsu_hub::Wake;

use crate::signal::Signal;

/// Connections by id, bounded in number.
#[derive(Debug)]
pub struct Connections {
    table: Arc<Table>,
}

#[derive(Debug)]
struct Table {
    max: usize,
    by_id: Mutex<BTreeMap<Arc<str>, Arc<Slot>>>,
    by_way: [AtomicUsize; Way::ALL.len()],
}

/// One connection, as its own task and the rest of the server share it.
#[derive(Debug)]
struct Slot {
    way: Way,
    since: Millis,
    /// Written by the connection's task when it subscribes, read by the table.
    channels: Mutex<Vec<ChannelName>>,
    /// Written by whoever ends the connection; its task is woken and takes it.
    close: Mutex<Option<Close>>,
    /// Set with `close`: the connection is on its way out, and to others it is no more.
    ending: AtomicBool,
    signal: Arc<Signal>,
}

/// What is known of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// Its id.
    pub id: String,
    /// By which way it reads.
    pub way: Way,
    /// What it reads.
    pub channels: Vec<ChannelName>,
    /// Since when it is open.
    pub since: Millis,
    /// Whose it is, once clients have names.
    pub user: Option<UserId>,
}

/// A place in the table; dropping it gives the place up.
#[derive(Debug)]
pub(crate) struct Entry {
    table: Arc<Table>,
    id: Arc<str>,
    slot: Arc<Slot>,
}

impl Connections {
    pub(crate) fn new(max: usize) -> Self {
        Self { table: Arc::new(Table { max, by_id: Mutex::default(), by_way: Default::default() }) }
    }

    /// Takes a place; `None` when all are taken.
    pub(crate) fn enter(&self, id: String, read: &ReadRequest, signal: Arc<Signal>, now: Millis) -> Option<Entry> {
        let slot = Arc::new(Slot {
            way: read.way,
            since: now,
            channels: Mutex::new(read.channels.clone()),
            close: Mutex::default(),
            ending: AtomicBool::new(false),
            signal,
        });
        let id: Arc<str> = id.into();
        let mut by_id = self.table.lock();
        if by_id.len() >= self.table.max {
            return None;
        }
        by_id.insert(id.clone(), slot.clone());
        drop(by_id);
        self.table.by_way[read.way as usize].fetch_add(1, Ordering::Relaxed);
        Some(Entry { table: self.table.clone(), id, slot })
    }

    /// Connections in the order of their ids, after the id `after`.
    #[must_use]
    pub fn list(&self, after: Option<&str>, limit: usize) -> Vec<ConnectionInfo> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let by_id = self.table.lock();
        by_id
            .range::<str, _>((start, Bound::Unbounded))
            .filter(|(_, slot)| slot.is_open())
            .take(limit)
            .map(|(id, slot)| slot.info(id))
            .collect()
    }

    /// One connection.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<ConnectionInfo> {
        self.table.lock().get(id).filter(|slot| slot.is_open()).map(|slot| slot.info(id))
    }

    /// Ends a connection in an orderly way; false if there is none of that id.
    pub fn close(&self, id: &str, close: Close) -> bool {
        let slot = self.table.lock().get(id).cloned();
        slot.is_some_and(|slot| slot.end(close))
    }

    pub(crate) fn close_all(&self, mut close: impl FnMut() -> Close) {
        let slots: Vec<Arc<Slot>> = self.table.lock().values().cloned().collect();
        for slot in slots {
            slot.end(close());
        }
    }

    /// How many are open by each way, in the order of [`Way::ALL`].
    #[must_use]
    pub fn by_way(&self) -> [usize; Way::ALL.len()] {
        std::array::from_fn(|way| self.table.by_way[way].load(Ordering::Relaxed))
    }

    /// How many are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.lock().len()
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Slot>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn info(&self, id: &str) -> ConnectionInfo {
        let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ConnectionInfo { id: id.into(), way: self.way, channels, since: self.since, user: None }
    }

    fn is_open(&self) -> bool {
        !self.ending.load(Ordering::Acquire)
    }

    /// False if it was ended before: the first word holds.
    fn end(&self, close: Close) -> bool {
        if self.ending.swap(true, Ordering::AcqRel) {
            return false;
        }
        *self.close.lock().unwrap_or_else(PoisonError::into_inner) = Some(close);
        self.signal.wake();
        true
    }
}

impl Entry {
    /// The connection's id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Why the connection should end, if it should; told once.
    pub(crate) fn take_close(&self) -> Option<Close> {
        self.slot.close.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notes what the connection reads now.
    pub(crate) fn set_channels(&self, channels: Vec<ChannelName>) {
        *self.slot.channels.lock().unwrap_or_else(PoisonError::into_inner) = channels;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.table.lock().remove(&self.id);
        self.table.by_way[self.slot.way as usize].fetch_sub(1, Ordering::Relaxed);
    }
}
