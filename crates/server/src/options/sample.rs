//! The sample configuration file: every option with its default, as a comment.
//!
//! Made from the table. Uncommenting any line of it changes nothing; a test holds that.

use std::fmt::Write as _;

use super::{Audience, OPTIONS, Opt, RULE_OPTIONS, Reach, SECTIONS};
use crate::config::Config;

/// The text that `bongsu config default` prints.
#[must_use]
pub fn sample() -> String {
    let mut page = String::from(
        "# Configuration of a Bongsu server. Every line that begins with `#` and a name is an option with its default.\n\
         # A flag wins over the environment, the environment over this file. Sizes: 64KiB, 256MiB; times: 500ms, 20s, 7d.\n",
    );
    for section in SECTIONS {
        let about = section.about;
        match section.name {
            "" => writeln!(page, "\n# {about}"),
            name => writeln!(page, "\n[{name}]\n# {about}"),
        }
        .expect("writing to a String cannot fail");
        for option in OPTIONS.iter().filter(|option| option.section() == section.name) {
            describe(&mut page, option);
        }
    }
    rules(&mut page);
    page
}

fn describe(page: &mut String, option: &Opt<Config>) {
    let Some(value) = option.get(&Config::default()) else { return };
    if option.reach == Reach::Flag || option.audience == Audience::Tests {
        return;
    }
    let range = option.kind.range();
    let range = if range.is_empty() { range } else { format!(" ({range})") };
    writeln!(page, "\n# {}{range}.\n#{} = {}", option.help, option.name(), option.kind.print_toml(&value))
        .expect("writing to a String cannot fail");
}

fn rules(page: &mut String) {
    page.push_str(
        "\n# Rules: what holds for some channels. The first rule that matches wins; what it leaves out holds as above.\n\
         # They stand at the end of the file. A rule can say:\n",
    );
    for option in RULE_OPTIONS {
        writeln!(page, "#   {:<18} {}", option.name(), option.help).expect("writing to a String cannot fail");
    }
    page.push_str("#\n#[[rules]]\n#channels = \"shop:*:orders\"\n#history_age = \"30d\"\n#durability = \"fsync\"\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::{Origin, Sources, merge};

    #[test]
    fn the_sample_without_its_comment_signs_is_the_default() {
        let uncommented: String = sample()
            .lines()
            .filter(|line| !line.contains("rules") && !line.starts_with("# "))
            .take_while(|line| !line.starts_with("#channels = "))
            .map(|line| format!("{}\n", line.trim_start_matches('#')))
            .collect();
        let loaded = merge(&Sources::default(), Some(("sample.toml".into(), Ok(uncommented))));
        let loaded = loaded.unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(loaded.config, Config::default());
        for option in OPTIONS {
            let told = option.reach == Reach::Everywhere && option.audience != Audience::Tests;
            assert_eq!(*loaded.origin(option.name()) != Origin::Default, told, "{} in the sample", option.path);
        }
    }
}
