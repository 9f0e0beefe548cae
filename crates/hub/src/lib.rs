//! Channels, sequencer, fan-out and catch-up: every subscriber is a cursor over the log.
//!
//! The hub joins publishers and readers. Publishes are handed to one [sequencer] thread, which lets the log number and
//! keep them, puts them into the in-memory rings of their channels, makes them visible, answers the publishers, and
//! wakes the readers. A [`Reader`] reads from its own position: out of the ring if that reaches back far enough, else
//! out of the log. Nobody's events are queued.
//!
//! The hub must not know HTTP, JSON, or a concrete store.

mod begin;
mod channel;
mod figures;
mod group;
mod problems;
mod queue;
mod reader;
mod recent;
mod registry;
mod sequencer;
mod source;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use bongsu_core::cursor::{Epoch, Seq};
use bongsu_core::event::EventType;
use bongsu_core::limits::Limits;
use bongsu_core::log::{ChannelState, Draft, Log, LogUsage};
use bongsu_core::policy::Rules;
use bongsu_core::read::{From, Way};
use bongsu_core::subscription::{Item, Page, ReadError};
use bongsu_core::{ChannelName, Clock, Problem};

pub use channel::Subscribers;
pub use figures::Figures;
pub use group::{ColdRead, Found, Fresh, Group, Member, NOBODY, Place, Search};
pub use reader::{Reader, Wake};
pub use sequencer::Published;
pub use source::Fetched;

use queue::{Action, Queue};
use registry::Registry;

/// The meeting point of publishers and readers. Cheap to clone; the last clone does not stop it, [`Hub::close`] does.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

/// What every part of the hub sees.
struct Shared {
    log: Arc<dyn Log>,
    rules: Arc<Rules>,
    clock: Arc<dyn Clock>,
    registry: Registry,
    queue: Queue,
    /// The newest sequence number that readers may see. Written by the sequencer only, after every event up to it is in
    /// its ring or in the log.
    head: AtomicU64,
    figures: Figures,
    ring_bytes_max: usize,
}

impl Shared {
    fn head(&self) -> Seq {
        // Acquire pairs with the sequencer's release: who sees the head sees the rings that lead up to it.
        Seq(self.head.load(Ordering::Acquire))
    }

    fn count_gaps(&self, page: Result<Page, ReadError>) -> Result<Page, ReadError> {
        if let Ok(page) = &page {
            let gaps = page.items.iter().filter(|item| matches!(item, Item::Gap { .. })).count();
            if gaps > 0 {
                self.figures.gaps.add(gaps as u64);
            }
        }
        page
    }
}

/// Stops the hub when it is closed. Held by whoever started it.
pub struct Running {
    shared: Arc<Shared>,
    sequencer: JoinHandle<()>,
}

impl Hub {
    /// Starts the sequencer over `log`.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(
        log: Arc<dyn Log>,
        rules: Arc<Rules>,
        limits: &Limits,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<(Self, Running)> {
        let head = log.head();
        let shared = Arc::new(Shared {
            log,
            rules,
            clock,
            registry: Registry::default(),
            queue: Queue::new(limits.publishes_in_flight_max, limits.publish_bytes_in_flight_max),
            head: AtomicU64::new(head.0),
            figures: Figures::default(),
            ring_bytes_max: limits.ring_bytes_max,
        });
        let sequencer = sequencer::spawn(shared.clone())?;
        Ok((Self { shared: shared.clone() }, Running { shared, sequencer }))
    }

    /// Hands over `drafts`, which are taken all or none, and returns at once. `done` is called when they are as durable as
    /// their channels' rules say, with one answer per draft in order; it must neither block nor panic. The sequencer calls
    /// it; where the log never waits ([`Log::is_instant`]) that may be any publishing thread, this one too: then `done`, and
    /// the wakes of readers, come before this returns, and a lock that they take must not be held meanwhile.
    ///
    /// # Errors
    /// The hub has as many publishes in flight as it may hold, is closing, or the log refuses writes. `done` is not called.
    pub fn publish(
        &self,
        drafts: Vec<Draft>,
        done: impl FnOnce(Result<Vec<Published>, Problem>) + Send + 'static,
    ) -> Result<(), Problem> {
        self.hand_in(drafts, done)?;
        self.carry_on();
        Ok(())
    }

    /// As [`Hub::publish`], for who brings several: [`Hub::carry_on`] must follow the last of them, and soon.
    ///
    /// # Errors
    /// As for [`Hub::publish`].
    pub fn hand_in(
        &self,
        drafts: Vec<Draft>,
        done: impl FnOnce(Result<Vec<Published>, Problem>) + Send + 'static,
    ) -> Result<(), Problem> {
        self.shared.queue.push(Action::Publish(drafts), Box::new(done))
    }

    /// Sees to what was handed in: where the log never waits this thread does it, unless another is at it.
    pub fn carry_on(&self) {
        self.shared.queue.help();
    }

    /// Drops the history of `channel`; its readers are told of a gap. `done` is called when that is durable.
    ///
    /// # Errors
    /// As for [`Hub::publish`].
    pub fn drop_history(
        &self,
        channel: ChannelName,
        done: impl FnOnce(Result<Vec<Published>, Problem>) + Send + 'static,
    ) -> Result<(), Problem> {
        self.shared.queue.push(Action::Reset(channel), Box::new(done))?;
        self.carry_on();
        Ok(())
    }

    /// A reader of `channels`, registered before anything is read: whatever becomes visible from now on calls `wake`.
    ///
    /// `from` holds for every channel. Finding the newest events ([`From::Last`]) may read from the disk.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn subscribe(
        &self,
        way: Way,
        channels: &[ChannelName],
        from: From,
        types: Vec<Option<EventType>>,
        wake: Arc<dyn Wake>,
    ) -> Result<Reader, Problem> {
        Reader::open(self.shared.clone(), way, channels, from, types, wake)
    }

    /// A group for many readers on one thread. `wake` is called when [`Group::take_rung`] has something to give.
    #[must_use]
    pub fn group(&self, wake: Arc<dyn Wake>) -> Group {
        Group::new(self.shared.clone(), wake)
    }

    /// Which log this is.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.shared.log.epoch()
    }

    /// The newest position that readers may see.
    #[must_use]
    pub fn head(&self) -> Seq {
        self.shared.head()
    }

    /// What holds for each channel.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.shared.rules
    }

    /// The clock that everything here goes by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// What is known of a channel, and who reads it. A channel that was never used is an empty one.
    #[must_use]
    pub fn channel(&self, name: &ChannelName) -> (ChannelState, Subscribers) {
        let state = self.shared.log.channel(name).unwrap_or_default();
        let subscribers = self.shared.registry.find(name).map(|channel| channel.subscribers()).unwrap_or_default();
        (state, subscribers)
    }

    /// Channels whose names begin with `prefix`, after the name `after`: those with a history and those with readers.
    #[must_use]
    pub fn channels(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<(ChannelName, ChannelState, Subscribers)> {
        let mut names: Vec<ChannelName> =
            self.shared.log.channels(prefix, after, limit).into_iter().map(|(name, _)| name).collect();
        names.extend(self.shared.registry.read_channels(prefix, after));
        names.sort_unstable();
        names.dedup();
        names.truncate(limit);
        names
            .into_iter()
            .map(|name| {
                let (state, subscribers) = self.channel(&name);
                (name, state, subscribers)
            })
            .collect()
    }

    /// The hub's counters.
    #[must_use]
    pub fn figures(&self) -> &Figures {
        &self.shared.figures
    }

    /// The log in figures.
    #[must_use]
    pub fn log_usage(&self) -> LogUsage {
        self.shared.log.usage()
    }

    /// Whether publishes can be taken: the sequencer runs and the log takes writes.
    ///
    /// # Errors
    /// They cannot, and why.
    pub fn health(&self) -> Result<(), Problem> {
        self.shared.queue.health()?;
        self.shared.log.health().map_err(|error| problems::of_log(&error))
    }
}

impl Running {
    /// Takes no more publishes, finishes those that were handed over, and closes the log.
    ///
    /// # Errors
    /// The log's last sync failed, or the sequencer had died.
    pub fn close(self) -> Result<(), Problem> {
        self.shared.queue.close();
        let died = self.sequencer.join().is_err();
        let closed = self.shared.log.close().map_err(|error| problems::of_log(&error));
        if died {
            return Err(problems::died());
        }
        closed
    }
}
