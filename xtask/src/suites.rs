//! The suites behind `cargo xtask test`.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::install;
use crate::step::{Failed, failed, output_of, run_seen, run_with, status_of};

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
    let (mut passed, mut failed) = (0, 0);
    let result =
        run_seen("cargo", &["test", "--workspace", "--locked", "--no-fail-fast"], &[("BONGSU_BIN", server)], |line| {
            let (more_passed, more_failed) = counts(line).unwrap_or_default();
            passed += more_passed;
            failed += more_failed;
        });
    println!("{passed} passed, {failed} failed");
    result.map(|()| Done::Passed)
}

/// How many tests passed and failed, if this line is the last one of a test program.
fn counts(line: &str) -> Option<(u32, u32)> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| counts.split("; ").find_map(|count| count.strip_suffix(what)?.parse().ok());
    Some((count(" passed")?, count(" failed")?))
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

/// The public WebSocket suite against the echo endpoint, as shards serve it and as hyper does.
fn autobahn(server: &str) -> Result<Done, Failed> {
    install::debian(("python3", &["-c", "import venv, ensurepip"]), &["python3", "python3-venv"])?;
    let program = "conformance/autobahn/run";
    for shards in ["2", "0"] {
        let args = ["--shards", shards];
        let status = status_of(program, &args, &[("BONGSU_BIN", server)])?;
        match status.code() {
            Some(0) => {}
            Some(EXIT_SKIPPED) => return Ok(Done::Skipped),
            _ => return Err(failed(program, &args, status)),
        }
    }
    Ok(Done::Passed)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_a_test_program_is_counted() {
        let cases: &[(&str, Option<(u32, u32)>)] = &[
            (
                "test result: ok. 948 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 92.96s",
                Some((948, 0)),
            ),
            ("test result: FAILED. 55 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out", Some((55, 1))),
            ("test a::passed ... ok", None),
            ("test result: ok.", None),
        ];
        for (line, expected) in cases {
            assert_eq!(counts(line), *expected, "{line}");
        }
    }

    #[test]
    fn the_server_is_found_in_cargos_messages() {
        let cases: &[(&str, Option<&str>)] = &[
            (
                r#"{"reason":"compiler-artifact","target":{"name":"bongsu"},"executable":"/t/bongsu"}"#,
                Some("/t/bongsu"),
            ),
            (r#"{"reason":"compiler-artifact","target":{"name":"bongsu"},"executable":null}"#, None),
            (r#"{"reason":"compiler-artifact","target":{"name":"bongsu-crash"},"executable":"/t/bongsu-crash"}"#, None),
            (r#"{"reason":"build-finished","success":true}"#, None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(executable(line).as_deref(), *expected, "{line}");
        }
    }
}
