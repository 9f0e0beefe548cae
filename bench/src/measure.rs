//! The measurements: what is done with a generator and a server, and what figures come of it.
//!
//! Within a run each floor is measured beside what is divided by it, so that a machine that is slower for a minute is
//! so for both. There are no assertions on time; what must be zero ends the program with a failure.

mod fanout;
mod idle;
mod publish;
mod rate;
mod resume;
mod stalled;
mod storm;

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::Fallible;
use crate::floor::ring::Ring;
use crate::generator::{Generator, Way};
use crate::ledger::Tally;
use crate::machine::{Machine, busy_seconds};
use crate::options::{Common, Shape, What};
use crate::peers::Peer;
use crate::process::{Server, cpu_seconds_of, pin, raise_open_files};
use crate::report::{Figures, Report, table};
use crate::target::{Setting, Target, bongsu_program};

/// How long all connections of a measurement may take.
const JOIN: Duration = Duration::from_secs(60);
/// How long what is in flight may take to arrive at the end.
const ARRIVE: Duration = Duration::from_secs(60);

/// A measurement in progress.
struct Bench {
    setting: Setting,
    seconds: Duration,
    open_files: u64,
    run: usize,
    report: Report,
    peers: Vec<Peer>,
    /// The rate of each shape in open loop, in publishes per second: once found, it is that of all runs.
    rates: Vec<(Shape, f64)>,
    /// Whether io_uring can be used; None: not tried yet.
    ring: Option<bool>,
}

/// A span of time and the CPU seconds used in it.
struct Meter {
    begin: Instant,
    before: Cpu,
    cores: [usize; 2],
}

/// CPU seconds of the server, of the generator, and of anything on their cores.
#[derive(Clone, Copy)]
struct Cpu {
    server: f64,
    own: f64,
    all: f64,
}

/// What a [`Meter`] shows.
#[derive(Clone, Copy)]
struct Used {
    seconds: f64,
    cpu: Cpu,
}

/// Measures, prints the table, writes the file. False when something was lost, or could not be measured.
pub(crate) fn run(what: &[What], common: &Common) -> Fallible<bool> {
    let bongsu = bongsu_program()?;
    let open_files = raise_open_files()?;
    pin(common.client_core)?;
    let machine = Machine::read(&common.dir)?;
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let cores = [common.server_core, common.client_core];
    let setting = Setting { bongsu, dir: common.dir.clone(), cores };
    let report = Report::new(command, machine);
    let mut bench = Bench {
        setting,
        seconds: common.seconds,
        open_files,
        run: 0,
        report,
        peers: common.peers.clone(),
        rates: Vec::new(),
        ring: None,
    };
    for run in 1..=common.runs {
        bench.run = run;
        what.iter().try_for_each(|what| bench.measure(what))?;
    }
    bench.finish(common)
}

impl Bench {
    /// One run of a measurement.
    fn measure(&mut self, what: &What) -> Fallible<()> {
        match what {
            What::Publish { publishers, lines } => {
                self.publish(publishers, *lines);
                Ok(())
            }
            What::Fanout { ways, shapes, loads, engine } => self.fanout(*engine, ways, shapes, loads),
            What::Rate { ways, shapes, engine, rate } => self.rate(*engine, ways, shapes, *rate),
            What::Idle { ways, connections, engine } => self.idle(*engine, ways, *connections),
            What::Storm { ways, connections, engine } => self.storm(*engine, ways, *connections),
            What::Stalled { ways, readers, engine, memory_max } => self.stalled(*engine, ways, *readers, *memory_max),
            What::Resume { ways, subscribers, events, kill } => self.resume(ways, *subscribers, *events, *kill),
        }
    }

    /// Progress is a courtesy: a closed standard error does not end a measurement.
    fn tell(&self, what: &str) {
        let _ = writeln!(std::io::stderr(), "run {}: {what}", self.run);
    }

    /// Takes the figures of one measurement; one that fails is told, and the others go on.
    fn take(&mut self, key: &str, target: &str, floors: &[String], measure: impl FnOnce(&Self) -> Fallible<Figures>) {
        self.tell(&format!("{key}, {target}"));
        match measure(self) {
            Ok(figures) => self.report.add(self.run, key, target, floors, figures),
            Err(error) => self.report.failures.push(format!("run {}: {key}, {target}: {error}", self.run)),
        }
    }

    /// The peers that have a way.
    fn peers_with(&self, way: Way) -> Vec<Peer> {
        self.peers.iter().copied().filter(|peer| peer.has(way)).collect()
    }

    /// Whether the kernel lets us use io_uring; told once when it does not.
    fn has_ring(&mut self) -> bool {
        *self.ring.get_or_insert_with(|| match Ring::new() {
            Ok(_) => true,
            Err(error) => {
                self.report.notes.push(format!("{}: not permitted here ({error})", Target::FloorRing.name()));
                false
            }
        })
    }

    fn finish(mut self, common: &Common) -> Fallible<bool> {
        self.report.settle();
        let mut out = std::io::stdout().lock();
        out.write_all(table::of(&self.report).as_bytes())?;
        let faults = self.report.faults();
        for fault in &faults {
            writeln!(out, "FAULT {fault}")?;
        }
        if let Some(path) = &common.json {
            self.report.save(path)?;
        }
        Ok(faults.is_empty() && self.report.failures.is_empty())
    }
}

impl Meter {
    fn start(server: &Server, cores: [usize; 2]) -> Fallible<Self> {
        Ok(Self { begin: Instant::now(), before: Cpu::read(server, cores)?, cores })
    }

    fn read(&self, server: &Server) -> Fallible<Used> {
        let (now, before) = (Cpu::read(server, self.cores)?, self.before);
        let cpu = Cpu { server: now.server - before.server, own: now.own - before.own, all: now.all - before.all };
        Ok(Used { seconds: self.begin.elapsed().as_secs_f64(), cpu })
    }
}

impl Cpu {
    fn read(server: &Server, cores: [usize; 2]) -> Fallible<Self> {
        let mut all = busy_seconds(cores[0])?;
        if cores[1] != cores[0] {
            all += busy_seconds(cores[1])?;
        }
        Ok(Self { server: server.cpu_seconds()?, own: cpu_seconds_of("self")?, all })
    }
}

impl Used {
    /// How busy both sides were, and others on their cores. A generator at 100 % means that the server was not the
    /// limit; others that were busy mean that the figures are not worth much.
    fn busy(self) -> [(&'static str, f64); 3] {
        let Cpu { server, own, all } = self.cpu;
        let percent = |seconds: f64| seconds.max(0.0) / self.seconds * 100.0;
        [
            ("server_busy_percent", percent(server)),
            ("generator_busy_percent", percent(own)),
            ("others_busy_percent", percent(all - server - own)),
        ]
    }

    /// A rate per second and per CPU-second of the server. With less than two ticks of CPU there is no rate.
    fn rates(self, count: u64, per_second: &'static str, per_cpu: &'static str) -> Vec<(&'static str, f64)> {
        let count = float(count);
        let mut rates = vec![(per_second, count / self.seconds)];
        if self.cpu.server >= 0.02 {
            rates.push((per_cpu, count / self.cpu.server));
        }
        rates
    }
}

/// What must be zero.
fn faults(tally: Tally) -> [(&'static str, f64); 5] {
    [
        ("lost", float(tally.lost)),
        ("duplicated", float(tally.duplicated)),
        ("disordered", float(tally.disordered)),
        ("mismatched", float(tally.mismatched)),
        ("gaps", float(tally.gaps)),
    ]
}

/// Waits for what is in flight, then counts what never came.
fn settle(generator: &mut Generator) -> Fallible<Tally> {
    generator.run(ARRIVE, |it| it.desk.is_quiet() && it.all_have_all())?;
    if generator.cut > 0 {
        return Err(format!("the server ended {} subscriptions", generator.cut).into());
    }
    generator.finish();
    Ok(generator.desk.ledger.tally())
}

fn figures(parts: impl IntoIterator<Item = (&'static str, f64)>) -> Figures {
    parts.into_iter().map(|(name, value)| (name.to_owned(), rounded(value))).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench run are far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

/// Three decimals are more than any figure here is sure of.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
