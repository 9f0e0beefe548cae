//! Which events are in rings, over all channels, and which channels were touched.

use std::collections::VecDeque;
use std::sync::Arc;

use bongsu_core::Event;
use bongsu_core::cursor::Seq;
use bongsu_core::log::Lost;

use crate::Shared;
use crate::channel::Channel;

/// The events that are in rings, oldest first over all channels, so that the memory they take stays bounded.
#[derive(Default)]
pub(crate) struct Recent {
    /// In log order. Some are no longer in their ring because their channel lost them.
    order: VecDeque<(Arc<Channel>, Seq)>,
    bytes: usize,
    /// How many of `order` are known to be stale.
    stale: usize,
    /// Channels whose readers must be woken.
    touched: Vec<Arc<Channel>>,
}

impl Recent {
    /// A new event was put into its channel's ring.
    pub(crate) fn push(&mut self, channel: Arc<Channel>, event: &Event) {
        self.bytes += event.bytes_in_memory();
        self.order.push_back((channel.clone(), event.id.seq));
        self.touch(channel);
    }

    /// A channel lost old events.
    pub(crate) fn lose(&mut self, channel: Arc<Channel>, lost: Lost) {
        let (count, bytes) = channel.lose(lost);
        self.bytes -= bytes;
        self.stale += count;
        self.touch(channel);
    }

    fn touch(&mut self, channel: Arc<Channel>) {
        if self.touched.last().is_none_or(|last| !Arc::ptr_eq(last, &channel)) {
            self.touched.push(channel);
        }
    }

    /// Wakes the readers of every channel that was touched since the last time.
    pub(crate) fn wake(&mut self) {
        self.touched.sort_unstable_by_key(Arc::as_ptr);
        self.touched.dedup_by(|one, other| Arc::ptr_eq(one, other));
        for channel in self.touched.drain(..) {
            channel.wake_readers();
        }
    }

    /// Gives up the oldest events until the rings fit their bound.
    pub(crate) fn evict(&mut self, shared: &Shared) {
        while self.bytes > shared.ring_bytes_max {
            let Some((channel, seq)) = self.order.pop_front() else { break };
            let (count, bytes) = channel.evict(seq);
            self.bytes -= bytes;
            // An entry that finds nothing in its ring is one of the stale.
            self.stale = self.stale.saturating_sub(usize::from(count == 0));
            shared.registry.forget_idle(&channel.name);
        }
        // Channels that keep little lose nearly every event early; without this their stale entries would pile up.
        if self.stale > 1_024 && self.stale > self.order.len() / 2 {
            self.order.retain(|(channel, seq)| channel.holds(*seq));
            self.stale = 0;
        }
        shared.figures.ring_bytes.set(self.bytes as u64);
    }
}
