//! What readers read from: the rings, and below them the log.

use std::cell::RefCell;

use bongsu_core::ChannelName;
use bongsu_core::cursor::Seq;
use bongsu_core::log::{Budget, Slice};
use bongsu_core::subscription::{ReadError, Source};
use slab::Slab;

use crate::Shared;
use crate::channel::{BelowRing, Channel};
use crate::group::{Place, Room};
use crate::reader::Seat;

/// Reads from memory only and never waits.
pub(crate) struct Warm<'a>(pub(crate) &'a Shared);

/// Reads from memory, and from the log where memory does not reach; may wait for the disk.
pub(crate) struct Cold<'a>(pub(crate) &'a Shared);

/// Reads the channels of a group from memory and never waits.
pub(crate) struct Grouped<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) rooms: &'a Slab<Room>,
}

/// What was read for a member of a group: a slice per channel, with the position after which it begins.
#[derive(Debug)]
pub struct Fetched {
    upto: Seq,
    slices: Vec<(Place, Seq, Slice)>,
}

/// Gives each slice once.
pub(crate) struct FetchedSource<'a> {
    rooms: &'a Slab<Room>,
    upto: Seq,
    slices: RefCell<Vec<(Place, Seq, Slice)>>,
}

impl Shared {
    /// Reads from memory, or from the log.
    pub(crate) fn read_anywhere(
        &self,
        channel: &Channel,
        after: Seq,
        upto: Seq,
        budget: Budget,
    ) -> Result<Slice, ReadError> {
        match channel.read(after, upto, budget) {
            Ok(slice) => Ok(slice),
            Err(BelowRing) => {
                self.figures.cold_pages.add(1);
                self.log.read(&channel.name, after, upto, budget).map_err(ReadError::Failed)
            }
        }
    }
}

impl Fetched {
    pub(crate) fn new(upto: Seq, slices: Vec<(Place, Seq, Slice)>) -> Self {
        Self { upto, slices }
    }

    pub(crate) fn over(self, rooms: &Slab<Room>) -> FetchedSource<'_> {
        FetchedSource { rooms, upto: self.upto, slices: RefCell::new(self.slices) }
    }
}

impl Source for Warm<'_> {
    type Channel = Seat;

    fn name(&self, seat: &Seat) -> ChannelName {
        seat.channel().name.clone()
    }

    fn head(&self) -> Seq {
        self.0.head()
    }

    fn read(&self, seat: &Seat, after: Seq, upto: Seq, budget: Budget) -> Result<Slice, ReadError> {
        seat.channel().read(after, upto, budget).map_err(|BelowRing| ReadError::Cold)
    }
}

impl Source for Cold<'_> {
    type Channel = Seat;

    fn name(&self, seat: &Seat) -> ChannelName {
        seat.channel().name.clone()
    }

    fn head(&self) -> Seq {
        self.0.head()
    }

    fn read(&self, seat: &Seat, after: Seq, upto: Seq, budget: Budget) -> Result<Slice, ReadError> {
        self.0.read_anywhere(seat.channel(), after, upto, budget)
    }
}

impl Source for Grouped<'_> {
    type Channel = Place;

    fn name(&self, place: &Place) -> ChannelName {
        place.channel(self.rooms).name.clone()
    }

    fn head(&self) -> Seq {
        self.shared.head()
    }

    fn read(&self, place: &Place, after: Seq, upto: Seq, budget: Budget) -> Result<Slice, ReadError> {
        place.channel(self.rooms).read(after, upto, budget).map_err(|BelowRing| ReadError::Cold)
    }
}

impl Source for FetchedSource<'_> {
    type Channel = Place;

    fn name(&self, place: &Place) -> ChannelName {
        place.channel(self.rooms).name.clone()
    }

    fn head(&self) -> Seq {
        self.upto
    }

    fn read(&self, place: &Place, after: Seq, _: Seq, _: Budget) -> Result<Slice, ReadError> {
        let mut slices = self.slices.borrow_mut();
        let found = slices.iter().position(|(of, from, _)| of == place && *from == after);
        // A slice that is not complete and has nothing says that nothing is known: the reader stays where it is.
        Ok(found.map_or_else(Slice::default, |index| slices.swap_remove(index).2))
    }
}
