//! The crash test: publish with acknowledgements, kill the server at random moments, and check that
//! nothing acknowledged is lost, nothing retried is doubled, and every reader saw it all: one on each way, and some that hop.
//!
//! Everything random comes from one seed, which is told at the start; the moments of the kills are
//! drawn from it, though what the server is doing at that moment is the machine's choice.

mod check;
mod publisher;
mod subscriber;

use crate::error::{Failure, Result};
use crate::net::{self, Request};
use crate::server::{Server, Setup, Signal};
use crate::way::{Driver, Http, Way};
use check::{Ack, Entry};
use publisher::Publisher;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use subscriber::{Habit, Subscriber};

/// The channels that are published to; readers read both on one connection.
pub(crate) const CHANNELS: [&str; 2] = ["crash:a", "crash:b"];
/// Readers that change their way all the time.
const HOPPERS: u64 = 3;
/// One in so many ends is a SIGTERM, the others are SIGKILL.
const TERM_ONE_IN: u32 = 5;
/// Connections that publish at the same time.
const PUBLISHERS: usize = 4;
/// A kill comes so many milliseconds after the server has acknowledged something again.
const KILL_AFTER_MS: std::ops::Range<u64> = 5..250;
/// A server that acknowledges nothing for so long after a restart is stuck.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(30);
/// Readers have to be at the end so long after the last event.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(60);
/// Nothing may be trimmed, however many rounds there are.
const CONFIG: &str = "[[rules]]\nchannels = \"crash:**\"\nhistory_events = 1000000000\n";

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The server binary.
    pub binary: PathBuf,
    /// Kills.
    pub rounds: u32,
    /// Seed of everything random.
    pub seed: u64,
    /// Who serves the server's sockets.
    pub driver: Driver,
}

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Events in the log at the end, all of them acknowledged.
    pub events: usize,
    /// Publishes that had to be sent again.
    pub retries: u64,
    /// Retries that were answered with `duplicate:true`.
    pub duplicates: u64,
    /// Times a reader resumed.
    pub resumes: u64,
}

/// What all threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    addr: SocketAddr,
    stop_publishing: AtomicBool,
    stop_reading: AtomicBool,
    acknowledged: AtomicU64,
    retries: AtomicU64,
    duplicates: AtomicU64,
    resumes: AtomicU64,
    /// Events that all readers together have seen.
    seen: AtomicU64,
    failure: Mutex<Option<Failure>>,
}

impl Shared {
    fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            stop_publishing: AtomicBool::new(false),
            stop_reading: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            resumes: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            failure: Mutex::new(None),
        }
    }

    /// Keeps the first failure and makes everybody stop.
    fn fail(&self, failure: Failure) {
        let mut kept = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get_or_insert(failure);
        self.stop_publishing.store(true, Ordering::Relaxed);
        self.stop_reading.store(true, Ordering::Relaxed);
    }

    fn check(&self) -> Result<()> {
        let kept = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clone().map_or(Ok(()), Err)
    }
}

/// Runs the rounds and judges what is left; `tell` gets a line now and then.
pub fn run(options: &Options, tell: &mut dyn FnMut(&str)) -> Result<Summary> {
    tell(&format!("seed {}, {} rounds, on {}", options.seed, options.rounds, options.driver));
    let setup = Setup { config: CONFIG.to_owned(), args: Vec::new(), driver: options.driver };
    let mut server = Server::start(&options.binary, &setup)?;
    let shared = Arc::new(Shared::new(server.addr()));
    let publishers: Vec<JoinHandle<Vec<Ack>>> = (0..PUBLISHERS).map(|n| Publisher::spawn(n, &shared)).collect();
    let hops = (0..HOPPERS).map(|n| Habit::Hops(options.seed.wrapping_add(n)));
    let habits = Way::ALL.into_iter().map(Habit::Stays).chain(hops);
    let subscribers: Vec<(Habit, JoinHandle<Vec<Entry>>)> =
        habits.map(|habit| (habit, Subscriber::spawn(habit, &shared))).collect();

    let outcome = rounds(options, &mut server, &shared, tell);
    let outcome = outcome.map_err(|f| f.within(&format!("server log:\n{}", server.log_tail())));
    if let Err(failure) = outcome {
        shared.fail(failure);
    }
    shared.stop_publishing.store(true, Ordering::Relaxed);
    let acks: Vec<Ack> = publishers.into_iter().flat_map(join).collect();
    let log = judge(&shared, &acks);
    if log.is_ok() {
        await_readers(&shared, subscribers.len());
    }
    shared.stop_reading.store(true, Ordering::Relaxed);
    let seen: Vec<(Habit, Vec<Entry>)> = subscribers.into_iter().map(|(habit, h)| (habit, join(h))).collect();
    shared.check()?;
    let log = log?;
    for (habit, entries) in &seen {
        check::same(&log, entries).map_err(|f| f.within(&format!("the {habit}")))?;
    }
    server.stop(Signal::Term)?;
    Ok(Summary {
        events: log.len(),
        retries: shared.retries.load(Ordering::Relaxed),
        duplicates: shared.duplicates.load(Ordering::Relaxed),
        resumes: shared.resumes.load(Ordering::Relaxed),
    })
}

fn join<T>(handle: JoinHandle<Vec<T>>) -> Vec<T> {
    handle.join().unwrap_or_default()
}

fn rounds(options: &Options, server: &mut Server, shared: &Shared, tell: &mut dyn FnMut(&str)) -> Result<()> {
    let mut random = fastrand::Rng::with_seed(options.seed);
    for round in 1..=options.rounds {
        await_progress(shared)?;
        std::thread::sleep(Duration::from_millis(random.u64(KILL_AFTER_MS)));
        let signal = match random.u32(..TERM_ONE_IN) {
            0 => Signal::Term,
            _ => Signal::Kill,
        };
        server.stop(signal)?;
        let acknowledged = shared.acknowledged.load(Ordering::Relaxed);
        server.start_again()?;
        shared.check()?;
        tell(&format!(
            "round {round}: {signal} after {acknowledged} acknowledged events, {} sent again",
            shared.retries.load(Ordering::Relaxed)
        ));
    }
    await_progress(shared)
}

/// Waits until something more is acknowledged, so that every kill has something to destroy.
fn await_progress(shared: &Shared) -> Result<()> {
    let before = shared.acknowledged.load(Ordering::Relaxed);
    let deadline = Instant::now() + PROGRESS_TIMEOUT;
    while shared.acknowledged.load(Ordering::Relaxed) == before {
        shared.check()?;
        if Instant::now() > deadline {
            return Err(Failure::Timeout("nothing is acknowledged any more".into()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Reads the whole log back and holds it against the acknowledgements.
fn judge(shared: &Shared, acks: &[Ack]) -> Result<Vec<Entry>> {
    shared.check()?;
    let mut log = Vec::new();
    let mut since = "start".to_owned();
    loop {
        let target = format!("/v1/events?channel={}&channel={}&limit=1000&since={since}", CHANNELS[0], CHANNELS[1]);
        let deadline = Instant::now() + PROGRESS_TIMEOUT;
        let answer = net::once(shared.addr, Http::H1, &Request::new("GET", target), deadline)?;
        let body: serde_json::Value = serde_json::from_slice(&answer.body)?;
        let events =
            body["events"].as_array().ok_or_else(|| Failure::wrong(format!("reading the log back: {body}")))?;
        for event in events {
            log.push(Entry::from_event(event)?);
        }
        if body["more"] != true {
            break;
        }
        since = body["cursor"].as_str().unwrap_or_default().to_owned();
    }
    check::log(&log, acks)?;
    Ok(log)
}

/// Gives the readers time to come to the end; what they have then seen is judged afterwards.
fn await_readers(shared: &Shared, readers: usize) {
    let deadline = Instant::now() + CATCH_UP_TIMEOUT;
    let wanted = shared.acknowledged.load(Ordering::Relaxed) * readers as u64;
    while shared.seen.load(Ordering::Relaxed) < wanted && shared.check().is_ok() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
}
