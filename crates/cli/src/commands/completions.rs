//! `bongsu completions`: what a shell needs to complete the command line.

use std::io::Write as _;

use clap::{Arg, ArgMatches, Command, value_parser};
use clap_complete::Shell;

use crate::failure::Failure;
use crate::output::stdout;

const EXAMPLES: &str = "\
EXAMPLES:
  bongsu completions bash > ~/.local/share/bash-completion/completions/bongsu
  bongsu completions zsh > ~/.zfunc/_bongsu
  bongsu completions fish > ~/.config/fish/completions/bongsu.fish";

/// What the command takes.
pub(super) fn command() -> Command {
    let shell =
        Arg::new("shell").value_name("SHELL").required(true).value_parser(value_parser!(Shell)).help("Which shell");
    Command::new("completions").about("Print completions for a shell").after_help(EXAMPLES).arg(shell)
}

/// Prints them.
pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let Some(&shell) = matches.get_one::<Shell>("shell") else { return Err(Failure::usage("say which shell")) };
    // The generator writes to anything but does not report a write that fails: so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "bongsu", &mut script);
    let mut out = stdout();
    out.write_all(&script)?;
    Ok(out.flush()?)
}
