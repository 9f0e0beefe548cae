//! The suites behind `cargo xtask test`.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::install;
use crate::step::{Failed, failed, output_of, run_with, status_of};

/// How a suite ended, if it did not fail.
enum Done {
    Passed,
    Skipped,
}

/// Takes the path of the server to test.
type Suite = (&'static str, fn(&str) -> Result<Done, Failed>);

/// In the order in which they are most likely to find something soon.
const SUITES: &[Suite] = &[("samples", samples), ("node", node), ("autobahn", autobahn), ("rust", rust)];

/// What a suite's own command says when it cannot run on this machine, as in Automake.
const EXIT_SKIPPED: i32 = 77;

/// Every suite, also after one that failed: the answer is the whole list.
pub(crate) fn all() -> Result<(), Failed> {
    some(SUITES)
}

pub(crate) fn one(name: &str) -> Result<(), Failed> {
    match SUITES.iter().find(|(known, _)| *known == name) {
        Some(suite) => some(std::slice::from_ref(suite)),
        None => Err(Failed(format!("no such suite: {name}; there are {}", names(SUITES)))),
    }
}

fn some(suites: &[Suite]) -> Result<(), Failed> {
    println!("suites: {}", names(suites));
    let server = server()?;
    let mut table = String::from("\n");
    let (mut passed, mut skipped, mut unlucky) = (0, 0, Vec::new());
    for (name, suite) in suites {
        println!("\n==== {name}");
        let begun = Instant::now();
        let result = suite(&server);
        let line = match &result {
            Ok(Done::Passed) => "passed".to_owned(),
            Ok(Done::Skipped) => "SKIPPED, see above".to_owned(),
            Err(Failed(why)) => format!("FAILED: {why}"),
        };
        match result {
            Ok(Done::Passed) => passed += 1,
            Ok(Done::Skipped) => skipped += 1,
            Err(_) => unlucky.push(*name),
        }
        table += &format!("{name:<10}{:>12}  {line}\n", minutes(begun.elapsed()));
    }
    println!("{table}\nsuites: {passed} passed, {} failed, {skipped} skipped", unlucky.len());
    if unlucky.is_empty() {
        return Ok(());
    }
    Err(Failed(format!("failed: {}; again with `cargo xtask test {}`", unlucky.join(", "), unlucky[0])))
}

fn names(suites: &[Suite]) -> String {
    suites.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{} min {:02} s", seconds / 60, seconds % 60)
}

/// Unit, property, contract, conformance, crash, client and command-line tests, and the samples in the code's docs.
fn rust(server: &str) -> Result<Done, Failed> {
    run_with("cargo", &["test", "--workspace", "--locked", "--no-fail-fast"], &[("BONGSU_BIN", server)])?;
    Ok(Done::Passed)
}

/// Pages and `EventSource` in Chromium, and real recorded payloads from npm.
fn node(server: &str) -> Result<Done, Failed> {
    install::node()?;
    if std::env::var_os("CHROMIUM").is_none() {
        install::debian(("chromium", &["--version"]), &["chromium"])?;
    }
    install::npm("conformance/node")?;
    run_with("npm", &["test", "--silent", "--prefix", "conformance/node"], &[("BONGSU_BIN", server)])?;
    Ok(Done::Passed)
}

/// The commands that the README and `docs/` tell people to paste.
fn samples(server: &str) -> Result<Done, Failed> {
    install::node()?;
    install::debian(("curl", &["--version"]), &["curl"])?;
    run_with("node", &["conformance/samples/run.mjs"], &[("BONGSU_BIN", server)])?;
    Ok(Done::Passed)
}

/// The public WebSocket suite against the echo endpoint.
fn autobahn(server: &str) -> Result<Done, Failed> {
    install::debian(("python3", &["-c", "import venv, ensurepip"]), &["python3", "python3-venv"])?;
    let program = "conformance/autobahn/run";
    let status = status_of(program, &[], &[("BONGSU_BIN", server)])?;
    match status.code() {
        Some(0) => Ok(Done::Passed),
        Some(EXIT_SKIPPED) => Ok(Done::Skipped),
        _ => Err(failed(program, &[], status)),
    }
}

/// Builds the server, and gives its path, which Cargo alone knows: it depends on the reader's own configuration.
fn server() -> Result<String, Failed> {
    let build = ["build", "--package", "bongsu-cli", "--locked", "--message-format", "json-render-diagnostics"];
    let messages = output_of("cargo", &build)?;
    let messages = String::from_utf8_lossy(&messages);
    let path = messages.lines().filter_map(executable).next_back();
    path.ok_or_else(|| Failed("`cargo build` made no program called bongsu".into()))
}

/// The path of the server, if this line of Cargo's messages tells of it.
fn executable(line: &str) -> Option<String> {
    let message: Value = serde_json::from_str(line).ok()?;
    let server = message["target"]["name"] == "bongsu" && message["executable"].is_string();
    server.then(|| message["executable"].as_str().map(ToOwned::to_owned))?
}
