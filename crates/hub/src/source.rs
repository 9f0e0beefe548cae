//! What readers read from: the rings, and below them the log.

use bongsu_core::ChannelName;
use bongsu_core::cursor::Seq;
use bongsu_core::log::{Budget, Slice};
use bongsu_core::subscription::{ReadError, Source};

use crate::Shared;
use crate::channel::BelowRing;
use crate::reader::Seat;

/// Reads from memory only and never waits.
pub(crate) struct Warm<'a>(pub(crate) &'a Shared);

/// Reads from memory, and from the log where memory does not reach; may wait for the disk.
pub(crate) struct Cold<'a>(pub(crate) &'a Shared);

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
        match seat.channel().read(after, upto, budget) {
            Ok(slice) => Ok(slice),
            Err(BelowRing) => {
                self.0.figures.cold_pages.add(1);
                self.0.log.read(&seat.channel().name, after, upto, budget).map_err(ReadError::Failed)
            }
        }
    }
}
