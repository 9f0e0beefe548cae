//! How fast publishers that each wait for their acknowledgement publish through the hub, without a network.
//!
//! Closed-loop publishers on one thread: it hands each acknowledged publisher's next event to the hub, then waits for more
//! acknowledgements, as a thread that serves connections does. With `bare` in the list of engines, or beside a log with
//! `fsync`, the bare group commit loop runs too: one write and one `fdatasync` for as many records as there are publishers.
//!
//! ```text
//! cargo run --release -p bongsu-hub --example publish_rate -- DIR [publishers=64] [seconds=5] [rounds=4] [bytes=100]
//!     [channels=100] [events_max=100000] [engines=bare,fsync,os,memory]
//! ```
//! The engines take turns, so that what else the machine does meets all of them. DIR is made, and removed at the end.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bongsu_core::limits::Limits;
use bongsu_core::log::{Draft, Log};
use bongsu_core::policy::{Durability, Policy, Retention, Rules};
use bongsu_core::{ChannelName, Clock, Millis, Payload, PayloadKind};
use bongsu_hub::{Hub, Running};
use bongsu_log::{EmbeddedLog, LogConfig, MemoryLog};
use bytes::Bytes;

type Failed = Box<dyn std::error::Error>;

/// What a record has on disk beside its payload, about, in bytes.
const RECORD_BYTES: usize = 60;

struct Options {
    dir: String,
    publishers: usize,
    seconds: u64,
    rounds: u64,
    bytes: usize,
    channels: usize,
    events_max: u64,
    engines: Vec<String>,
}

impl Options {
    fn from_args() -> Result<Self, Failed> {
        let mut args = std::env::args().skip(1);
        let dir = args.next().ok_or("name a directory to write to")?;
        let rest = args.collect::<Vec<_>>();
        let named = rest.iter().filter_map(|arg| arg.split_once('=')).collect::<HashMap<_, _>>();
        let number = |name, default| named.get(name).map_or(Ok(default), |text| text.parse::<u64>());
        let engines = named.get("engines").copied().unwrap_or("bare,fsync,os,memory");
        Ok(Self {
            dir,
            publishers: usize::try_from(number("publishers", 64)?)?,
            seconds: number("seconds", 5)?,
            rounds: number("rounds", 4)?,
            bytes: usize::try_from(number("bytes", 100)?)?,
            channels: usize::try_from(number("channels", 100)?)?,
            events_max: number("events_max", 100_000)?,
            engines: engines.split(',').map(str::to_owned).collect(),
        })
    }
}

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(u64::try_from(since.as_millis()).unwrap_or_default())
    }
}

/// Publishers whose event was acknowledged.
#[derive(Default)]
struct Ready {
    waiting: Mutex<Vec<usize>>,
    filled: Condvar,
}

impl Ready {
    fn push(&self, publisher: usize) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(publisher);
        let first = waiting.len() == 1;
        drop(waiting);
        if first {
            self.filled.notify_one();
        }
    }

    fn take(&self, into: &mut Vec<usize>) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting =
            self.filled.wait_while(waiting, |waiting| waiting.is_empty()).unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut *waiting, into);
    }
}

/// What one engine did over all rounds.
#[derive(Default)]
struct Done {
    publishes: u64,
    seconds: f64,
    cpu: f64,
    batches: u64,
    nanos: Vec<u64>,
    /// Publishes per second, round by round.
    rates: Vec<f64>,
}

impl Done {
    fn print(&mut self, name: &str, options: &Options) {
        self.nanos.sort_unstable();
        let last = self.nanos.len().saturating_sub(1);
        let at = |part: f64| self.nanos[(last as f64 * part) as usize] as f64 / 1e3;
        println!(
            "{name:8} {:8.0}/s  cpu {:6.2} us/publish ({:.2} cores)  {:5.1} per batch  us: p50 {:.0} p99 {:.0} p99.9 {:.0} max {:.0}",
            self.publishes as f64 / self.seconds,
            self.cpu * 1e6 / self.publishes as f64,
            self.cpu / self.seconds,
            self.publishes as f64 / self.batches.max(1) as f64,
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0),
        );
        let _ = options;
    }
}

struct Engine {
    hub: Hub,
    running: Running,
    names: Vec<ChannelName>,
}

impl Engine {
    fn start(name: &str, options: &Options) -> Result<Self, Failed> {
        let durability = if name == "os" { Durability::Os } else { Durability::Fsync };
        let retention = Retention { events_max: options.events_max, ..Retention::default() };
        let rules = Arc::new(Rules::new(Vec::new(), Policy { retention, durability, ..Policy::default() }));
        let log: Arc<dyn Log> = match name {
            "memory" => Arc::new(MemoryLog::new(rules.clone(), LogConfig::default())),
            _ => {
                let dir = Path::new(&options.dir).join(name);
                Arc::new(EmbeddedLog::open(&dir, rules.clone(), LogConfig::default(), SystemClock.now())?)
            }
        };
        let names = (0..options.channels).map(|number| ChannelName::new(&format!("bench:{number}")));
        let names = names.collect::<Result<Vec<_>, _>>().map_err(|_| "a name")?;
        let (hub, running) = Hub::start(log, rules, &Limits::default(), Arc::new(SystemClock))?;
        Ok(Self { hub, running, names })
    }

    fn round(&self, options: &Options, done: &mut Done) -> Result<(), Failed> {
        let ready = Arc::new(Ready::default());
        let payload = Bytes::from(vec![b'x'; options.bytes]);
        let mut began = vec![Instant::now(); options.publishers];
        let mut waiting = (0..options.publishers).collect::<Vec<_>>();
        let (start, cpu, batches) = (Instant::now(), cpu_seconds(), self.hub.figures().batches.get());
        let time = Duration::from_secs(options.seconds);
        let (mut publishes, mut in_flight, mut next, mut first) = (0, 0, 0, true);
        loop {
            let now = Instant::now();
            let over = now - start > time;
            for publisher in waiting.drain(..) {
                if !first {
                    done.nanos.push(u64::try_from((now - began[publisher]).as_nanos())?);
                    (publishes, in_flight) = (publishes + 1, in_flight - 1);
                }
                if over {
                    continue;
                }
                began[publisher] = now;
                next = (next + 1) % self.names.len();
                let ready = ready.clone();
                let draft = draft(self.names[next].clone(), payload.clone());
                self.hub
                    .publish(vec![draft], move |answer| {
                        answer.expect("a publish is taken");
                        ready.push(publisher);
                    })
                    .map_err(|problem| problem.detail.to_string())?;
                in_flight += 1;
            }
            first = false;
            if in_flight == 0 {
                break;
            }
            ready.take(&mut waiting);
        }
        let seconds = start.elapsed().as_secs_f64();
        done.publishes += publishes;
        done.seconds += seconds;
        done.cpu += cpu_seconds() - cpu;
        done.batches += self.hub.figures().batches.get() - batches;
        done.rates.push(publishes as f64 / seconds);
        Ok(())
    }
}

/// One write and one sync for a record of each publisher.
fn bare(file: &mut File, options: &Options, done: &mut Done) -> Result<(), Failed> {
    let batch = vec![b'x'; (options.bytes + RECORD_BYTES) * options.publishers];
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let mut publishes = 0;
    while start.elapsed() < Duration::from_secs(options.seconds) {
        let begin = Instant::now();
        file.write_all(&batch)?;
        file.sync_data()?;
        done.nanos.push(u64::try_from(begin.elapsed().as_nanos())?);
        publishes += options.publishers as u64;
        done.batches += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    done.publishes += publishes;
    done.seconds += seconds;
    done.cpu += cpu_seconds() - cpu;
    done.rates.push(publishes as f64 / seconds);
    Ok(())
}

fn main() -> Result<(), Failed> {
    let options = Options::from_args()?;
    let dir = Path::new(&options.dir);
    std::fs::create_dir(dir)?;
    let result = measure(&options, dir);
    std::fs::remove_dir_all(dir)?;
    result
}

fn measure(options: &Options, dir: &Path) -> Result<(), Failed> {
    let mut bare_file = File::create_new(dir.join("bare"))?;
    let mut engines = HashMap::new();
    for name in options.engines.iter().filter(|name| *name != "bare") {
        engines.insert(name.clone(), Engine::start(name, options)?);
    }
    let mut done: HashMap<String, Done> = HashMap::new();
    for _ in 0..options.rounds {
        for name in &options.engines {
            let done = done.entry(name.clone()).or_default();
            match engines.get(name) {
                Some(engine) => engine.round(options, done)?,
                None => bare(&mut bare_file, options, done)?,
            }
        }
    }
    println!("{} publishers, {} s each, {} bytes", options.publishers, options.rounds * options.seconds, options.bytes);
    for name in &options.engines {
        done.get_mut(name).ok_or("an engine that ran")?.print(name, options);
    }
    if let (Some(bare), Some(fsync)) = (done.get("bare"), done.get("fsync")) {
        let mut ratios = fsync.rates.iter().zip(&bare.rates).map(|(own, bare)| own / bare).collect::<Vec<_>>();
        ratios.sort_by(f64::total_cmp);
        let text = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>().join(" ");
        println!("fsync to bare, round by round: {text}; in all {:.2}", {
            let rate = |done: &Done| done.publishes as f64 / done.seconds;
            rate(fsync) / rate(bare)
        });
    }
    for (_, engine) in engines {
        engine.running.close().map_err(|problem| problem.detail.to_string())?;
    }
    Ok(())
}

/// The processor time of this process so far, all threads.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect::<Vec<_>>();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / 100.0
}

fn draft(channel: ChannelName, bytes: Bytes) -> Draft {
    Draft {
        channel,
        kind: None,
        key: None,
        user: None,
        ttl: None,
        store: true,
        payload: Payload { kind: PayloadKind::Json, content_type: None, bytes },
        idempotency: None,
        subscribers: 0,
    }
}
