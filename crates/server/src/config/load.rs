//! From what was said to a [`Config`]: flag over environment over file over default.
//!
//! Everything that was said comes in by [`Sources`], so that nothing here reads the process's environment or command
//! line; only the file is opened here. Where each value came from is kept, for `bongsu config show` and for complaints.

use std::fmt;
use std::path::{Path, PathBuf};

use super::complaint::{Complaint, ConfigErrors, Mark};
use super::file::{self, Said, SaidRule};
use super::{Config, check};
use crate::options::{self, OPTIONS, Opt, Value};

/// The file that is read when none is named and it is there.
pub const FILE_DEFAULT: &str = "bongsu.toml";

/// The environment variable that names the file.
pub const FILE_ENV: &str = "BONGSU_CONFIG";

/// What was said, apart from the file.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file that was named. It has to exist.
    pub file: Option<PathBuf>,
    /// Environment variables: at least those that begin with `BONGSU_`.
    pub env: Vec<(String, String)>,
    /// Flags by name without hyphens (`data-dir`), each with its text.
    pub flags: Vec<(String, String)>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A line of the file.
    File(Mark),
    /// The environment variable of this name.
    Env(String),
    /// The flag of this name.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(mark) => write!(f, "{}:{}", mark.path.display(), mark.line),
            Self::Env(name) => f.write_str(name),
            Self::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// A configuration and where each value of it comes from.
#[derive(Debug)]
pub struct Loaded {
    /// What holds.
    pub config: Config,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// What has no effect or looks like a mistake but is none.
    pub warnings: Vec<String>,
    origins: Vec<Origin>,
    pub(super) rules: Vec<SaidRule>,
}

impl Loaded {
    /// Where the value of the option of that name comes from.
    #[must_use]
    pub fn origin(&self, name: &str) -> &Origin {
        let index = OPTIONS.iter().position(|option| option.name() == name);
        index.map_or(&Origin::Default, |index| &self.origins[index])
    }

    /// The line of each rule in the file, in the order of [`Config::rules`](Config).
    pub fn rule_lines(&self) -> impl Iterator<Item = usize> {
        self.rules.iter().map(|said| said.mark("channels").map_or(0, |mark| mark.line))
    }

    fn defaults(file: Option<PathBuf>) -> Self {
        let origins = OPTIONS.iter().map(|_| Origin::Default).collect();
        Self { config: Config::default(), file, warnings: Vec::new(), origins, rules: Vec::new() }
    }

    /// Sets an option. Later calls win, so the weakest source comes first.
    fn set(&mut self, option: &'static Opt<Config>, value: Value, origin: Origin) {
        option.set(&mut self.config, value);
        if let Some(index) = OPTIONS.iter().position(|known| known.path == option.path) {
            self.origins[index] = origin;
        }
    }
}

/// The configuration that `sources` and the file make.
///
/// The file is the one named by `sources`, else by `BONGSU_CONFIG`, else `bongsu.toml` in the working directory if
/// there is one.
///
/// # Errors
/// Something that was said is not allowed, the parts do not fit together, or the file cannot be read: all of it at once.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigErrors> {
    let file = which_file(sources).map(|path| {
        let text = read(&path);
        (path, text)
    });
    merge(sources, file)
}

/// The same with the file's text, or why it could not be read, at hand.
pub(crate) fn merge(
    sources: &Sources,
    file: Option<(PathBuf, Result<String, Complaint>)>,
) -> Result<Loaded, ConfigErrors> {
    let mut complaints = Vec::new();
    let mut loaded = Loaded::defaults(file.as_ref().map(|(path, _)| path.clone()));
    match file {
        Some((path, Ok(text))) => match file::parse(&path, &text) {
            Ok(said) => from_file(&mut loaded, said),
            Err(wrong) => complaints.extend(wrong),
        },
        Some((_, Err(unreadable))) => complaints.push(unreadable),
        None => {}
    }
    from_env(&mut loaded, &sources.env, &mut complaints);
    from_flags(&mut loaded, &sources.flags, &mut complaints);
    // Relations between values are only worth a word when the values are those that were meant.
    if complaints.is_empty() {
        complaints = check::relations(&loaded);
    }
    let oddities = check::oddities(&loaded.config);
    loaded.warnings.extend(oddities);
    if complaints.is_empty() { Ok(loaded) } else { Err(ConfigErrors(complaints)) }
}

fn which_file(sources: &Sources) -> Option<PathBuf> {
    let by_env = || sources.env.iter().find(|(name, _)| name == FILE_ENV).map(|(_, path)| path.into());
    let by_default = || Some(PathBuf::from(FILE_DEFAULT)).filter(|path| path.exists());
    sources.file.clone().or_else(by_env).or_else(by_default)
}

fn read(path: &Path) -> Result<String, Complaint> {
    let bytes = std::fs::read(path).map_err(|error| {
        let complaint = Complaint::new(format!("the configuration file {} cannot be read: {error}", path.display()));
        complaint.help("name another with --config, or print a new one with `bongsu config default`")
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let (valid, bytes) = (error.utf8_error().valid_up_to(), error.as_bytes());
        let line = bytes[..valid].iter().filter(|&&byte| byte == b'\n').count() + 1;
        Complaint::new(format!("the configuration file {} is not UTF-8 text: see line {line}", path.display()))
    })
}

fn from_file(loaded: &mut Loaded, said: Said) {
    for (option, value, mark) in said.options {
        loaded.set(option, value, Origin::File(mark));
    }
    loaded.config.rules = said.rules.iter().map(|said| said.rule.clone()).collect();
    loaded.rules = said.rules;
}

fn from_env(loaded: &mut Loaded, env: &[(String, String)], complaints: &mut Vec<Complaint>) {
    let known = |name: &str| OPTIONS.iter().find(|option| option.env().as_deref() == Some(name));
    for (name, text) in env {
        let Some(option) = known(name) else {
            loaded.warnings.extend(mistyped(name));
            continue;
        };
        match option.kind.parse(text) {
            Some(value) => loaded.set(option, value, Origin::Env(name.clone())),
            None => complaints.push(file::bad_value(name, &options::kind::quote(text), option.kind)),
        }
    }
}

/// A variable that looks like one of ours but is not. Only a warning: a cluster sets `BONGSU_PORT`,
/// `BONGSU_SERVICE_HOST` and the like for every service of that name.
fn mistyped(name: &str) -> Option<String> {
    let said = name.strip_prefix("BONGSU_").filter(|_| name != FILE_ENV && name != "BONGSU_URL")?;
    let names = OPTIONS.iter().filter(|option| option.env().is_some()).map(Opt::name);
    let meant = options::nearest(said, names)?;
    Some(format!("the environment variable {name} means nothing; did you mean BONGSU_{}?", meant.to_uppercase()))
}

fn from_flags(loaded: &mut Loaded, flags: &[(String, String)], complaints: &mut Vec<Complaint>) {
    for (name, text) in flags {
        let Some(option) = OPTIONS.iter().find(|option| option.flag() == *name) else { continue };
        match option.kind.parse(text) {
            Some(value) => loaded.set(option, value, Origin::Flag(name.clone())),
            None => complaints.push(file::bad_value(&format!("--{name}"), &options::kind::quote(text), option.kind)),
        }
    }
}
