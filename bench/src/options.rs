//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

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

fn list(name: &'static str, default: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_delimiter(',').default_value(default).help(help)
}

fn numbers(name: &'static str, default: &'static str, help: &'static str) -> Arg {
    list(name, default, help).value_parser(parse_number)
}

fn parse_number(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("a number from 1".to_owned()),
    }
}

fn one(name: &'static str, default: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).default_value(default).value_parser(parse_number).help(help)
}

fn ways() -> Arg {
    list("ways", "sse,stream,websocket,longpoll,poll", "The ways of reading").value_parser(Way::parse)
}

fn engine() -> Arg {
    let help = "What the server keeps events in: memory, or its log with durability os or fsync";
    Arg::new("engine").long("engine").default_value("memory").value_parser(Target::parse).help(help)
}

fn command() -> Command {
    let measure = [
        Command::new("publish")
            .about("Publishes per second and per CPU-second of the server, and the time to the acknowledgement")
            .arg(numbers("publishers", "1,16,64", "Keep-alive connections, each with one publish in flight"))
            .arg(one("lines", "1024", "Lines in flight on the NDJSON stream")),
        Command::new("fanout")
            .about("Deliveries per second and per CPU-second of the server, latency, losses")
            .arg(ways())
            .arg(engine())
            .arg(
                list("shapes", "1x1000,1x10000,1000x10,10000x1", "Channels x subscribers of each")
                    .value_parser(Shape::parse),
            )
            .arg(numbers("loads", "1,64", "Publishes in flight, each until all its subscribers have it")),
        Command::new("idle")
            .about("Memory per idle connection, of the server and of the kernel")
            .arg(ways())
            .arg(engine())
            .arg(one("connections", "15000", "Connections of each way")),
        Command::new("rate")
            .about("Latency in open loop, at half of the rate that the best peer reaches")
            .arg(ways())
            .arg(engine())
            .arg(list("shapes", "1x1000,1000x10", "Channels x subscribers of each").value_parser(Shape::parse))
            .arg(
                Arg::new("rate")
                    .long("rate")
                    .value_parser(parse_number)
                    .help("Publishes per second [default: half of what the best peer does, or of what the floor does]"),
            ),
        Command::new("storm")
            .about("All connect at once: how fast, and what 100 others notice that get 200 events per second")
            .arg(ways())
            .arg(engine())
            .arg(one("connections", "15000", "Connections that come")),
        Command::new("stalled")
            .about("Memory of the server, and latency of 100 others, beside readers that never read")
            .arg(ways())
            .arg(engine())
            .arg(one("readers", "5000", "Readers that do not read"))
            .arg(one("memory-mib", "4096", "Stop a server that takes more memory")),
        Command::new("resume")
            .about("Time until all have everything after a restart of the server")
            .arg(ways())
            .arg(one("subscribers", "10000", "Subscribers of one channel"))
            .arg(one("events", "100", "Events while they are away"))
            .arg(
                Arg::new("kill").long("kill").action(ArgAction::SetTrue).help("End the server by SIGKILL, not SIGTERM"),
            ),
    ];
    Command::new("bongsu-bench")
        .about("Measures the server beside the floor of the kernel and the disk")
        .subcommand_required(true)
        .subcommands(measure.map(common))
        .subcommand(common(Command::new("all").about("Every measurement with its defaults; see --quick")))
        .subcommand(
            Command::new("compare")
                .about("What changed between two results, in ratios to the floor of each")
                .arg(Arg::new("old").required(true).value_parser(value_parser!(PathBuf)))
                .arg(Arg::new("new").required(true).value_parser(value_parser!(PathBuf))),
        )
        .subcommand(
            Command::new("peers")
                .about("Installs the other servers that `--peers` names: Nchan by apt-get as root, the others by npm")
                .arg(list("peers", "nchan,uws", "Which").value_parser(Peer::parse)),
        )
        .subcommand(floor_command())
        .subcommand(
            Command::new("launch")
                .hide(true)
                .arg(Arg::new("core").required(true).value_parser(value_parser!(usize)))
                .arg(Arg::new("command").required(true).num_args(1..).last(true).value_parser(value_parser!(OsString))),
        )
}

fn common(command: Command) -> Command {
    command
        .arg(
            Arg::new("peers")
                .long("peers")
                .value_delimiter(',')
                .value_parser(Peer::parse)
                .help("Other servers beside ours: nchan, uws (uWebSockets in Bun), ws (Node with ws)"),
        )
        .arg(
            Arg::new("quick")
                .long("quick")
                .action(ArgAction::SetTrue)
                .help("A first look: one run of one second of everything"),
        )
        .arg(one("runs", "5", "Take every figure so often; the median counts"))
        .arg(one("seconds", "3", "Measure each figure for so long, after a third of it for warming up"))
        .arg(Arg::new("json").long("json").value_parser(value_parser!(PathBuf)).help("Write the result to this file"))
        .arg(Arg::new("dir").long("dir").value_parser(value_parser!(PathBuf)).help(
            "Keep the servers' data under this directory; it decides which disk is measured [default: the temporary directory]",
        ))
        .arg(
            Arg::new("server-core")
                .long("server-core")
                .default_value("0")
                .value_parser(value_parser!(usize))
                .help("The core that servers run on"),
        )
        .arg(
            Arg::new("client-core")
                .long("client-core")
                .default_value("1")
                .value_parser(value_parser!(usize))
                .help("The core that the generator runs on"),
        )
        .arg(one("deadline", "14400", "Give up after so many seconds in all"))
}

fn floor_command() -> Command {
    let path = |name: &'static str| Arg::new(name).long(name).value_parser(value_parser!(PathBuf));
    Command::new("floor")
        .hide(true)
        .subcommand_required(true)
        .arg(path("port-file"))
        .subcommand(
            Command::new("sse").arg(one("keep", "1", "Events kept")).arg(
                Arg::new("sending")
                    .long("sending")
                    .default_value("each")
                    .value_parser(FloorSending::parse)
                    .help("How they leave"),
            ),
        )
        .subcommand(Command::new("echo").arg(path("sync")))
        .subcommand(
            Command::new("commit")
                .arg(path("file").required(true))
                .arg(one("batch", "1", "Records per sync"))
                .arg(one("record-bytes", "250", "Bytes of a record"))
                .arg(one("millis", "1000", "Time")),
        )
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
        "rate" | "resume" => &["--ways", "sse,websocket"],
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
