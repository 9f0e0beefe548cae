//! Holds the table to its promises: every option is reachable by each way it claims, sets its own field and no other, and
//! is described.

use std::collections::HashSet;
use std::path::Path;

use super::kind::Kind;
use super::units;
use super::*;
use crate::config::load::{Loaded, Origin, Sources, merge};

/// How an option is said.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Flag,
    Env,
    File,
}

/// A text that the option takes and that is not its default.
fn another_value(option: &Opt<Config>) -> String {
    let candidates = match option.kind {
        Kind::Address => vec!["127.0.0.1:1".into()],
        Kind::Path => vec!["elsewhere".into()],
        Kind::Flag => vec!["true".into(), "false".into()],
        Kind::Choice(words) => words.iter().map(|word| (*word).into()).collect(),
        Kind::Count(min, max) | Kind::AutoCount(min, max) => vec![min.to_string(), max.to_string()],
        Kind::Bytes(min, max) => vec![units::bytes(min), units::bytes(max)],
        Kind::Time(min, max) => vec![units::duration(min), units::duration(max)],
        Kind::Cors => vec!["none".into()],
        Kind::Pattern => vec!["a".into()],
    };
    let default = option.default();
    candidates.into_iter().find(|text| Some(text) != default.as_ref()).unwrap()
}

/// What the option becomes when `text` is said by flag, by environment or in the file.
fn said(option: &Opt<Config>, way: Way, text: &str) -> Loaded {
    let mut sources = Sources::default();
    let mut file = None;
    match way {
        Way::Flag => sources.flags.push((option.flag(), text.into())),
        Way::Env => sources.env.push((option.env().unwrap(), text.into())),
        Way::File => {
            let value = option.kind.print_toml(&option.kind.parse(text).unwrap());
            file = Some(("t.toml".into(), Ok(format!("{} = {value}", option.path))));
        }
    }
    // Some single values break a relation between options; the table is tested here, relations are elsewhere.
    sources.flags.extend(company(option).into_iter().map(|(name, value)| (name.into(), value.into())));
    merge(&sources, file).unwrap_or_else(|errors| panic!("{}: {errors}", option.path))
}

/// What must be said with an option so that an extreme value of it is allowed.
fn company(option: &Opt<Config>) -> Vec<(&'static str, &'static str)> {
    match option.name() {
        "body_bytes_max" => vec![("payload-bytes-max", "1KiB")],
        "publish_bytes_in_flight_max" => vec![("payload-bytes-max", "1KiB"), ("body-bytes-max", "1KiB")],
        "sockets_max" => vec![("connections-max", "1")],
        _ => Vec::new(),
    }
}

#[test]
fn every_option_is_set_by_each_way_it_claims() {
    for option in OPTIONS {
        let text = another_value(option);
        let ways: &[_] = match option.reach {
            Reach::Everywhere => &[Way::Flag, Way::Env, Way::File],
            Reach::Flag => &[Way::Flag],
        };
        for &way in ways {
            let loaded = said(option, way, &text);
            assert_eq!(option.print(&loaded.config), Some(text.clone()), "{} by {way:?}", option.path);
            let right = match loaded.origin(option.name()) {
                Origin::Default => false,
                Origin::Flag(_) => way == Way::Flag,
                Origin::Env(_) => way == Way::Env,
                Origin::File(_) => way == Way::File,
            };
            assert!(right, "{} by {way:?} says it comes from {}", option.path, loaded.origin(option.name()));
        }
    }
}

#[test]
fn an_option_sets_its_own_field_and_no_other() {
    for option in OPTIONS {
        let mut config = Config::default();
        option.set(&mut config, option.kind.parse(&another_value(option)).unwrap());
        for other in OPTIONS {
            let changed = other.print(&config) != other.default();
            assert_eq!(changed, other.path == option.path, "{} is seen in {}", option.path, other.path);
        }
    }
    for option in RULE_OPTIONS {
        let mut rule = Rule::new(bongsu_core::ChannelPattern::new("x").unwrap());
        let value = another_value_of_rule(option);
        option.set(&mut rule, value.clone());
        let set: Vec<_> = RULE_OPTIONS.iter().filter(|other| other.get(&rule) == Some(value.clone())).collect();
        assert_eq!(set.len(), 1, "{}", option.path);
        assert_eq!(set[0].path, option.path);
    }
}

fn another_value_of_rule(option: &Opt<Rule>) -> Value {
    let text = match option.kind {
        Kind::Pattern => "a:*".into(),
        Kind::Choice(words) => words[1].into(),
        Kind::Time(..) => "1h".into(),
        _ => "4096".to_string(),
    };
    option.kind.parse(&text).unwrap()
}

#[test]
fn the_stronger_source_wins() {
    let sources = |flag: bool, env: bool| Sources {
        file: None,
        env: if env { vec![("BONGSU_HISTORY_EVENTS".into(), "2".into())] } else { Vec::new() },
        flags: if flag { vec![("history-events".into(), "1".into())] } else { Vec::new() },
    };
    let file = |said: bool| said.then(|| ("t.toml".into(), Ok("storage.history_events = 3".into())));
    let cases = [
        (true, true, true, 1, "--history-events"),
        (true, false, true, 1, "--history-events"),
        (false, true, true, 2, "BONGSU_HISTORY_EVENTS"),
        (false, false, true, 3, "t.toml:1"),
        (false, false, false, 100_000, "default"),
    ];
    for (flag, env, in_file, expected, origin) in cases {
        let loaded = merge(&sources(flag, env), file(in_file)).unwrap();
        assert_eq!(loaded.config.storage.retention.events_max, expected);
        assert_eq!(loaded.origin("history_events").to_string(), origin);
    }
}

#[test]
fn defaults_are_values_that_the_option_takes() {
    for option in OPTIONS {
        let default = option.default();
        assert_eq!(default.is_none(), option.path == "port_file", "{}", option.path);
        let Some(default) = default else { continue };
        let parsed = option.kind.parse(&default).unwrap_or_else(|| panic!("{} = {default}", option.path));
        assert_eq!(Some(parsed), option.get(&Config::default()), "{}", option.path);
    }
}

#[test]
fn every_option_is_named_once_and_described() {
    let mut names = HashSet::from(["config", "rules", "url"]);
    for option in OPTIONS {
        let plain = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(names.insert(option.name()), "{} twice", option.name());
        assert!(option.name().chars().all(plain), "{}", option.name());
        assert!(SECTIONS.iter().any(|section| section.name == option.section()), "{}", option.path);
        described(option.path, option.help, option.more);
    }
    for option in RULE_OPTIONS {
        assert_eq!(option.section(), "", "{}", option.path);
        described(option.path, option.help, option.more);
    }
}

fn described(path: &str, help: &str, more: &str) {
    assert!(help.starts_with(char::is_uppercase) && !help.ends_with('.') && help.len() < 80, "{path}: {help}");
    assert!(more.is_empty() || more.ends_with('.'), "{path}: {more}");
}

#[test]
fn a_rule_takes_what_holds_for_every_channel_takes() {
    for option in RULE_OPTIONS.iter().filter(|option| option.name() != "channels") {
        let general = find(option.name()).unwrap_or_else(|| panic!("{} has no counterpart", option.name()));
        assert_eq!(option.kind, general.kind, "{}", option.name());
    }
}

#[test]
fn the_reference_page_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/options.md");
    if std::env::var_os("BONGSU_BLESS").is_some() {
        std::fs::write(&path, reference::page()).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(page == reference::page(), "out of date: run `cargo xtask docs`");
}
