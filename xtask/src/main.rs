//! The project's own chores: test, ci, generated docs.
//!
//! `cargo xtask test` is the test command of the README: it installs what the tests need beside Rust and runs every
//! suite. `cargo xtask ci` adds the checks of style and licences. Each step prints what it runs, so that it can be run by
//! hand; the first step that fails ends the run.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to the person who runs it")]

mod install;
mod step;
mod suites;

use std::process::ExitCode;

use step::Failed;

const HELP: &str = "\
Chores of the project.

Usage: cargo xtask <COMMAND>

Commands:
  test         Every suite: unit, property, conformance, crash, WebSocket conformance, browser, docs samples
  test SUITE   One of them: rust, node, samples, autobahn
  ci           Format, lints, licences, generated docs, then `test`
  docs         Writes the generated reference pages anew
  help         This text

Needs Rust, Node, npm and (for Chromium and Python) Debian's apt; installs the rest itself.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["test"] => suites::all(),
        ["test", suite] => suites::one(suite),
        ["ci"] => ci(),
        ["docs"] => docs(),
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        _ => Err(Failed(format!("no such command: {}\n\n{HELP}", args.join(" ")))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed(why)) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

fn ci() -> Result<(), Failed> {
    step::run("cargo", &["fmt", "--all", "--check"])?;
    step::run("cargo", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    install::cargo_deny()?;
    step::run("cargo", &["deny", "--all-features", "check", "bans", "licenses", "sources"])?;
    suites::all()
}

/// Tests compare the generated pages with the code; this writes them where they differ.
fn docs() -> Result<(), Failed> {
    step::run_with("cargo", &["test", "--workspace", "--locked", "generated_page"], &[("BONGSU_WRITE_DOCS", "1")])
}
