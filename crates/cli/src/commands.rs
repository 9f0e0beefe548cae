//! The commands, and the one place that lists them.

mod channels;
mod completions;
mod config;
mod inspect;
mod man;
mod publish;
mod serve;
mod subscribe;

use clap::{Arg, ArgMatches, Command};

use crate::failure::Failure;

/// One command: what it takes, and what it does.
type Entry = (fn() -> Command, fn(&ArgMatches) -> Result<(), Failure>);

/// Every command, in the order of the help.
const COMMANDS: &[Entry] = &[
    (serve::command, serve::run),
    (publish::command, publish::run),
    (subscribe::command, subscribe::run),
    (channels::command, channels::run),
    (inspect::command, inspect::run),
    (config::command, config::run),
    (completions::command, completions::run),
    (man::command, man::run),
];

const EXAMPLES: &str = "\
EXAMPLES:
  bongsu serve                                  start a server on 127.0.0.1:7070
  bongsu sub orders                             print what is published to `orders`
  bongsu pub orders '{\"id\":17}'                 publish one event
  bongsu sub orders --since start               everything that is kept, then what comes

EXIT CODES:
  0  done
  1  tried and failed
  2  the command line or the configuration is wrong; nothing was tried";

/// The whole command line.
pub(crate) fn command() -> Command {
    let bongsu = Command::new("bongsu")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Carry events from a backend to browsers and apps: one URL, five ways, none lost")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .max_term_width(110)
        .after_help(EXAMPLES);
    COMMANDS.iter().fold(bongsu, |bongsu, (command, _)| bongsu.subcommand(command()))
}

/// Runs the command that was asked for.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let (name, matches) = matches.subcommand().ok_or_else(|| Failure::usage("no command was given: see --help"))?;
    let known = COMMANDS.iter().find(|(command, _)| command().get_name() == name);
    let (_, run) = known.ok_or_else(|| Failure::usage(format_args!("there is no command `{name}`")))?;
    run(matches)
}

/// Where the server is, for the commands that talk to one.
fn url_arg() -> Arg {
    Arg::new("url")
        .long("url")
        .value_name("URL")
        .env("BONGSU_URL")
        .hide_env_values(true)
        .default_value("http://127.0.0.1:7070")
        .help("The address of the server")
}

/// The text of an argument that has a default or was required.
fn text<'a>(matches: &'a ArgMatches, name: &str) -> &'a str {
    matches.get_one::<String>(name).map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_command_shows_examples() {
        let mut commands = vec![command()];
        while let Some(mut command) = commands.pop() {
            let help = command.render_long_help().to_string();
            assert!(help.contains("EXAMPLES:\n  bongsu "), "`{}` shows no examples", command.get_name());
            assert!(command.get_about().is_some(), "`{}` does not say what it does", command.get_name());
            commands.extend(command.get_subcommands().filter(|command| !command.is_hide_set()).cloned());
        }
    }
}
