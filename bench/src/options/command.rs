//! The commands and their options, as clap is told of them.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, value_parser};

use super::{FloorSending, Shape};
use crate::generator::Way;
use crate::peers::Peer;
use crate::target::Target;

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

/// The whole command line.
pub(super) fn command() -> Command {
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
