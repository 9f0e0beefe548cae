//! One reader: a subscription with its seats in the channels.

use std::sync::Arc;

use bongsu_core::cursor::Cursor;
use bongsu_core::event::EventType;
use bongsu_core::log::Budget;
use bongsu_core::read::{From, Way};
use bongsu_core::subscription::{Page, ReadError, Subscription};
use bongsu_core::{ChannelName, Problem};

use crate::Shared;
use crate::begin::{self, Reach};
use crate::channel::{Channel, Listener};
use crate::problems;
use crate::source::{Cold, Warm};

/// How a reader is told that there may be something to read.
///
/// Called by the sequencer, often, also when there is nothing new for the reader; it must be quick and must not block.
pub trait Wake: Send + Sync {
    /// Read again, soon.
    fn wake(&self);
}

/// A reader of some channels at a position. Dropping it takes it out of its channels.
pub struct Reader {
    shared: Arc<Shared>,
    subscription: Subscription<Seat>,
    way: Way,
    wake: Arc<dyn Wake>,
}

/// A reader's place in a channel's list of readers.
pub(crate) struct Seat {
    shared: Arc<Shared>,
    channel: Arc<Channel>,
    way: Way,
    key: usize,
}

impl Seat {
    pub(crate) fn channel(&self) -> &Channel {
        &self.channel
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.channel.count_out(self.way);
        self.channel.exit(self.key);
        self.shared.registry.forget_idle(&self.channel.name);
    }
}

impl Reader {
    pub(crate) fn open(
        shared: Arc<Shared>,
        way: Way,
        channels: &[ChannelName],
        from: From,
        types: Vec<Option<EventType>>,
        wake: Arc<dyn Wake>,
    ) -> Result<Self, Problem> {
        let subscription = Subscription::new(shared.log.epoch(), types, shared.head());
        let mut reader = Self { shared, subscription, way, wake };
        reader.add(channels, from)?;
        Ok(reader)
    }

    /// Reads more channels. Those that are read already are left as they are. Returns the position from which the reader
    /// goes on. Finding the newest events may read from the disk.
    ///
    /// # Errors
    /// The log cannot be read; then none is added.
    pub fn add(&mut self, channels: &[ChannelName], from: From) -> Result<Cursor, Problem> {
        let mut seats = Vec::with_capacity(channels.len());
        for name in channels {
            if !self.reads(name) {
                seats.push(self.seat(name));
            }
        }
        // Every seat is taken before the head is read: what becomes visible later wakes this reader.
        let head = self.shared.head();
        let mut begins = Vec::with_capacity(seats.len());
        for seat in &seats {
            begins.push(begin::find(&self.shared, &seat.channel, from, head, Reach::Log).map_err(problems::of_read)?);
        }
        for (seat, begin) in seats.into_iter().zip(begins) {
            self.subscription.add(seat, begin, head);
        }
        Ok(self.subscription.cursor())
    }

    fn seat(&self, name: &ChannelName) -> Seat {
        let listener = Listener::Reader(self.wake.clone());
        let (channel, key) = self.shared.registry.enter(name, &*self.shared.log, listener);
        channel.count_in(self.way);
        Seat { shared: self.shared.clone(), channel, way: self.way, key }
    }

    /// Stops reading `channels`; those that are not read are passed over.
    pub fn remove(&mut self, channels: &[ChannelName]) {
        drop(self.subscription.remove(|seat| channels.contains(&seat.channel.name)));
    }

    /// Whether the reader reads `channel`.
    #[must_use]
    pub fn reads(&self, channel: &ChannelName) -> bool {
        self.subscription.channels().any(|seat| seat.channel.name == *channel)
    }

    /// The channels.
    pub fn channels(&self) -> impl Iterator<Item = &ChannelName> {
        self.subscription.channels().map(|seat| &seat.channel.name)
    }

    /// The position from which a resume loses nothing.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.subscription.cursor()
    }

    /// How many events lie between the reader and the head that its replay runs to. Reads from the disk.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn behind(&self) -> Result<u64, Problem> {
        let Some(head) = self.subscription.replay_until() else { return Ok(0) };
        let mut events = 0;
        for (seat, after) in self.subscription.positions() {
            events += begin::count(&self.shared, &seat.channel, after, head, Reach::Log).map_err(problems::of_read)?;
        }
        Ok(events)
    }

    /// The next objects, from memory; never waits.
    ///
    /// # Errors
    /// [`ReadError::Cold`]: call [`Reader::page_cold`] where waiting for a disk is allowed. Nothing has moved.
    pub fn page(&mut self, budget: Budget) -> Result<Page, ReadError> {
        let now = self.shared.clock.now();
        let page = self.subscription.page(&Warm(&self.shared), budget, now);
        self.shared.count_gaps(page)
    }

    /// The next objects, from memory or the log; may wait for the disk.
    ///
    /// # Errors
    /// The log cannot be read. Nothing has moved.
    pub fn page_cold(&mut self, budget: Budget) -> Result<Page, Problem> {
        let now = self.shared.clock.now();
        let page = self.subscription.page(&Cold(&self.shared), budget, now);
        self.shared.count_gaps(page).map_err(problems::of_read)
    }
}
