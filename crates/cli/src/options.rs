//! The server's option table as command-line arguments.
//!
//! `serve` and `config show` take the same flags, made from the one table in `bongsu-server`. Values are not parsed here:
//! the configuration does that for flags, environment and file alike, so that all mistakes are told at once and in the same
//! words.

use bongsu_server::Config;
use bongsu_server::config::complaint::ConfigErrors;
use bongsu_server::config::load::{self, Loaded, Sources};
use bongsu_server::options::{Audience, Kind, OPTIONS, Opt, Reach, SECTIONS};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// `command` with `--config` and a flag for every option of the server.
pub(crate) fn with_options(command: Command) -> Command {
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .help("Read options from this TOML file [env: BONGSU_CONFIG] [default: bongsu.toml if there is one]")
        .help_heading("Server");
    OPTIONS.iter().map(arg).fold(command.arg(file), Command::arg)
}

/// What was said by the command line and the environment.
pub(crate) fn sources(matches: &ArgMatches) -> Sources {
    let said = |option: &Opt<Config>| {
        let text = matches.get_one::<String>(option.name())?;
        Some((option.flag(), text.clone()))
    };
    Sources {
        file: matches.get_one::<String>("config").map(Into::into),
        env: environment(),
        flags: OPTIONS.iter().filter_map(said).collect(),
    }
}

/// The variables that could be meant for the server. What is no UTF-8 becomes a value that no option takes.
pub(crate) fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| name.starts_with("BONGSU_"))
        .collect()
}

/// The configuration that command line, environment and file make; warnings are told.
pub(crate) fn load(sources: &Sources) -> Result<Loaded, ConfigErrors> {
    let loaded = load::load(sources)?;
    for warning in &loaded.warnings {
        crate::output::note(format_args!("warning: {warning}"));
    }
    Ok(loaded)
}

fn arg(option: &'static Opt<Config>) -> Arg {
    let heading = SECTIONS.iter().find(|section| section.name == option.section()).map(|section| section.heading);
    let arg = Arg::new(option.name())
        .long(option.flag())
        .value_name(option.kind.placeholder())
        .help(short_help(option))
        .long_help(long_help(option))
        .help_heading(heading)
        .action(ArgAction::Set)
        .hide(option.audience == Audience::Tests)
        .hide_short_help(option.audience != Audience::Everybody)
        .hide_possible_values(true);
    match option.kind {
        Kind::Choice(words) => arg.value_parser(PossibleValuesParser::new(words)).value_name(words.join("|")),
        // `--insecure` alone, or `--insecure=false` against a file that says true.
        Kind::Flag => arg
            .value_parser(PossibleValuesParser::new(["true", "false"]))
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        _ => arg,
    }
}

fn short_help(option: &Opt<Config>) -> String {
    match option.default() {
        Some(default) if option.kind != Kind::Flag => format!("{} [default: {default}]", option.help),
        _ => option.help.into(),
    }
}

fn long_help(option: &Opt<Config>) -> String {
    let mut text = format!("{}.", option.help);
    if !option.more.is_empty() {
        text.push(' ');
        text.push_str(option.more);
    }
    text.push_str("\n\n");
    let range = option.kind.range();
    if !range.is_empty() && option.kind != Kind::Flag {
        text.push_str(&format!("[allowed: {range}] "));
    }
    if let Some(default) = option.default() {
        text.push_str(&format!("[default: {default}] "));
    }
    match (option.reach, option.env()) {
        (Reach::Everywhere, Some(env)) => text.push_str(&format!("[env: {env}] [file: {}]", option.path)),
        _ => text.push_str("[flag only]"),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(args: &[&str]) -> ArgMatches {
        let command = with_options(Command::new("t"));
        command.try_get_matches_from([&["t"], args].concat()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn every_option_has_its_flag() {
        for option in OPTIONS {
            let text = option.default().unwrap_or_else(|| "x".into());
            let sources = sources(&matches(&[&format!("--{}={text}", option.flag())]));
            assert_eq!(sources.flags, [(option.flag(), text)]);
        }
        assert_eq!(sources(&matches(&[])).flags, []);
    }

    #[test]
    fn a_switch_needs_no_value() {
        assert_eq!(sources(&matches(&["--insecure"])).flags, [("insecure".into(), "true".into())]);
        assert_eq!(sources(&matches(&["--insecure=false"])).flags, [("insecure".into(), "false".into())]);
    }

    #[test]
    fn help_says_default_variable_and_place() {
        let help = with_options(Command::new("t")).render_long_help().to_string();
        for option in OPTIONS.iter().filter(|option| option.audience != Audience::Tests) {
            assert!(help.contains(&format!("--{}", option.flag())), "{}", option.path);
            if let Some(env) = option.env() {
                assert!(help.contains(&format!("[env: {env}]")), "{}", option.path);
            }
        }
        assert!(!help.contains("test-endpoints"));
    }
}
