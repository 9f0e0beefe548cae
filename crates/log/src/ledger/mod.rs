//! What a log knows beside the events themselves: a pure state machine, shared by both logs.
//!
//! The ledger numbers events, finds repeated publishes and decides what is trimmed. It holds a few words per channel and
//! per idempotency key and nothing per event; what it must know of kept events it asks through [`Marks`]. It touches no
//! disk and reads no clock.
//!
//! An append goes in three steps: [`Ledger::plan_append`] decides, the store keeps, [`Ledger::apply`] takes over. Readers
//! see the ledger before or after, never between, and a store that fails leaves no trace here.

mod keys;
mod plan;
mod table;
mod touched;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bongsu_core::log::{AppendOutcome, ChannelState, Group, LogUsage};
use bongsu_core::policy::Rules;
use bongsu_core::{ChannelName, Epoch, Millis, Seq};

pub(crate) use keys::Answer;
pub(crate) use plan::Plan;
pub(crate) use table::{ChannelId, Promise};
pub(crate) use touched::{Mark, Marks, Touched};

use crate::config::LogConfig;
use keys::Keys;
use plan::Planner;
use table::Table;

#[derive(Debug)]
pub(crate) struct Ledger {
    rules: Arc<Rules>,
    config: LogConfig,
    epoch: Epoch,
    head: Seq,
    table: Table,
    keys: Keys,
}

impl Ledger {
    pub(crate) fn new(rules: Arc<Rules>, config: LogConfig, epoch: Epoch, head: Seq) -> Self {
        Self { rules, config, epoch, head, table: Table::default(), keys: Keys::default() }
    }

    /// Takes in the next channel of a log that is being opened; they come in the order of their numbers.
    pub(crate) fn restore_channel(&mut self, name: ChannelName, state: ChannelState) {
        let promise = Promise::of(&self.rules, &name);
        self.table.add(name, promise, state);
    }

    /// Takes in an answer of a log that is being opened; they come oldest first.
    pub(crate) fn restore_answer(&mut self, answer: Answer) {
        self.keys.keep(answer);
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(crate) fn head(&self) -> Seq {
        self.head
    }

    pub(crate) fn plan_append(&self, groups: Vec<Group>, now: Millis, marks: &dyn Marks) -> Plan {
        Planner::new(self, marks, now).append(groups)
    }

    /// Plans a bounded piece of the work that falls due by time.
    pub(crate) fn plan_maintenance(&self, now: Millis, marks: &dyn Marks) -> Plan {
        Planner::new(self, marks, now).maintain()
    }

    /// Takes over a plan that was made from the ledger as it is now.
    pub(crate) fn apply(&mut self, plan: Plan) -> AppendOutcome {
        let mut new = Vec::new();
        for (id, touched) in plan.touched {
            if touched.is_new {
                new.push((id, touched));
            } else {
                self.table.set(id, touched.state);
            }
        }
        // New channels are numbered by their place.
        new.sort_unstable_by_key(|(id, _)| *id);
        new.into_iter().for_each(|(_, touched)| self.table.add(touched.name, touched.promise, touched.state));
        self.keys.forget(plan.forgotten.len());
        plan.answers.into_iter().for_each(|answer| self.keys.keep(answer));
        self.head = plan.head;
        plan.outcome
    }

    /// The number and state of a channel.
    pub(crate) fn channel(&self, name: &ChannelName) -> Option<(ChannelId, ChannelState)> {
        let id = self.table.find(name)?;
        self.state(id).map(|state| (id, state))
    }

    pub(crate) fn state(&self, id: ChannelId) -> Option<ChannelState> {
        self.table.get(id).map(|channel| channel.state)
    }

    pub(crate) fn channels(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<(ChannelName, ChannelState)> {
        let channels = self.table.list(prefix, after).take(limit);
        channels.map(|channel| (channel.name.clone(), channel.state)).collect()
    }

    /// The figures that need no disk.
    pub(crate) fn usage(&self) -> LogUsage {
        let totals = self.table.totals();
        LogUsage {
            channels: self.table.len() as u64,
            events: totals.events,
            bytes: totals.bytes,
            idempotency_keys: self.keys.len() as u64,
            ..LogUsage::default()
        }
    }
}
