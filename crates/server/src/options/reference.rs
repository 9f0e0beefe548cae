//! The reference page `docs/reference/options.md`, made from the table. A test holds the page to it.

use std::fmt::Write as _;

use super::{Audience, OPTIONS, Opt, RULE_OPTIONS, Reach, SECTIONS};
use crate::config::Config;

const HEAD: &str = "\
# Options of the server

<!-- Generated from the option table by `cargo xtask docs`. Do not edit. -->

Every option has one name and three spellings, made from it by rule. `payload_bytes_max`, for example, is the flag
`--payload-bytes-max`, the environment variable `BONGSU_PAYLOAD_BYTES_MAX`, and in the configuration file the line
`payload_bytes_max = …` under `[limits]`. A flag wins over the environment, the environment over the file, the file over the
default. `bongsu config show` prints what holds and where each value comes from; `bongsu config check` finds mistakes;
`bongsu config default` prints a file to begin with.

The file is the one named by `--config` or `BONGSU_CONFIG`, else `bongsu.toml` in the working directory if there is one.
Sizes are bytes: `65536`, `64KiB` (1,024) or `64KB` (1,000). Times are `500ms`, `20s`, `5m`, `2h`, `7d`; a bare number counts
seconds.
";

/// The whole page.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(HEAD);
    for section in SECTIONS {
        let place = match section.name {
            "" => "In the file these stand above the first section.".to_string(),
            name => format!("In the file these stand under `[{name}]`."),
        };
        write!(page, "\n## {}\n\n{} {place}\n", section.heading, section.about)
            .expect("writing to a String cannot fail");
        for option in OPTIONS.iter().filter(|option| option.section() == section.name) {
            if option.audience != Audience::Tests {
                describe(&mut page, option);
            }
        }
    }
    rules(&mut page);
    page
}

fn describe(page: &mut String, option: &Opt<Config>) {
    let spellings = match (option.reach, option.env()) {
        (Reach::Everywhere, Some(env)) => format!("`--{}`, `{env}`, `{}` in the file", option.flag(), option.path),
        _ => format!("`--{}` only", option.flag()),
    };
    let default = option.default().map_or("none".to_string(), |value| format!("`{value}`"));
    let range = option.kind.range();
    write!(
        page,
        "\n### {}\n\n{}. {}\n\n- Set by: {spellings}\n- Default: {default}\n",
        option.name(),
        option.help,
        option.more
    )
    .expect("writing to a String cannot fail");
    if !range.is_empty() {
        writeln!(page, "- Allowed: {range}").expect("writing to a String cannot fail");
    }
    writeln!(page, "- Since: {}", option.since).expect("writing to a String cannot fail");
}

fn rules(page: &mut String) {
    page.push_str(
        "\n## Rules\n\nA `[[rules]]` table in the file says what holds for the channels of a pattern. The first rule that \
         matches a channel\nwins; what it leaves out holds as for every channel.\n\n```toml\n[[rules]]\nchannels = \
         \"shop:*:orders\"\nhistory_age = \"30d\"\n\n[[rules]]\nchannels = \"cursor:**\"\ndurability = \
         \"memory\"\nhistory_events = 100\n```\n\n| option | what it does | allowed | as for every channel |\n|---|---|---|---|\n",
    );
    for option in RULE_OPTIONS {
        let general = OPTIONS.iter().find(|general| general.name() == option.name());
        let general = general.map_or("needed in each rule".to_string(), |general| format!("`{}`", general.path));
        let range = option.kind.range();
        let range = if range.is_empty() { "a pattern".into() } else { range };
        let more = if option.more.is_empty() { String::new() } else { format!(". {}", option.more) };
        writeln!(page, "| `{}` | {}{more} | {range} | {general} |", option.name(), option.help)
            .expect("writing to a String cannot fail");
    }
}
