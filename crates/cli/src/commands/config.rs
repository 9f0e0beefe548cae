//! `bongsu config`: see, check and begin a configuration, without starting a server.

use std::io::Write as _;
use std::path::PathBuf;

use bongsu_server::config::load::{FILE_DEFAULT, Loaded, Origin, Sources};
use bongsu_server::options::{OPTIONS, Opt, RULE_OPTIONS, reference, sample};
use bongsu_server::{Config, options::Audience};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::options;
use crate::output::{DIM, STRONG, stdout, styled};

const EXAMPLES: &str = "\
EXAMPLES:
  bongsu config default > bongsu.toml           a file to begin with
  bongsu config check bongsu.toml               find every mistake in it
  bongsu config show                            what holds, and where it comes from";

const SHOW_EXAMPLES: &str = "\
EXAMPLES:
  bongsu config show
  bongsu config show --config /etc/bongsu.toml --listen 127.0.0.1:8080
  bongsu config show --json | jq '.listen'

Takes the flags of `bongsu serve` and shows what the server would do with them.";

const CHECK_EXAMPLES: &str = "\
EXAMPLES:
  bongsu config check
  bongsu config check /etc/bongsu.toml && systemctl restart bongsu

Tells every mistake, not only the first. Exit code 0 when there is none, else 1. Variables of the environment \
count too, as they would for `bongsu serve`.";

const DEFAULT_EXAMPLES: &str = "\
EXAMPLES:
  bongsu config default > bongsu.toml";

/// What the command takes.
pub(super) fn command() -> Command {
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print one JSON object");
    let show = Command::new("show").about("Print what holds and where each value comes from").after_help(SHOW_EXAMPLES);
    let file = Arg::new("file").value_name("FILE").help("The file [default: bongsu.toml if there is one]");
    let check = Command::new("check").about("Find every mistake in a configuration").after_help(CHECK_EXAMPLES);
    let default = Command::new("default").about("Print a file with every option and its default, as comments");
    Command::new("config")
        .about("See, check and begin a configuration")
        .after_help(EXAMPLES)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(options::with_options(show.arg(json)))
        .subcommand(check.arg(file))
        .subcommand(default.after_help(DEFAULT_EXAMPLES))
        .subcommand(Command::new("reference").about("Print the reference page of all options").hide(true))
}

/// Runs the subcommand.
pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    match matches.subcommand() {
        Some(("show", matches)) => show(matches),
        Some(("check", matches)) => check(matches),
        Some(("default", _)) => print(&sample::sample()),
        Some(("reference", _)) => print(&reference::page()),
        _ => Err(Failure::usage("say what to do: show, check or default")),
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = stdout();
    write!(out, "{text}")?;
    Ok(out.flush()?)
}

fn check(matches: &ArgMatches) -> Result<(), Failure> {
    let file = matches.get_one::<String>("file").map(PathBuf::from);
    let sources = Sources { file, env: options::environment(), flags: Vec::new() };
    let loaded = options::load(&sources).map_err(|errors| Failure::configuration(&errors, 1))?;
    let said = OPTIONS.iter().filter(|option| *loaded.origin(option.name()) != Origin::Default).count();
    let rules = loaded.config.rules.len();
    let what = match &loaded.file {
        Some(path) => path.display().to_string(),
        None => format!("no file was named and there is no {FILE_DEFAULT}; the environment"),
    };
    print(&format!("{what}: no mistakes ({said} options set, {rules} rules)\n"))
}

fn show(matches: &ArgMatches) -> Result<(), Failure> {
    let loaded = options::load(&options::sources(matches)).map_err(|errors| Failure::configuration(&errors, 1))?;
    if matches.get_flag("json") {
        let object = Value::Object(as_json(&loaded));
        return print(&format!("{object:#}\n"));
    }
    print(&as_table(&loaded))
}

/// The options worth showing: those for tests only when they are set.
fn shown(loaded: &Loaded) -> impl Iterator<Item = &'static Opt<Config>> {
    let hidden =
        |option: &&Opt<Config>| option.audience == Audience::Tests && *loaded.origin(option.name()) == Origin::Default;
    OPTIONS.iter().filter(move |option| !hidden(option))
}

fn as_table(loaded: &Loaded) -> String {
    let value = |option: &Opt<Config>| option.print(&loaded.config).unwrap_or_else(|| "-".into());
    let width = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
    let names = width(&mut shown(loaded).map(|option| option.path.len()));
    let values = width(&mut shown(loaded).map(|option| value(option).len()));
    let mut table = String::new();
    for option in shown(loaded) {
        let origin = loaded.origin(option.name());
        let style = if *origin == Origin::Default { DIM } else { STRONG };
        let line = format!("{:names$}  {:values$}  {origin}", option.path, value(option));
        table.push_str(&format!("{}\n", styled(style, line)));
    }
    for (rule, line) in loaded.config.rules.iter().zip(loaded.rule_lines()) {
        let said: Vec<String> = RULE_OPTIONS
            .iter()
            .filter_map(|option| Some(format!("{}={}", option.name(), option.print(rule)?)))
            .collect();
        let file = loaded.file.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
        table.push_str(&format!("{}\n", styled(STRONG, format_args!("rule  {}  {file}:{line}", said.join(" ")))));
    }
    table
}

fn as_json(loaded: &Loaded) -> Map<String, Value> {
    let mut object = Map::new();
    for option in shown(loaded) {
        let value = json_value(option, &loaded.config);
        object.insert(option.path.into(), json!({"value": value, "from": loaded.origin(option.name()).to_string()}));
    }
    let rule = |rule| -> Map<String, Value> {
        let said = RULE_OPTIONS.iter().filter(|option| option.get(rule).is_some());
        said.map(|option| (option.name().into(), json_value(option, rule))).collect()
    };
    let rules = loaded.config.rules.iter().map(|said| Value::Object(rule(said))).collect();
    object.insert("rules".into(), Value::Array(rules));
    object
}

/// The value as the file would have it; what the table prints as a TOML value is a JSON value too.
fn json_value<T>(option: &Opt<T>, target: &T) -> Value {
    let toml = option.get(target).map(|value| option.kind.print_toml(&value));
    toml.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null)
}
