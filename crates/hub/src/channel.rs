//! One channel in memory: its ring of recent events, and who is told of new ones.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bongsu_core::cursor::Seq;
use bongsu_core::log::{Budget, ChannelState, Lost, Slice};
use bongsu_core::read::Way;
use bongsu_core::{ChannelName, Event};
use slab::Slab;

use crate::group::Bell;
use crate::reader::Wake;

/// A channel that somebody reads, or that has recent events. It can be dropped and made anew from the log at any time
/// when nobody reads it.
pub(crate) struct Channel {
    pub(crate) name: ChannelName,
    /// The newest sequence number that concerns this channel, so that a reader can see without a lock that there is
    /// nothing for it. Written by the sequencer before the head moves.
    last: AtomicU64,
    ring: Mutex<Ring>,
    listeners: Mutex<Slab<Listener>>,
    counts: [AtomicU32; Way::ALL.len()],
}

/// The newest events of a channel. Written by the sequencer only.
struct Ring {
    /// In order; every stored event after `floor` is here.
    events: VecDeque<Arc<Event>>,
    /// The newest stored event that is not in the ring; what a reader needs from before it is in the log.
    floor: Seq,
    lost: Option<Lost>,
    /// The channel was dropped from memory: another one has taken its name, or will.
    dropped: bool,
}

impl Ring {
    /// Where a read that is to begin after `after` really begins: past what is gone.
    fn start(&self, after: Seq) -> Result<Seq, BelowRing> {
        let start = self.lost.map_or(after, |lost| lost.through.max(after));
        if start < self.floor { Err(BelowRing) } else { Ok(start) }
    }

    /// Takes the oldest event out, if it is at or before `through`.
    fn pop_through(&mut self, through: Seq) -> Option<Arc<Event>> {
        let due = self.events.front().is_some_and(|event| event.id.seq <= through);
        if due { self.events.pop_front() } else { None }
    }

    /// The index of the first event after `position`.
    fn after(&self, position: Seq) -> usize {
        // Readers are nearly always near the end, whose events are also those that the processor still has at hand.
        const NEAR: usize = 8;
        let near = self.events.iter().rev().take(NEAR + 1).take_while(|event| event.id.seq > position).count();
        match near {
            0..=NEAR => self.events.len() - near,
            _ => self.events.partition_point(|event| event.id.seq <= position),
        }
    }
}

/// Who is told that a channel has something new.
pub(crate) enum Listener {
    /// One reader.
    Reader(Arc<dyn Wake>),
    /// A group with readers of the channel, which knows the channel by this place.
    Group(Arc<Bell>, u32),
}

/// How many connections read a channel, per way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subscribers([u32; Way::ALL.len()]);

impl Subscribers {
    /// By one way.
    #[must_use]
    pub fn by(&self, way: Way) -> u32 {
        self.0[way as usize]
    }

    /// By all ways.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.0.iter().sum()
    }
}

/// Whether a reader is there to be reached: a poll is gone with its answer.
fn counts(way: Way) -> bool {
    way != Way::Poll
}

/// The ring does not reach back far enough.
pub(crate) struct BelowRing;

impl Channel {
    /// The channel as the log knows it, with an empty ring.
    pub(crate) fn new(name: ChannelName, state: ChannelState) -> Self {
        let lost = state.lost.map_or(Seq::ZERO, |lost| lost.through);
        Self {
            name,
            last: AtomicU64::new(state.last_seq.max(lost).0),
            ring: Mutex::new(Ring { events: VecDeque::new(), floor: state.last_seq, lost: state.lost, dropped: false }),
            listeners: Mutex::default(),
            counts: Default::default(),
        }
    }

    /// Puts a new event into the ring, unless the channel was dropped from memory. The sequencer calls this in order.
    pub(crate) fn push(&self, event: &Arc<Event>) -> bool {
        let mut ring = self.lock_ring();
        if ring.dropped {
            return false;
        }
        ring.events.push_back(event.clone());
        drop(ring);
        self.last.fetch_max(event.id.seq.0, Ordering::Release);
        true
    }

    /// Notes that everything up to `lost.through` is gone; returns how many events and bytes the ring gave up.
    pub(crate) fn lose(&self, lost: Lost) -> (usize, usize) {
        let mut ring = self.lock_ring();
        ring.lost = Some(ring.lost.filter(|before| before.through > lost.through).unwrap_or(lost));
        ring.floor = ring.floor.max(lost.through);
        let (mut gone, mut bytes) = (0, 0);
        while let Some(event) = ring.pop_through(lost.through) {
            gone += 1;
            bytes += event.bytes_in_memory();
        }
        drop(ring);
        self.last.fetch_max(lost.through.0, Ordering::Release);
        (gone, bytes)
    }

    /// Gives up the ring's events up to `through`; returns their number and bytes.
    pub(crate) fn evict(&self, through: Seq) -> (usize, usize) {
        let mut ring = self.lock_ring();
        let (mut gone, mut bytes) = (0, 0);
        while let Some(event) = ring.pop_through(through) {
            gone += 1;
            bytes += event.bytes_in_memory();
            if event.stored {
                ring.floor = ring.floor.max(event.id.seq);
            }
        }
        if ring.events.is_empty() {
            ring.events.shrink_to_fit();
        }
        (gone, bytes)
    }

    /// Whether the ring still holds the event `seq`.
    pub(crate) fn holds(&self, seq: Seq) -> bool {
        self.lock_ring().events.front().is_some_and(|first| first.id.seq <= seq)
    }

    /// Reads from the ring; see [`bongsu_core::subscription::Source::read`].
    pub(crate) fn read(&self, after: Seq, upto: Seq, budget: Budget) -> Result<Slice, BelowRing> {
        // Nothing that concerns this channel came after the reader's position.
        if self.last.load(Ordering::Acquire) <= after.0 {
            return Ok(Slice { complete: true, ..Slice::default() });
        }
        let ring = self.lock_ring();
        let lost = ring.lost.filter(|lost| lost.through > after);
        let start = ring.start(after)?;
        let first = ring.after(start);
        let mut bytes = 0;
        let mut slice = Slice { lost, complete: true, events: Vec::new() };
        for event in ring.events.range(first..).take_while(|event| event.id.seq <= upto) {
            bytes += event.payload.bytes.len();
            let full = slice.events.len() >= budget.events || bytes > budget.bytes;
            if full && !slice.events.is_empty() {
                slice.complete = false;
                break;
            }
            slice.events.push(event.clone());
        }
        Ok(slice)
    }

    /// How many stored events lie after `after` up to `upto`.
    pub(crate) fn count(&self, after: Seq, upto: Seq) -> Result<u64, BelowRing> {
        if self.last.load(Ordering::Acquire) <= after.0 {
            return Ok(0);
        }
        let ring = self.lock_ring();
        let start = ring.start(after)?;
        let first = ring.after(start);
        let kept = ring.events.range(first..).take_while(|event| event.id.seq <= upto);
        Ok(kept.filter(|event| event.stored).count() as u64)
    }

    /// The position before the newest `count` stored events that are at or before `upto`.
    pub(crate) fn seek_last(&self, count: usize, upto: Seq) -> Result<Seq, BelowRing> {
        let ring = self.lock_ring();
        let known = ring.events.iter().rev().filter(|event| event.stored && event.id.seq <= upto);
        match known.take(count).enumerate().last() {
            Some((index, event)) if index + 1 == count => Ok(Seq(event.id.seq.0 - 1)),
            // With fewer in the ring than were asked for, older ones may lie in the log, unless the ring has all there are.
            _ => ring.start(Seq::ZERO),
        }
    }

    /// Adds a listener; the key takes it out again.
    pub(crate) fn enter(&self, listener: Listener) -> usize {
        self.lock_listeners().insert(listener)
    }

    /// Takes a listener out.
    pub(crate) fn exit(&self, key: usize) {
        self.lock_listeners().try_remove(key);
    }

    /// Counts a reader that came.
    pub(crate) fn count_in(&self, way: Way) {
        if counts(way) {
            self.counts[way as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a reader that went.
    pub(crate) fn count_out(&self, way: Way) {
        if counts(way) {
            self.counts[way as usize].fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Tells every reader that there is something to read.
    pub(crate) fn wake_readers(&self) {
        for (_, listener) in &*self.lock_listeners() {
            match listener {
                Listener::Reader(wake) => wake.wake(),
                Listener::Group(bell, place) => bell.ring(*place),
            }
        }
    }

    /// Who reads.
    pub(crate) fn subscribers(&self) -> Subscribers {
        Subscribers(std::array::from_fn(|way| self.counts[way].load(Ordering::Relaxed)))
    }

    /// Drops the channel from memory if nobody needs it: from now on it takes nothing. To be called where nobody can find it
    /// meanwhile.
    pub(crate) fn drop_if_idle(&self) -> bool {
        let listeners = self.lock_listeners();
        let mut ring = self.lock_ring();
        ring.dropped = listeners.is_empty() && ring.events.is_empty();
        ring.dropped
    }

    // A panic while one of these locks is held would be a bug in a few lines that only move references about; what they
    // guard is whole at every step, so going on is right.
    fn lock_ring(&self) -> std::sync::MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_listeners(&self) -> std::sync::MutexGuard<'_, Slab<Listener>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
