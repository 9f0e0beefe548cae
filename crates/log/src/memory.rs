//! The log that forgets everything when the process ends.
//!
//! It numbers, trims and answers like the embedded log. Its epoch is new each time, so a client that comes back after a
//! restart is told that its position is gone.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bongsu_core::log::{AppendOutcome, Budget, ChannelState, Group, Log, LogError, LogUsage, Slice, Trim};
use bongsu_core::policy::Rules;
use bongsu_core::{ChannelName, Epoch, Event, Millis, Seq};

use crate::config::LogConfig;
use crate::ledger::{ChannelId, Ledger, Mark, Marks, Plan};

/// The log that lives in memory. See the module.
pub struct MemoryLog {
    /// Written by the sequencer only, in one short step per append; readers hold it while they copy references.
    state: RwLock<State>,
}

struct State {
    ledger: Ledger,
    events: Kept,
    closed: bool,
}

/// The kept events of each channel, by its number.
#[derive(Default)]
struct Kept(Vec<VecDeque<Arc<Event>>>);

impl Kept {
    /// The kept events of `channel` after `after`, up to and including `upto`.
    fn range(&self, channel: ChannelId, after: Seq, upto: Seq) -> impl DoubleEndedIterator<Item = &Arc<Event>> {
        static NONE: VecDeque<Arc<Event>> = VecDeque::new();
        let events = self.0.get(channel as usize).unwrap_or(&NONE);
        let start = events.partition_point(|event| event.id.seq <= after);
        let end = events.partition_point(|event| event.id.seq <= upto);
        events.range(start..end.max(start))
    }
}

impl Marks for Kept {
    fn oldest(&self, channel: ChannelId, after: Seq) -> Result<Vec<Mark>, LogError> {
        // Few are needed as a rule: a full channel loses about as many as it gains. They are at the front as a rule, too.
        let events = self.0.get(channel as usize).into_iter().flatten();
        Ok(events.skip_while(|event| event.id.seq <= after).take(4).map(|event| Mark::of(event)).collect())
    }
}

impl MemoryLog {
    /// An empty log with an epoch of its own.
    ///
    /// # Panics
    /// The system gives no random numbers.
    #[must_use]
    pub fn new(rules: Arc<Rules>, config: LogConfig) -> Self {
        let random = getrandom::u64().expect("the system's random source works");
        Self::with_epoch(rules, config, Epoch::from_random(random))
    }

    /// An empty log with a given epoch, for runs that must be repeatable.
    #[must_use]
    pub fn with_epoch(rules: Arc<Rules>, config: LogConfig, epoch: Epoch) -> Self {
        let ledger = Ledger::new(rules, config, epoch, Seq::ZERO);
        Self { state: RwLock::new(State { ledger, events: Kept::default(), closed: false }) }
    }

    fn read_state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check_open(&self) -> Result<(), LogError> {
        if self.closed { Err(LogError::Poisoned("the log is closed".to_owned())) } else { Ok(()) }
    }

    fn apply(&mut self, mut plan: Plan) -> AppendOutcome {
        for (&id, touched) in &mut plan.touched {
            let index = id as usize;
            if self.events.0.len() <= index {
                self.events.0.resize_with(index + 1, VecDeque::new);
            }
            let events = &mut self.events.0[index];
            let lost = touched.state.lost.map_or(Seq::ZERO, |lost| lost.through);
            // From the front, where as a rule none or one goes: a search would touch events all over the memory.
            while events.front().is_some_and(|event| event.id.seq <= lost) {
                events.pop_front();
            }
            events.extend(touched.fresh.drain(..));
            if events.capacity() > 64 && events.len() < events.capacity() / 4 {
                events.shrink_to(events.len() * 2);
            }
        }
        self.ledger.apply(plan)
    }
}

impl Log for MemoryLog {
    fn epoch(&self) -> Epoch {
        self.read_state().ledger.epoch()
    }

    fn head(&self) -> Seq {
        self.read_state().ledger.head()
    }

    fn append(&self, groups: Vec<Group>, now: Millis) -> Result<AppendOutcome, LogError> {
        let plan = {
            let state = self.read_state();
            state.check_open()?;
            state.ledger.plan_append(groups, now, &state.events)
        };
        Ok(self.write_state().apply(plan))
    }

    fn is_instant(&self) -> bool {
        true
    }

    fn maintain(&self, now: Millis) -> Result<Vec<Trim>, LogError> {
        let plan = {
            let state = self.read_state();
            state.check_open()?;
            state.ledger.plan_maintenance(now, &state.events)
        };
        if plan.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.write_state().apply(plan).trims)
    }

    fn read(&self, channel: &ChannelName, after: Seq, upto: Seq, budget: Budget) -> Result<Slice, LogError> {
        let state = self.read_state();
        let Some((id, known)) = state.ledger.channel(channel) else {
            return Ok(Slice { complete: true, ..Slice::default() });
        };
        let mut slice = Slice { lost: known.lost.filter(|lost| lost.through > after), ..Slice::default() };
        let mut bytes = 0;
        for event in state.events.range(id, after, upto) {
            bytes += event.payload.bytes.len();
            let full = slice.events.len() >= budget.events || bytes > budget.bytes;
            if full && !slice.events.is_empty() {
                return Ok(slice);
            }
            slice.events.push(event.clone());
        }
        slice.complete = true;
        Ok(slice)
    }

    fn seek_last(&self, channel: &ChannelName, count: usize, upto: Seq) -> Result<Seq, LogError> {
        let state = self.read_state();
        let Some((id, _)) = state.ledger.channel(channel) else {
            return Ok(upto);
        };
        let newest = state.events.range(id, Seq::ZERO, upto).rev().take(count);
        Ok(newest.last().map_or(upto, |event| Seq(event.id.seq.0 - 1)))
    }

    fn count(&self, channel: &ChannelName, after: Seq, upto: Seq) -> Result<u64, LogError> {
        let state = self.read_state();
        let Some((id, _)) = state.ledger.channel(channel) else {
            return Ok(0);
        };
        Ok(state.events.range(id, after, upto).count() as u64)
    }

    fn channel(&self, channel: &ChannelName) -> Option<ChannelState> {
        self.read_state().ledger.channel(channel).map(|(_, state)| state)
    }

    fn channels(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<(ChannelName, ChannelState)> {
        self.read_state().ledger.channels(prefix, after, limit)
    }

    fn usage(&self) -> LogUsage {
        self.read_state().ledger.usage()
    }

    fn health(&self) -> Result<(), LogError> {
        self.read_state().check_open()
    }

    fn close(&self) -> Result<(), LogError> {
        self.write_state().closed = true;
        Ok(())
    }
}
