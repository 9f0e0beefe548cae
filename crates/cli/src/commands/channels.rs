//! `bongsu channels`: see the channels of a server, and drop a history.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use bongsu_client::{Client, PageRequest, Subscribers, Way};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{text, url_arg};
use crate::failure::Failure;
use crate::output::{DIM, NAME, about, grouped, harmless, note, stdout, styled};
use crate::runtime;

const EXAMPLES: &str = "\
EXAMPLES:
  bongsu channels                               all channels
  bongsu channels --prefix shop:7:              those that begin so
  bongsu channels --json | jq -r .channel       their names, for scripts
  bongsu channels info orders
  bongsu channels delete orders";

const INFO_EXAMPLES: &str = "\
EXAMPLES:
  bongsu channels info orders
  bongsu channels info orders --json | jq .subscribers.total";

const DELETE_EXAMPLES: &str = "\
EXAMPLES:
  bongsu channels delete orders                 asks first
  bongsu channels delete orders --yes           for scripts

Drops what is kept. Readers are told by a gap; the offsets go on counting.";

/// How many channels are asked for at a time.
const PAGE: u32 = 1_000;

/// What the command takes.
pub(super) fn command() -> Command {
    let json = || Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON, one object per line");
    let channel = || Arg::new("channel").value_name("CHANNEL").required(true).help("The channel");
    let yes = Arg::new("yes").long("yes").short('y').action(ArgAction::SetTrue).help("Do not ask");
    let info = Command::new("info").about("Print what is known of a channel").after_help(INFO_EXAMPLES);
    let delete = Command::new("delete").about("Drop the history of a channel").after_help(DELETE_EXAMPLES);
    Command::new("channels")
        .about("List channels, look at one, drop a history")
        .after_help(EXAMPLES)
        .args_conflicts_with_subcommands(true)
        .args([
            Arg::new("prefix").long("prefix").value_name("TEXT").help("Only names that begin with this"),
            Arg::new("limit")
                .long("limit")
                .value_name("N")
                .value_parser(value_parser!(u64).range(1..))
                .help("Stop after N channels"),
            Arg::new("after").long("after").value_name("CHANNEL").help("Begin after this name"),
            json(),
            url_arg(),
        ])
        .subcommand(info.args([channel(), json(), url_arg()]))
        .subcommand(delete.args([channel(), yes, url_arg()]))
}

/// Runs the subcommand; without one, lists.
pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    runtime::client(async {
        match matches.subcommand() {
            Some(("info", matches)) => info(&client(matches)?, matches).await,
            Some(("delete", matches)) => {
                delete(&client(matches)?, text(matches, "channel"), matches.get_flag("yes")).await
            }
            _ => list(&client(matches)?, matches).await,
        }
    })
}

fn client(matches: &ArgMatches) -> Result<Client, Failure> {
    Ok(Client::new(text(matches, "url"))?)
}

/// All pages, each printed when it comes.
async fn list(client: &Client, matches: &ArgMatches) -> Result<(), Failure> {
    let said = |name: &str| matches.get_one::<String>(name).cloned();
    let mut request = PageRequest { prefix: said("prefix"), after: said("after"), ..PageRequest::default() };
    let mut left = matches.get_one::<u64>("limit").copied().unwrap_or(u64::MAX);
    let json = matches.get_flag("json");
    let mut out = stdout();
    if !json && std::io::stdout().is_terminal() {
        writeln!(out, "{}", styled(DIM, format_args!("{:>12} {:>11}  channel", "offset", "subscribers")))?;
    }
    loop {
        request.limit = Some(u32::try_from(left).unwrap_or(PAGE).min(PAGE));
        let page = client.channels(&request).await?;
        left = left.saturating_sub(page.items.len() as u64);
        for item in page.items {
            if json {
                writeln!(out, "{}", as_json(&item)?)?;
            } else {
                let channel = styled(NAME, harmless(item.channel.as_str()));
                writeln!(out, "{:>12} {:>11}  {channel}", item.offset, item.subscribers)?;
            }
        }
        out.flush()?;
        match page.next {
            Some(next) if left > 0 => request.after = Some(next),
            _ => return Ok(()),
        }
    }
}

async fn info(client: &Client, matches: &ArgMatches) -> Result<(), Failure> {
    let info = client.channel_info(text(matches, "channel")).await?;
    let mut out = stdout();
    if matches.get_flag("json") {
        writeln!(out, "{}", as_json(&info)?)?;
        return Ok(out.flush()?);
    }
    let Subscribers { poll, longpoll, stream, sse, websocket, total } = info.subscribers;
    let ways = Way::ALL.into_iter().zip([poll, longpoll, stream, sse, websocket]).filter(|(_, count)| *count > 0);
    let ways: Vec<String> = ways.map(|(way, count)| format!("{count} by {}", way.as_str())).collect();
    let total = if ways.is_empty() { grouped(total) } else { format!("{} ({})", grouped(total), ways.join(", ")) };
    let oldest = if info.events == 0 { "-".into() } else { format!("#{}", info.oldest) };
    writeln!(out, "channel      {}", styled(NAME, harmless(info.channel.as_str())))?;
    writeln!(out, "newest       #{}", info.head)?;
    writeln!(out, "oldest kept  {oldest}")?;
    writeln!(out, "kept         {} events, {}", grouped(info.events), about(info.bytes))?;
    writeln!(out, "subscribers  {total}")?;
    Ok(out.flush()?)
}

/// As one line of JSON, in the server's own form.
fn as_json(answer: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string(answer).map_err(|error| Failure::failed(format_args!("the answer is no JSON: {error}")))
}

async fn delete(client: &Client, channel: &str, yes: bool) -> Result<(), Failure> {
    if !yes {
        let kept = client.channel_info(channel).await?.events;
        if !confirmed(&format!("drop {} events of {}?", grouped(kept), harmless(channel)))? {
            return Err(Failure::failed("nothing was dropped"));
        }
    }
    client.delete_history(channel).await?;
    note(styled(DIM, format_args!("the history of {} is dropped", harmless(channel))));
    Ok(())
}

/// Asks on the terminal. Where nobody can answer, the answer is no.
fn confirmed(question: &str) -> Result<bool, Failure> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(Failure::usage(format_args!("{question} Nobody is here to answer: say --yes")));
    }
    let mut err = anstream::stderr();
    let _ = write!(err, "{question} [y/N] ").and_then(|()| err.flush());
    let mut answer = String::new();
    input.lock().read_line(&mut answer).map_err(|error| Failure::failed(format_args!("standard input: {error}")))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
