//! Golden texts: what a person reads when a configuration is wrong.
//!
//! `tests/golden/config_errors.txt` holds the cases: after `===` a title, then what was said (lines that begin with `$` are
//! flags and environment variables, the rest is the file), and after `---` the exact answer. To write the answers anew
//! after a deliberate change, run `cargo xtask docs` and read the difference.

use std::fmt::Write as _;
use std::path::Path;

use super::load::{Sources, merge};

#[test]
fn wrong_configurations_are_answered_word_for_word() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/config_errors.txt");
    let golden = std::fs::read_to_string(&path).unwrap();
    let mut actual = String::new();
    for case in golden.split("=== ").skip(1) {
        let (title, rest) = case.split_once('\n').unwrap();
        let (said, _) = rest.split_once("---\n").unwrap();
        write!(actual, "=== {title}\n{said}---\n{}\n\n", answer(said)).unwrap();
    }
    if std::env::var_os("BONGSU_BLESS").is_some() {
        std::fs::write(&path, &actual).unwrap();
        return;
    }
    assert!(golden.matches("=== ").count() > 40, "the cases are there");
    for (expected, actual) in golden.split("=== ").skip(1).zip(actual.split("=== ").skip(1)) {
        assert!(expected == actual, "expected: {expected}\nactual: {actual}");
    }
}

/// What is printed for what was said: the errors, or the warnings, or that all is well.
fn answer(said: &str) -> String {
    let mut sources = Sources::default();
    let mut file = String::new();
    for line in said.split_inclusive('\n') {
        match line.strip_prefix("$ ").map(|said| said.trim_end().split_once('=').unwrap()) {
            Some((flag, value)) if flag.starts_with("--") => sources.flags.push((flag[2..].into(), value.into())),
            Some((name, value)) => sources.env.push((name.into(), value.into())),
            None => file.push_str(line),
        }
    }
    let file = if file.is_empty() { None } else { Some(("bongsu.toml".into(), Ok(file))) };
    match merge(&sources, file) {
        Ok(loaded) if loaded.warnings.is_empty() => "fine".into(),
        Ok(loaded) => loaded.warnings.iter().map(|line| format!("warning: {line}")).collect::<Vec<_>>().join("\n"),
        Err(errors) => errors.to_string(),
    }
}
