//! `bongsu sub`: print what is published, and go on after a cut.

mod print;

use std::io::IsTerminal as _;

use bongsu_client::{Client, Cursor, Incoming, Since, Subscription, Way};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use futures_util::FutureExt as _;

use self::print::Printer;
use super::{text, url_arg};
use crate::failure::Failure;
use crate::output::{DIM, note, stdout, styled};
use crate::runtime;

const EXAMPLES: &str = "\
EXAMPLES:
  bongsu sub orders                             what is published from now on
  bongsu sub orders shop:7 --last 10            the newest 10 of each channel first
  bongsu sub orders --since start --json        everything that is kept, one object per line
  bongsu sub orders --since w3k9d0xa-17         go on where another reader stopped
  bongsu sub orders --way poll --count 1        one event by interval polling

A lost connection is made again, from the cursor: nothing is printed twice or left out. What the server no longer keeps \
is told as a gap. Ctrl-C prints the cursor to go on from.";

/// What the command takes.
pub(super) fn command() -> Command {
    Command::new("sub").about("Print what is published to some channels").after_help(EXAMPLES).args([
        Arg::new("channels").value_name("CHANNEL").required(true).num_args(1..).help("Channels to read"),
        Arg::new("way")
            .long("way")
            .value_name("WAY")
            .value_parser(PossibleValuesParser::new(Way::ALL.map(Way::as_str)))
            .help("How to read; the events are the same [default: sse]"),
        Arg::new("since").long("since").value_name("CURSOR").help("Begin after this cursor, at `start` or `now`"),
        Arg::new("last")
            .long("last")
            .value_name("N")
            .value_parser(value_parser!(u32).range(1..=1000))
            .conflicts_with("since")
            .help("Begin with the newest N events of each channel"),
        Arg::new("type")
            .long("type")
            .value_name("TYPE")
            .action(ArgAction::Append)
            .help("Only events of this type; may be repeated"),
        Arg::new("count")
            .long("count")
            .short('n')
            .value_name("N")
            .value_parser(value_parser!(u64).range(1..))
            .help("Stop after N events"),
        Arg::new("json")
            .long("json")
            .action(ArgAction::SetTrue)
            .help("Print each event (and each gap) as one line of JSON, as it was on the wire"),
        url_arg(),
    ])
}

/// Prints events until told to stop.
pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    runtime::client(subscribe(matches))
}

async fn subscribe(matches: &ArgMatches) -> Result<(), Failure> {
    let mut printer = Printer::new(stdout(), matches.get_flag("json"));
    let mut left = matches.get_one::<u64>("count").copied();
    let mut subscription = open(matches)?;
    let stop = tokio::signal::ctrl_c();
    tokio::pin!(stop);
    loop {
        // Events that are there already are printed as one write; before waiting, what was printed is let out.
        let incoming = match subscription.next().now_or_never() {
            Some(incoming) => incoming,
            None => {
                printer.flush()?;
                tokio::select! {
                    biased;
                    _ = &mut stop => break,
                    incoming = subscription.next() => incoming,
                }
            }
        };
        let Some(incoming) = incoming else { break };
        let incoming = incoming?;
        printer.print(&incoming)?;
        if matches!(incoming, Incoming::Event(_)) {
            left = left.map(|left| left - 1);
        }
        if left == Some(0) {
            break;
        }
    }
    printer.flush()?;
    tell_cursor(matches, subscription.cursor());
    Ok(())
}

fn open(matches: &ArgMatches) -> Result<Subscription, Failure> {
    let client = Client::new(text(matches, "url"))?;
    let channels: Vec<&str> =
        matches.get_many::<String>("channels").into_iter().flatten().map(String::as_str).collect();
    let mut builder = client.subscribe(channels);
    if let Some(way) = matches.get_one::<String>("way").and_then(|name| Way::from_name(name)) {
        builder = builder.way(way);
    }
    if let Some(since) = matches.get_one::<String>("since") {
        builder = builder.since(since.parse::<Since>().map_err(Failure::usage)?);
    }
    if let Some(&last) = matches.get_one::<u32>("last") {
        builder = builder.last(last);
    }
    if let Some(types) = matches.get_many::<String>("type") {
        builder = builder.types(types);
    }
    Ok(builder.open())
}

/// Says where to go on. Only to a person: a script has the ids.
fn tell_cursor(matches: &ArgMatches, cursor: Option<&Cursor>) {
    let Some(cursor) = cursor.filter(|_| std::io::stderr().is_terminal() || !matches.get_flag("json")) else { return };
    let channels: Vec<&str> =
        matches.get_many::<String>("channels").into_iter().flatten().map(String::as_str).collect();
    note(styled(DIM, format_args!("to go on from here: bongsu sub {} --since {cursor}", channels.join(" "))));
}
