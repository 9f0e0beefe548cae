//! How a position becomes a delivery: the one reading code behind all five ways.
//!
//! A subscriber is a cursor over the log, nothing more. A [`Subscription`] holds a position per channel; [`page`]
//! brings what lies between the positions and the head, merged into log order, and moves the positions on. Replay,
//! live delivery, slow readers, resumes and changes of way are all this one call; there is no queue to overflow and no
//! moment where a replay has to be merged with live events.
//!
//! The machine is pure: it reads through a [`Source`], takes the time as an argument, and knows no sockets, no
//! encodings and no store.
//!
//! [`page`]: Subscription::page

use std::num::NonZeroU64;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::channel::ChannelName;
use crate::cursor::{Cursor, Epoch, Seq, Since};
use crate::event::{Event, EventType};
use crate::log::{Budget, LogError, LostReason, Slice};
use crate::time::Millis;

#[cfg(test)]
mod model_test;

/// What a subscription reads from.
pub trait Source {
    /// The source's handle of a channel.
    type Channel;

    /// The name behind a handle.
    fn name(&self, channel: &Self::Channel) -> ChannelName;

    /// Everything up to here is visible: a read up to the head finds all there will ever be.
    fn head(&self) -> Seq;

    /// The events of `channel` after `after` up to `upto`, as [`crate::log::Log::read`] defines it, but events that are
    /// not stored may be among them.
    ///
    /// # Errors
    /// [`ReadError::Cold`] if this source would have to wait for a disk.
    fn read(&self, channel: &Self::Channel, after: Seq, upto: Seq, budget: Budget) -> Result<Slice, ReadError>;
}

/// Why a page could not be read. Nothing has moved; the same call may be made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The events are no longer in memory: read again through a source that may wait for the disk.
    Cold,
    /// The log cannot be read.
    Failed(LogError),
}

/// A reader's place in some channels.
#[derive(Debug)]
pub struct Subscription<C> {
    epoch: Epoch,
    /// The types that are wanted; none for all of them.
    #[expect(clippy::box_collection, reason = "a boxed slice is eight bytes more, for every connection")]
    types: Option<Box<Vec<Option<EventType>>>>,
    /// Nearly all readers read one channel; theirs lies within.
    lanes: SmallVec<[Lane<C>; 1]>,
    /// Where a subscription without channels stands.
    base: Seq,
    /// The head that was to be reached when the replay began, until [`Item::Live`] has told that it is.
    replay_until: Replay,
}

// Thousands of idle connections hold one each.
const _: () = assert!(size_of::<Subscription<u64>>() <= 72);

/// A position or none, in as many bytes as a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Replay(Option<NonZeroU64>);

impl Replay {
    fn until(seq: Seq) -> Self {
        // No log ever reaches the last number.
        Self(NonZeroU64::new(seq.0.saturating_add(1)))
    }

    fn get(self) -> Option<Seq> {
        self.0.map(|next| Seq(next.get() - 1))
    }
}

/// A place in one channel.
#[derive(Debug)]
struct Lane<C> {
    channel: C,
    /// Everything up to here was delivered, or told to be gone.
    after: Seq,
    /// The head when the reader came: events that are not stored are for those who were there before.
    joined: Seq,
    debt: Debt,
}

/// What the first read of a lane has to make of events that are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Debt {
    /// The reader stood at a position: losing events after it is a gap.
    None,
    /// The reader asked for what is kept: what is not kept was never asked for.
    Fresh,
    /// The reader's position was in another log: that is a gap even if nothing is kept or lost here.
    Reset,
}

/// Where a lane begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At a position that the reader named.
    Since(Since),
    /// At a position looked up for the reader, such as before the newest ten events.
    Found(Seq),
}

/// A run of objects for one reader.
#[derive(Debug, Default)]
pub struct Page {
    /// The objects, in order.
    pub items: Vec<Item>,
    /// Whether the reader now stands at the head that was visible when the read began. If not, read on.
    pub caught_up: bool,
}

/// One object of a page.
#[derive(Clone, Debug)]
pub enum Item {
    /// Events after the reader's position are gone.
    Gap {
        /// From this channel.
        channel: ChannelName,
        /// Why.
        reason: LostReason,
        /// After this position everything is kept.
        cursor: Cursor,
    },
    /// An event.
    Event(Arc<Event>),
    /// The replay has reached what was the head when it began.
    Live {
        /// That head.
        cursor: Cursor,
    },
}

impl<C> Subscription<C> {
    /// A subscription without channels at `head`.
    #[must_use]
    pub fn new(epoch: Epoch, types: Vec<Option<EventType>>, head: Seq) -> Self {
        let types = Some(types).filter(|types| !types.is_empty()).map(Box::new);
        Self { epoch, types, lanes: SmallVec::new(), base: head, replay_until: Replay(None) }
    }

    /// Reads `channel` too. `head` is the visible head after the reader was registered with the channel: whatever comes
    /// later wakes it.
    ///
    /// A position before those of other channels is allowed: the older events then come first, out of the log's order
    /// as a whole but in order within the channel, and another [`Item::Live`] tells when all is level.
    pub fn add(&mut self, channel: C, begin: Begin, head: Seq) {
        let (after, debt) = match begin {
            Begin::Found(seq) => (seq, Debt::Fresh),
            Begin::Since(Since::Start) => (Seq::ZERO, Debt::Fresh),
            Begin::Since(Since::Now) => (head, Debt::None),
            Begin::Since(Since::At(cursor)) if cursor.epoch != self.epoch || cursor.seq > head => {
                (Seq::ZERO, Debt::Reset)
            }
            Begin::Since(Since::At(cursor)) => (cursor.seq, Debt::None),
        };
        self.lanes.push(Lane { channel, after, joined: head, debt });
        self.replay_until = Replay::until(head);
    }

    /// Stops reading the channels for which `gone` is true, and gives back their handles.
    pub fn remove(&mut self, mut gone: impl FnMut(&C) -> bool) -> Vec<C> {
        self.base = self.position();
        let (removed, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.lanes).into_iter().partition(|lane| gone(&lane.channel));
        self.lanes = kept.into();
        removed.into_iter().map(|lane| lane.channel).collect()
    }

    /// The channels, in the order in which they were added.
    pub fn channels(&self) -> impl Iterator<Item = &C> {
        self.lanes.iter().map(|lane| &lane.channel)
    }

    /// The channels with the positions up to which each was read.
    pub fn positions(&self) -> impl Iterator<Item = (&C, Seq)> {
        self.lanes.iter().map(|lane| (&lane.channel, lane.after))
    }

    /// The position from which a resume loses nothing.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.epoch, self.position())
    }

    /// The head that the replay runs to; `None` once it is reached.
    #[must_use]
    pub fn replay_until(&self) -> Option<Seq> {
        self.replay_until.get()
    }

    /// The channel and the position of a reader to whom nothing matters but what is new in one channel: it wants every
    /// type, owes or is owed no control, and so gets what every other such reader at its position gets. `None` for all
    /// others.
    #[must_use]
    pub fn plain(&self) -> Option<(&C, Seq)> {
        let [lane] = &self.lanes[..] else { return None };
        let plain = self.types.is_none() && self.replay_until.get().is_none() && lane.debt == Debt::None;
        plain.then_some((&lane.channel, lane.after))
    }

    /// Moves a [`plain`](Self::plain) reader on, past what was delivered to it without [`page`](Self::page).
    pub fn advance(&mut self, through: Seq) {
        for lane in &mut self.lanes {
            lane.after = lane.after.max(through);
        }
    }

    /// Bytes of heap held: 0 for one that reads every type of one channel.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let lanes = if self.lanes.spilled() { self.lanes.capacity() * size_of::<Lane<C>>() } else { 0 };
        let types = self.types.as_ref().map_or(0, |types| {
            let texts: usize = types.iter().flatten().map(|kind| kind.as_str().len()).sum();
            size_of_val(&**types) + types.capacity() * size_of::<Option<EventType>>() + texts
        });
        lanes + types
    }

    fn position(&self) -> Seq {
        self.lanes.iter().map(|lane| lane.after).min().unwrap_or(self.base)
    }

    /// Brings the next objects and moves the positions past them.
    ///
    /// An empty page that is not caught up is possible (everything was filtered out): read on.
    ///
    /// # Errors
    /// Nothing moved; see [`ReadError`].
    pub fn page<S>(&mut self, source: &S, budget: Budget, now: Millis) -> Result<Page, ReadError>
    where
        S: Source<Channel = C>,
    {
        // The head is taken before any channel is read: what becomes visible meanwhile is left to the next page in
        // every channel alike, so that no later event of one channel overtakes an earlier one of another.
        let upto = source.head();
        let slices = self.read_lanes(source, upto, budget)?;
        let mut page = Page::default();
        let mut events = Vec::new();
        // Beyond the end of a slice that was cut there may be events that belong before those of other channels.
        let mut level = upto;
        for (lane, slice) in self.lanes.iter_mut().zip(slices) {
            page.items.extend(lane.gap(source, self.epoch, &slice));
            if !slice.complete {
                let end = slice.events.last().map_or(lane.after, |event| event.id.seq);
                level = level.min(end);
            }
            let wanted = slice.events.into_iter().filter(|event| {
                wants(self.types.as_deref(), event)
                    && !event.is_expired(now)
                    && (event.stored || event.id.seq > lane.joined)
            });
            events.extend(wanted);
        }
        if self.lanes.len() > 1 {
            events.sort_unstable_by_key(|event| event.id.seq);
        }
        let level = cut(&mut events, level, budget);
        for lane in &mut self.lanes {
            lane.after = lane.after.max(level);
        }
        page.caught_up = level == upto;
        let live = self.live();
        // Told between the events it lies between: its cursor must not lead behind an event that was sent before.
        let replayed = live.map_or(0, |until| events.partition_point(|event| event.id.seq <= until));
        let after = events.split_off(replayed);
        page.items.extend(events.into_iter().map(Item::Event));
        page.items.extend(live.map(|until| Item::Live { cursor: Cursor::new(self.epoch, until) }));
        page.items.extend(after.into_iter().map(Item::Event));
        Ok(page)
    }

    /// How much of a page's budget each channel may bring: with many channels most of what each could bring would be thrown
    /// away by the cut.
    #[must_use]
    pub fn lane_budget(&self, budget: Budget) -> Budget {
        let share = self.lanes.len().max(1);
        Budget { events: (budget.events / share).max(8), bytes: (budget.bytes / share).max(16 << 10) }
    }

    fn read_lanes<S>(&self, source: &S, upto: Seq, budget: Budget) -> Result<Vec<Slice>, ReadError>
    where
        S: Source<Channel = C>,
    {
        let budget = self.lane_budget(budget);
        self.lanes.iter().map(|lane| source.read(&lane.channel, lane.after, upto, budget)).collect()
    }

    /// The head that was to be reached, if it just was.
    fn live(&mut self) -> Option<Seq> {
        let until = self.replay_until.get().filter(|until| self.position() >= *until);
        if until.is_some() {
            self.replay_until = Replay(None);
        }
        until
    }
}

impl<C> Lane<C> {
    /// Moves past what is gone, and tells it if it was owed to the reader.
    fn gap<S>(&mut self, source: &S, epoch: Epoch, slice: &Slice) -> Option<Item>
    where
        S: Source<Channel = C>,
    {
        let debt = std::mem::replace(&mut self.debt, Debt::None);
        let through = slice.lost.map(|lost| lost.through);
        self.after = self.after.max(through.unwrap_or(Seq::ZERO));
        let reason = match debt {
            Debt::None => slice.lost?.reason,
            Debt::Fresh => return None,
            Debt::Reset => LostReason::Reset,
        };
        Some(Item::Gap { channel: source.name(&self.channel), reason, cursor: Cursor::new(epoch, self.after) })
    }
}

fn wants(types: Option<&Vec<Option<EventType>>>, event: &Event) -> bool {
    types.is_none_or(|types| types.contains(&event.kind))
}

/// Leaves in `events` what is at or before `level` and within the budget; returns how far that reaches.
fn cut(events: &mut Vec<Arc<Event>>, level: Seq, budget: Budget) -> Seq {
    events.truncate(events.partition_point(|event| event.id.seq <= level));
    let mut bytes = 0_usize;
    let fits = events.iter().take(budget.events.max(1)).take_while(|event| {
        let first = bytes == 0;
        bytes = bytes.saturating_add(event.payload.bytes.len().max(1));
        first || bytes <= budget.bytes
    });
    let count = fits.count();
    if count == events.len() {
        return level;
    }
    events.truncate(count);
    events.last().map_or(level, |event| event.id.seq)
}
