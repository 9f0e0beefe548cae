//! The channels of a log: what is known of each, by number and by name, and which of them hold the oldest events.
//!
//! Knows how much is kept and for how long it may be, but takes no decision: those are the planner's.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bongsu_core::log::ChannelState;
use bongsu_core::policy::{Durability, Retention, Rules};
use bongsu_core::{ChannelName, Millis};

use crate::config::EVENT_OVERHEAD_BYTES;

/// The number of a channel within its log: 0, 1, 2… in the order in which they were first stored to.
pub(crate) type ChannelId = u32;

/// One channel.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) name: ChannelName,
    pub(crate) class: ClassId,
    pub(crate) state: ChannelState,
}

/// Which of the few different promises holds for a channel. Rules are matched once per channel, not once per event.
pub(crate) type ClassId = u32;

/// What the rules say for a channel, as far as a log is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Promise {
    pub(crate) retention: Retention,
    pub(crate) durability: Durability,
}

impl Promise {
    pub(crate) fn of(rules: &Rules, name: &ChannelName) -> Self {
        let policy = rules.policy(name);
        Self { retention: policy.retention, durability: policy.durability }
    }
}

/// Channels with the same promise, and those of them that keep events, by the time of the oldest one.
#[derive(Debug)]
struct Class {
    promise: Promise,
    by_oldest: BTreeSet<(Millis, ChannelId)>,
}

/// How much is kept in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

impl Totals {
    /// What the bound on everything is compared with.
    pub(crate) fn weight(self) -> u64 {
        self.bytes.saturating_add(self.events.saturating_mul(EVENT_OVERHEAD_BYTES))
    }

    pub(crate) fn replace(&mut self, before: &ChannelState, after: &ChannelState) {
        self.events = self.events - before.events + after.events;
        self.bytes = self.bytes - before.bytes + after.bytes;
    }
}

#[derive(Debug, Default)]
pub(crate) struct Table {
    channels: Vec<Channel>,
    names: BTreeMap<ChannelName, ChannelId>,
    classes: Vec<Class>,
    totals: Totals,
}

impl Table {
    pub(crate) fn len(&self) -> usize {
        self.channels.len()
    }

    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }

    pub(crate) fn find(&self, name: &ChannelName) -> Option<ChannelId> {
        self.names.get(name).copied()
    }

    pub(crate) fn get(&self, id: ChannelId) -> Option<&Channel> {
        self.channels.get(id as usize)
    }

    /// The channels whose names begin with `prefix` and come after `after`, in order of their names.
    pub(crate) fn list(&self, prefix: &str, after: Option<&str>) -> impl Iterator<Item = &Channel> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        self.names
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(move |(name, _)| name.as_str().starts_with(prefix))
            .filter_map(|(_, &id)| self.get(id))
    }

    /// The promise that holds for `channel`.
    pub(crate) fn promise(&self, channel: &Channel) -> Promise {
        self.classes[channel.class as usize].promise
    }

    fn class(&mut self, promise: Promise) -> ClassId {
        let known = self.classes.iter().position(|class| class.promise == promise);
        let index = known.unwrap_or_else(|| {
            self.classes.push(Class { promise, by_oldest: BTreeSet::new() });
            self.classes.len() - 1
        });
        ClassId::try_from(index).expect("there are fewer classes than rules, and fewer rules than 2^32")
    }

    /// The next channel; its number is the count of those before it.
    pub(crate) fn add(&mut self, name: ChannelName, promise: Promise, state: ChannelState) {
        let id = ChannelId::try_from(self.channels.len()).expect("the bound on channels is below 2^32");
        let class = self.class(promise);
        self.totals.replace(&ChannelState::default(), &state);
        self.index(class, id, None, state.oldest_time);
        self.names.insert(name.clone(), id);
        self.channels.push(Channel { name, class, state });
    }

    /// Writes down what became of a channel.
    pub(crate) fn set(&mut self, id: ChannelId, state: ChannelState) {
        let channel = &mut self.channels[id as usize];
        let (class, before) = (channel.class, std::mem::replace(&mut channel.state, state));
        self.totals.replace(&before, &state);
        self.index(class, id, before.oldest_time, state.oldest_time);
    }

    fn index(&mut self, class: ClassId, id: ChannelId, before: Option<Millis>, after: Option<Millis>) {
        if before == after {
            return;
        }
        let by_oldest = &mut self.classes[class as usize].by_oldest;
        if let Some(time) = before {
            by_oldest.remove(&(time, id));
        }
        if let Some(time) = after {
            by_oldest.insert((time, id));
        }
    }

    /// The channel with the oldest kept event of all, among those that `skip` does not name.
    pub(crate) fn oldest(&self, skip: impl Fn(ChannelId) -> bool) -> Option<(Millis, ChannelId)> {
        let first = |class: &Class| class.by_oldest.iter().find(|(_, id)| !skip(*id)).copied();
        self.classes.iter().filter_map(first).min()
    }

    /// The channels that keep an event older than their rules allow.
    pub(crate) fn overdue(&self, now: Millis) -> impl Iterator<Item = ChannelId> {
        self.classes.iter().flat_map(move |class| {
            let overdue = move |(time, _): &&(Millis, ChannelId)| now.since(*time) > class.promise.retention.age_max;
            class.by_oldest.iter().take_while(overdue).map(|(_, id)| *id)
        })
    }
}
