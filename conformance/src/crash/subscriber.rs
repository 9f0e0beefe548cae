//! A reader that resumes by its cursor, and by nothing else: after every kill, and, if it hops, also
//! after every few events, on another way each time.

use super::check::Entry;
use super::{CHANNELS, Shared};
use crate::error::{Failure, Result};
use crate::reader::{self, Choose, Reader, Resume, Spec, Watch};
use crate::way::{Http, Way};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a read waits before it looks whether to stop.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// How long an opening may take before it is tried again.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between two attempts while the server is away.
const RETRY_PAUSE: Duration = Duration::from_millis(10);

/// A hopping reader stays for at most so many events.
const STAY_EVENTS_MAX: u32 = 40;

/// Which ways a reader uses.
#[derive(Debug, Clone, Copy)]
pub(super) enum Habit {
    /// This one.
    Stays(Way),
    /// Any, on either HTTP version, drawn from this seed.
    Hops(u64),
}

impl std::fmt::Display for Habit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stays(way) => write!(f, "{way} reader"),
            Self::Hops(seed) => write!(f, "reader that hops by {seed}"),
        }
    }
}

pub(super) struct Subscriber {
    habit: Habit,
    random: fastrand::Rng,
    /// Events until the next hop.
    stay: u32,
    spec: Spec,
    watch: Watch,
    shared: Arc<Shared>,
    reader: Option<Box<dyn Reader>>,
}

impl Subscriber {
    /// Reads until it is told to stop.
    pub(super) fn spawn(habit: Habit, shared: &Arc<Shared>) -> JoinHandle<Vec<Entry>> {
        let channels: Vec<String> = CHANNELS.iter().map(|c| (*c).to_owned()).collect();
        let (way, seed) = match habit {
            Habit::Stays(way) => (way, 0),
            Habit::Hops(seed) => (Way::Poll, seed),
        };
        let mut subscriber = Self {
            habit,
            random: fastrand::Rng::with_seed(seed),
            stay: STAY_EVENTS_MAX,
            watch: Watch::new(&channels, true),
            spec: spec(way, channels, shared),
            shared: Arc::clone(shared),
            reader: None,
        };
        std::thread::spawn(move || subscriber.run())
    }

    fn run(&mut self) -> Vec<Entry> {
        let mut seen = Vec::new();
        while !self.shared.stop_reading.load(Ordering::Relaxed) {
            match self.step() {
                Ok(Some(entry)) => {
                    seen.push(entry);
                    self.shared.seen.fetch_add(1, Ordering::Relaxed);
                    self.hop();
                }
                Ok(None) => {}
                Err(failure) => {
                    self.shared.fail(failure.within(&format!("the {}", self.habit)));
                    break;
                }
            }
        }
        seen
    }

    /// Leaves for another way when it has stayed long enough.
    fn hop(&mut self) {
        if matches!(self.habit, Habit::Stays(_)) {
            return;
        }
        self.stay = self.stay.saturating_sub(1);
        if self.stay == 0 {
            self.resume();
            self.stay = self.random.u32(1..STAY_EVENTS_MAX);
            self.spec.way = Way::ALL[self.random.usize(..Way::ALL.len())];
            self.spec.http = if self.random.bool() { Http::H2 } else { Http::H1 };
        }
    }

    /// One event, or one attempt to get at one.
    fn step(&mut self) -> Result<Option<Entry>> {
        let outcome = match &mut self.reader {
            Some(reader) => reader.next(Instant::now() + LOOK_INTERVAL),
            None => {
                match reader::open(&self.spec, Instant::now() + OPEN_TIMEOUT) {
                    Ok(reader) => self.reader = Some(reader),
                    Err(Failure::Closed { .. } | Failure::Timeout(_)) => {
                        std::thread::sleep(RETRY_PAUSE);
                    }
                    Err(wrong) => return Err(wrong),
                }
                return Ok(None);
            }
        };
        match outcome {
            Ok(item) => {
                self.watch.see(&item)?;
                match item.kind() {
                    "$gap" => Err(Failure::wrong(format!("a gap: {}", item.show()))),
                    kind if kind.starts_with('$') => Ok(None),
                    _ => Entry::from_event(&item.value).map(Some),
                }
            }
            Err(Failure::Timeout(_)) => Ok(None),
            Err(Failure::Closed { .. }) => {
                self.resume();
                Ok(None)
            }
            Err(wrong) => Err(wrong),
        }
    }

    fn resume(&mut self) {
        if let Some(cursor) = self.reader.take().and_then(|r| r.cursor().map(str::to_owned)) {
            self.spec.since = Some(cursor);
        }
        self.shared.resumes.fetch_add(1, Ordering::Relaxed);
    }
}

fn spec(way: Way, channels: Vec<String>, shared: &Shared) -> Spec {
    Spec {
        addr: shared.addr,
        way,
        http: Http::H1,
        channels,
        since: Some("start".to_owned()),
        last: None,
        limit: None,
        types: Vec::new(),
        heartbeat: None,
        format: None,
        wait: 5,
        choose: Choose::Header,
        resume: Resume::Since,
        headers: Vec::new(),
        subprotocol: None,
    }
}
