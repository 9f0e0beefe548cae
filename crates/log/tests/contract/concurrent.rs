//! Readers while the sequencer appends and trims.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bongsu_core::Seq;
use bongsu_core::log::{Budget, Entry};

use super::fixture::*;

const CHANNEL: &str = "few:a";

/// What the writer tells the readers.
#[derive(Default)]
struct Shared {
    /// The newest offset that was acknowledged.
    acknowledged: AtomicU64,
    done: AtomicBool,
    reads: AtomicU64,
}

pub(crate) fn readers_see_one_consistent_view(kind: Kind) {
    let (log, shared) = (Fixture::new(kind), Shared::default());
    std::thread::scope(|scope| {
        for reader in 0..3 {
            let (log, shared) = (&*log.log, &shared);
            scope.spawn(move || {
                while !shared.done.load(Ordering::Acquire) {
                    read(log, shared, reader);
                }
            });
        }
        // Set also when a check below fails, so that the readers end.
        let _done = Done(&shared);
        for round in 0..400 {
            let event = || Entry::Publish(draft(CHANNEL, &round.to_string()));
            let groups = (0..round % 5).map(|_| group(vec![event()])).collect::<Vec<_>>();
            let taken = log.append(groups).len() as u64;
            shared.acknowledged.fetch_add(taken, Ordering::AcqRel);
            if round % 50 == 49 {
                log.append(vec![reset(CHANNEL)]);
                log.log.maintain(log.now).unwrap();
            }
        }
        while shared.reads.load(Ordering::Relaxed) < 100 {
            std::thread::yield_now();
        }
    });
}

struct Done<'a>(&'a Shared);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.done.store(true, Ordering::Release);
    }
}

fn read(log: &dyn bongsu_core::log::Log, shared: &Shared, reader: u64) {
    let acknowledged = shared.acknowledged.load(Ordering::Acquire);
    let head = log.head();
    let after = Seq(head.0.saturating_sub(reader * 4));
    let events = if reader == 0 { usize::MAX } else { 2 };
    let budget = Budget { events, bytes: usize::MAX };
    for after in [Seq(0), after] {
        let slice = log.read(&name(CHANNEL), after, head, budget).unwrap();
        let floor = slice.lost.map_or(after, |lost| lost.through.max(after));
        let offsets = slice.events.iter().map(|event| event.offset).collect::<Vec<_>>();
        assert!(slice.events.iter().all(|event| event.id.seq > floor && event.id.seq <= head), "{slice:?}");
        assert!(offsets.windows(2).all(|pair| pair[1] == pair[0] + 1), "{offsets:?}");
        assert!(offsets.len() <= 3, "{offsets:?}");
        // Everything acknowledged before is there, unless it was lost meanwhile, which is told.
        if slice.complete && slice.lost.is_none() && after == Seq(0) {
            assert_eq!(
                offsets.last().copied().unwrap_or_default().max(acknowledged),
                offsets.last().copied().unwrap_or_default()
            );
        }
        assert!(!offsets.is_empty() || slice.complete, "at least one is brought if there is one");
        let last = log.seek_last(&name(CHANNEL), 2, head).unwrap();
        assert!(last <= head && log.count(&name(CHANNEL), last, head).unwrap() <= 3);
    }
    shared.reads.fetch_add(1, Ordering::Relaxed);
}
