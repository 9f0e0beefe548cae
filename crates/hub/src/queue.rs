//! Publishes on their way to the sequencer.
//!
//! Publishers push, the one sequencer takes everything that waits. Bounded in number and in bytes, counted until the
//! publish is answered: a log that is slow is felt by publishers as a refusal, never as memory that grows.
//!
//! Where the log never waits, nobody is woken: the sequencer lies on a desk here, and the thread that brings a publish takes
//! its part if nobody else is at it. That saves two changes of threads for each batch.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bongsu_core::log::Draft;
use bongsu_core::{ChannelName, ErrorCode, Problem};

use crate::problems;
use crate::sequencer::{Published, Sequencer};

/// The most events of one append, so that a flood does not delay the first of it without bound.
const BATCH_EVENTS_MAX: usize = 8_192;
/// The same in bytes of payload.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// After so many batches a publisher's thread leaves the rest to the sequencer's own: it has other work to do.
const TURNS_MAX: usize = 4;

pub(crate) type Done = Box<dyn FnOnce(Result<Vec<Published>, Problem>) + Send>;

/// What the sequencer is asked for.
pub(crate) enum Action {
    Publish(Vec<Draft>),
    Reset(ChannelName),
}

/// A publish with whoever waits for it.
pub(crate) struct Job {
    pub(crate) action: Action,
    pub(crate) done: Done,
    pub(crate) load: Load,
}

/// What a job weighs against the bounds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Load {
    events: usize,
    bytes: usize,
}

/// Publishes on their way to the sequencer, bounded in number and bytes.
pub(crate) struct Queue {
    max: Load,
    state: Mutex<State>,
    /// The sequencer waits here for jobs; publishers signal it.
    filled: Condvar,
    /// The sequencer, if any thread may be it. Locked for the length of a batch; publishers never wait for it.
    desk: Mutex<Option<Sequencer>>,
    /// Whether the desk is in use. Written before the first publish.
    is_shared: AtomicBool,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Of the jobs in `jobs` and of those being appended.
    in_flight: Load,
    closed: bool,
    /// The sequencer has ended by a panic.
    dead: bool,
    /// The sequencer sleeps until so many jobs wait; 0 when it is awake, and then nobody has to signal it.
    wanted: usize,
}

impl Queue {
    pub(crate) fn new(events_max: usize, bytes_max: usize) -> Self {
        Self {
            max: Load { events: events_max, bytes: bytes_max },
            state: Mutex::default(),
            filled: Condvar::new(),
            desk: Mutex::default(),
            is_shared: AtomicBool::new(false),
        }
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
        // An empty publish, such as a probe of readiness, weighs nothing, but a log that hangs must not gather them either.
        if state.jobs.len() >= self.max.events {
            return Err(self.full());
        }
        state.in_flight.events += load.events.min(room.events);
        state.in_flight.bytes += load.bytes.min(room.bytes);
        let load = Load { events: load.events.min(room.events), bytes: load.bytes.min(room.bytes) };
        state.jobs.push_back(Job { action, done, load });
        if self.is_shared.load(Ordering::Relaxed) {
            return Ok(());
        }
        let wakes = state.wanted > 0 && state.jobs.len() >= state.wanted;
        if wakes {
            // One signal is enough, and each is a system call.
            state.wanted = 0;
        }
        drop(state);
        if wakes {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// From now on any thread may be the sequencer.
    pub(crate) fn share(&self, sequencer: Sequencer) {
        *self.desk.lock().unwrap_or_else(PoisonError::into_inner) = Some(sequencer);
        self.is_shared.store(true, Ordering::Relaxed);
    }

    /// Takes the sequencer's part, if the sequencer is shared and nobody else is at it. To be called after [`Queue::push`],
    /// or after several.
    pub(crate) fn help(&self) {
        if !self.is_shared.load(Ordering::Relaxed) {
            return;
        }
        for _ in 0..TURNS_MAX {
            // Whoever is at it looks again once it has let go; and so do we. A publisher that is called back and publishes
            // more comes by here too, and finds itself at it.
            let Ok(mut desk) = self.desk.try_lock() else { return };
            let Some(sequencer) = &mut *desk else { return };
            sequencer.turn(Duration::ZERO);
            drop(desk);
            if self.lock().jobs.is_empty() {
                return;
            }
        }
        self.lock().wanted = 0;
        self.filled.notify_one();
    }

    /// The part of the sequencer's own thread where it is shared: what falls due by time, and what publishers leave to it.
    /// Returns when the queue is closed and empty; `false` if a publisher's thread has died of a batch.
    pub(crate) fn attend(&self, every: Duration) -> bool {
        loop {
            let state = self.sleep(self.lock(), 1, every);
            let is_over = state.closed && state.jobs.is_empty();
            drop(state);
            let Ok(mut desk) = self.desk.lock() else { return false };
            if is_over {
                // The sequencer holds what holds this queue.
                *desk = None;
                return true;
            }
            if let Some(sequencer) = &mut *desk {
                sequencer.turn(Duration::ZERO);
            }
        }
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
        let mut state = self.lock();
        state.closed = true;
        state.wanted = 0;
        drop(state);
        self.filled.notify_one();
    }

    /// Waits until `wanted` jobs wait, but no longer than `wait`; tells whether they came.
    pub(crate) fn gather(&self, wanted: usize, wait: Duration) -> bool {
        let state = self.sleep(self.lock(), wanted, wait);
        state.jobs.len() >= wanted
    }

    fn sleep<'a>(&'a self, mut state: MutexGuard<'a, State>, wanted: usize, wait: Duration) -> MutexGuard<'a, State> {
        if state.jobs.len() >= wanted || state.closed || wait.is_zero() {
            return state;
        }
        state.wanted = wanted;
        let is_waiting = |state: &mut State| state.wanted > 0;
        let woken = self.filled.wait_timeout_while(state, wait, is_waiting);
        let (mut state, _) = woken.unwrap_or_else(PoisonError::into_inner);
        state.wanted = 0;
        state
    }

    /// Puts the next jobs into `jobs`, at least one unless the wait ran out; `false` when the queue is closed and empty.
    pub(crate) fn take(&self, wait: Duration, jobs: &mut Vec<Job>) -> bool {
        let mut state = self.sleep(self.lock(), 1, wait);
        if state.jobs.is_empty() && state.closed {
            return false;
        }
        let mut batch = Load::default();
        let fits = state.jobs.iter().take_while(|job| {
            let first = batch.events == 0;
            batch.events += job.load.events.max(1);
            batch.bytes += job.load.bytes;
            first || (batch.events <= BATCH_EVENTS_MAX && batch.bytes <= BATCH_BYTES_MAX)
        });
        let count = fits.count();
        jobs.extend(state.jobs.drain(..count));
        true
    }

    /// Gives back the room of publishes that are about to be answered; tells how many others wait.
    pub(crate) fn release(&self, load: Load) -> usize {
        let mut state = self.lock();
        state.in_flight.events -= load.events;
        state.in_flight.bytes -= load.bytes;
        state.jobs.len()
    }

    /// The sequencer has ended by a panic: dropping the jobs drops their callbacks, and whoever waits for one hears of it.
    pub(crate) fn die(&self) {
        let mut state = self.lock();
        state.dead = true;
        state.jobs.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole at every step under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check(&self) -> Result<(), Problem> {
        if self.dead {
            return Err(problems::died());
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

impl Load {
    pub(crate) fn add(&mut self, more: Self) {
        self.events += more.events;
        self.bytes += more.bytes;
    }
}

impl Action {
    fn load(&self) -> Load {
        match self {
            Self::Publish(drafts) => {
                Load { events: drafts.len(), bytes: drafts.iter().map(|draft| draft.payload.bytes.len()).sum() }
            }
            Self::Reset(_) => Load { events: 1, bytes: 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_publishes_are_bounded_too() {
        let queue = Queue::new(2, 1_000);
        let push = || queue.push(Action::Publish(Vec::new()), Box::new(|_| ())).map_err(|problem| problem.code);
        assert_eq!([push(), push(), push()], [Ok(()), Ok(()), Err(ErrorCode::Overloaded)]);
    }

    #[test]
    fn company_is_waited_for_until_it_is_there() {
        let queue = Queue::new(100, 1_000);
        let push = || queue.push(Action::Publish(Vec::new()), Box::new(|_| ())).unwrap();
        assert!(!queue.gather(1, Duration::from_millis(1)), "nobody came");
        push();
        assert!(queue.gather(1, Duration::MAX), "it is there already");
        std::thread::scope(|scope| {
            let gathered = scope.spawn(|| queue.gather(3, Duration::from_secs(60)));
            push();
            push();
            assert!(gathered.join().unwrap());
        });
        let mut jobs = Vec::new();
        assert!(queue.take(Duration::MAX, &mut jobs));
        assert_eq!(jobs.len(), 3);
        std::thread::scope(|scope| {
            let gathered = scope.spawn(|| queue.gather(1, Duration::from_secs(60)));
            queue.close();
            assert!(!gathered.join().unwrap(), "a queue that is closed has no company to come");
        });
        assert!(!queue.take(Duration::MAX, &mut jobs));
    }
}
