//! The option table: every option of the server, declared once.
//!
//! The command line, the environment variables, the configuration file and its errors, `bongsu config show`, the sample
//! file and the reference page are all made from [`OPTIONS`] and [`RULE_OPTIONS`]. The spellings of an option follow from
//! its path by rule, so they cannot disagree: the last part of `limits.payload_bytes_max` is its name, the flag is
//! `--payload-bytes-max`, the variable `BONGSU_PAYLOAD_BYTES_MAX`. Defaults are those of [`Config::default`].
//!
//! It knows no command-line library: the binary turns the table into its arguments.

pub mod kind;
pub mod reference;
pub mod sample;
mod setting;
mod table;
#[cfg(test)]
mod table_test;
pub mod units;

pub use kind::{Kind, Value};
pub use table::{OPTIONS, RULE_OPTIONS, SECTIONS};

use crate::config::{Config, Rule};

/// One option of a `T`: the server's [`Config`], or a [`Rule`] of it.
#[derive(Debug)]
pub struct Opt<T: 'static> {
    /// Where it stands in the file: its section and its name, `limits.payload_bytes_max`.
    pub path: &'static str,
    /// Which values it takes.
    pub kind: Kind,
    /// What it does, in one line without a full stop.
    pub help: &'static str,
    /// Why one would change it, and what to mind. Whole sentences; may be empty.
    pub more: &'static str,
    /// The release that brought it.
    pub since: &'static str,
    /// Where it can be set.
    pub reach: Reach,
    /// Who gets to see it.
    pub audience: Audience,
    get: fn(&T) -> Option<Value>,
    set: fn(&mut T, Value) -> bool,
}

/// Where an option can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// By flag, environment variable and file.
    Everywhere,
    /// By flag only: it is about one run, not about the server.
    Flag,
}

/// Who gets to see an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Everybody: also in the short help.
    Everybody,
    /// Operators: in the long help and all pages.
    Operators,
    /// Tests: nowhere.
    Tests,
}

/// A section of the file, which is also a heading of the help.
#[derive(Debug)]
pub struct Section {
    /// Its name in the file; empty for what stands above all sections.
    pub name: &'static str,
    /// Its heading.
    pub heading: &'static str,
    /// What it is about.
    pub about: &'static str,
}

impl<T> Opt<T> {
    /// The name alone: `payload_bytes_max`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// The section of the file, empty for none: `limits`.
    #[must_use]
    pub fn section(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// The flag without its hyphens: `payload-bytes-max`.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name().replace('_', "-")
    }

    /// The environment variable, if it has one: `BONGSU_PAYLOAD_BYTES_MAX`.
    #[must_use]
    pub fn env(&self) -> Option<String> {
        (self.reach == Reach::Everywhere).then(|| format!("BONGSU_{}", self.name().to_uppercase()))
    }

    /// The value in `target`; `None` if it has none.
    #[must_use]
    pub fn get(&self, target: &T) -> Option<Value> {
        (self.get)(target)
    }

    /// Puts `value` into `target`.
    ///
    /// # Panics
    /// The value is not of this option's kind: it must come from [`Kind::parse`] of the same option.
    pub fn set(&self, target: &mut T, value: Value) {
        assert!(
            (self.set)(target, value),
            "a value of the kind of `{}` fits its field: the table's test says so",
            self.path
        );
    }

    /// The value in `target` as a person would write it; `None` if it has none.
    #[must_use]
    pub fn print(&self, target: &T) -> Option<String> {
        self.get(target).map(|value| self.kind.print(&value))
    }

    const fn flag_only(mut self) -> Self {
        self.reach = Reach::Flag;
        self
    }

    const fn common(mut self) -> Self {
        self.audience = Audience::Everybody;
        self
    }

    const fn for_tests(mut self) -> Self {
        self.audience = Audience::Tests;
        self
    }
}

impl Opt<Config> {
    /// The default as a person would write it; `None` if there is none.
    #[must_use]
    pub fn default(&self) -> Option<String> {
        self.print(&Config::default())
    }
}

/// The option of that name or path.
#[must_use]
pub fn find(name: &str) -> Option<&'static Opt<Config>> {
    OPTIONS.iter().find(|option| option.name() == name || option.path == name)
}

/// The option of a rule of that name.
#[must_use]
pub fn find_in_rule(name: &str) -> Option<&'static Opt<Rule>> {
    RULE_OPTIONS.iter().find(|option| option.name() == name)
}

/// Of `names`, the one most like `wrong`, if any is like it at all.
#[must_use]
pub fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Below this a suggestion is more often a wrong guess than a help.
    const ALIKE: f64 = 0.6;
    let wrong = wrong.to_lowercase().replace('-', "_");
    names
        .map(|name| (strsim::normalized_damerau_levenshtein(&wrong, &name.to_lowercase().replace('-', "_")), name))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}
