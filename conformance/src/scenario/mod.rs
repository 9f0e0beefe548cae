//! Scenarios as data: the files, what they may say, and the trials they become.
//!
//! A scenario is run once for each way, pair of ways, HTTP version and case it names, on HTTP/1.1 by each driver of the
//! server; each such run is a [`Trial`] with a name of its own. Knows the shape of a scenario, not what its steps do.

mod expand;

use crate::error::{Failure, Result};
use crate::server::Setup;
use crate::way::{Http, Way};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::Path;
use std::sync::Arc;

/// Seconds a trial may take unless its scenario says otherwise.
const TIMEOUT_S: u64 = 40;

/// A file of scenarios: one theme.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Server configuration of all scenarios that have none of their own.
    #[serde(default)]
    config: String,
    /// Arguments of `serve`, likewise.
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    scenario: Vec<Scenario>,
}

/// One scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows; unique within its file.
    pub name: String,
    /// The promise it guards: `§` and section of the protocol page, a colon, the words.
    pub promise: String,
    /// The ways it runs on; empty for a scenario that reads on none (or says so step by step).
    #[serde(default = "all_ways")]
    pub ways: Vec<Way>,
    /// Runs for each pair of ways: `${way}` then `${other}`.
    #[serde(default)]
    pub pairs: bool,
    /// The HTTP versions it runs on, HTTP/1.1 on each driver; a WebSocket runs on HTTP/1.1 only.
    #[serde(default = "only_h1")]
    pub http: Vec<Http>,
    /// Server configuration in place of the file's.
    pub config: Option<String>,
    /// Arguments of `serve` in place of the file's.
    pub args: Option<Vec<String>>,
    /// Runs on a server of its own: it restarts it, or counts what others would disturb.
    #[serde(default)]
    pub own_server: bool,
    /// Seconds after which the trial has failed.
    #[serde(default = "default_timeout")]
    pub timeout_s: u64,
    /// How often it is tried until it holds. More than once only where a promise is about a few milliseconds, which a busy
    /// machine may take away from one attempt and not from all.
    #[serde(default = "once")]
    pub attempts: u32,
    /// Values for `${…}`, one trial per case, each with a `name`.
    #[serde(default)]
    pub cases: Vec<Map<String, Value>>,
    /// What is done.
    pub steps: Vec<Value>,
}

fn all_ways() -> Vec<Way> {
    Way::ALL.to_vec()
}

fn only_h1() -> Vec<Http> {
    vec![Http::H1]
}

fn once() -> u32 {
    1
}

fn default_timeout() -> u64 {
    TIMEOUT_S
}

/// One run of a scenario.
#[derive(Debug, Clone)]
pub struct Trial {
    /// Unique name: `theme::scenario::case::way::carrier`.
    pub name: String,
    /// What is run.
    pub scenario: Arc<Scenario>,
    /// The server it wants.
    pub setup: Setup,
    /// `${way}`.
    pub way: Option<Way>,
    /// `${other}`.
    pub other: Option<Way>,
    /// HTTP version of readers and requests.
    pub http: Http,
    /// The values of the case.
    pub case: Map<String, Value>,
}

/// Loads every `*.toml` of a folder; the file's name is the theme.
pub fn load(dir: &Path) -> Result<Vec<Trial>> {
    let mut paths: Vec<_> = std::fs::read_dir(dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    paths.sort();
    let mut trials = Vec::new();
    for path in paths {
        let theme = path.file_stem().unwrap_or_default().to_string_lossy();
        let text = std::fs::read_to_string(&path)?;
        trials.extend(parse(&theme, &text)?);
    }
    Ok(trials)
}

/// The trials of one file.
pub fn parse(theme: &str, text: &str) -> Result<Vec<Trial>> {
    let file: File = toml::from_str(text).map_err(|e| Failure::wrong(format!("{theme}.toml: {e}")))?;
    let mut trials: Vec<Trial> = Vec::new();
    for mut scenario in file.scenario {
        let config = scenario.config.take().unwrap_or_else(|| file.config.clone());
        let args = scenario.args.take().unwrap_or_else(|| file.args.clone());
        check(&scenario).map_err(|f| f.within(&format!("{theme}: {}", scenario.name)))?;
        let setup = Setup { config, args, ..Setup::default() };
        expand::expand(theme, scenario, &setup, &mut trials);
    }
    let mut names: Vec<&str> = trials.iter().map(|t| t.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Failure::wrong(format!("two trials named {}", pair[0]))),
        None => Ok(trials),
    }
}

/// What the types alone do not say.
fn check(scenario: &Scenario) -> Result<()> {
    let section = scenario.promise.strip_prefix('§').and_then(|p| p.split_once(": "));
    if !section.is_some_and(|(n, words)| n.starts_with(|c: char| c.is_ascii_digit()) && !words.is_empty()) {
        return Err(Failure::wrong("`promise` is `§<section>: <words>`"));
    }
    if scenario.pairs && scenario.ways.len() < 2 {
        return Err(Failure::wrong("`pairs` needs ways to pair"));
    }
    if scenario.cases.iter().any(|c| !c.get("name").is_some_and(Value::is_string)) {
        return Err(Failure::wrong("every case needs a `name`"));
    }
    scenario.steps.iter().try_for_each(check_step)
}

fn check_step(step: &Value) -> Result<()> {
    crate::run::verb(step)?;
    match step.get("steps").and_then(Value::as_array) {
        Some(inner) => inner.iter().try_for_each(check_step),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// White space and emphasis do not count; ` […] ` in a promise leaves something out.
    #[test]
    fn promises_are_quoted_from_the_protocol_page() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let plain = |text: &str| {
            let text = text.replace("**", "");
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let page = plain(&std::fs::read_to_string(root.join("../docs/protocol.md")).unwrap());
        for trial in load(&root.join("scenarios")).unwrap() {
            let (_, words) = trial.scenario.promise.split_once(": ").unwrap();
            for part in words.split(" […] ") {
                assert!(page.contains(&plain(part)), "{}: {part}", trial.name);
            }
        }
    }

    #[test]
    fn mistakes_in_a_file_are_refused() {
        let head = "[[scenario]]\nname='s'\npromise='§2: w'\n";
        for bad in [
            "[[scenario]]\nname='s'\nsteps=[]",
            "[[scenario]]\nname='s'\npromise='order'\nsteps=[]",
            &format!("{head}steps=[{{ slep = 1 }}]"),
            &format!("{head}steps=[{{ sleep = 1, close = 'r' }}]"),
            &format!("{head}stps=[]\nsteps=[]"),
            &format!("{head}ways=['smoke']\nsteps=[]"),
            &format!("{head}cases=[{{ n = 1 }}]\nsteps=[]"),
            &format!("{head}steps=[]\n{head}steps=[]"),
            &format!("{head}steps=[{{ repeat = 2, steps = [{{ slep = 1 }}] }}]"),
        ] {
            assert!(parse("t", bad).is_err(), "{bad}");
        }
    }
}
