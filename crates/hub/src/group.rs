//! Many readers on one thread, told once per channel.
//!
//! Whoever serves thousands of readers on one thread wants to hear that a channel has something new, not that each of its
//! readers has: an event costs a [`Group`] one entry in its [`Bell`], however many of its members read the channel. And
//! members that are level with each other are served from one reading of the ring, a [`Group::fresh`].
//!
//! A member is a number that its owner gives, and a [`Subscription`] whose seats are in the group. The group must not know
//! what a member is, nor how it is written to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bongsu_core::cursor::Seq;
use bongsu_core::log::Budget;
use bongsu_core::read::{From, Way};
use bongsu_core::subscription::{Begin, Page, ReadError, Subscription};
use bongsu_core::{ChannelName, Event, Problem};
use slab::Slab;
use smallvec::SmallVec;

use crate::begin::{self, Reach};
use crate::channel::{BelowRing, Channel, Listener};
use crate::reader::Wake;
use crate::source::{Fetched, Grouped};
use crate::{Shared, problems};

/// What members nearly always have one of.
type Few<T> = SmallVec<[T; 1]>;

/// A reader in a group.
pub type Member = Subscription<Place>;

/// A member's place in a channel of its group. It must be given back by [`Group::leave`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    room: u32,
    index: u32,
}

/// Readers on one thread.
pub struct Group {
    shared: Arc<Shared>,
    bell: Arc<Bell>,
    rooms: Slab<Room>,
    by_name: HashMap<ChannelName, u32>,
}

/// A channel with the members that read it.
pub(crate) struct Room {
    pub(crate) channel: Arc<Channel>,
    /// The group's key among the channel's listeners.
    key: usize,
    /// By the index of their places; [`NOBODY`] where one has left.
    members: Vec<u32>,
    vacant: Vec<u32>,
    /// Members that are level stand here or later.
    level: Seq,
}

/// A place that is empty.
pub const NOBODY: u32 = u32::MAX;

/// Tells a group which of its channels have something new.
pub(crate) struct Bell {
    wake: Arc<dyn Wake>,
    rung: Mutex<Rung>,
}

/// Which rooms were rung for since the group looked last: each once, so it is bounded by their number.
#[derive(Default)]
struct Rung {
    rooms: Vec<u32>,
    /// A bit per room.
    marks: Vec<u64>,
}

impl Bell {
    /// Called by the sequencer.
    pub(crate) fn ring(&self, room: u32) {
        let mut rung = self.lock();
        let (word, bit) = (room as usize / 64, 1 << (room % 64));
        if rung.marks.len() <= word {
            rung.marks.resize(word + 1, 0);
        }
        if rung.marks[word] & bit == 0 {
            rung.marks[word] |= bit;
            rung.rooms.push(room);
            drop(rung);
            self.wake.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Rung> {
        // Both parts are set together in a few lines that cannot panic between them.
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a channel has for the members that are level.
#[derive(Debug)]
pub enum Fresh {
    /// Nothing.
    Nothing,
    /// These events, for members that stand at `after` or later; whoever has them stands at `through`.
    Events {
        /// In order; at least one.
        events: Vec<Arc<Event>>,
        /// Before the first of them.
        after: Seq,
        /// After the last of them.
        through: Seq,
        /// Whether there is more: ask again.
        more: bool,
    },
    /// Something that each member must read by itself.
    Apart,
}

/// Where members begin, looked up.
#[derive(Debug)]
pub struct Found {
    /// The head at that time.
    pub head: Seq,
    begins: Few<Begin>,
    /// How many events lie before it.
    pub replay: u64,
}

/// A look-up of where a member begins; can be sent to where waiting for a disk is allowed.
pub struct Search {
    shared: Arc<Shared>,
    channels: Few<Arc<Channel>>,
    from: From,
    head: Seq,
    replays: bool,
}

/// A read of what is no longer in memory; can be sent to where waiting for a disk is allowed.
pub struct ColdRead {
    shared: Arc<Shared>,
    lanes: Few<(Place, Arc<Channel>, Seq)>,
    upto: Seq,
    budget: Budget,
}

impl Group {
    /// What a place takes among the members of its channel, in bytes.
    pub const PLACE_BYTES: usize = size_of::<u32>();

    pub(crate) fn new(shared: Arc<Shared>, wake: Arc<dyn Wake>) -> Self {
        let bell = Arc::new(Bell { wake, rung: Mutex::default() });
        Self { shared, bell, rooms: Slab::new(), by_name: HashMap::new() }
    }

    /// Takes a place for `member` in each of `channels`. Whatever becomes visible from now on rings.
    pub fn join(&mut self, member: u32, way: Way, channels: &[ChannelName]) -> SmallVec<[Place; 1]> {
        channels.iter().map(|name| self.enter(member, way, name)).collect()
    }

    fn enter(&mut self, member: u32, way: Way, name: &ChannelName) -> Place {
        let room = match self.by_name.get(name) {
            Some(room) => *room,
            None => self.open_room(name),
        };
        let Room { channel, members, vacant, .. } = &mut self.rooms[room as usize];
        channel.count_in(way);
        let index = vacant.pop().unwrap_or_else(|| {
            members.push(NOBODY);
            members.len() as u32 - 1
        });
        members[index as usize] = member;
        Place { room, index }
    }

    fn open_room(&mut self, name: &ChannelName) -> u32 {
        let entry = self.rooms.vacant_entry();
        let room = entry.key() as u32;
        let listener = Listener::Group(self.bell.clone(), room);
        let (channel, key) = self.shared.registry.enter(name, &*self.shared.log, listener);
        // The channel's own copy of the name, so that it is in memory once.
        self.by_name.insert(channel.name.clone(), room);
        entry.insert(Room { channel, key, members: Vec::new(), vacant: Vec::new(), level: self.shared.head() });
        room
    }

    /// Gives places back.
    pub fn leave(&mut self, way: Way, places: impl IntoIterator<Item = Place>) {
        for Place { room, index } in places {
            let Room { channel, members, vacant, .. } = &mut self.rooms[room as usize];
            channel.count_out(way);
            members[index as usize] = NOBODY;
            vacant.push(index);
            if vacant.len() == members.len() {
                self.close_room(room);
            }
        }
    }

    fn close_room(&mut self, room: u32) {
        let Room { channel, key, .. } = self.rooms.remove(room as usize);
        self.by_name.remove(&channel.name);
        channel.exit(key);
        self.shared.registry.forget_idle(&channel.name);
    }

    /// Looks up where a member begins that has taken `places`. With `replays` it is also counted what lies before it.
    #[must_use]
    pub fn search(&self, places: &[Place], from: From, replays: bool) -> Search {
        let channels = places.iter().map(|place| self.rooms[place.room as usize].channel.clone()).collect();
        Search { shared: self.shared.clone(), channels, from, head: self.shared.head(), replays }
    }

    /// A member that reads from where it was found to begin.
    #[must_use]
    pub fn open(&self, types: Vec<Option<bongsu_core::event::EventType>>, places: Few<Place>, found: &Found) -> Member {
        let mut member = Member::new(self.shared.log.epoch(), types, found.head);
        Self::extend(&mut member, places, found);
        member
    }

    /// Lets a member read more channels.
    pub fn extend(member: &mut Member, places: Few<Place>, found: &Found) {
        for (place, begin) in places.into_iter().zip(&found.begins) {
            member.add(place, *begin, found.head);
        }
    }

    /// The name of the channel of a place.
    #[must_use]
    pub fn name(&self, place: Place) -> &ChannelName {
        &self.rooms[place.room as usize].channel.name
    }

    /// The members of a room; [`NOBODY`] where one has left.
    #[must_use]
    pub fn members(&self, room: u32) -> &[u32] {
        self.rooms.get(room as usize).map_or(&[], |room| &room.members)
    }

    /// Takes out which rooms have something new; may name some that are closed by now.
    pub fn take_rung(&self, into: &mut Vec<u32>) {
        let mut rung = self.bell.lock();
        for room in &rung.rooms {
            into.push(*room);
        }
        let Rung { rooms, marks } = &mut *rung;
        for room in rooms.drain(..) {
            marks[room as usize / 64] = 0;
        }
    }

    /// What is new in a room since the last time.
    pub fn fresh(&mut self, room: u32, budget: Budget) -> Fresh {
        let head = self.shared.head();
        let Some(room) = self.rooms.get_mut(room as usize) else { return Fresh::Nothing };
        let fresh = self.shared.fresh(&room.channel, room.level, head, budget);
        // What is not in memory is read by each member from its own position.
        let fresh = fresh.unwrap_or(Fresh::Apart);
        match &fresh {
            Fresh::Events { through, .. } => room.level = *through,
            Fresh::Apart => room.level = head,
            // Members that had nothing to read have not moved either.
            Fresh::Nothing => {}
        }
        fresh
    }

    /// What is new for one plain member (see [`Subscription::plain`]) that is not level with the others.
    ///
    /// # Errors
    /// [`ReadError::Cold`]: it is no longer in memory.
    pub fn catch_up(&self, place: Place, after: Seq, budget: Budget) -> Result<Fresh, ReadError> {
        self.shared.fresh(place.channel(&self.rooms), after, self.shared.head(), budget)
    }

    /// The next objects of a member, from memory; never waits.
    ///
    /// # Errors
    /// [`ReadError::Cold`]: send a [`Group::cold_read`] to where waiting for a disk is allowed. Nothing has moved.
    pub fn page(&self, member: &mut Member, budget: Budget) -> Result<Page, ReadError> {
        let page = member.page(&Grouped { shared: &self.shared, rooms: &self.rooms }, budget, self.shared.clock.now());
        self.shared.count_gaps(page)
    }

    /// A read of what a member needs next and is not in memory.
    #[must_use]
    pub fn cold_read(&self, member: &Member, budget: Budget) -> ColdRead {
        let lanes = member.positions();
        let lanes =
            lanes.map(|(place, after)| (*place, self.rooms[place.room as usize].channel.clone(), after)).collect();
        ColdRead { shared: self.shared.clone(), lanes, upto: self.shared.head(), budget: member.lane_budget(budget) }
    }

    /// The next objects of a member out of what was fetched for it. Channels that it reads since then bring nothing yet.
    ///
    /// # Errors
    /// Never; the type is that of [`Group::page`].
    pub fn page_fetched(&self, member: &mut Member, fetched: Fetched, budget: Budget) -> Result<Page, ReadError> {
        let source = fetched.over(&self.rooms);
        self.shared.count_gaps(member.page(&source, budget, self.shared.clock.now()))
    }
}

impl Place {
    pub(crate) fn channel<'a>(&self, rooms: &'a Slab<Room>) -> &'a Channel {
        &rooms[self.room as usize].channel
    }
}

impl Shared {
    fn fresh(&self, channel: &Channel, after: Seq, head: Seq, budget: Budget) -> Result<Fresh, ReadError> {
        let slice = channel.read(after, head, budget).map_err(|BelowRing| ReadError::Cold)?;
        if slice.lost.is_some() {
            return Ok(Fresh::Apart);
        }
        let through = if slice.complete { head } else { slice.events.last().map_or(head, |event| event.id.seq) };
        let mut events = slice.events;
        // Few events expire, and a look at the clock for each channel of a round is felt.
        if events.iter().any(|event| event.expires.is_some()) {
            let now = self.clock.now();
            events.retain(|event| !event.is_expired(now));
        }
        Ok(match (events.is_empty(), slice.complete) {
            (true, true) => Fresh::Nothing,
            // All of a long run has expired: each member walks past it in its own time.
            (true, false) => Fresh::Apart,
            (false, complete) => Fresh::Events { events, after, through, more: !complete },
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for (_, Room { channel, key, .. }) in &self.rooms {
            channel.exit(*key);
            self.shared.registry.forget_idle(&channel.name);
        }
    }
}

impl Search {
    /// Looks in memory only; never waits.
    ///
    /// # Errors
    /// It is not in memory: [`Search::run`] it where waiting is allowed.
    pub fn try_now(&self) -> Result<Found, ReadError> {
        self.find(Reach::Memory)
    }

    /// Looks it up; may wait for the disk.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn run(&self) -> Result<Found, Problem> {
        self.find(Reach::Log).map_err(problems::of_read)
    }

    fn find(&self, reach: Reach) -> Result<Found, ReadError> {
        let mut found = Found { head: self.head, begins: Few::new(), replay: 0 };
        for channel in &self.channels {
            let begin = begin::find(&self.shared, channel, self.from, self.head, reach)?;
            if self.replays {
                let after = begin::position(begin, self.shared.log.epoch(), self.head);
                found.replay += begin::count(&self.shared, channel, after, self.head, reach)?;
            }
            found.begins.push(begin);
        }
        Ok(found)
    }
}

impl ColdRead {
    /// Reads; may wait for the disk.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn run(&self) -> Result<Fetched, Problem> {
        let mut slices = Vec::with_capacity(self.lanes.len());
        for (place, channel, after) in &self.lanes {
            let slice = self.shared.read_anywhere(channel, *after, self.upto, self.budget);
            slices.push((*place, *after, slice.map_err(problems::of_read)?));
        }
        Ok(Fetched::new(self.upto, slices))
    }
}
