//! The command line.

mod command;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgMatches;

use self::command::command;
use crate::Fallible;
use crate::generator::Way;
use crate::peers::Peer;
use crate::target::Target;

/// What is asked for.
pub(crate) enum Task {
    /// Measurements.
    Measure(Vec<What>, Box<Common>),
    /// A comparison of two results.
    Compare(PathBuf, PathBuf),
    /// Installs peers.
    Install(Vec<Peer>),
    /// Internal: be a floor server.
    Floor(Floor),
    /// Internal: become another program on a core.
    Launch(usize, Vec<OsString>),
}

/// A measurement.
pub(crate) enum What {
    /// Publish throughput.
    Publish {
        /// Numbers of connections.
        publishers: Vec<usize>,
        /// Lines in flight on the NDJSON stream.
        lines: usize,
    },
    /// Delivery to many.
    Fanout {
        /// The ways.
        ways: Vec<Way>,
        /// Channels and subscribers of each.
        shapes: Vec<Shape>,
        /// Publishes in flight.
        loads: Vec<usize>,
        /// The server's engine.
        engine: Target,
    },
    /// Memory per idle connection.
    Idle {
        /// The ways.
        ways: Vec<Way>,
        /// Connections of each way.
        connections: usize,
        /// The server's engine.
        engine: Target,
    },
    /// Latency at a given rate.
    Rate {
        /// The ways.
        ways: Vec<Way>,
        /// Channels and subscribers of each.
        shapes: Vec<Shape>,
        /// The server's engine.
        engine: Target,
        /// Publishes per second; None: half of what the best peer does.
        rate: Option<usize>,
    },
    /// All connect at once.
    Storm {
        /// The ways.
        ways: Vec<Way>,
        /// Connections that come.
        connections: usize,
        /// The server's engine.
        engine: Target,
    },
    /// Readers that do not read.
    Stalled {
        /// The ways.
        ways: Vec<Way>,
        /// Readers that do not read.
        readers: usize,
        /// The server's engine.
        engine: Target,
        /// The server's memory at which it is stopped, in bytes.
        memory_max: u64,
    },
    /// Coming back after a restart.
    Resume {
        /// The ways.
        ways: Vec<Way>,
        /// Subscribers.
        subscribers: usize,
        /// Events while they are away.
        events: usize,
        /// Whether the server is killed rather than asked to stop.
        kill: bool,
    },
}

/// Channels and subscribers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Channels.
    pub(crate) channels: usize,
    /// Subscribers of each channel.
    pub(crate) each: usize,
}

/// Options of every measurement.
pub(crate) struct Common {
    /// Other servers beside ours.
    pub(crate) peers: Vec<Peer>,
    /// How often each figure is taken.
    pub(crate) runs: usize,
    /// How long each takes.
    pub(crate) seconds: Duration,
    /// Where the result goes.
    pub(crate) json: Option<PathBuf>,
    /// The directory for data.
    pub(crate) dir: PathBuf,
    /// The server's core.
    pub(crate) server_core: usize,
    /// The generator's core.
    pub(crate) client_core: usize,
    /// The end of patience for all.
    pub(crate) deadline: Duration,
}

/// A floor.
pub(crate) enum Floor {
    /// The bare SSE loop; events kept; how they leave; port file.
    Sse(usize, FloorSending, PathBuf),
    /// The bare echo; file to sync; port file.
    Echo(Option<PathBuf>, PathBuf),
    /// The bare group commit: file, records per batch, bytes per record, time.
    Commit(PathBuf, u32, usize, Duration),
}

/// How events leave the bare SSE loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FloorSending {
    /// One write each.
    Each,
    /// Ten events in one write.
    Tens,
    /// By io_uring.
    Ring,
}

impl FloorSending {
    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Each => "each",
            Self::Tens => "tens",
            Self::Ring => "ring",
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let found = [Self::Each, Self::Tens, Self::Ring].into_iter().find(|sending| sending.name() == text);
        found.ok_or_else(|| "each, tens or ring".to_owned())
    }
}

impl Shape {
    /// All subscribers.
    pub(crate) fn subscribers(self) -> usize {
        self.channels * self.each
    }

    /// `1x1000`: channels × subscribers of each.
    pub(crate) fn name(self) -> String {
        format!("{}x{}", self.channels, self.each)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let parts =
            text.split_once('x').and_then(|(channels, each)| Some((channels.parse().ok()?, each.parse().ok()?)));
        match parts {
            Some((channels, each)) if channels > 0 && each > 0 => Ok(Self { channels, each }),
            _ => Err("a shape is channels x subscribers of each, such as 1x1000 or 1000x10".to_owned()),
        }
    }
}

/// Reads the command line; ends the process with an explanation when it makes no sense.
pub(crate) fn read() -> Fallible<Task> {
    let matches = command().get_matches();
    let (name, matches) = matches.subcommand().ok_or("clap requires a subcommand")?;
    Ok(match name {
        "compare" => Task::Compare(take(matches, "old"), take(matches, "new")),
        "peers" => Task::Install(many(matches, "peers")),
        "floor" => Task::Floor(floor(matches)?),
        "launch" => Task::Launch(take(matches, "core"), many(matches, "command")),
        "all" => {
            let quick = matches.get_flag("quick");
            let each = MEASUREMENTS.map(|name| {
                let words =
                    ["bongsu-bench", name].into_iter().chain(if quick { less_of(name) } else { &[] }.iter().copied());
                let matches = command().get_matches_from(words);
                matches.subcommand().map(|(name, matches)| what(name, matches)).expect("a subcommand was given")
            });
            Task::Measure(each.into(), Box::new(common_of(matches)))
        }
        _ => Task::Measure(vec![what(name, matches)], Box::new(common_of(matches))),
    })
}

/// What `all` does, in this order.
const MEASUREMENTS: [&str; 7] = ["publish", "fanout", "rate", "idle", "storm", "stalled", "resume"];

/// What `all --quick` leaves out beside runs and seconds.
fn less_of(name: &str) -> &'static [&'static str] {
    match name {
        "publish" => &["--publishers", "16,64"],
        "fanout" => &["--loads", "64", "--ways", "sse,websocket,longpoll"],
        "rate" | "storm" | "resume" => &["--ways", "sse,websocket"],
        "stalled" => &["--ways", "sse"],
        _ => &[],
    }
}

fn what(name: &str, matches: &ArgMatches) -> What {
    match name {
        "publish" => What::Publish { publishers: many(matches, "publishers"), lines: take(matches, "lines") },
        "fanout" => What::Fanout {
            ways: many(matches, "ways"),
            shapes: many(matches, "shapes"),
            loads: many(matches, "loads"),
            engine: take(matches, "engine"),
        },
        "idle" => What::Idle {
            ways: many(matches, "ways"),
            connections: take(matches, "connections"),
            engine: take(matches, "engine"),
        },
        "rate" => What::Rate {
            ways: many(matches, "ways"),
            shapes: many(matches, "shapes"),
            engine: take(matches, "engine"),
            rate: matches.get_one("rate").copied(),
        },
        "storm" => What::Storm {
            ways: many(matches, "ways"),
            connections: take(matches, "connections"),
            engine: take(matches, "engine"),
        },
        "stalled" => What::Stalled {
            ways: many(matches, "ways"),
            readers: take(matches, "readers"),
            engine: take(matches, "engine"),
            memory_max: (take::<usize>(matches, "memory-mib") as u64) << 20,
        },
        _ => What::Resume {
            ways: many(matches, "ways"),
            subscribers: take(matches, "subscribers"),
            events: take(matches, "events"),
            kill: matches.get_flag("kill"),
        },
    }
}

fn common_of(matches: &ArgMatches) -> Common {
    let seconds = |name| Duration::from_secs(take::<usize>(matches, name) as u64);
    let quick = matches.get_flag("quick");
    Common {
        peers: matches.get_many("peers").map(|peers| peers.copied().collect()).unwrap_or_default(),
        runs: if quick { 1 } else { take(matches, "runs") },
        seconds: if quick { Duration::from_secs(1) } else { seconds("seconds") },
        json: matches.get_one("json").cloned(),
        dir: matches.get_one("dir").cloned().unwrap_or_else(std::env::temp_dir),
        server_core: take(matches, "server-core"),
        client_core: take(matches, "client-core"),
        deadline: seconds("deadline"),
    }
}

fn floor(matches: &ArgMatches) -> Fallible<Floor> {
    let port_file = || matches.get_one::<PathBuf>("port-file").cloned().ok_or("a floor server needs --port-file");
    let (name, own) = matches.subcommand().ok_or("clap requires a subcommand")?;
    Ok(match name {
        "sse" => Floor::Sse(take(own, "keep"), take(own, "sending"), port_file()?),
        "echo" => Floor::Echo(own.get_one("sync").cloned(), port_file()?),
        _ => Floor::Commit(
            take(own, "file"),
            u32::try_from(take::<usize>(own, "batch"))?,
            take(own, "record-bytes"),
            Duration::from_millis(take::<usize>(own, "millis") as u64),
        ),
    })
}

fn take<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> T {
    matches.get_one::<T>(name).cloned().expect("required or with a default")
}

fn many<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Vec<T> {
    matches.get_many::<T>(name).map(|values| values.cloned().collect()).expect("required or with a default")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn all_is_every_measurement() {
        for name in MEASUREMENTS {
            let words = ["bongsu-bench", name].into_iter().chain(less_of(name).iter().copied());
            let matches = command().get_matches_from(words);
            let (found, own) = matches.subcommand().expect("a subcommand was given");
            what(found, own);
        }
    }

    #[test]
    fn shapes() {
        assert_eq!(Shape::parse("1000x10"), Ok(Shape { channels: 1000, each: 10 }));
        for bad in ["", "10", "0x5", "5x0", "axb", "1x2x3"] {
            assert!(Shape::parse(bad).is_err(), "{bad}");
        }
    }
}
