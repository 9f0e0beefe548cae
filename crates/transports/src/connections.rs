//! The table of open connections: streaming answers, WebSockets and waiting long polls.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bongsu_core::control::Close;
use bongsu_core::read::{ReadRequest, Way};
use bongsu_core::{ChannelName, Millis, UserId};
use bongsu_hub::Wake as _;
use smallvec::SmallVec;

use crate::shard::{Key, Letter, Mailbox};
use crate::signal::Signal;

/// Connections by id, bounded in number.
#[derive(Debug)]
pub struct Connections {
    table: Arc<Table>,
}

/// 128 unguessable bits: who knows them may speak for the connection. The higher half comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnectionId(u64, u64);

#[derive(Debug)]
struct Table {
    max: usize,
    by_id: Mutex<BTreeMap<ConnectionId, Arc<Slot>>>,
    by_way: [AtomicUsize; Way::ALL.len()],
    /// Of them, those that have a task of their own.
    by_way_tasks: [AtomicUsize; Way::ALL.len()],
}

/// One connection, as its driver and the rest of the server share it.
#[derive(Debug)]
struct Slot {
    way: Way,
    /// Set when the connection is told to end: to others it is no more.
    ending: AtomicBool,
    since: Millis,
    said: Mutex<Said>,
    call: Call,
}

// Thousands of idle connections hold one each.
const _: () = assert!(size_of::<Slot>() <= 88);

/// What one side of a [`Slot`] writes for the other.
#[derive(Debug)]
struct Said {
    /// Written by the connection's driver when it subscribes, read by the table.
    channels: Channels,
    /// Written by whoever ends the connection; its driver is called and takes it.
    close: Option<Box<Close>>,
}

/// Nearly always one.
type Channels = SmallVec<[ChannelName; 1]>;

/// How to call a connection's driver.
#[derive(Debug)]
pub(crate) enum Call {
    /// A task of its own.
    Task(Arc<Signal>),
    /// A shard, which knows the connection by this key.
    Shard(Arc<Mailbox>, Key),
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
    slot: Arc<Slot>,
    id: ConnectionId,
}

impl ConnectionId {
    pub(crate) fn new(high: u64, low: u64) -> Self {
        Self(high, low)
    }

    /// The id of that text; `None` for what is no id.
    fn parse(text: &str) -> Option<Self> {
        let hex = text.len() == 32 && text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
        let half = |range| u64::from_str_radix(&text[range], 16).ok();
        if hex { Some(Self(half(0..16)?, half(16..32)?)) } else { None }
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.0, self.1)
    }
}

impl Connections {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            table: Arc::new(Table {
                max,
                by_id: Mutex::default(),
                by_way: Default::default(),
                by_way_tasks: Default::default(),
            }),
        }
    }

    /// Takes a place; `None` when all are taken.
    pub(crate) fn enter(&self, id: ConnectionId, read: &ReadRequest, call: Call, now: Millis) -> Option<Entry> {
        let said = Said { channels: read.channels.iter().cloned().collect(), close: None };
        let slot = Slot { way: read.way, ending: AtomicBool::new(false), since: now, said: Mutex::new(said), call };
        let slot = Arc::new(slot);
        let mut by_id = self.table.lock();
        if by_id.len() >= self.table.max {
            return None;
        }
        by_id.insert(id, slot.clone());
        drop(by_id);
        for count in self.table.counts(&slot) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Some(Entry { table: self.table.clone(), id, slot })
    }

    /// Connections in the order of their ids, after the id `after`; all of them after what is no id.
    #[must_use]
    pub fn list(&self, after: Option<&str>, limit: usize) -> Vec<ConnectionInfo> {
        let start = after.and_then(ConnectionId::parse).map_or(Bound::Unbounded, Bound::Excluded);
        let by_id = self.table.lock();
        by_id
            .range((start, Bound::Unbounded))
            .filter(|(_, slot)| slot.is_open())
            .take(limit)
            .map(|(id, slot)| slot.info(*id))
            .collect()
    }

    /// One connection.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<ConnectionInfo> {
        let id = ConnectionId::parse(id)?;
        self.table.lock().get(&id).filter(|slot| slot.is_open()).map(|slot| slot.info(id))
    }

    /// Ends a connection in an orderly way; false if there is none of that id.
    pub fn close(&self, id: &str, close: Close) -> bool {
        let slot = ConnectionId::parse(id).and_then(|id| self.table.lock().get(&id).cloned());
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

    /// How many of them hyper serves, in the same order.
    #[must_use]
    pub fn by_way_of_hyper(&self) -> [usize; Way::ALL.len()] {
        std::array::from_fn(|way| self.table.by_way_tasks[way].load(Ordering::Relaxed))
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
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ConnectionId, Arc<Slot>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the connection of this slot is counted.
    fn counts(&self, slot: &Slot) -> impl Iterator<Item = &AtomicUsize> {
        let way = slot.way as usize;
        let task = matches!(slot.call, Call::Task(_)).then_some(&self.by_way_tasks[way]);
        std::iter::once(&self.by_way[way]).chain(task)
    }
}

impl Slot {
    fn info(&self, id: ConnectionId) -> ConnectionInfo {
        let channels = self.said().channels.to_vec();
        ConnectionInfo { id: id.to_string(), way: self.way, channels, since: self.since, user: None }
    }

    fn is_open(&self) -> bool {
        !self.ending.load(Ordering::Acquire)
    }

    /// False if it was ended before: the first word holds.
    fn end(&self, close: Close) -> bool {
        if self.ending.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.said().close = Some(Box::new(close));
        self.call.call();
        true
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        // Its parts are moved in and out whole.
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    fn call(&self) {
        match self {
            Self::Task(signal) => signal.wake(),
            Self::Shard(mailbox, key) => mailbox.post(Letter::Called(*key)),
        }
    }
}

impl Entry {
    /// The connection's id.
    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    /// Bytes of heap held by the place: its slot and its line in the table, with the names of its channels.
    pub(crate) fn heap_bytes(&self) -> usize {
        // What a text or a slot that is shared has before it: two counts.
        const COUNTS_BYTES: usize = 2 * size_of::<usize>();
        let said = self.slot.said();
        let names: usize = said.channels.iter().map(|name| COUNTS_BYTES + name.as_str().len()).sum();
        let list = if said.channels.spilled() { said.channels.capacity() * size_of::<ChannelName>() } else { 0 };
        let close = said.close.as_ref().map_or(0, |close| size_of::<Close>() + close.reason.len());
        size_of::<(ConnectionId, Arc<Slot>)>() + COUNTS_BYTES + size_of::<Slot>() + names + list + close
    }

    /// Why the connection should end, if it should; told once.
    pub(crate) fn take_close(&self) -> Option<Close> {
        self.slot.said().close.take().map(|close| *close)
    }

    /// Notes what the connection reads now.
    pub(crate) fn set_channels(&self, channels: Vec<ChannelName>) {
        self.slot.said().channels = channels.into();
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.table.lock().remove(&self.id);
        for count in self.table.counts(&self.slot) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
