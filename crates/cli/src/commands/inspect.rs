//! `bongsu inspect`: look at a log on disk without a server.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::text;
use crate::failure::Failure;

const EXAMPLES: &str = "\
EXAMPLES:
  bongsu inspect ./bongsu-data                  channels and sizes
  bongsu inspect ./bongsu-data --verify         read everything and check it
  bongsu inspect ./bongsu-data --json | jq .bytes

The server that uses the directory has to be stopped. Nothing is changed. Exit code 1 when something is damaged.";

/// What the command takes.
pub(super) fn command() -> Command {
    Command::new("inspect").about("Look at a log on disk, without a server").after_help(EXAMPLES).args([
        Arg::new("dir").value_name("DATA_DIR").required(true).help("The data directory"),
        Arg::new("verify").long("verify").action(ArgAction::SetTrue).help("Read every event and check its checksum"),
        Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print one JSON object"),
    ])
}

/// Looks.
pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let _ = text(matches, "dir");
    Err(Failure::failed("not yet"))
}
