//! The channels that are in memory, by name.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bongsu_core::log::{ChannelState, Log};
use bongsu_core::{ChannelName, Event};

use crate::channel::{Channel, Listener};

/// So many locks, that connects and publishes to different channels seldom meet.
const PARTS: usize = 16;

/// Channels by name. Anything that needs a channel to stay must hold the part's lock or be one of its readers.
#[derive(Default)]
pub(crate) struct Registry {
    hasher: RandomState,
    parts: [Mutex<HashMap<ChannelName, Arc<Channel>>>; PARTS],
}

impl Registry {
    /// The channel, if it is in memory.
    pub(crate) fn find(&self, name: &ChannelName) -> Option<Arc<Channel>> {
        self.part(name).get(name).cloned()
    }

    /// Adds a listener to the channel, which is made from what the log knows of it if need be. The key takes it out again.
    pub(crate) fn enter(&self, name: &ChannelName, log: &dyn Log, listener: Listener) -> (Arc<Channel>, usize) {
        let mut part = self.part(name);
        let channel = open(&mut part, name, || log.channel(name).unwrap_or_default());
        // Entered under the part's lock: the channel cannot be dropped between finding and entering it.
        let key = channel.enter(listener);
        (channel, key)
    }

    /// Puts a new event into its channel's ring.
    pub(crate) fn push(&self, event: &Arc<Event>, log: &dyn Log) -> Arc<Channel> {
        let mut part = self.part(&event.channel);
        let channel = open(&mut part, &event.channel, || match event.offset {
            // Nothing came before the first event, so the ring has it all.
            1 => ChannelState::default(),
            _ => log.channel(&event.channel).unwrap_or_default(),
        });
        // Pushed under the part's lock: a channel with an event is not idle, so those who join later find this one.
        let taken = channel.push(event);
        debug_assert!(taken, "a channel that can be found is not dropped");
        channel
    }

    /// Drops the channel from memory if nobody needs it.
    pub(crate) fn forget_idle(&self, name: &ChannelName) {
        let mut part = self.part(name);
        if part.get(name).is_some_and(|channel| channel.drop_if_idle()) {
            part.remove(name);
        }
    }

    /// The names of channels with readers, in no order.
    pub(crate) fn read_channels(&self, prefix: &str, after: Option<&str>) -> Vec<ChannelName> {
        let wanted = |channel: &&Arc<Channel>| {
            let name = channel.name.as_str();
            name.starts_with(prefix) && after.is_none_or(|after| name > after) && channel.subscribers().total() > 0
        };
        let parts = self.parts.iter().map(|part| part.lock().unwrap_or_else(PoisonError::into_inner));
        parts
            .flat_map(|part| part.values().filter(wanted).map(|channel| channel.name.clone()).collect::<Vec<_>>())
            .collect()
    }

    fn part(&self, name: &ChannelName) -> MutexGuard<'_, HashMap<ChannelName, Arc<Channel>>> {
        let index = self.hasher.hash_one(name) as usize % PARTS;
        self.parts[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(
    part: &mut HashMap<ChannelName, Arc<Channel>>,
    name: &ChannelName,
    state: impl FnOnce() -> ChannelState,
) -> Arc<Channel> {
    if let Some(channel) = part.get(name) {
        return channel.clone();
    }
    let channel = Arc::new(Channel::new(name.clone(), state()));
    part.insert(name.clone(), channel.clone());
    channel
}
