//! `bongsu pub`: publish one event, or many from files and pipes.

mod bulk;
mod input;
mod pace;
mod template;

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use bongsu_client::{Client, Receipt};
use bongsu_server::options::units;
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};

use self::input::Source;
use self::template::Template;
use super::{text, url_arg};
use crate::failure::Failure;
use crate::output::{DIM, note, stdout, styled};
use crate::runtime;

const EXAMPLES: &str = "\
EXAMPLES:
  bongsu pub orders '{\"id\":17}'                  JSON, because it parses
  bongsu pub greetings hello --type greeting     a text
  date | bongsu pub clock -                      the standard input is the payload
  bongsu pub cursors '{\"x\":3}' --no-store --ttl 5s
  bongsu pub orders --ndjson orders.ndjson       each line is a payload
  bongsu pub --ndjson - --rate 100 < all.ndjson  each line is {\"channel\":…,\"data\":…}
  bongsu pub photos --file a.jpg b.jpg album/    each file is a payload

Prints the id of each event once it is as durable as its channel's rule says. In bulk, what cannot be published is told by \
line, the rest is sent, and the exit code is 1. With --idempotency-key in bulk, each event gets the key and its number: the \
same command again publishes nothing twice.";

/// What the command takes.
pub(super) fn command() -> Command {
    Command::new("pub")
        .about("Publish one event, or many from a file")
        .after_help(EXAMPLES)
        .args(what())
        .args(how())
        .group(ArgGroup::new("bulk").args(["ndjson", "file"]))
}

fn what() -> [Arg; 4] {
    [
        Arg::new("channel")
            .value_name("CHANNEL")
            .help("The channel; needed unless each line of --ndjson names its own"),
        Arg::new("data")
            .value_name("DATA")
            .conflicts_with("bulk")
            .help("The payload: JSON if it parses, else text; `-` or nothing reads the standard input"),
        Arg::new("ndjson")
            .long("ndjson")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("Publish each line of this file (`-`: of the standard input)"),
        Arg::new("file")
            .long("file")
            .value_name("PATH")
            .num_args(1..)
            .action(ArgAction::Append)
            .value_parser(value_parser!(PathBuf))
            .requires("channel")
            .help("Publish each of these files as a payload; of a directory, all files below it"),
    ]
}

fn how() -> [Arg; 11] {
    let number = |name: &'static str| Arg::new(name).long(name).value_name("N").value_parser(value_parser!(u64));
    [
        Arg::new("type").long("type").value_name("TYPE").help("The type of the event [default: message]"),
        Arg::new("key").long("key").value_name("KEY").help("Names the thing the event is about"),
        Arg::new("ttl")
            .long("ttl")
            .value_name("TIME")
            .value_parser(parse_ttl)
            .help("Do not deliver it after this time, such as 30s or 5m"),
        Arg::new("no-store").long("no-store").action(ArgAction::SetTrue).help("Only for those who read now; not kept"),
        Arg::new("idempotency-key")
            .long("idempotency-key")
            .value_name("KEY")
            .help("Take it once, however often it is sent under this key"),
        Arg::new("content-type")
            .long("content-type")
            .value_name("TYPE")
            .conflicts_with("ndjson")
            .help("The media type of the payload; guessed unless said"),
        number("rate").value_parser(value_parser!(u32).range(1..)).requires("bulk").help("At most N events per second"),
        number("skip").requires("bulk").help("Leave out the first N lines or files, to go on after a cut"),
        Arg::new("quiet").long("quiet").short('q').action(ArgAction::SetTrue).help("Print no ids and no progress"),
        Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print each answer as one line of JSON"),
        url_arg(),
    ]
}

fn parse_ttl(text: &str) -> Result<Duration, String> {
    let ttl = units::parse_duration(text).filter(|ttl| !ttl.is_zero());
    ttl.ok_or_else(|| "a time such as 30s, 5m or 2h (a bare number counts seconds)".into())
}

/// Publishes.
pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let said = |name: &str| matches.get_one::<String>(name).cloned();
    let template = Template {
        channel: said("channel"),
        kind: said("type"),
        key: said("key"),
        ttl: matches.get_one("ttl").copied(),
        no_store: matches.get_flag("no-store"),
        idempotency_key: said("idempotency-key"),
        content_type: said("content-type"),
    };
    let client = Client::new(text(matches, "url"))?;
    match source(matches) {
        Some(source) => {
            check_lines(&template)?;
            runtime::client(bulk::publish(client, source, template, bulk::Manner::said(matches)))
        }
        None => runtime::client(single(client, template, matches)),
    }
}

fn source(matches: &ArgMatches) -> Option<Source> {
    if let Some(files) = matches.get_many::<PathBuf>("file") {
        return Some(Source::Files(files.cloned().collect()));
    }
    let file = matches.get_one::<PathBuf>("ndjson")?;
    Some(if file.as_os_str() == "-" { Source::StandardInput } else { Source::Lines(file.clone()) })
}

/// Lines that name their own channel say everything else themselves too: what would `--type` mean for a line that has one?
fn check_lines(template: &Template) -> Result<(), Failure> {
    let Template { channel, kind, key, ttl, no_store, idempotency_key, content_type: _ } = template;
    let said = kind.is_some() || key.is_some() || ttl.is_some() || *no_store || idempotency_key.is_some();
    if channel.is_none() && said {
        let what = "--type, --key, --ttl, --no-store and --idempotency-key need a CHANNEL";
        return Err(Failure::usage(format_args!("{what}; without one each line says them for itself")));
    }
    Ok(())
}

async fn single(client: Client, template: Template, matches: &ArgMatches) -> Result<(), Failure> {
    if template.channel.is_none() {
        return Err(Failure::usage("say where to publish: bongsu pub CHANNEL DATA"));
    }
    let payload = match matches.get_one::<String>("data").map(String::as_str) {
        None | Some("-") => standard_input(template.content_type.is_none())?,
        Some(data) => data.as_bytes().to_vec(),
    };
    if template.content_type.is_none()
        && let Some(error) = template::almost_json(&payload)
    {
        note(format_args!("note: this begins like JSON but is not ({error}); it is published as text"));
    }
    let mut results = client.publish_batch([template.single(payload)]).await?;
    let receipt = results.pop().ok_or_else(|| Failure::failed("the server gave no answer"))??;
    if receipt.duplicate {
        note(styled(DIM, "this was published before under the same key; the id is that of the first time"));
    }
    if matches.get_flag("quiet") {
        return Ok(());
    }
    let mut out = stdout();
    writeln!(out, "{}", printed(&receipt, matches.get_flag("json")))?;
    Ok(out.flush()?)
}

/// The whole standard input. The line end that `echo` puts there is no part of a text.
fn standard_input(trim: bool) -> Result<Vec<u8>, Failure> {
    let mut input = std::io::stdin();
    if input.is_terminal() {
        note("reading the payload from the terminal; end with Ctrl-D");
    }
    let mut payload = Vec::new();
    input.read_to_end(&mut payload).map_err(|error| Failure::failed(format_args!("standard input: {error}")))?;
    if trim && payload.last() == Some(&b'\n') {
        payload.pop();
        if payload.last() == Some(&b'\r') {
            payload.pop();
        }
    }
    Ok(payload)
}

/// A receipt as one line: the id alone, for scripts; an event that is not kept has none.
fn printed(receipt: &Receipt, json: bool) -> String {
    let id = receipt.id.as_ref().map(ToString::to_string);
    if !json {
        return id.unwrap_or_else(|| "-".into());
    }
    let Receipt { channel, offset, subscribers, duplicate, .. } = receipt;
    serde_json::json!({
        "id": id, "channel": channel, "offset": offset, "subscribers": subscribers, "duplicate": duplicate,
    })
    .to_string()
}
