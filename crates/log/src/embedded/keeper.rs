//! What is done for the log in the background: files are set aside, full segments get their directory, and segments in which
//! little lives are rewritten without the rest.
//!
//! The keeper never stands in the way of the writer: it holds no lock while it reads or writes a file. It syncs through
//! descriptors of its own, so that it never takes the report of a failed sync away from the writer.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::{fs, io};

use super::compact::{choose, compact};
use super::directory::{Described, ENTRY_BYTES, scan};
use super::segment::{self, Segment};
use super::store::Store;

/// The size of the first segment of a log, in bytes: a small log takes little space.
const FIRST_BYTES: u64 = 4 << 20;

/// How large a segment is to become: each of the first few is twice as large as the one before it.
pub(crate) fn capacity(number: u64, segment_bytes: u64) -> u64 {
    let doublings = number.min(10) as u32;
    (FIRST_BYTES << doublings).min(segment_bytes)
}

/// What the keeper is asked for.
enum Order {
    /// A file for a segment of so many bytes.
    SetAside(u64),
    /// This segment takes no more.
    Finish(Arc<Segment>),
    /// Look whether something can be given back to the disk.
    Tidy,
}

/// The writer's side. Dropped, it waits for the keeper to end.
pub(crate) struct Keeper {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

struct Shared {
    /// A file that is set aside. Put here by the keeper, taken by the writer.
    spare: Mutex<Option<(PathBuf, File)>>,
    /// Set by the writer's side when the log is dropped: what is being done is left undone.
    stop: AtomicBool,
    /// Whether an order to tidy is on its way.
    tidying: AtomicBool,
    segment_bytes: u64,
    disk_free_min: u64,
}

impl Keeper {
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(store: Arc<Store>, segment_bytes: u64, disk_free_min: u64) -> io::Result<Self> {
        let (orders, received) = channel();
        let shared = Arc::new(Shared {
            spare: Mutex::default(),
            stop: AtomicBool::new(false),
            tidying: AtomicBool::new(false),
            segment_bytes,
            disk_free_min,
        });
        let working = Working { store, shared: shared.clone() };
        let thread = std::thread::Builder::new().name("log keeper".into()).spawn(move || working.run(&received))?;
        Ok(Self { orders: Some(orders), thread: Some(thread), shared })
    }

    pub(crate) fn segment_bytes(&self) -> u64 {
        self.shared.segment_bytes
    }

    pub(crate) fn set_aside(&self, bytes: u64) {
        self.order(Order::SetAside(bytes));
    }

    pub(crate) fn take_spare(&self) -> Option<(PathBuf, File)> {
        self.shared.spare.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn finish(&self, segment: Arc<Segment>) {
        self.order(Order::Finish(segment));
        self.tidy();
    }

    pub(crate) fn tidy(&self) {
        if !self.shared.tidying.swap(true, Ordering::AcqRel) {
            self.order(Order::Tidy);
        }
    }

    fn order(&self, order: Order) {
        // A keeper that is gone has told why in the store.
        let _ = self.orders.as_ref().map(|orders| orders.send(order));
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.orders = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The keeper's side.
struct Working {
    store: Arc<Store>,
    shared: Arc<Shared>,
}

impl Working {
    fn run(&self, orders: &Receiver<Order>) {
        // What could not be finished, for want of space as a rule, is tried again.
        let mut unfinished: Vec<Arc<Segment>> = Vec::new();
        while let Ok(order) = orders.recv() {
            if self.is_stopped() {
                return;
            }
            match order {
                Order::SetAside(bytes) => self.set_aside(bytes),
                Order::Finish(segment) => unfinished.push(segment),
                Order::Tidy => {
                    self.shared.tidying.store(false, Ordering::Release);
                    unfinished.retain(|segment| self.finish(segment).is_err());
                    self.tidy();
                }
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Acquire)
    }

    /// A failure is of no account: the writer does without.
    fn set_aside(&self, bytes: u64) {
        let has_room = rustix::fs::statvfs(&self.store.dir).is_ok_and(|disk| {
            disk.f_bavail.saturating_mul(disk.f_frsize) > self.shared.disk_free_min.saturating_add(bytes)
        });
        let is_there = || self.shared.spare.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if !has_room || is_there() {
            return;
        }
        let path = self.store.dir.join("spare.new");
        match segment::set_aside(&path, bytes, || !self.is_stopped()) {
            Ok(Some(file)) => {
                *self.shared.spare.lock().unwrap_or_else(PoisonError::into_inner) = Some((path, file));
            }
            _ => {
                let _ = fs::remove_file(&path);
            }
        }
    }

    /// Writes the directory of a full segment, and lets its entries go from memory.
    fn finish(&self, segment: &Arc<Segment>) -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(&segment.path)?;
        let bytes = fs::read(&segment.path)?;
        let end = segment.end.load(Ordering::Acquire) as usize;
        // What was spoiled since it was written is left as it is: readers and the next opening tell it.
        let Ok(scan) = scan(bytes.get(..end).unwrap_or(&bytes), &segment.head) else {
            return Ok(());
        };
        if scan.end != end {
            return Ok(());
        }
        // Whether the frames are on the disk is the writer's affair, and a failure to bring them there must end it.
        file.sync_data().inspect_err(|error| self.store.fail(error.to_string()))?;
        segment::finish(&file, &scan.directory, &scan.entries, end as u64)?;
        let mut table = end as u64;
        for (&id, Described { first_offset, count, .. }) in &scan.directory.channels {
            self.store.index_mut().use_table(id, segment, *first_offset, *count, table);
            table += u64::from(*count) * ENTRY_BYTES as u64;
        }
        segment.finished.store(true, Ordering::Release);
        Ok(())
    }

    /// Gives back what dead events take. A failure leaves everything as it was.
    fn tidy(&self) {
        while !self.is_stopped() {
            let segments = self.store.segments().clone();
            let finished = segments.iter().take_while(|segment| segment.finished.load(Ordering::Acquire)).count();
            let Some(range) = choose(&segments[..finished], self.shared.segment_bytes) else {
                return;
            };
            if compact(&self.store, &segments[range], || !self.is_stopped()).is_err() {
                return;
            }
        }
    }
}
