//! The single writer: the one thread through which every event passes on its way in.
//!
//! While the log syncs one batch the next one gathers in the [`Queue`]; that is the group commit. For each batch:
//! append, put into rings, move the head, answer the publishers, wake the readers, in this order. So what is seen is
//! appended, and what is acknowledged is as durable as promised.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bongsu_core::cursor::{Cursor, Seq};
use bongsu_core::limits;
use bongsu_core::log::{
    AppendOutcome, Appended, Draft, Entry, Group, LogError, Lost, LostReason, Receipt, Refusal, Trim,
};
use bongsu_core::{ChannelName, ErrorCode, Event, Millis, Problem};

use crate::Shared;
use crate::channel::Channel;

/// The most events of one append, so that a flood does not delay the first of it without bound.
const BATCH_EVENTS_MAX: usize = 8_192;
/// The same in bytes of payload.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// How often work that falls due by time is looked for.
const MAINTAIN_EVERY: Duration = Duration::from_secs(1);

/// The answer to one publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Where it went.
    pub channel: ChannelName,
    /// The position after it; `None` for an event that is not stored.
    pub id: Option<Cursor>,
    /// Its offset; `None` for an event that is not stored.
    pub offset: Option<u64>,
    /// How many connections read the channel when it was taken.
    pub subscribers: u32,
    /// Whether it was taken before, and this is the first answer again.
    pub duplicate: bool,
}

pub(crate) type Done = Box<dyn FnOnce(Result<Vec<Published>, Problem>) + Send>;

/// What the sequencer is asked for.
pub(crate) enum Action {
    Publish(Vec<Draft>),
    Reset(ChannelName),
}

struct Job {
    action: Action,
    done: Done,
    load: Load,
}

/// What a job weighs against the bounds.
#[derive(Clone, Copy, Default)]
struct Load {
    events: usize,
    bytes: usize,
}

/// Publishes on their way to the sequencer, bounded in number and bytes.
pub(crate) struct Queue {
    max: Load,
    state: Mutex<State>,
    /// The sequencer waits here for jobs; publishers signal it.
    filled: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Of the jobs in `jobs` and of those being appended.
    in_flight: Load,
    closed: bool,
    /// The sequencer has ended by a panic.
    dead: bool,
}

impl Queue {
    pub(crate) fn new(events_max: usize, bytes_max: usize) -> Self {
        Self { max: Load { events: events_max, bytes: bytes_max }, state: Mutex::default(), filled: Condvar::new() }
    }

    pub(crate) fn push(&self, action: Action, done: Done) -> Result<(), Problem> {
        let load = action.load();
        let mut state = self.lock();
        state.check()?;
        let room =
            Load { events: self.max.events - state.in_flight.events, bytes: self.max.bytes - state.in_flight.bytes };
        // A job larger than the whole bound still gets its turn when it is alone.
        if (load.events > room.events || load.bytes > room.bytes) && state.in_flight.events > 0 {
            return Err(self.full());
        }
        state.in_flight.events += load.events.min(room.events);
        state.in_flight.bytes += load.bytes.min(room.bytes);
        let load = Load { events: load.events.min(room.events), bytes: load.bytes.min(room.bytes) };
        state.jobs.push_back(Job { action, done, load });
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    fn full(&self) -> Problem {
        let detail = format!(
            "as many publishes are in flight as the server may hold: {} events or {} bytes \
             (publishes_in_flight_max, publish_bytes_in_flight_max)",
            self.max.events, self.max.bytes
        );
        Problem::new(ErrorCode::Overloaded, detail).retry_after(Duration::from_secs(1))
    }

    pub(crate) fn health(&self) -> Result<(), Problem> {
        self.lock().check()
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    /// The next jobs, at least one unless the wait ran out; `None` when the queue is closed and empty.
    fn take(&self, wait: Duration) -> Option<Vec<Job>> {
        let idle = |state: &mut State| state.jobs.is_empty() && !state.closed;
        let guard = self.filled.wait_timeout_while(self.lock(), wait, idle);
        let (mut state, _) = guard.unwrap_or_else(PoisonError::into_inner);
        if state.jobs.is_empty() && state.closed {
            return None;
        }
        let mut batch = Load::default();
        let fits = state.jobs.iter().take_while(|job| {
            let first = batch.events == 0;
            batch.events += job.load.events.max(1);
            batch.bytes += job.load.bytes;
            first || (batch.events <= BATCH_EVENTS_MAX && batch.bytes <= BATCH_BYTES_MAX)
        });
        let count = fits.count();
        Some(state.jobs.drain(..count).collect())
    }

    fn release(&self, load: Load) {
        let mut state = self.lock();
        state.in_flight.events -= load.events;
        state.in_flight.bytes -= load.bytes;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole at every step under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check(&self) -> Result<(), Problem> {
        if self.dead {
            return Err(died());
        }
        if self.closed {
            return Err(Problem::new(
                ErrorCode::Draining,
                "the server takes no more publishes because it is shutting down",
            )
            .retry_after(Duration::from_secs(1)));
        }
        Ok(())
    }
}

impl Action {
    fn channels(&self) -> Vec<ChannelName> {
        match self {
            Self::Publish(drafts) => drafts.iter().map(|draft| draft.channel.clone()).collect(),
            Self::Reset(channel) => vec![channel.clone()],
        }
    }

    fn load(&self) -> Load {
        match self {
            Self::Publish(drafts) => {
                Load { events: drafts.len(), bytes: drafts.iter().map(|draft| draft.payload.bytes.len()).sum() }
            }
            Self::Reset(_) => Load { events: 1, bytes: 0 },
        }
    }
}

pub(crate) fn died() -> Problem {
    Problem::new(ErrorCode::Internal, "the sequencer has stopped after a mistake in the server")
        .hint("restart the server; everything that was acknowledged is in the log")
}

pub(crate) fn log_problem(error: &LogError) -> Problem {
    let code = match error {
        LogError::Poisoned(_) => ErrorCode::LogFailed,
        LogError::DiskFull { .. } => ErrorCode::DiskFull,
        LogError::Unreadable(_) => ErrorCode::Internal,
    };
    Problem::new(code, error.to_string()).retry_after(Duration::from_secs(5))
}

pub(crate) fn spawn(shared: Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("sequencer".into()).spawn(move || {
        let _tell = TellIfDead(shared.clone());
        Sequencer { shared, recent: Recent::default(), now: Millis(0) }.run();
    })
}

/// Publishers must not wait for a sequencer that is no more.
struct TellIfDead(Arc<Shared>);

impl Drop for TellIfDead {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut state = self.0.queue.lock();
            state.dead = true;
            // Dropping the jobs drops their callbacks, and whoever waits for one hears of it.
            state.jobs.clear();
        }
    }
}

struct Sequencer {
    shared: Arc<Shared>,
    recent: Recent,
    /// The time of the newest event: event times never go back, whatever the clock does.
    now: Millis,
}

impl Sequencer {
    fn run(mut self) {
        let mut maintained = Instant::now();
        while let Some(jobs) = self.shared.queue.take(MAINTAIN_EVERY) {
            self.now = self.now.max(self.shared.clock.now());
            if !jobs.is_empty() {
                self.append(jobs);
            }
            if maintained.elapsed() >= MAINTAIN_EVERY {
                maintained = Instant::now();
                self.maintain();
            }
        }
    }

    fn append(&mut self, jobs: Vec<Job>) {
        let mut groups = Vec::with_capacity(jobs.len());
        let mut names = Vec::with_capacity(jobs.len());
        let mut waiting = Vec::with_capacity(jobs.len());
        for job in jobs {
            names.push(job.action.channels());
            groups.push(self.group(job.action));
            waiting.push((job.done, job.load));
        }
        self.shared.figures.batches.add(1);
        let answers = match self.shared.log.append(groups, self.now) {
            Ok(outcome) => self.publish(outcome, names),
            Err(error) => vec![Err(log_problem(&error)); waiting.len()],
        };
        for ((done, load), answer) in waiting.into_iter().zip(answers) {
            self.shared.figures.refused.add(u64::from(answer.is_err()));
            self.shared.queue.release(load);
            done(answer);
        }
        self.recent.wake();
        self.recent.evict(&self.shared);
    }

    fn group(&self, action: Action) -> Group {
        let entries = match action {
            Action::Reset(channel) => vec![Entry::Reset(channel)],
            Action::Publish(drafts) => drafts
                .into_iter()
                .map(|mut draft| {
                    let channel = self.shared.registry.find(&draft.channel);
                    draft.subscribers = channel.map_or(0, |channel| channel.subscribers().total());
                    Entry::Publish(draft)
                })
                .collect(),
        };
        Group { entries }
    }

    /// Makes visible what was appended, and gives the answers for the publishers.
    fn publish(
        &mut self,
        outcome: AppendOutcome,
        names: Vec<Vec<ChannelName>>,
    ) -> Vec<Result<Vec<Published>, Problem>> {
        let mut answers = Vec::with_capacity(names.len());
        for (group, names) in outcome.groups.into_iter().zip(names) {
            let answer = match group {
                Ok(entries) => {
                    Ok(names.into_iter().zip(entries).map(|(name, entry)| self.publish_entry(name, entry)).collect())
                }
                Err(refusal) => Err(refusal_problem(&refusal)),
            };
            answers.push(answer);
        }
        self.lose(outcome.trims);
        // Release: who sees the new head also sees every ring that was filled above.
        self.shared.head.store(self.shared.log.head().0, Ordering::Release);
        answers
    }

    fn publish_entry(&mut self, name: ChannelName, entry: Appended) -> Published {
        match entry {
            Appended::Event(event) => {
                self.shared.figures.published.add(1);
                let channel = self.shared.registry.push(&event, &*self.shared.log);
                let subscribers = channel.subscribers().total();
                let published = Published {
                    channel: event.channel.clone(),
                    id: event.stored.then_some(event.id),
                    offset: event.stored.then_some(event.offset),
                    subscribers,
                    duplicate: false,
                };
                self.recent.push(channel, &event);
                published
            }
            Appended::Duplicate(receipt) => {
                self.shared.figures.duplicates.add(1);
                duplicate(name, receipt, &self.shared)
            }
            Appended::Reset(_, seq) => {
                self.lose(vec![Trim { channel: name.clone(), lost: Lost { through: seq, reason: LostReason::Reset } }]);
                let id = Some(Cursor::new(self.shared.log.epoch(), seq));
                Published { channel: name, id, offset: None, subscribers: 0, duplicate: false }
            }
        }
    }

    fn maintain(&mut self) {
        match self.shared.log.maintain(self.now) {
            Ok(trims) => self.lose(trims),
            // The next publish is told; until then `health` knows.
            Err(_poisoned) => {}
        }
        self.recent.wake();
        self.recent.evict(&self.shared);
    }

    fn lose(&mut self, trims: Vec<Trim>) {
        for Trim { channel, lost } in trims {
            if let Some(channel) = self.shared.registry.find(&channel) {
                self.recent.lose(channel, lost);
            }
        }
    }
}

fn duplicate(channel: ChannelName, receipt: Receipt, shared: &Shared) -> Published {
    let stored = receipt.offset > 0;
    Published {
        channel,
        id: stored.then(|| Cursor::new(shared.log.epoch(), receipt.seq)),
        offset: stored.then_some(receipt.offset),
        subscribers: receipt.subscribers,
        duplicate: true,
    }
}

fn refusal_problem(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::IdempotencyMismatch(index) => Problem::new(
            ErrorCode::IdempotencyMismatch,
            format!("entry {index} has an Idempotency-Key that was used on this channel for another event"),
        )
        .hint("use a new key for a new event; a retry must repeat the event unchanged"),
        Refusal::IdempotencyKeysFull(limit) => Problem::new(
            ErrorCode::Overloaded,
            format!("{limit} idempotency keys are in their window, which is the limit (idempotency_keys_max)"),
        )
        .retry_after(Duration::from_secs(10)),
        Refusal::ChannelsFull(limit) => {
            Problem::new(ErrorCode::Overloaded, format!("{limit} channels exist, which is the limit (channels_max)"))
                .hint("raise channels_max")
                .retry_after(Duration::from_secs(60))
        }
    }
}

/// The events that are in rings, oldest first over all channels, so that the memory they take stays bounded.
#[derive(Default)]
struct Recent {
    /// In log order. Some are no longer in their ring because their channel lost them.
    order: VecDeque<(Arc<Channel>, Seq)>,
    bytes: usize,
    /// How many of `order` are known to be stale.
    stale: usize,
    /// Channels whose readers must be woken.
    touched: Vec<Arc<Channel>>,
}

impl Recent {
    fn push(&mut self, channel: Arc<Channel>, event: &Event) {
        self.bytes += event.bytes_in_memory();
        self.order.push_back((channel.clone(), event.id.seq));
        self.touch(channel);
    }

    fn lose(&mut self, channel: Arc<Channel>, lost: Lost) {
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

    fn wake(&mut self) {
        self.touched.sort_unstable_by_key(Arc::as_ptr);
        self.touched.dedup_by(|one, other| Arc::ptr_eq(one, other));
        for channel in self.touched.drain(..) {
            channel.wake_readers();
        }
    }

    fn evict(&mut self, shared: &Shared) {
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

/// The largest `limit` of a poll fits one batch; if that ever changed, a full poll could span two heads.
const _: () = assert!(limits::PUBLISH_EVENTS_MAX <= BATCH_EVENTS_MAX);
