//! How fast the embedded log appends, and how long the slowest appends take.
//!
//! Appends batches of events one after the other for some seconds, as the sequencer does, and prints the rate and the
//! distribution of the time each append took. With `bare` it writes the same bytes to one file with one `fdatasync` per
//! batch instead: what the disk can do at best.
//!
//! ```text
//! cargo run --release -p bongsu-log --example append_rate -- DIR [seconds=30] [batch=64] [bytes=100] [channels=100]
//!     [events_max=100000] [durability=fsync] [rate=0] [bare]
//! ```
//! `rate` is in batches per second, 0 for as fast as it goes. DIR is made, and removed at the end.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bongsu_core::log::{Draft, Entry, Group, Log};
use bongsu_core::policy::{Durability, Policy, Retention, Rules};
use bongsu_core::{ChannelName, Millis, Payload, PayloadKind};
use bongsu_log::inspect::Inspection;
use bongsu_log::{EmbeddedLog, LogConfig};
use bytes::Bytes;

type Failed = Box<dyn std::error::Error>;

struct Options {
    dir: String,
    seconds: u64,
    batch: u64,
    bytes: usize,
    channels: u64,
    events_max: u64,
    durability: Durability,
    rate: u64,
    bare: bool,
}

impl Options {
    fn from_args() -> Result<Self, Failed> {
        let mut args = std::env::args().skip(1);
        let dir = args.next().ok_or("name a directory to write to")?;
        let rest = args.collect::<Vec<_>>();
        let bare = rest.iter().any(|arg| arg == "bare");
        let named = rest.iter().filter_map(|arg| arg.split_once('=')).collect::<HashMap<_, _>>();
        let number = |name, default| named.get(name).map_or(Ok(default), |text| text.parse::<u64>());
        let durability = match named.get("durability") {
            Some(&"os") => Durability::Os,
            _ => Durability::Fsync,
        };
        Ok(Self {
            dir,
            seconds: number("seconds", 30)?,
            batch: number("batch", 64)?,
            bytes: usize::try_from(number("bytes", 100)?)?,
            channels: number("channels", 100)?,
            events_max: number("events_max", 100_000)?,
            durability,
            rate: number("rate", 0)?,
            bare,
        })
    }
}

fn main() -> Result<(), Failed> {
    let options = Options::from_args()?;
    let dir = Path::new(&options.dir);
    std::fs::create_dir(dir)?;
    let result = if options.bare { bare(&options, dir) } else { embedded(&options, dir) };
    std::fs::remove_dir_all(dir)?;
    result
}

fn embedded(options: &Options, dir: &Path) -> Result<(), Failed> {
    let retention = Retention { events_max: options.events_max, ..Retention::default() };
    let policy = Policy { retention, durability: options.durability, ..Policy::default() };
    let rules = Arc::new(Rules::new(Vec::new(), policy));
    let log = EmbeddedLog::open(dir, rules, LogConfig::default(), now())?;
    let names = (0..options.channels).map(|number| ChannelName::new(&format!("bench:{number}")));
    let names = names.collect::<Result<Vec<_>, _>>().map_err(|_| "a name")?;
    let payload = Bytes::from(vec![b'x'; options.bytes]);
    let mut next = 0;
    let mut maintained = Instant::now();
    run(options, || {
        let mut group = || {
            next += 1;
            let channel = names[next % names.len()].clone();
            Group { entries: vec![Entry::Publish(draft(channel, payload.clone()))] }
        };
        let groups = (0..options.batch).map(|_| group()).collect();
        log.append(groups, now())?;
        if maintained.elapsed() > Duration::from_secs(1) {
            log.maintain(now())?;
            maintained = Instant::now();
        }
        Ok(())
    })?;
    let usage = log.usage();
    println!("{} events kept, {} MiB payload, {} MiB on disk", usage.events, usage.bytes >> 20, usage.disk_bytes >> 20);
    log.close()?;
    drop(log);
    verify(dir)
}

/// Reads everything back: a rate is worth nothing if what was written is not there.
fn verify(dir: &Path) -> Result<(), Failed> {
    let start = Instant::now();
    let report = Inspection::open(dir)?.verify(|_, _| {});
    println!("{} events verified in {:?}, {} damaged", report.events, start.elapsed(), report.damaged);
    match report.damage.first() {
        None => Ok(()),
        Some(damage) => Err(format!("{damage:?}").into()),
    }
}

/// The least that must be written: the payloads and about as much beside them as a record has, to files of 64 MiB with space
/// set aside, one after the other, as a journal is.
fn bare(options: &Options, dir: &Path) -> Result<(), Failed> {
    const FILE_BYTES: usize = 64 << 20;
    let batch = vec![b'x'; (options.bytes + 60) * usize::try_from(options.batch)?];
    let (mut files, mut written) = (0, FILE_BYTES);
    let mut file = None;
    run(options, || {
        if written + batch.len() > FILE_BYTES {
            files += 1;
            let new = File::create(dir.join(files.to_string()))?;
            new.set_len(FILE_BYTES as u64)?;
            new.sync_all()?;
            (file, written) = (Some(new), 0);
        }
        let file = file.as_mut().ok_or("a file is open")?;
        file.write_all(&batch)?;
        file.sync_data()?;
        written += batch.len();
        Ok(())
    })
}

/// Calls `append` over and over, and prints what it took.
fn run(options: &Options, mut append: impl FnMut() -> Result<(), Failed>) -> Result<(), Failed> {
    let (start, mut second, mut in_second) = (Instant::now(), 0, Second::default());
    let mut took = Vec::new();
    let cpu = cpu_seconds();
    while start.elapsed() < Duration::from_secs(options.seconds) {
        if let Some(due) = (took.len() as u64 * 1_000_000).checked_div(options.rate) {
            std::thread::sleep(Duration::from_micros(due).saturating_sub(start.elapsed()));
        }
        let begin = Instant::now();
        append()?;
        let time = begin.elapsed();
        took.push(time);
        in_second.batches += 1;
        in_second.slowest = in_second.slowest.max(time);
        if start.elapsed().as_secs() > second {
            second = start.elapsed().as_secs();
            println!("second {second:3}: {:6} batches, slowest {:?}", in_second.batches, in_second.slowest);
            in_second = Second::default();
        }
    }
    let (elapsed, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    took.sort_unstable();
    let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize];
    let batches = took.len() as f64 / elapsed;
    println!("{batches:.0} batches/s, {:.0} events/s, {:.2} cores", batches * options.batch as f64, cpu / elapsed);
    println!("p50 {:?}, p90 {:?}, p99 {:?}, p99.9 {:?}, max {:?}", at(0.5), at(0.9), at(0.99), at(0.999), at(1.0));
    let stalls = took.iter().filter(|time| time.as_millis() >= 20).count();
    println!("{stalls} appends of 20 ms or more; {} MiB resident at most", peak_memory() >> 10);
    Ok(())
}

#[derive(Default)]
struct Second {
    batches: u64,
    slowest: Duration,
}

/// The processor time of this process so far, all threads.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect::<Vec<_>>();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / 100.0
}

/// The most memory this process held so far, in KiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).unwrap_or_default()
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

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or_default())
}
