//! Where a read begins: positions that have to be looked up, and how much lies after them.

use bongsu_core::cursor::{Epoch, Seq, Since};
use bongsu_core::read::From;
use bongsu_core::subscription::{Begin, ReadError};

use crate::Shared;
use crate::channel::{BelowRing, Channel};

/// How far a look-up may go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To what is in memory; what lies below it is [`ReadError::Cold`].
    Memory,
    /// To the log, waiting for its disk.
    Log,
}

/// Where a reader that says `from` begins in `channel`, if `head` is the end.
pub(crate) fn find(
    shared: &Shared,
    channel: &Channel,
    from: From,
    head: Seq,
    reach: Reach,
) -> Result<Begin, ReadError> {
    match from {
        From::Since(since) => Ok(Begin::Since(since)),
        From::Unsaid => Ok(Begin::Since(Since::Now)),
        From::Last(count) => match (channel.seek_last(count, head), reach) {
            (Ok(seq), _) => Ok(Begin::Found(seq)),
            (Err(BelowRing), Reach::Memory) => Err(ReadError::Cold),
            (Err(BelowRing), Reach::Log) => {
                let seq = shared.log.seek_last(&channel.name, count, head);
                seq.map(Begin::Found).map_err(ReadError::Failed)
            }
        },
    }
}

/// How many events of `channel` are kept between `after` and `head`.
pub(crate) fn count(shared: &Shared, channel: &Channel, after: Seq, head: Seq, reach: Reach) -> Result<u64, ReadError> {
    if after >= head {
        return Ok(0);
    }
    match (channel.count(after, head), reach) {
        (Ok(count), _) => Ok(count),
        (Err(BelowRing), Reach::Memory) => Err(ReadError::Cold),
        (Err(BelowRing), Reach::Log) => shared.log.count(&channel.name, after, head).map_err(ReadError::Failed),
    }
}

/// The position that `begin` means in the log of `epoch` whose head is `head`.
pub(crate) fn position(begin: Begin, epoch: Epoch, head: Seq) -> Seq {
    match begin {
        Begin::Found(seq) => seq,
        Begin::Since(Since::Now) => head,
        Begin::Since(Since::At(cursor)) if cursor.epoch == epoch && cursor.seq <= head => cursor.seq,
        Begin::Since(Since::Start | Since::At(_)) => Seq::ZERO,
    }
}
